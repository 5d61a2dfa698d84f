"""Values that are dated: what a rulebook's text states from each day on.

A value is a number, or a list of numbers each with the day `since` which it holds, for periods that begin on that day or
later. Where a number stands in steps, split, points and assessment, the name of a value may stand instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import NamedTuple

from engine.language.words import Unreadable, day, name
from engine.rules.problems import Path
from engine.rules.source import Data, Source

# Fields that hold a number; in them, a value's name is replaced by what it is on the day.
_NUMBERS = frozenset(
    {"rate", "flat", "upto", "below", "from", "above", "price", "size", "free", "ungraded", "score", "weight", "cap",
     "multiplier", "coefficient", "points", "at"}
)  # fmt: skip
_FORMULAS = frozenset({"floor", "cap"})
_SECTIONS = ("waterfall", "split", "points", "assessment")


class Dated(NamedTuple):
    """A value's text from a day on; without a day, always."""

    since: date | None
    text: Data


def stated(source: Source) -> Iterator[tuple[date | None, Data]]:
    """The rulebook's data from each day on; the first, without a day, from its first day on."""
    values = dict(_values(source))
    first = _first(source)
    days = sorted({each.since for dated in values.values() for each in dated if each.since})
    yield None, _on(source.data, values, first)
    for since in days:
        if first is None or since > first:
            yield since, _on(source.data, values, since)


def _first(source: Source) -> date | None:
    try:
        return day(source.raw(("valid_from",)))
    except Unreadable:
        return None


def _values(source: Source) -> Iterator[tuple[str, tuple[Dated, ...]]]:
    section = source.raw(("values",))
    for key, value in section.items() if isinstance(section, dict) else ():
        if isinstance(value, list):
            yield _named(key), tuple(_dated(("values", key), value, source))
        else:
            yield _named(key), (Dated(None, value),)


def _named(key: str) -> str:
    try:
        return name(key)
    except Unreadable:
        return key


def _dated(path: Path, entries: list[Data], source: Source) -> Iterator[Dated]:
    taken: dict[date, int] = {}
    first = _first(source)
    for index, entry in enumerate(entries):
        here = (*path, index)
        if not isinstance(entry, dict) or set(entry) != {"since", "is"}:
            source.error(here, "a dated value has since and is, and nothing else", "write {since: 2010-12-01, is: 50%}")
            continue
        try:
            since = day(entry["since"])
        except Unreadable as error:
            source.error((*here, "since"), error.cause, error.remedy)
            continue
        if since in taken:
            cause = f"entry {taken[since]} holds from {since} too: two numbers claim the same day"
            source.error((*here, "since"), cause, "keep one of them, or give this one another day")
            continue
        taken[since] = index
        yield Dated(since, entry["is"])
    if taken and first is not None and min(taken) > first:
        cause = f"nothing is said before {min(taken)}, and the rulebook is valid from {first}"
        source.error(path, cause, f"write an entry since {first}, or earlier")


def _on(data: Data, values: Mapping[str, tuple[Dated, ...]], when: date | None) -> Data:
    """The data with the values as they are on the day."""
    if not isinstance(data, dict) or not values:
        return data
    texts = {name: _text_on(dated, when) for name, dated in values.items()}
    scalars = {name: text for name, text in texts.items() if isinstance(text, str)}
    replaced = {section: _replaced(data[section], scalars) for section in _SECTIONS if section in data}
    return {**data, **replaced, "values": dict(texts)}


def _text_on(dated: tuple[Dated, ...], when: date | None) -> Data:
    begun = [each for each in dated if each.since is None or (when is not None and each.since <= when)]
    found = max(begun or dated[:1], key=lambda each: each.since or date.min, default=None)
    return None if found is None else found.text


def _replaced(data: Data, texts: Mapping[str, str], field: str = "") -> Data:
    match data:
        case dict() if field in _FORMULAS:
            return data  # a formula keeps the name, and its reason shows it
        case dict():
            return {key: _replaced(value, texts, "rate" if field == "factors" else key) for key, value in data.items()}
        case list():
            return [_replaced(value, texts, field) for value in data]
        case str() if field in _NUMBERS:
            return texts.get(" ".join(data.split()), data)
        case _:
            return data
