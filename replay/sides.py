"""Both sides of a comparison, settled from the same facts: without a version and with it. In parts: the buckets of contracts.

Where the rulebook settles contracts together, a part gives its facts alone, which are few, and a second pass settles them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import polars as pl

from engine.projections import facts as projection
from engine.projections.facts import FACTS
from replay.apart import Spread
from replay.archive.reading import Archive
from replay.archive.segments import bucket_of
from replay.known import Known, together
from replay.laid import Laid, laid_out
from replay.members import Members
from replay.recompute import AMOUNTS, settled_from
from replay.spread import tails
from replay.unsettled import unsettled


class Sides(NamedTuple):
    """What is compared: the contracts of one rulebook in the periods that end after `since` and begin before `end`.

    `finer` says that the version asks for more than the facts keep, so that its side needs the events again, up to `position`.
    """

    before: Known
    after: Known
    contracts: Members
    since: date
    end: date
    position: int
    finer: bool

    @property
    def across(self) -> bool:
        """Whether contracts are settled together, without the version or with it."""
        return bool(together(self.after, self.contracts))


class Amounts(NamedTuple):
    """Columns replay.recompute.AMOUNTS without the version and with it; and why with it some cannot be settled."""

    was: pl.DataFrame
    now: pl.DataFrame
    refused: dict[tuple[str, str], str]


def amounts(sides: Sides, facts: pl.DataFrame, finer: pl.DataFrame, chosen: Members) -> Amounts:
    """Of the chosen contracts, which are all or stand alone. `finer` are the facts as the version asks for them."""
    laid = laid_out(chosen, facts)
    if finer is facts:
        laid = [each.remembering() for each in laid]
    was, _ = _side(sides, sides.before, laid)
    now, refused = _side(sides, sides.after, laid if finer is facts else laid_out(chosen, finer))
    for each in unsettled(sides.after, chosen, sides.since, sides.end):
        refused[each.contract, str(each.period)] = str(each.why)
    return Amounts(was, now, refused)


def _side(sides: Sides, everything: Known, laid: Sequence[Laid]) -> tuple[pl.DataFrame, dict[tuple[str, str], str]]:
    frames, refused = [AMOUNTS.to_frame()], dict[tuple[str, str], str]()
    for each in settled_from(laid, everything, sides.end, sides.since):
        if each.period.end > sides.since:
            frames.append(each.amounts())
            refused |= {(name, str(each.period)): str(why) for name, why in each.found.refused.items()}
    return pl.concat(frames), refused


def in_parts(sides: Sides, facts: pl.DataFrame, tail: pl.DataFrame, archive: Archive, spread: Spread) -> Amounts:
    """The same, a bucket a part. `tail` are the finer facts from behind the archive, where the version needs them."""
    if sides.across and not sides.finer:
        return amounts(sides, facts, facts, sides.contracts)
    own, behind = tails(archive, facts), tails(archive, tail)
    parts = ((number, None if sides.across else own[number], behind[number]) for number in range(archive.buckets))
    found, apart = [Amounts(AMOUNTS.to_frame(), AMOUNTS.to_frame(), {})], [FACTS.to_frame()]
    for one, left in spread(bucket, (archive.anywhere(), sides), parts):
        found.append(one)
        apart.append(left)
    if sides.across:
        return amounts(sides, facts, pl.concat(apart), sides.contracts)
    refused = {key: why for each in found for key, why in each.refused.items()}
    return Amounts(pl.concat(each.was for each in found), pl.concat(each.now for each in found), refused)


def bucket(
    shared: tuple[Archive, Sides], number: int, facts: pl.DataFrame | None, tail: pl.DataFrame
) -> tuple[Amounts, pl.DataFrame]:
    """What one bucket gives: both sides' amounts, and the finer facts for the second pass.

    `facts` are those of its contracts, None where they are settled in the second pass.
    """
    archive, sides = shared
    chosen = sides.contracts.only(name for name in sides.contracts if bucket_of(name, archive.buckets) == number)
    finer = FACTS.to_frame() if facts is None else facts
    if sides.finer:
        sealed = archive.facts(sides.after, number, to=sides.position, names=chosen.names)
        finer = projection.merged(pl.concat([sealed, tail]))
    if facts is None:
        return Amounts(AMOUNTS.to_frame(), AMOUNTS.to_frame(), {}), finer
    return amounts(sides, facts, finer, chosen), FACTS.to_frame()
