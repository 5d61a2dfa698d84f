"""The proof that an archive is what was sealed: every byte of its files, and that they give the chain of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import polars as pl

from engine.projections.seals import Chain
from replay.archive.manifest import Seal, Segment
from replay.archive.reading import Archive

Progress = Callable[[int, int], None]


def check(archive: Archive, progress: Progress = lambda *_: None) -> Iterator[str]:
    """What is wrong, a sentence each: names the file. Nothing where the archive is right."""
    chain = Chain()
    for seal in archive.seals:
        broken = False
        for segment in seal.segments:
            for sentence in _file(archive, segment):
                broken = True
                yield sentence
        if broken:
            return  # what a broken file holds proves nothing about the chain
        leaves = _leaves(archive, seal)
        if len(leaves) != seal.last - seal.first + 1 or min(leaves) != seal.first:
            yield f"seal {seal.number}: its segments hold {len(leaves):,} of the positions {seal.first:,} to {seal.last:,}"
            return
        chain = chain.extended([leaves[position] for position in range(seal.first, seal.last + 1)])
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


def _leaves(archive: Archive, seal: Seal) -> dict[int, bytes]:
    return {entry.position: entry.leaf for segment in seal.segments for entry in archive.entries(segment)}
