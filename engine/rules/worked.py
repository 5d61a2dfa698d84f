"""Worked cases, run: every published example and every one of ours, and what came out of it.

The cases stand in cases/, the ready rulebooks in library/. How a case is written is said in engine.rules.casebook and, by
example, in docs/rulebooks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, assert_never

from engine.facts import Fact
from engine.language.expression import names, parse
from engine.language.words import Unreadable, quoted
from engine.money import MICRO_DIGITS, AmountTooLarge, Rounding, difference, plain, round_to
from engine.outcomes import Balance, How, Outcome, Reason
from engine.period import Calendar, Period
from engine.rules.casebook import entries, given_of
from engine.rules.check import check
from engine.rules.evaluate import Conclusions, conclude
from engine.rules.formulas import Unsettleable, evaluated
from engine.rules.given import Cohort, Given, Origin, PartnerGiven
from engine.rules.measuring import by_field
from engine.rules.model import Rulebook
from engine.rules.partner_cases import AccountEntry, ScorecardEntry, of_score, run_account, run_scores
from engine.rules.problems import nearest
from engine.rules.told import Case, ContractTold, Entry, Finding, Happened, PartnerTold, Recorded, Stage

_HERE = Path(__file__).parent
LIBRARY = _HERE / "library"
CASES = _HERE / "cases"

Concluding = Callable[[Rulebook, Cohort], Conclusions]
AnyEntry = Entry | AccountEntry | ScorecardEntry


class Settled(NamedTuple):
    """One period of a case, as it was settled."""

    period: Period
    rulebook: Rulebook
    cohort: Cohort
    conclusions: Conclusions
    stage: Stage


def every() -> Iterator[AnyEntry]:
    """All entries of the files in cases/. Raises Unreadable where one cannot be read."""
    for file in sorted(CASES.glob("*.yaml")):
        yield from entries(file.read_text(encoding="utf-8"), file.name, ready)


def ready(name: str) -> str:
    """The text of a ready rulebook. Raises Unreadable."""
    known = sorted(file.stem for file in LIBRARY.glob("*.yaml"))
    if name not in known:
        raise Unreadable(f"{quoted(name)} is no ready rulebook", nearest(name, known, f"write {', '.join(known)}"))
    return (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8")


def run(entry: AnyEntry, concluding: Concluding = conclude) -> list[Finding]:
    """What each case of the entry expects, and what came out; `concluding` is the evaluator of rulebooks."""
    match entry:
        case AccountEntry():
            return list(run_account(entry))
        case ScorecardEntry():
            return list(run_scores(entry))
        case Entry():
            return list(_run_rulebook(entry, concluding))
        case _:
            assert_never(entry)


def _run_rulebook(entry: Entry, concluding: Concluding) -> Iterator[Finding]:
    checked = check(entry.rulebook, entry.name)
    said = "\n".join(
        f"{problem.cause}; {problem.remedy}" for problem in checked.problems if problem.severity == "error"
    )
    if checked.rulebook is None or entry.refused:
        found = said or "accepted"
        expected = entry.refused or ("accepted",)
        yield from (Finding(entry.name, 0, "the rulebook", each, found, each in found) for each in expected)
        return
    for index, case in enumerate(entry.cases):
        yield from _run(entry, index + 1, case, checked.rulebook, concluding)


def settled(case: Case, rulebook: Rulebook, concluding: Concluding = conclude) -> Iterator[Settled]:
    """The case's periods one after the other, each with what the ones before it carried on.

    The first period, where the case names none, is the month from which the rulebook is valid. Raises what settling
    raises, and Unreadable where a period has a rulebook of its own that is refused.
    """
    before: list[Settled] = []
    for stage in case.stages:
        book = before[-1].rulebook if before else rulebook
        if stage.rulebook is not None:
            book = _accepted(stage.rulebook)
        period = stage.period or (
            before[-1].period.next() if before else Period.containing(book.valid_from, Calendar.monthly)
        )
        contracts = {name: _given(name, told, stage, period, book, before) for name, told in stage.contracts.items()}
        partners = {name: _partner(told, book) for name, told in stage.partners.items()}
        cohort = Cohort(contracts, partners)
        now = Settled(period, book, cohort, concluding(book, cohort), stage)
        before.append(now)
        yield now


def _accepted(text: str) -> Rulebook:
    checked = check(text)
    if checked.rulebook is None:
        problem = next(each for each in checked.problems if each.severity == "error")
        raise Unreadable(f"the rulebook of the period: {problem.cause}", problem.remedy)
    return checked.rulebook


def _given(
    name: str, told: ContractTold, stage: Stage, period: Period, book: Rulebook, before: Sequence[Settled]
) -> Given:
    """What is given of a contract: as it is told, and where it isn't, as it follows from the periods before."""
    known = [each for each in before if name in each.cohort.contracts]
    last = known[-1] if known else None
    earlier = last.cohort.contracts[name] if last else Given(period)
    carried = last.conclusions.contracts[name].carried if last else ()
    return Given(
        period=period,
        facts=facts_of(told.recorded, book),
        carried=carried if told.carried is None else told.carried,
        begins=told.begins or earlier.begins,
        partner=told.partner or earlier.partner,
        grade=told.grade,
        grade_before=told.grade_before or (_grade(name, last) if last else None),
        rates=stage.rates,
        origins=tuple(_origin(name, each) for each in known),
    )


