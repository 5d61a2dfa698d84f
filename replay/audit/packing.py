"""A pack: one file with all evidence of a period. The same closings give the same bytes.

The texts and shapes here are formats 1 and 2: whoever changes a byte of what they write makes a format 3, and reads all. Format
2 is that of periods in which a statement takes up what resolved a discrepancy; every other period is packed as ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.aggregates.refusal import Refused
from engine.events import RulebookPublished
from engine.period import Period
from engine.projections.seals import Entry
from engine.settlement.keeping import canonical
from engine.store import log
from engine.store.database import Store
from replay.audit.auditing import pages
from replay.audit.container import Member, Writer
from replay.audit.gathering import Gathered, gathered
from replay.audit.issued import Closing, Issued, is_disputed
from replay.audit.proving import Progress, terms_of
from replay.audit.scope import Told
from replay.audit.signing import signature
from replay.audit.volume import Selection

FORMATS = (1, 2)
README, STATEMENTS, EVENTS, MANIFEST, SIGNATURE = (
    "README.txt",
    "statements.jsonl",
    "events.jsonl",
    "manifest.json",
    "signature.json",
)

README_TEXT = """\
Settlement of {period}: everything that proves it, in one file.

  settle audit verify FILE

proves it on any machine, without a database and without a network. Compare the root that it prints with the root
on the statement that you hold (settle statement CONTRACT {period} --json): this file proves what that root
commits to, and nothing else.

What is in it

  statements.jsonl  what was issued: statements, scores and closings, and earlier ones that they cite
  events.jsonl      what that stands on: charges, usage, contracts, partners, rulebooks, exchange rates
  rulebooks/        the rulebooks' texts again, for people
  manifest.json     the closings with their roots; of each member above the bytes, SHA-256 and rows
  signature.json    where there is one: an Ed25519 signature of manifest.json

Each line of the two .jsonl files is one event of the log: position, the microseconds since 1970 at which it was
recorded, stream, version in the stream, name, and state, which is JSON as it was stored.

By hand

1. sha256sum of each member is the one in manifest.json.
2. The leaf of an event is the SHA-256 of: position and time of recording (8 bytes each), stream (16 bytes),
   version (8 bytes), name, a zero byte, state. Whole numbers begin with their highest byte.
3. The seal of some events is SHA-256(seal of those before + leaf), from nothing, in the order of the log. A
   statement's seals are over the events up to its position: events of its contract and period; its contract;
   its partner; its rulebook; exchange rates.
4. The root of a closing (period.closed) is the SHA-256 of this JSON, without spaces and with sorted names:
   head, issued, number, period, position, previous. "issued" is the Merkle tree (RFC 9162, SHA-256) over the leaves
   of what it issued, in the order of the log: statements and scores up to its position that are in no closing
   before it, and the restated statements whose adjustments those statements take up.
"""


# What format 2 says otherwise: in place of the first, the second.
_ALSO = (
    "   its partner; its rulebook; exchange rates.\n",
    """\
   its partner; its rulebook; exchange rates; and, where it takes up what resolved a discrepancy, the
   discrepancies of its contract.
""",
)


class NotClosed(Refused):
    code = "not-closed"


class NotPackable(Refused):
    code = "not-packable"


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the log as one line of a pack."""

    name: str
    position: int
    recorded_at: int
    state: str
    stream: str
    version: int


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member in the manifest. `rows` are its lines where it is one of events, else 0."""

    bytes: int
    name: str
    rows: int
    sha256: str


class Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A closing in the manifest."""

    head: str
    number: int
    position: int
    previous: str | None
    root: str
    statements: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    closings: list[Root]
    format: int
    members: list[Row]
    period: str
    root: str


class Packed(NamedTuple):
    """What was written. `public_key` is that of the signature, in hex; None where it is unsigned."""

    path: Path
    size: int
    root: str
    statements: int
    events: int
    public_key: str | None


