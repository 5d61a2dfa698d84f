"""A partner's own figures matched with those of a statement, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from engine.aggregates.discrepancy import figures
from engine.money import difference


class Differing(NamedTuple):
    """A line on which the two sides differ; a side that does not have it is None. Decimal texts."""

    line: str
    ours: str | None
    theirs: str | None
    unit: str | None


class Matched(NamedTuple):
    """`agreeing` lines are equal within the tolerance."""

    agreeing: int
    differing: tuple[Differing, ...]


def matched(said: Mapping[str, Any], party: str, theirs: Mapping[str, str], tolerance: Decimal) -> Matched:
    """`said` is the statement's JSON object, `theirs` are decimal texts by line; the tolerance is absolute, for each line.

    A line that only one side has differs, whatever its amount; what is payable and what is due, which are sums, only where the
    partner names them.
    """
    own = {line["name"] for line in said["lines"]}
    ours = {name: figure for name, figure in figures(said, party).items() if name in own or name in theirs}
    found = []
    for line in dict.fromkeys((*ours, *theirs)):
        amount, unit = ours.get(line, (None, None))
        other = theirs.get(line)
        if amount is None or other is None or abs(difference(Decimal(amount), Decimal(other))) > tolerance:
            found.append(Differing(line, amount, other, unit))
    return Matched(len(ours.keys() | theirs.keys()) - len(found), tuple(found))
