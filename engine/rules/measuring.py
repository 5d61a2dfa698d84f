"""From facts to measures: which facts match, and how their values become one number."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from engine.facts import Dimensions, Fact, label, merging
from engine.money import total, working
from engine.outcomes import How, Reason
from engine.rules.measures import Measure, Range
from engine.rules.model import Contents

_ZERO = Decimal(0)

ByField = dict[tuple[str, str], list[Fact]]


def by_field(facts: Iterable[Fact]) -> ByField:
    """The facts by event and field; those of one key are made one, so that it does not matter how they were merged."""
    grouped: dict[tuple[str, str], dict[Dimensions, Fact]] = {}
    for fact in facts:
        group = grouped.setdefault(fact[:2], {})
        before = group.get(fact.dimensions)
        group[fact.dimensions] = fact if before is None else _merged(before, fact)
    return {key: [group[dimensions] for dimensions in sorted(group, key=_order)] for key, group in grouped.items()}


def _merged(one: Fact, other: Fact) -> Fact:
    events = one.events + other.events
    match merging(one.field):
        case "sum":
            return one._replace(events=events, value=total(one.value, other.value))
        case "max":
            return one._replace(events=events, value=max(one.value, other.value))
        case "min":
            return one._replace(events=events, value=min(one.value, other.value))
        case _:
            later = max(one, other, key=lambda fact: (fact.at, fact.value))
            return later._replace(events=events)


def _order(dimensions: Dimensions) -> list[tuple[str, bool, str]]:
    return [(name, text is not None, text or "") for name, text in dimensions]


def measured(name: str, measure: Measure, contents: Contents, facts: ByField) -> Reason:
    """The measure's value over the facts that match it, each of which is a reason. Raises AmountTooLarge."""
    matching = [
        fact
        for fact in facts.get((measure.event, measure.field), ())
        if matches(measure, contents, dict(fact.dimensions))
    ]
    parts = tuple(_leaf(fact) for fact in matching)
    value = _together(measure, matching)
    return Reason(name, How.measure, working(value) or _ZERO, measure.described, parts=parts)


def matches(measure: Measure, contents: Contents, texts: dict[str, str | None]) -> bool:
    """Whether facts of these dimensions are measured: those of the measure's currency, else of the rulebook's."""
    if contents.currencies and not measure.of_partner:
        currency = texts.get("currency")
        if currency is not None and currency != (measure.currency or contents.currency):
            return False
    return all(_is(texts.get(name), wanted) for name, wanted in measure.where.items())


def _is(text: str | None, wanted: Range | tuple[str, ...]) -> bool:
    return text in wanted


def _leaf(fact: Fact) -> Reason:
    note = "1 event" if fact.events == 1 else f"{fact.events} events"
    return Reason(label(fact.event, fact.field, fact.dimensions), How.fact, fact.value, note)


def _together(measure: Measure, facts: list[Fact]) -> Decimal:  # noqa: PLR0911 - one return a way
    if measure.distinct is not None:
        texts = {dict(fact.dimensions).get(measure.distinct) for fact in facts if fact.events > 0}
        return Decimal(len(texts - {None}))
    if measure.count is not None:
        return Decimal(sum(fact.events for fact in facts))
    if not facts:
        return _ZERO
    match merging(measure.field):
        case "max":
            return max(fact.value for fact in facts)
        case "min":
            return min(fact.value for fact in facts)
        case "last":
            return max(facts, key=lambda fact: (fact.at, fact.value)).value
        case _:
            value = _ZERO
            for fact in facts:
                value = total(value, fact.value)
            return value
