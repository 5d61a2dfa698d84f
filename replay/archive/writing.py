"""Sealing the log into an archive: what closed periods rest on, in Parquet, to be read without a database.

An archive covers the log from its first position to the last that is sealed. Which positions a seal covers is kept in the
store before it is written, so that the archive can be made again, byte for byte. Each file is written beside its place and
renamed, the manifest last: killed anywhere, no file is half and no seal without its segments.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import polars as pl

from engine.aggregates.refusal import Refused
from engine.events import VOLUME, StatementClosed, StatementRestated, decoded
from engine.facts import OWN_DIMENSIONS, Grain
from engine.projections.seals import BLOCK, Chain, Entry
from engine.store import archive_seals, log, recorder, registry
from engine.store.alone import AlreadyRunning, alone
from engine.store.archive_seals import Recorded
from engine.store.database import Rows, Store
from replay.again import check_archive
from replay.archive import manifest
from replay.archive.manifest import FORMAT, NAME, Seal, Segment
from replay.archive.reading import Archive
from replay.archive.segments import STATEMENTS, bucket_of, events_frame, extent, rows_frame, stored

BUCKETS = 8
# A chunk of the log becomes one segment a bucket: it ends after so many positions, or bytes of what is kept of them.
CHUNK_POSITIONS = 1_000_000
CHUNK_BYTES = 512 * 1024 * 1024
Progress = Callable[[int, int], None]


class OtherBuckets(Refused):
    code = "other-buckets"


class SealingRuns(Refused):
    code = "sealing-runs"


class Sealed(NamedTuple):
    """What was done: seals made again since their files were not there, and the new one, where there was something to seal."""

    remade: int
    new: Recorded | None
    last: int


def seal(store: Store, folder: Path, buckets: int | None = None, progress: Progress = lambda *_: None) -> Sealed:
    """Seals the log up to its end, if closed periods rest on anything that is not sealed.

    Raises OtherBuckets, SealingRuns, BrokenManifest; OtherArchive where another store's archive lies in the folder.
    """
    try:
        with alone(store.conninfo, "archive"):
            return _sealed(store, folder, buckets, progress)
    except AlreadyRunning:
        raise SealingRuns("another settle archive seals this log now; wait until it ends, and run it again") from None


def _sealed(store: Store, folder: Path, buckets: int | None, progress: Progress) -> Sealed:
    found = Archive(str(folder))
    with store.writing() as cursor:
        recorder.lock(cursor)
        check_archive(cursor, found)
        seals = archive_seals.recorded(cursor)
        if buckets is not None and seals and seals[0].buckets != buckets:
            raise OtherBuckets(
                f"this archive has {seals[0].buckets} buckets, for ever; leave out --buckets, or seal a store anew that has no archive"
            )
        new = archive_seals.next_seal(cursor, seals, buckets or BUCKETS)
    wanted = [*seals, new] if new is not None else seals
    folder.mkdir(parents=True, exist_ok=True)
    known = [each for each in found.seals if all((folder / s.path).exists() for s in each.segments)]
    kept = known[: next((i for i, each in enumerate(known) if each.number != i + 1), len(known))]
    last = wanted[-1].last if wanted else 0
    for each in wanted[len(kept) :]:
        kept.append(_write(store, folder, each, kept, lambda done: progress(done, last)))
        _replace(folder / NAME, manifest.lines(kept))
    _sweep(folder, kept)
    remade = len(wanted) - len(known) - (new is not None)
    return Sealed(max(0, remade), new, last)


def _write(
    store: Store, folder: Path, wanted: Recorded, before: Sequence[Seal], progress: Callable[[int], None]
) -> Seal:
    segments: list[Segment] = []
    with store.reading() as cursor:
        chain = _resumed(cursor, before[-1] if before else None)
        for chunk in _chunks(cursor, wanted):
            chain = chain.extended([entry.leaf for entry in chunk])
            segments += _segments(cursor, folder, chunk, wanted.buckets)
            progress(chunk[-1].position)
    assert chain.position == wanted.last, (chain.position, wanted)
    return Seal(
        format=FORMAT,
        number=wanted.number,
        first=wanted.first,
        last=wanted.last,
        buckets=wanted.buckets,
        head=chain.now,
        block=chain.head.hex(),
        previous=before[-1].digest if before else "",
        segments=tuple(segments),
    )


def _resumed(cursor: Rows, before: Seal | None) -> Chain:
    """The chain as it was at the end of the seal before."""
    if before is None:
        return Chain()
    whole = before.last // BLOCK * BLOCK
    rest = log.entries(cursor, after=whole, to=before.last)
    return Chain(before.last, bytes.fromhex(before.block), b"".join(entry.leaf for entry in rest))


def _chunks(cursor: Rows, wanted: Recorded) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    size, after = 0, wanted.first - 1
    while page := log.entries(cursor, after=after, to=wanted.last):
        after = page[-1].position
        for entry in page:
            chunk.append(entry)
            size += len(entry.state)
            if len(chunk) >= CHUNK_POSITIONS or size >= CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk


def _segments(cursor: Rows, folder: Path, chunk: Sequence[Entry], buckets: int) -> list[Segment]:
    streamed = [entry for entry in chunk if entry.name in VOLUME]
    issued = [entry for entry in chunk if entry.name in STATEMENTS]
    told = [entry for entry in chunk if entry.name not in VOLUME and entry.name not in STATEMENTS]
    span = (chunk[0].position, chunk[-1].position)
    found: list[Segment | None] = []
    if streamed:
        frame = _events(cursor, streamed, chunk[-1].position)
        promoted = tuple(name for name in frame.columns if name.startswith("attribute:"))
        numbers = {name: bucket_of(name, buckets) for name in frame["contract"].unique()}
        placed = frame.with_columns(pl.col("contract").replace_strict(numbers, return_dtype=pl.Int64).alias("bucket"))
        parts = placed.partition_by("bucket", as_dict=True, include_key=False)
        for (number,), part in sorted(parts.items()):
            # By what they are grouped by, so that a fold finds rows of one group beside one another.
            ordered = part.sort("contract", "period", "event", *promoted, "position")
            found.append(segment_of(folder, "events", number, span, ordered))
    by_bucket: dict[int, list[Entry]] = {}
    for entry in issued:
        event = decoded(entry.name, entry.state)
        assert isinstance(event, (StatementClosed, StatementRestated)), entry
        by_bucket.setdefault(bucket_of(event.contract, buckets), []).append(entry)
    for number, own in sorted(by_bucket.items()):
        found.append(segment_of(folder, "issued", number, span, rows_frame(own)))
    if told:
        found.append(segment_of(folder, "told", -1, span, rows_frame(told)))
    return [segment for segment in found if segment is not None]


def _events(cursor: Rows, streamed: Sequence[Entry], last: int) -> pl.DataFrame:
    """The events in columns, page by page: the objects of a page are gone before the next one's are made."""
    dimensions = _dimensions(cursor, last)
    frames = []
    for at in range(0, len(streamed), 50_000):
        page = streamed[at : at + 50_000]
        names = {decoded(entry.name, entry.state).contract for entry in page}  # type: ignore[attr-defined]
        partners = {name: each.partner for name, each in registry.contracts(cursor, names).items()}
        frames.append(events_frame(page, registry.terms(cursor, names), partners, dimensions))
    return pl.concat(frames)