def pack(
    store: Store,
    period: Period,
    path: Path,
    key: Ed25519PrivateKey | None = None,
    progress: Progress = lambda *_: None,
) -> Packed:
    """Writes the evidence of the period's closings beside the path, and renames it when it is whole.

    Raises NotClosed; NotPackable where something in the log cannot be read, or the file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise NotPackable(
            f"{path} is no plain file, and a pack is written here and there in it; name one that is, or a new one"
        )
    target = path.resolve()
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with beside.open("w+b") as file:
            packed = _written(store, period, Writer(file), key, progress)
            size = file.tell()
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except OSError as error:
        raise NotPackable(f"{path} cannot be written: {error.strerror}; name a file where there is room") from error
    finally:
        beside.unlink(missing_ok=True)
    return packed._replace(path=path, size=size)


def _written(
    store: Store, period: Period, writer: Writer, key: Ed25519PrivateKey | None, progress: Progress
) -> Packed:  # fmt: skip
    with store.reading() as cursor:
        if log.untimed(cursor):
            raise NotPackable(f"the times of recording have gaps; settle audit {period} names them")
        evidence = gathered(cursor, period, closed_only=True)
        _check(evidence, period)
        format_ = format_of(evidence.issued)
        writer.add(README, readme(str(period), format_))
        rows = {STATEMENTS: _lines(writer, STATEMENTS, [evidence.entries])}
        rows[EVENTS] = _lines(writer, EVENTS, _events(pages(cursor, evidence.scope.end), evidence, progress))
    for name, text in texts_of(evidence.told):
        writer.add(name, text.encode())
    manifest = manifest_of(str(period), evidence.issued.closings, writer.members, rows, format_)
    writer.add(MANIFEST, manifest)
    signed = None if key is None else signature(key, manifest)
    if signed is not None:
        writer.add(SIGNATURE, canonical(signed))
    writer.close()
    issued = evidence.issued
    return Packed(
        Path(), 0, issued.root, len(issued.statements), rows[EVENTS], None if signed is None else signed["public_key"]
    )


def _check(evidence: Gathered, period: Period) -> None:
    if not evidence.issued.closings:
        raise NotClosed(f"{period} has no closing whose root a pack could prove; settle close {period}")
    wrong = [*evidence.findings, *evidence.issued.unreadable]
    if wrong:
        raise NotPackable(f"{wrong[0].sentence}; settle audit {period} says what else is wrong")


def _events(log_pages: Iterable[list[Entry]], evidence: Gathered, progress: Progress) -> Iterator[list[Entry]]:
    """The pages of what the statements stand on, in the order of the log."""
    selection = Selection(str(evidence.issued.period), terms_of(evidence.told), evidence.scope.events)
    told = {entry.position for entry, _ in evidence.told}
    for page in log_pages:
        chosen = told | {each.entry.position for each in selection.of(page)}
        if selection.findings:
            raise NotPackable(selection.findings[0].sentence)
        yield [entry for entry in page if entry.position in chosen]
        progress(page[-1].position, evidence.scope.end)


def _lines(writer: Writer, name: str, entries: Iterable[list[Entry]]) -> int:
    writer.begin(name)
    number = 0
    for page in entries:
        writer.write(b"".join([line_of(entry) for entry in page]))
        number += len(page)
    writer.end()
    return number


def line_of(entry: Entry) -> bytes:
    """The entry as a line. Raises NotPackable where its state is no text."""
    try:
        state = entry.state.decode()
    except UnicodeDecodeError:
        raise NotPackable(
            f"the event at position {entry.position} of the log is no text; settle audit says more"
        ) from None
    line = Line(entry.name, entry.position, entry.recorded_at, state, entry.stream.hex(), entry.version)
    return canonical(line) + b"\n"


def format_of(issued: Issued) -> int:
    return 2 if any(map(is_disputed, issued.statements)) else 1


def readme(period: str, format_: int) -> bytes:
    assert format_ in FORMATS, format_
    text = README_TEXT if format_ == 1 else README_TEXT.replace(*_ALSO)
    return text.format(period=period).encode()


def texts_of(told: Iterable[Told]) -> list[tuple[str, str]]:
    """The rulebooks' texts with the names of their members, by name."""
    found = {
        f"rulebooks/{event.rulebook}@{event.version}.yaml": event.text
        for _, event in told
        if isinstance(event, RulebookPublished)
    }
    return sorted(found.items())


def manifest_of(
    period: str, closings: Iterable[Closing], members: Iterable[Member], rows: dict[str, int], format_: int
) -> bytes:  # fmt: skip
    told = [each.event for each in closings]
    return canonical(
        Manifest(
            [Root(e.head, e.number, e.position, e.previous, e.root, e.statements) for e in told],
            format_,
            [Row(each.size, each.name, rows.get(each.name, 0), each.sha256) for each in members],
            period,
            told[-1].root,
        )
    )
