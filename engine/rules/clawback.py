"""Taking back the share of charges that were returned: at the rule of the period in which they were made.

A refund, a write-off or a chargeback lowers the base of that period, and its tiers are traversed again: what the share
would have been without the returned charges, less what it was. Nothing of the earlier period changes; the difference is a
line of this one.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from engine.facts import Fact
from engine.money import difference, plain, total
from engine.outcomes import Balance, How, Reason
from engine.rules.carrying import RETURNED, kept, lots
from engine.rules.dependencies import needed
from engine.rules.formulas import Unsettleable
from engine.rules.given import Given, Origin
from engine.rules.measures import Measure
from engine.rules.measuring import by_field, measured
from engine.rules.model import Rulebook
from engine.rules.steps import Clawback, Step
from engine.rules.waterfall import Waterfall

_ZERO = Decimal(0)
_CHARGED_IN = "charged_in"


def returned(step: Step, rule: Clawback, rulebook: Rulebook, flow: Waterfall) -> tuple[Reason, tuple[Balance, ...]]:
    """What this period's returns take back, and what was returned so far of each period. Raises as `settle` does."""
    first = flow.given.period.first
    now: dict[date, Decimal] = {}
    for text, amount in by_dimension(flow, rule.returns, _CHARGED_IN).items():
        day = first if text is None else date.fromisoformat(text)
        now[day] = total(now.get(day, _ZERO), amount)
    before = {lot.day: lot.amount for lot in lots(flow.given.carried, step.name, RETURNED) if lot.day is not None}
    amount, parts = _ZERO, []
    for day in sorted(day for day, value in now.items() if value):
        origin = _origin(day, first, rulebook, flow)
        reason = _taken_back(rule, origin, before.get(day, _ZERO), now[day])
        amount = total(amount, reason.value)
        parts.append(reason)
    carried = {**before, **{day: total(before.get(day, _ZERO), value) for day, value in now.items()}}
    balances = kept(Balance(step.name, RETURNED, day, value) for day, value in sorted(carried.items()))
    reason = Reason(f"{rule.of} of what was returned", How.total, amount, parts=(flow.known[rule.returns], *parts))
    return reason, balances


def _origin(day: date, first: date, rulebook: Rulebook, flow: Waterfall) -> Origin:
    if day == first:
        return Origin(rulebook, flow.given._replace(grade=flow.grade))
    found = next((each for each in flow.given.origins if each.given.period.first == day), None)
    if found is None:
        raise Unsettleable(
            f"charges of the period from {day} are returned, and nothing is known of that period; correct charged_at"
        )
    return found


def _taken_back(rule: Clawback, origin: Origin, before: Decimal, now: Decimal) -> Reason:
    was, _ = _share(rule, origin, before)
    left, base = _share(rule, origin, total(before, now))
    period, version = origin.given.period, f"{origin.rulebook.rulebook}@{origin.rulebook.version}"
    earlier = f", {plain(before)} of them earlier" if before else ""
    note = f"charges of {period}: {plain(total(before, now))} returned{earlier}; by {version}"
    parts = (base, was._replace(note=f"as it was in {period}"), left._replace(note="without what was returned"))
    return Reason(f"{rule.of} of {period}", How.returned, difference(left.value, was.value), note, parts=parts)


def _share(rule: Clawback, origin: Origin, less: Decimal) -> tuple[Reason, Reason]:
    """The step's value in its period with its base lowered, and the lowered base."""
    contents = origin.rulebook.on(origin.given.period.first)
    if rule.base not in contents.measures or rule.of not in contents.steps:
        raise Unsettleable(
            f"{origin.rulebook.rulebook}@{origin.rulebook.version}, which settled {origin.given.period}, has no "
            f"{rule.base!r} or no {rule.of!r}; keep the names of what can be returned from version to version"
        )
    flow = _opened(origin, contents.measures[rule.base], rule.base, less)
    for step in contents.waterfall:
        if step.name in _needed(origin.rulebook, origin.given, rule.of):
            flow.apply(step)
    return flow.lines[rule.of].reason, flow.known[rule.base]


def _opened(origin: Origin, measure: Measure, name: str, less: Decimal) -> Waterfall:
    contents = origin.rulebook.on(origin.given.period.first)
    flow = Waterfall(contents, origin.given, grade=origin.given.grade)
    whole = measured(name, measure, contents, by_field(origin.given.facts))
    flow.measure({name: difference(whole.value, less)})
    return flow


def _needed(rulebook: Rulebook, given: Given, name: str) -> frozenset[str]:
    return needed(rulebook.on(given.period.first).dependencies, name)


def by_dimension(flow: Waterfall, name: str, dimension: str) -> dict[str | None, Decimal]:
    """A measure by the texts of a dimension of its facts. Raises AmountTooLarge."""
    measure = flow.contents.measures[name]
    groups: dict[str | None, list[Fact]] = {}
    for fact in flow.given.facts:
        if fact.event == measure.event:
            groups.setdefault(dict(fact.dimensions).get(dimension), []).append(fact)
    return {text: measured(name, measure, flow.contents, by_field(facts)).value for text, facts in groups.items()}
