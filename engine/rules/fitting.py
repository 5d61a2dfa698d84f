"""Checks of what must fit together: units and currencies, grades and factors, returns and pools, and no loops."""

from __future__ import annotations

from functools import partial

from engine.rules.dependencies import ASSESSED, Graph, crossing, graph, loop, needed
from engine.rules.draft import POINTS_EARNED, Draft, formulas, references
from engine.rules.problems import Path
from engine.rules.source import Source
from engine.rules.steps import Advance, Clawback, Coefficient, Convert, Payout, Step
from engine.rules.units import NUMBER, QUANTITY, Units, add_step, measured, of_expression

_RETURNS = frozenset({"billing.refunded", "billing.written_off"})


def check(draft: Draft, source: Source) -> None:
    """Adds the problems of units, loops, grades and returns to the source's."""
    units = _check_units(draft, source)
    steps = [step for step in draft.steps if step is not None]
    dependencies = graph(steps, draft.points, draft.assessment)
    found = loop(dependencies)
    if found:
        _report_loop(draft, source, found)
    for index, step in enumerate(draft.steps):
        path: Path = ("waterfall", index)
        if step is None:
            continue
        match step.rule:
            case Coefficient():
                _check_coefficient(draft, source, step.rule, (*path, "coefficient"))
            case Clawback():
                if not found and step.rule.of in dependencies:
                    _check_clawback(draft, source, step.rule, (*path, "clawback"), dependencies)
            case Convert(to=to):
                if units.get(step.rule.of) == to:
                    source.warn((*path, "convert"), f"{step.rule.of!r} is in {to} already", "take the step out")
            case _:
                pass
    _check_currencies(draft, source, units)


def _report_loop(draft: Draft, source: Source, found: list[str]) -> None:
    first, *others = ("the assessment" if name == ASSESSED else repr(name) for name in found)
    cause = f"a loop: {first} needs {', which needs '.join(others)}"
    remedy = "take the grade of the previous period, or assess by what stands before the coefficient"
    step = next(name for name in found if name != ASSESSED)
    source.error(("waterfall", draft.names.index(step)), cause, remedy)


def _check_units(draft: Draft, source: Source) -> Units:
    currency = draft.currency or ""
    units: Units = dict.fromkeys(draft.values) | measured(draft.measures, currency) | {POINTS_EARNED: NUMBER}
    for index, step in enumerate(draft.steps):
        if step is not None:
            add_step(units, step, currency, partial(_report, source, ("waterfall", index)))
    for path, formula in formulas(draft.points, draft.assessment):
        of_expression(formula, units, partial(_report, source, path, ()))
    return units


def _report(source: Source, at: Path, path: Path, cause: str, remedy: str) -> None:
    source.error((*at, *path), cause, remedy)


def _check_coefficient(draft: Draft, source: Source, rule: Coefficient, path: Path) -> None:
    card = draft.assessment
    if card is None:
        if not rule.factors and "assessment" not in draft.broken:
            source.error(path, "neither factors nor an assessment state any", "write factors: {A: 110%, B: 100%}")
        return
    grades = {band.grade for band in card.grades} | {veto.grade for veto in card.vetoes}
    stated = set(rule.factors) or {name for name, each in card.consequences.items() if each.coefficient is not None}
    missing = sorted(grades - stated)
    where = "factors" if rule.factors else "consequences"
    if missing and rule.ungraded is None:
        cause = f"grade {missing[0]!r} of the assessment has no factor in the {where}"
        source.error(path, cause, f"write one for {', '.join(missing)}, or ungraded")
    unknown = sorted(set(rule.factors) - grades)
    if unknown:
        source.error(
            (*path, "factors"), f"the assessment gives no grade {unknown[0]!r}", f"write {', '.join(sorted(grades))}"
        )
    if rule.grade == "previous" and rule.ungraded is None:
        source.error(path, "a partner has no previous grade in its first period", "write ungraded: 100%")


def _check_clawback(draft: Draft, source: Source, rule: Clawback, path: Path, dependencies: Graph) -> None:
    returns = draft.measures.get(rule.returns)
    if returns is not None and returns.event not in _RETURNS:
        cause = f"{rule.returns!r} measures {returns.event}, which gives nothing back"
        source.error((*path, "returns"), cause, "name a measure of billing.refunded or billing.written_off")
    base = draft.measures.get(rule.base)
    for where, measure in (("returns", returns), ("base", base)):
        if measure is not None and measure.sum is None:
            source.error((*path, where), f"{where} must be a sum", "name a measure such as {sum: amount}")
    steps = {step.name: step for step in draft.steps if step is not None}
    behind = needed(dependencies, rule.of)
    across = crossing([steps[name] for name in behind if name in steps])
    if across:
        cause = f"{rule.of!r} needs {across[0].name!r}, which depends on other contracts"
        source.error((*path, "of"), cause, "claw back a step that depends on its own contract alone")
    leaving = [
        each for each in sorted(behind & set(steps)) if isinstance(steps[each].rule, (Advance, Clawback, Payout))
    ]
    if leaving:
        whose = repr(rule.of) if rule.of in leaving else f"{leaving[0]!r}, which {rule.of!r} needs,"
        cause = f"{whose} settles what earlier periods left"
        source.error((*path, "of"), cause, "claw back the step before it")
    if ASSESSED in behind:
        source.error(
            (*path, "of"), f"{rule.of!r} needs the assessment of its period", "take a grade of the previous period"
        )
    if not _reaches(rule.base, behind, steps):
        source.error(
            (*path, "base"), f"{rule.of!r} does not depend on {rule.base!r}", "name the measure of what was charged"
        )


def _reaches(measure: str, behind: frozenset[str], steps: dict[str, Step]) -> bool:
    return any(name.text == measure for each in behind if each in steps for _, name in references(steps[each]))


def _check_currencies(draft: Draft, source: Source, units: Units) -> None:
    accepted = {draft.currency, *draft.currencies}
    for name, measure in draft.measures.items():
        if measure is not None and measure.currency is not None and measure.currency not in accepted:
            path: Path = ("measures", name, "currency")
            source.error(
                path, f"events in {measure.currency} are not accepted", f"add it to currencies: [{measure.currency}]"
            )
    for index, currency in enumerate(draft.currencies):
        if currency == draft.currency:
            source.error(("currencies", index), f"{currency} is the rulebook's own currency", "take it out")
    payable = draft.split.of if draft.split else draft.names[-1] if draft.names else ""
    if units.get(payable) in {QUANTITY, NUMBER}:
        where: Path = ("split", "of") if draft.split else ("waterfall", len(draft.names) - 1)
        source.error(where, f"{payable!r} is a {units[payable]}, and what is paid is money", "multiply it by a price")
