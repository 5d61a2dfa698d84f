"""Reading an archive, wherever Polars can scan a file: what was told, what was issued, and the facts of its buckets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path

import polars as pl

from engine.events import Event, decoded
from engine.facts import COMPUTED, OWN_DIMENSIONS, Grain
from engine.period import located
from engine.projections import facts as projection
from engine.projections.facts import FACTS, FURTHER, attribute, column_of, encoded, summed
from engine.projections.grouping import grouped
from engine.projections.seals import Entry
from replay.archive import manifest
from replay.archive.manifest import Seal, Segment
from replay.archive.segments import entries_of, stored_schema
from replay.known import Known


class Archive:
    """The archive at a location: a path, or an address that Polars can scan. Raises BrokenManifest."""

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/")
        self.seals: list[Seal] = manifest.read(self.location)

    @property
    def last(self) -> int:
        """The position up to which the log is sealed."""
        return self.seals[-1].last if self.seals else 0

    @property
    def buckets(self) -> int:
        return self.seals[0].buckets if self.seals else 0

    def segments(self, kind: str, *, bucket: int | None = None, to: int | None = None) -> list[Segment]:
        """The segments of the kind, in the order of the log; of one bucket, or of all."""
        return [
            segment
            for seal in self.seals
            for segment in seal.segments
            if segment.kind == kind and bucket in {None, segment.bucket} and (to is None or segment.first <= to)
        ]

    def anywhere(self) -> Archive:
        """The same seals at a location that does not depend on the folder in which a process runs."""
        found = copy(self)
        if "://" not in self.location:
            found.location = str(Path(self.location).resolve())
        return found

    def address(self, segment: Segment) -> str:
        return f"{self.location}/{segment.path}"

    def told(self, to: int) -> Iterator[tuple[int, Event]]:
        """(position, event) of everything up to the position but what comes in volume and statements, in order."""
        for segment in self.segments("told", to=to):
            for entry in self.entries(segment):
                if entry.position <= to:
                    yield entry.position, decoded(entry.name, entry.state)

    def told_at(self, position: int) -> Event | None:
        """What was told at the position; None where the archive has something else there."""
        for segment in self.segments("told", to=position):
            if position <= segment.last:
                own = pl.scan_parquet(self.address(segment)).filter(pl.col("position") == position).collect()
                return next((decoded(each.name, each.state) for each in entries_of(own, segment.kind)), None)
        return None

    def entries(self, segment: Segment) -> Iterator[Entry]:
        """The rows of the log that the segment was made of."""
        frame = pl.read_parquet(self.address(segment))
        for part in frame.iter_slices(50_000):
            yield from entries_of(part, segment.kind)

    def facts(
        self, everything: Known, bucket: int, *, to: int | None = None, names: Iterable[str] | None = None
    ) -> pl.DataFrame:
        """The facts of the bucket's contracts (or of those named) up to the position: columns FACTS. Raises MeasureFails."""
        segments = self.segments("events", bucket=bucket, to=to)
        if not segments:
            return FACTS.to_frame()
        wanted = None if names is None else set(names)
        members: dict[str, list[str]] = {}
        for name, each in everything.contracts.items():
            if wanted is None or name in wanted:
                members.setdefault(each.rulebook, []).append(name)
        grains: dict[str, list[str]] = {}
        for rulebook, own in members.items():
            grains.setdefault(everything.grain(rulebook).text, []).extend(own)
        alone = wanted is None and len(grains) == 1
        parts = []
        for text, own in grains.items():
            grain = Grain.of(text)
            if grain.derived or COMPUTED & set(grain.dimensions):
                parts += [self._folded(everything, segment, grain, to, own) for segment in segments]
            else:
                for piece in _pieces(segments):
                    parts.append(self._summed(piece, grain, to, None if alone else own))
        return parts[0] if len(parts) == 1 else projection.merged(pl.concat(parts)) if parts else FACTS.to_frame()

    def _scan(
        self, segments: Sequence[Segment], grain: Grain, to: int | None, names: Sequence[str] | None
    ) -> pl.LazyFrame:
        """The events, with a column for each dimension of the grain."""
        wanted = {name for name in grain.dimensions if name not in OWN_DIMENSIONS}
        groups: dict[frozenset[str], list[str]] = {}
        for segment in segments:
            groups.setdefault(frozenset(wanted - set(segment.attributes)), []).append(self.address(segment))
        frames = []
        for missing, addresses in groups.items():
            frame = pl.scan_parquet(addresses, schema=stored_schema(sorted(wanted - missing)), extra_columns="ignore")
            # Sealed before a rulebook asked for the dimension: it is among the attributes all the same.
            frames.append(frame.with_columns(stated(name).cast(pl.Categorical) for name in sorted(missing)))
        events = pl.concat(frames, how="diagonal")
        if to is not None and any(segment.last > to for segment in segments):
            events = events.filter(pl.col("position") <= to)
        return events if names is None else events.filter(pl.col("contract").is_in(list(names)))

    def _summed(
        self, segments: Sequence[Segment], grain: Grain, to: int | None, names: Sequence[str] | None
    ) -> pl.DataFrame:
        """In one pass, without a row of Python: where only sums are asked for."""
        events = self._scan(segments, grain, to, names)
        sums = summed(events, grain.dimensions)
        if not any(segment.further for segment in segments):
            return sums
        keys = ["contract", "period", "event", *map(column_of, sorted(grain.dimensions))]
        further = (
            events.filter(pl.col("amounts").list.len() > 0)
            .select(*keys, pl.col("amounts"))
            .explode("amounts")
            .unnest("amounts")
            .collect(engine="streaming")
        )
        return pl.concat([sums, encoded(grouped(further, [*keys, "field"]), grain.dimensions)])

    def _folded(
        self, everything: Known, segment: Segment, grain: Grain, to: int | None, names: Sequence[str]
    ) -> pl.DataFrame:
        """By the fold itself: where single events have to be looked at."""
        terms = everything.terms(names).select("contract", "calendar", "time_zone", "grain", "phases")
        events = self._scan([segment], grain, to, names).with_columns(pl.col(pl.Categorical).cast(pl.String)).collect()
        parts = [FACTS.to_frame()]
        for part in events.iter_slices(_SLICE):
            known = part.drop("period", "amounts").rename({"position": "seq"}).join(terms, on="contract", how="left")
            further = (
                part.filter(pl.col("amounts").list.len() > 0)
                .select(pl.col("position").alias("seq"), "amounts")
                .explode("amounts")
                .unnest("amounts")
            )
            parts.append(projection.fold(located(known), further.select(FURTHER.names())))
        return projection.merged(pl.concat(parts))


_SLICE = 250_000
# So many events are in memory at once, in the columns that they are grouped by.
_ROWS = 8_000_000


def _pieces(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Neighbours of so many rows together as are summed at once."""
    piece: list[Segment] = []
    for segment in segments:
        if piece and sum(each.rows for each in piece) + segment.rows > _ROWS:
            yield piece
            piece = []
        piece.append(segment)
    yield piece


def stated(name: str) -> pl.Expr:
    """As `attribute:NAME` the value of an attribute that has no column of its own, from all that the event states."""
    pairs = pl.col("attributes").list.filter(pl.element().struct.field("name") == name)
    return pairs.list.first().struct.field("value").alias(attribute(name))
