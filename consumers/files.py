"""Files of messages, one a line: plain, gzip or Zstandard, or standard input. Read once, in bounded memory."""

from __future__ import annotations

import os
import sys
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from consumers.decode import MESSAGE_BYTES_MAX, decode
from consumers.ingest import Clock, Pipeline
from consumers.secrets import Vault
from engine.settlement.recording import Message, Slice
from engine.store import intake
from engine.store.database import Store
from engine.store.intake import Counts

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MESSAGES_A_BATCH = 20_000
BYTES_A_BATCH = 16 * 1_048_576
_BLOCK = 262_144


class UnreadableFile(Exception):
    """A path that is no readable file of messages, or a file that breaks off. What stands before the break is read."""


class Progress(NamedTuple):
    """Bytes of the file as it lies on disk, and messages so far."""

    bytes_done: int
    counts: Counts


def ingest_file(store: Store, path: str, clock: Clock, progress: Callable[[Progress], None] = lambda _: None) -> Counts:
    """Takes in every message of the file. Killed in the middle, what is committed stays, and a repeat adds nothing.

    Raises UnreadableFile after taking in all that could be read; its argument says how much that was.
    """
    channel = "file:" + ("-" if path == "-" else os.fsencode(Path(path).name).decode(errors="backslashreplace"))
    counts = Counts()
    with _opened(path) as (blocks, place), Pipeline(store, clock) as pipeline:
        with store.writing() as cursor:
            intake.ensure(cursor, channel, [(0, 0)])
        number, vault = 0, Vault(store)
        try:
            for lines in _batches(blocks):
                messages = [
                    Message(channel, 0, number + i, None, decode(line, None, vault))
                    for i, line in enumerate(lines, 1)
                    if line.strip()
                ]
                number += len(lines)
                if messages:
                    done = pipeline.submit([Slice(channel, 0, None, len(messages))], messages)
                    counts = counts.plus(done)
                progress(Progress(place(), counts))
        except _Broken as broken:
            counts = counts.plus(pipeline.finish())
            raise UnreadableFile(
                f"{path} breaks off or is damaged after line {number:,} ({broken}); the {sum(counts):,} messages before "
                "that are taken in; mend the file and read it again, what is known is not counted twice"
            ) from broken
        counts = counts.plus(pipeline.finish())
        progress(Progress(place(), counts))
    return counts


def check_readable(paths: Iterable[str]) -> None:
    """Before the first of them is begun. Raises UnreadableFile."""
    for path in paths:
        if not Path(path).is_fifo():  # whoever writes to it would take this for all that is read
            with _opened(path):
                pass


def lines_of(path: str) -> Iterator[bytes]:
    """The file's messages as they are, without empty lines. Raises UnreadableFile."""
    with _opened(path) as (blocks, _):
        try:
            yield from (line for line in _lines(blocks) if line.strip())
        except _Broken as broken:
            raise UnreadableFile(f"{path} breaks off or is damaged ({broken}); mend it and send it again") from broken


class _Broken(Exception):
    """Decompression failed in the middle."""


@contextmanager
def _opened(path: str) -> Iterator[tuple[Iterator[bytes], Callable[[], int]]]:
    """The file's content in blocks, and a function for how many of its bytes are read."""
    if path == "-":
        yield _plain(sys.stdin.buffer), lambda: 0
        return
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UnreadableFile(
            f"{path} cannot be read: {error.strerror or error}; name a file of messages, one a line"
        ) from error
    with raw:
        if path.endswith(".gz"):
            yield _gunzipped(raw), raw.tell
        elif path.endswith(".zst"):
            yield _unzstd(raw), raw.tell
        else:
            yield _plain(raw), raw.tell


def _plain(raw: IO[bytes]) -> Iterator[bytes]:
    while block := raw.read(_BLOCK):
        yield block


# Both decompressors bound what one call returns, so that no file, however it was made, fills the memory.
def _gunzipped(raw: IO[bytes]) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    begun = False
    while data := raw.read(_BLOCK):
        full = False
        while data or full:
            begun = True
            try:
                out = member.decompress(data, _BLOCK)
            except zlib.error as error:
                raise _Broken(str(error)) from error
            yield out
            # A full block may have left more behind in the decompressor, even with no input left to give it.
            full = len(out) == _BLOCK and not member.eof
            data = member.unconsumed_tail or member.unused_data
            if member.eof:
                member, begun = zlib.decompressobj(wbits=31), bool(data)
    if begun and not member.eof:
        raise _Broken("the compressed data ends too early")


def _unzstd(raw: IO[bytes]) -> Iterator[bytes]:
    frame = zstd.ZstdDecompressor()
    begun = False
    while data := raw.read(_BLOCK):
        while data or not frame.needs_input:
            begun = True
            try:
                yield frame.decompress(data, _BLOCK)
            except zstd.ZstdError as error:
                raise _Broken(str(error)) from error
            data = b""
            if frame.eof:
                data = frame.unused_data
                frame, begun = zstd.ZstdDecompressor(), bool(data)
    if begun:
        raise _Broken("the compressed data ends too early")


def _batches(blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Lines in lists of at most MESSAGES_A_BATCH and about BYTES_A_BATCH; raises _Broken after what could be read."""
    lines: list[bytes] = []
    size = 0
    source = _lines(blocks)
    broken: _Broken | None = None
    while broken is None:
        try:
            line = next(source, None)
        except _Broken as error:
            broken, line = error, None
        if line is None:
            break
        lines.append(line)
        size += len(line)
        if len(lines) >= MESSAGES_A_BATCH or size >= BYTES_A_BATCH:
            yield lines
            lines, size = [], 0
    if lines:
        yield lines
    if broken is not None:
        raise broken


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Without the mark that some editors write before UTF-8."""
    first = b""
    for block in blocks:
        first += block
        if len(first) >= len(BOM_UTF8):
            break
    yield first.removeprefix(BOM_UTF8)
    yield from blocks


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines without their end. Of one past the limit one byte more is kept: enough to be rejected for its size."""
    rest = b""
    too_long = False
    for block in _without_mark(blocks):
        pieces = (rest + block).split(b"\n")
        rest = pieces.pop()
        for piece in pieces:
            if not too_long:
                yield piece[: MESSAGE_BYTES_MAX + 1]
            too_long = False
        if len(rest) > MESSAGE_BYTES_MAX:
            if not too_long:
                yield rest[: MESSAGE_BYTES_MAX + 1]
            too_long, rest = True, b""
    if rest and not too_long:
        yield rest
