"""What an archive consists of: its seals, chained by hash, each with its segments.

`manifest.jsonl` has a line a seal, so that it can be read wherever Polars can scan a file: `{"seal": TEXT, "sha256": HEX}`,
where TEXT is the canonical JSON of the seal and HEX its SHA-256, which the next seal's TEXT repeats as `previous`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
import polars as pl

from engine.settlement.keeping import canonical

NAME = "manifest.jsonl"
FORMAT = 2


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file. `kind` is events, issued or told; `bucket` is -1 where it has none.

    `attributes` are those that have a column of their own, `further` the number of rows with further amounts; periods are
    first days, `bytes` and `sha256` those of the file.
    """

    kind: str
    bucket: int
    path: str
    rows: int
    first: int
    last: int
    bytes: int
    sha256: str
    attributes: tuple[str, ...] = ()
    further: int = 0
    period_first: str | None = None
    period_last: str | None = None


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What one run sealed: positions `first` to `last`. `head` is the chain's at `last`, `block` that after its last whole block."""

    format: int
    number: int
    first: int
    last: int
    buckets: int
    head: str
    block: str
    previous: str
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        return canonical(self).decode()

    @property
    def digest(self) -> str:
        return sha256(self.text.encode()).hexdigest()


class BrokenManifest(Exception):
    """The manifest is not one that the engine wrote; the text says what is wrong with it."""


def lines(seals: Sequence[Seal]) -> bytes:
    """The manifest's bytes."""
    return b"".join(canonical({"seal": seal.text, "sha256": seal.digest}) + b"\n" for seal in seals)


def read(location: str) -> list[Seal]:
    """The seals of the archive at the location, the first first; none where there is no archive. Raises BrokenManifest."""
    try:
        found = pl.scan_ndjson(f"{location}/{NAME}", schema={"seal": pl.String, "sha256": pl.String}).collect()
    except FileNotFoundError:
        return []
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BrokenManifest(f"{location}/{NAME} cannot be read: {str(error).splitlines()[0]}") from None
    seals: list[Seal] = []
    for text, digest in found.iter_rows():
        seals.append(_checked(location, text, digest, seals))
    return seals


def _checked(location: str, text: Any, digest: Any, before: Sequence[Seal]) -> Seal:  # noqa: ANN401 - whatever stands there
    where = f"{location}/{NAME}, line {len(before) + 1}"
    try:
        seal = msgspec.json.decode(text, type=Seal)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise BrokenManifest(f"{where}: {error}") from None
    if seal.text != text or seal.digest != digest:
        raise BrokenManifest(f"{where}: seal {seal.number} was changed after it was written")
    if seal.format != FORMAT:
        raise BrokenManifest(
            f"{where}: format {seal.format}, and this engine reads {FORMAT}; delete the archive, and settle archive makes it anew"
        )
    follows = (before[-1].number + 1, before[-1].last + 1, before[-1].digest) if before else (1, 1, "")
    if (seal.number, seal.first, seal.previous) != follows:
        raise BrokenManifest(f"{where}: seal {seal.number} does not follow the one before it")
    return seal
