"""What happened up to a position, from wherever it is kept: the archive as far as it goes, and the log's tail behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl

from engine.events import VOLUME, Event, decoded
from engine.projections import facts as projection
from engine.settlement.folding import fold_pages
from engine.store import log
from engine.store.database import Rows
from replay import known
from replay.archive.reading import Archive
from replay.archive.segments import bucket_of
from replay.known import Known

Progress = Callable[[int, int], None]


def known_at(cursor: Rows, position: int, rules_position: int, archive: Archive | None = None) -> Known:
    """What was known at the position, under the rules published up to the other."""
    end = max(position, rules_position)
    return known.of(_told(cursor, end, archive), position=position, rules_position=rules_position)


def _told(cursor: Rows, end: int, archive: Archive | None) -> Iterator[tuple[int, Event]]:
    if archive is not None:
        yield from archive.told(end)
    sealed = archive.last if archive is not None else 0
    for at, name, state in log.told(cursor, after=sealed, to=end):
        yield at, decoded(name, state)


def folded(
    cursor: Rows,
    everything: Known,
    position: int,
    names: Sequence[str] | None = None,
    archive: Archive | None = None,
    progress: Progress = lambda *_: None,
) -> pl.DataFrame:
    """The facts of the contracts, or of all, up to the position: columns engine.projections.facts.FACTS. Raises MeasureFails."""
    sealed = min(archive.last, position) if archive is not None else 0
    parts = []
    if archive is not None:
        wanted = range(archive.buckets) if names is None else sorted({bucket_of(n, archive.buckets) for n in names})
        for done, bucket in enumerate(wanted, 1):
            parts.append(archive.facts(everything, bucket, to=position, names=names))
            progress(sealed * done // len(wanted), position)
    if names is not None:
        streams = [log.stream_id("contract", name) for name in names]
        pages = _between(log.of_streams(cursor, streams), sealed, position)
    else:
        pages = _pages(cursor, sealed, position, progress)
    parts.append(fold_pages(pages, everything.terms))
    return projection.merged(pl.concat(parts))


def tail(
    cursor: Rows, everything: Known, position: int, archive: Archive, names: Sequence[str] | None = None
) -> pl.DataFrame:
    """The facts of what came after the archive, up to the position."""
    wanted = None if names is None else set(names)
    pages = _pages(cursor, archive.last, position, lambda *_: None)
    facts = fold_pages(pages, everything.terms)
    return facts if wanted is None else facts.filter(pl.col("contract").is_in(list(wanted)))


def _between(
    pages: Iterable[Sequence[tuple[int, str, bytes]]], after: int, to: int
) -> Iterator[list[tuple[int, str, bytes]]]:
    for page in pages:
        yield [row for row in page if after < row[0] <= to and row[1] in VOLUME]


def _pages(cursor: Rows, after: int, to: int, progress: Progress) -> Iterator[list[tuple[int, str, bytes]]]:
    while page := log.states(cursor, after=after, to=to):
        yield [row for row in page if row[1] in VOLUME]
        after = page[-1][0]
        progress(after, to)