def _grade(name: str, of: Settled) -> str | None:
    given = of.cohort.contracts[name]
    score = of.conclusions.scores.get(given.partner)
    return score.grade if score is not None else given.grade


def _origin(name: str, of: Settled) -> Origin:
    return Origin(of.rulebook, of.cohort.contracts[name]._replace(grade=_grade(name, of)))


def _partner(told: PartnerTold, book: Rulebook) -> PartnerGiven:
    return PartnerGiven(facts_of(told.recorded, book), told.override)


def facts_of(recorded: Recorded, rulebook: Rulebook) -> tuple[Fact, ...]:
    """The facts as told, and those of the events as told, kept as the rulebook needs them. Events of one key are merged."""
    found: list[Fact] = []
    for each in recorded:
        found += [each] if isinstance(each, Fact) else _folded(each, rulebook)
    return tuple(fact for group in by_field(found).values() for fact in group)


def _folded(told: Happened, rulebook: Rulebook) -> Iterator[Fact]:
    for field, value in told.fields.items():
        yield Fact(told.event, field, told.dimensions, 1, value)
    for event, field in rulebook.whole_grain.derived:
        how, _, of = field.partition(" ")
        if event == told.event and (how == "each" or of in told.fields):
            value = _each(of, told.fields) if how == "each" else told.fields[of]
            yield Fact(event, field, told.dimensions, 1, value, told.at if how == "last" else 0)


def _each(text: str, fields: Mapping[str, Decimal]) -> Decimal:
    formula = parse(text)
    known = {name.text: Reason(name.text, How.fact, fields.get(name.text, Decimal(0))) for name in names(formula)}
    return round_to(evaluated(formula, known).value, MICRO_DIGITS, Rounding.half_even)


def _run(entry: Entry, number: int, case: Case, rulebook: Rulebook, concluding: Concluding) -> Iterator[Finding]:
    periods = settled(case, rulebook, concluding)
    several = len(case.stages) > 1
    for index, stage in enumerate(case.stages):
        refused, label = stage.expected.refused, f"period {index + 1} " if several else ""
        try:
            now = next(periods)
        except (Unsettleable, AmountTooLarge, Unreadable) as error:
            expected = f"refused: {refused}" if refused else "settled"
            ok = refused is not None and refused in str(error)
            yield Finding(entry.name, number, f"{label}settling", expected, f"refused: {error}", ok)
            return
        label = f"{now.period} " if several else ""
        if refused:
            yield Finding(entry.name, number, f"{label}settling", f"refused: {refused}", "settled", ok=False)
        for what, expected, found, ok in _compared(now):
            yield Finding(entry.name, number, label + what, expected, found, ok)


def _compared(now: Settled) -> Iterator[tuple[str, str, str, bool]]:
    stage, conclusions = now.stage, now.conclusions
    for contract, amounts in stage.expected.amounts.items():
        yield from _amounts(contract, amounts, amounts_of(conclusions.contracts[contract]))
    for contract, amounts in stage.expected.wrong.items():
        known = amounts_of(conclusions.contracts[contract])
        for name, wrong in amounts.items():
            found = known.get(name)
            yield f"{contract} {name}".strip(), f"not {plain(wrong)}", _shown(found), found not in {None, wrong}
    for partner, scored in stage.expected.scores.items():
        score = conclusions.scores.get(partner)
        for name, text in scored.items():
            found_text = "none" if score is None else of_score(score, name)
            yield f"{partner} {name}".strip(), text, found_text, text == found_text
    for partner, amounts in stage.expected.points.items():
        earned = {rule.name: reason.value for rule, reason in conclusions.points.get(partner, [])}
        yield from _amounts(f"{partner} points".strip(), amounts, earned)
    if stage.later is not None:
        first = amounts_of(conclusions.contracts[""])
        given = now.cohort.contracts[""]._replace(facts=facts_of(stage.later.recorded, now.rulebook))
        later = amounts_of(conclude(now.rulebook, Cohort({"": given}, now.cohort.partners)).contracts[""])
        changed = {name: difference(later[name], first[name]) for name in later if name in first}
        yield from _amounts("correction of", stage.later.correction, changed)


def _amounts(
    label: str, expected: Mapping[str, Decimal], known: Mapping[str, Decimal]
) -> Iterator[tuple[str, str, str, bool]]:
    for name, amount in expected.items():
        found = known.get(name)
        if found is None and name.startswith("carried "):
            found = Decimal(0)  # balances of 0 are not carried
        yield f"{label} {name}".strip(), plain(amount), _shown(found), found == amount


def _shown(amount: Decimal | None) -> str:
    return "nothing of this name" if amount is None else plain(amount)


def amounts_of(outcome: Outcome) -> dict[str, Decimal]:
    """Lines by their names, `payable`, shares by `party NAME`, balances by `carried STEP KIND [DAY]`."""
    found = {"payable": outcome.payable} | {line.name: line.amount for line in outcome.lines}
    found |= {f"party {share.party}": share.amount for share in outcome.shares}
    return found | {_carried(balance): balance.amount for balance in outcome.carried}


def _carried(balance: Balance) -> str:
    return f"carried {balance.step} {balance.kind}" + (f" {balance.day}" if balance.day else "")


__all__ = ["CASES", "LIBRARY", "AnyEntry", "Entry", "Finding", "Settled", "amounts_of", "every", "facts_of", "given_of", "ready",
           "run", "settled"]  # fmt: skip
