"""The proof that an archive is what was sealed: every byte of its files, that they give the chain of the log, and that what stands
beside the log's rows, in columns and in the manifest, is what those rows make it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import polars as pl

from engine.events import VOLUME, ContractSigned, StatementClosed, StatementRestated, decoded
from engine.period import located
from engine.projections.facts import attribute
from engine.projections.seals import Chain, Entry
from replay.archive.manifest import Seal, Segment
from replay.archive.reading import Archive, stated
from replay.archive.segments import EVENTS, STATEMENTS, bucket_of, entries_of, extent

Progress = Callable[[int, int], None]

_ROWS_AT_ONCE = 50_000
# What a file may make fail that is none of the engine's, though its digest is the one that the manifest states.
_UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, ArithmeticError, AssertionError, OSError, pl.exceptions.PolarsError,
)  # fmt: skip


def check(archive: Archive, progress: Progress = lambda *_: None) -> Iterator[str]:
    """What is wrong, a sentence each: names the file. Nothing where the archive is right."""
    chain = Chain()
    signed: dict[str, ContractSigned] = {}
    for seal in archive.seals:
        held = _Held(archive.buckets, signed)
        wrong = [sentence for segment in seal.segments for sentence in _file(archive, segment)]
        # Contracts are told before events, since they say in which period an event is. What a broken file holds proves nothing.
        for segment in () if wrong else sorted(seal.segments, key=lambda each: each.kind == "events"):
            wrong += held.read(archive, segment)
        if not wrong and not held.is_whole(seal):
            wrong.append(
                f"seal {seal.number}: its segments hold {held.rows:,} rows for the positions {seal.first:,} to {seal.last:,}"
            )
        yield from wrong
        if wrong:
            return
        chain = chain.extended([held.leaves[position] for position in range(seal.first, seal.last + 1)])
        if chain.now != seal.head:
            yield f"seal {seal.number}: its segments give the chain {chain.now}, and it says {seal.head}"
        progress(seal.last, archive.last)


def _file(archive: Archive, segment: Segment) -> Iterator[str]:
    path = Path(archive.address(segment).removeprefix("file://"))
    if path.is_file():
        data = path.read_bytes()
        if sha256(data).hexdigest() != segment.sha256:
            yield f"{segment.path}: its bytes are not those that were sealed"
        return
    try:
        rows = pl.scan_parquet(archive.address(segment)).select(pl.len()).collect().item()
    except (FileNotFoundError, OSError, pl.exceptions.PolarsError) as error:
        yield f"{segment.path} cannot be read: {str(error).splitlines()[0]}"
        return
    if rows != segment.rows:
        yield f"{segment.path}: {rows:,} rows, and {segment.rows:,} were sealed"


class _Held:
    """What the segments of a seal hold: the leaves of the log's rows by position, and how many rows there are.

    `signed` are the contracts that were told up to there.
    """

    def __init__(self, buckets: int, signed: dict[str, ContractSigned]) -> None:
        self.leaves: dict[int, bytes] = {}
        self.rows = 0
        self._told_to = 0
        self._buckets = buckets
        self._signed = signed

    def is_whole(self, seal: Seal) -> bool:
        number = seal.last - seal.first + 1
        return (
            self.rows == len(self.leaves) == number and min(self.leaves) == seal.first and max(self.leaves) == seal.last
        )

    def read(self, archive: Archive, segment: Segment) -> Iterator[str]:
        """What is wrong with the segment beside the rows of the log, which only the chain can prove."""
        try:
            frame = pl.read_parquet(archive.address(segment))
            for part in frame.iter_slices(_ROWS_AT_ONCE):
                for entry in entries_of(part, segment.kind):
                    if not self._belongs(entry, segment):
                        yield f"{segment.path}: position {entry.position:,}, {entry.name}, has no place in it"
                        return
                    self.leaves[entry.position] = entry.leaf
            if segment.kind == "told" and not self._follows(frame):
                yield f"{segment.path}: its rows are not in the order of the log"
                return
            self.rows += frame.height
            wrong = [name for name, value in extent(frame, segment.kind).items() if getattr(segment, name) != value]
            if wrong:
                yield f"{segment.path}: the manifest says another {', '.join(wrong)} than it has"
            elif segment.kind == "events":
                yield from self._derived(frame, segment)
        except _UNREADABLE as error:
            yield f"{segment.path} holds no rows of a log: {str(error).splitlines()[0][:120] or type(error).__name__}"

    def _follows(self, frame: pl.DataFrame) -> bool:
        """Whether the rows come after those before, in order: what is told later replaces what was told earlier."""
        before, self._told_to = self._told_to, frame["position"][-1]
        return frame["position"].is_sorted() and frame["position"][0] > before

    def _belongs(self, entry: Entry, segment: Segment) -> bool:
        if segment.kind == "events":
            return entry.name in VOLUME  # of which bucket: below, by contract
        if segment.kind == "told":
            if entry.name == ContractSigned.NAME:
                event = decoded(entry.name, entry.state)
                assert isinstance(event, ContractSigned), entry
                self._signed.setdefault(event.contract, event)
            return segment.bucket == -1 and entry.name not in VOLUME and entry.name not in STATEMENTS
        if segment.kind != "issued" or entry.name not in STATEMENTS:
            return False
        issued = decoded(entry.name, entry.state)
        assert isinstance(issued, (StatementClosed, StatementRestated)), entry
        return bucket_of(issued.contract, self._buckets) == segment.bucket

    def _derived(self, frame: pl.DataFrame, segment: Segment) -> Iterator[str]:
        """Columns that are made of the others, and of what was told: they are what a replay groups by."""
        promoted = [attribute(name) for name in segment.attributes]
        if frame.columns != [*EVENTS.names(), *promoted]:
            yield f"{segment.path}: its columns are not those of its kind"
            return
        plain = frame.with_columns(pl.col(pl.Categorical).cast(pl.String))
        names = plain["contract"].unique().sort().to_list()
        if any(bucket_of(name, self._buckets) != segment.bucket for name in names):
            yield f"{segment.path}: it has contracts of another bucket"
            return
        own = [self._signed[name] for name in names]
        terms = pl.DataFrame(
            {
                "contract": names,
                "calendar": [str(each.calendar) for each in own],
                "time_zone": [each.time_zone for each in own],
                "owner": [each.partner for each in own],
            },
            schema=dict.fromkeys(("contract", "calendar", "time_zone", "owner"), pl.String),
        )
        placed = located(plain.drop("period").join(terms, on="contract", how="left", maintain_order="left"))
        made = placed.select(pl.col("owner").alias("partner"), "period", *(stated(name) for name in segment.attributes))
        wrong = [name for name in made.columns if not made[name].equals(plain[name], null_equal=True)]
        if wrong:
            yield f"{segment.path}: its {', '.join(wrong)} is not what its events, and the contracts, make it"
