"""What happened up to a position, from wherever it is kept: what is told one by one, and the facts of what comes in volume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl

from engine.events import VOLUME, decoded
from engine.settlement.folding import fold_pages
from engine.store import log
from engine.store.database import Rows
from replay import known
from replay.known import Known

Progress = Callable[[int, int], None]


def known_at(cursor: Rows, position: int, rules_position: int) -> Known:
    """What was known at the position, under the rules published up to the other."""
    told = (
        (at, decoded(name, state)) for at, name, state in log.told(cursor, after=0, to=max(position, rules_position))
    )
    return known.of(told, position=position, rules_position=rules_position)


def folded(
    cursor: Rows,
    everything: Known,
    position: int,
    names: Sequence[str] | None = None,
    progress: Progress = lambda *_: None,
) -> pl.DataFrame:
    """The facts of the contracts, or of all, up to the position: columns engine.projections.facts.FACTS. Raises MeasureFails."""
    if names is not None:
        streams = [log.stream_id("contract", name) for name in names]
        pages = _up_to(log.of_streams(cursor, streams), position)
    else:
        pages = _pages(cursor, position, progress)
    return fold_pages(pages, everything.terms)


def _up_to(pages: Iterable[Sequence[tuple[int, str, bytes]]], position: int) -> Iterator[list[tuple[int, str, bytes]]]:
    for page in pages:
        yield [row for row in page if row[0] <= position and row[1] in VOLUME]


def _pages(cursor: Rows, position: int, progress: Progress) -> Iterator[list[tuple[int, str, bytes]]]:
    after = 0
    while page := log.states(cursor, after=after, to=position):
        yield [row for row in page if row[1] in VOLUME]
        after = page[-1][0]
        progress(after, position)