def _dimensions(cursor: Rows, last: int) -> list[str]:
    """The attributes that are dimensions of any rulebook published up to the position: so the columns can be told again."""
    grain = Grain.union(registry.grains_at(cursor, last))
    return sorted(set(grain.dimensions) - OWN_DIMENSIONS)


def segment_of(folder: Path, kind: str, bucket: int, span: tuple[int, int], frame: pl.DataFrame) -> Segment:
    place = f"b{bucket:04}" if bucket >= 0 else "all"
    path = f"{kind}/{span[0]:012}-{span[1]:012}-{place}.parquet"
    target = folder / path
    target.parent.mkdir(exist_ok=True)
    beside = target.with_name(f".{target.name}.tmp")
    written = stored(frame) if kind == "events" else frame
    written.write_parquet(beside, compression="zstd", compression_level=3, statistics=True, row_group_size=262_144)
    data = beside.read_bytes()
    _durable(beside, target)
    return Segment(
        kind=kind,
        bucket=bucket,
        path=path,
        bytes=len(data),
        sha256=sha256(data).hexdigest(),
        **extent(frame, kind),
    )


def _replace(target: Path, data: bytes) -> None:
    beside = target.with_name(f".{target.name}.tmp")
    beside.write_bytes(data)
    _durable(beside, target)


def _durable(beside: Path, target: Path) -> None:
    """In its place, whole, also after the power fails."""
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# What a run may have left; whatever else lies in folders of these names is somebody else's.
_OWN = re.compile(r"\.?[0-9]{12,}-[0-9]{12,}-(b[0-9]{4}|all)\.parquet(\.tmp)?")


def _sweep(folder: Path, kept: Sequence[Seal]) -> None:
    """Takes away what a killed run left: segments that no seal names."""
    named = {segment.path for seal_ in kept for segment in seal_.segments}
    for kind in ("events", "issued", "told"):
        for path in (folder / kind).glob("*") if (folder / kind).is_dir() else ():
            if _OWN.fullmatch(path.name) and str(path.relative_to(folder)) not in named:
                path.unlink()
    (folder / f".{NAME}.tmp").unlink(missing_ok=True)
