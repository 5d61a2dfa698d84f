"""Verifying a pack: every byte of it compared, and everything in it proved, with nothing else at hand.

Whoever made the file is not trusted: sizes, shapes and names are checked before they are used, and whatever cannot be taken in
is a refusal in words.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from engine.aggregates.refusal import Refused
from engine.events import ISSUED, VOLUME
from engine.period import Period
from engine.projections.seals import Entry
from engine.settlement.keeping import canonical
from replay.audit import signing
from replay.audit.container import Damaged, Member, bytes_of, lines_of, members_of
from replay.audit.findings import Check, Finding, Proof, fails
from replay.audit.issued import Issued, issued_of
from replay.audit.packing import (
    EVENTS,
    FORMATS,
    MANIFEST,
    README,
    SIGNATURE,
    STATEMENTS,
    Line,
    Manifest,
    format_of,
    manifest_of,
    readme,
    texts_of,
)
from replay.audit.proving import Progress, Prover, told_of
from replay.audit.scope import Scope, Told, cited, scope_of

LINE_BYTES_MAX = 64 << 20
_MANIFEST_BYTES_MAX = 64 << 20
_TEXT_BYTES_MAX = 4 << 20
_LINES_A_PAGE = 20_000

_line = msgspec.json.Decoder(Line)
_manifest = msgspec.json.Decoder(Manifest)
_signature = msgspec.json.Decoder(dict[str, str])


class NotAPack(Refused):
    code = "not-a-pack"


class Verified(NamedTuple):
    """What a pack proves. `public_key` is that of its signature, in hex; None where it is unsigned."""

    size: int
    manifest: Manifest
    public_key: str | None
    proof: Proof


def verify(
    path: Path, root: str | None = None, key: str | None = None, progress: Progress = lambda *_: None
) -> Verified:
    """Proves the pack. `root` is the one that it must have, `key` the public key (hex) by which it must be signed.

    Raises Damaged where a byte is not what was packed, NotAPack where the file cannot be read. Everything else, also another
    root, is a finding.
    """
    try:
        return _verified(path, root, key, progress)
    except Damaged:
        raise
    except OSError as error:
        raise NotAPack(f"{path} cannot be read: {error.strerror or error}; name the file of a pack") from error
    except Exception as error:
        # Whatever a hostile file makes fail: its contents, not the engine, are at fault.
        why = str(error).splitlines()[0][:200] if str(error) else "its events contradict one another"
        raise Damaged("the pack", f"what it holds cannot be taken in: {type(error).__name__}, {why}") from error


def _verified(path: Path, root: str | None, key: str | None, progress: Progress) -> Verified:
    with path.open("rb") as file:
        members = members_of(file)
        size = file.tell()
    named = {member.name: member for member in members}
    manifest, public = _opened(path, members, named)
    findings = [*_signed(public, key), *_root(manifest, root)]
    issued, told, further = _issued(path, named, manifest)
    findings += further
    prover = Prover(issued, scope_of(issued, told), told)
    findings += _unasked(issued, prover.scope, told)
    chosen = 0
    rows = next(row.rows for row in manifest.members if row.name == EVENTS)
    for done, page in enumerate(_pages(path, named[EVENTS]), 1):
        chosen += prover.absorb(page)
        progress(min(done * _LINES_A_PAGE, rows), rows)
    if chosen + len(told) != rows:
        sentence = f"{rows - chosen - len(told)} of its events belong to nothing that was issued in {issued.period}"
        findings.append(fails("", str(issued.period), Check.readable, sentence))
    return Verified(size, manifest, public, prover.proof(progress).with_findings(findings))


def _opened(path: Path, members: Sequence[Member], named: dict[str, Member]) -> tuple[Manifest, str | None]:
    """The manifest, and the public key by which it is signed. Raises Damaged."""
    for name in (README, STATEMENTS, EVENTS, MANIFEST):
        if name not in named:
            raise Damaged(f"member {name}", "it is missing")
    text = bytes_of(path, named[MANIFEST], _MANIFEST_BYTES_MAX)
    manifest: Manifest = _read(_manifest, text, f"member {MANIFEST}")
    if manifest.format not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise Damaged(f"member {MANIFEST}", f"it is of format {manifest.format}, and this engine reads {known}")
    books = sorted(name for name in named if name.startswith("rulebooks/"))
    order = [README, STATEMENTS, EVENTS, *books, MANIFEST, *([SIGNATURE] if SIGNATURE in named else [])]
    if [member.name for member in members] != order:
        wrong = next((m.name for m, name in zip(members, order, strict=False) if m.name != name), members[-1].name)
        raise Damaged(f"member {wrong}", "no pack has it there")
    found = {
        member.name: (member.size, member.sha256) for member in members if member.name not in {MANIFEST, SIGNATURE}
    }
    stated = {row.name: (row.bytes, row.sha256) for row in manifest.members}
    for name in (*found, *stated):
        if found.get(name) != stated.get(name):
            raise Damaged(f"member {name}", "its bytes or its SHA-256 are not those that the manifest states")
    if bytes_of(path, named[README], _TEXT_BYTES_MAX) != readme(str(Period.parse(manifest.period)), manifest.format):
        raise Damaged(f"member {README}", f"it is not the text that packs of {manifest.period[:40]} have")
    return manifest, _public_key(path, named, text)


_T = TypeVar("_T")


def _read(decoder: msgspec.json.Decoder[_T], text: bytes, where: str) -> _T:
    try:
        found = decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(where, f"it cannot be read: {str(error)[:120]}") from None
    if canonical(found) != text:
        raise Damaged(where, "it is not in canonical form")
    return found


def _public_key(path: Path, named: dict[str, Member], manifest: bytes) -> str | None:
    if SIGNATURE not in named:
        return None
    where = f"member {SIGNATURE}"
    said = _read(_signature, bytes_of(path, named[SIGNATURE], _TEXT_BYTES_MAX), where)
    if said.keys() != {"algorithm", "public_key", "signature"} or said["algorithm"] != signing.ALGORITHM:
        raise Damaged(where, f"it is no signature by {signing.ALGORITHM}")
    if not signing.verifies(said["public_key"], said["signature"], manifest):
        raise Damaged(where, f"the signature is not that of {MANIFEST} by the key that it names")
    return said["public_key"]


def _signed(public: str | None, key: str | None) -> Iterator[Finding]:
    if key is None:
        return
    if public is None:
        yield fails("", "", Check.signature, f"it is not signed, and should be by {key}")
    elif public != key:
        yield fails("", "", Check.signature, f"it is signed by {public}, and should be by {key}")


def _root(manifest: Manifest, root: str | None) -> Iterator[Finding]:
    if root is not None and manifest.root != root.strip().lower():
        sentence = f"its root is {manifest.root}, and should be {root}: it proves another settlement than that one"
        yield fails("", manifest.period, Check.root, sentence)


def _issued(path: Path, named: dict[str, Member], manifest: Manifest) -> tuple[Issued, list[Told], list[Finding]]:
    """What was issued, and what was told but volume events; every line of both files was compared. Raises Damaged."""
    period = Period.parse(manifest.period)
    entries = list(_entries(path, named[STATEMENTS]))
    told: list[Entry] = []
    number = 0
    for entry in _entries(path, named[EVENTS]):
        number += 1
        if entry.name in ISSUED:
            raise Damaged(f"member {EVENTS}", f"position {entry.position} belongs into {STATEMENTS}")
        if entry.name not in VOLUME:
            told.append(entry)
    rows = {STATEMENTS: len(entries), EVENTS: number}
    issued = issued_of(period, entries)
    if not issued.closings:
        raise Damaged(f"member {STATEMENTS}", f"it has no closing of {period}")
    members = [Member(row.name, 0, row.bytes, 0, row.sha256) for row in manifest.members]
    if manifest_of(str(period), issued.closings, members, rows, format_of(issued)) != canonical(manifest):
        raise Damaged(f"member {MANIFEST}", "its format, closings, root or rows are not those of what the pack holds")
    events, findings = told_of(str(period), told)
    texts = dict(texts_of(events))
    for name in (*texts, *(name for name in named if name.startswith("rulebooks/"))):
        stated = texts.get(name)
        if stated is None or name not in named or bytes_of(path, named[name], _TEXT_BYTES_MAX) != stated.encode():
            raise Damaged(f"member {name[:200]}", f"it is not the text that {EVENTS} states")
    return issued, events, findings


def _entries(path: Path, member: Member) -> Iterator[Entry]:
    """The entries, each line in canonical form, in the order of the log. Raises Damaged."""
    before = 0
    for number, line in enumerate(lines_of(path, member, LINE_BYTES_MAX), 1):
        where = f"member {member.name}, line {number}"
        entry = _entry(_read(_line, line, where), where)
        if entry.position <= before:
            raise Damaged(where, f"position {entry.position} does not come after {before}")
        before = entry.position
        yield entry


def _entry(line: Line, where: str) -> Entry:
    try:
        stream = bytes.fromhex(line.stream)
        entry = Entry(line.position, line.recorded_at, stream, line.version, line.name, line.state.encode())
        entry.leaf  # noqa: B018 - whose numbers have to fit
    except (ValueError, struct.error) as error:
        raise Damaged(where, f"it is no entry of a log: {str(error)[:120]}") from None
    if stream.hex() != line.stream:
        raise Damaged(where, "its stream is not in canonical form")
    return entry


def _pages(path: Path, member: Member) -> Iterator[list[Entry]]:
    entries = _entries(path, member)
    while page := list(islice(entries, _LINES_A_PAGE)):
        yield page


def _unasked(issued: Issued, scope: Scope, told: list[Told]) -> Iterator[Finding]:
    """Whatever stands in the pack without a reason: it could mislead a reader, and proves nothing."""
    name = str(issued.period)
    wanted = {entry.position for entry, _ in scope.chosen(told)}
    for entry, _ in told:
        if entry.position not in wanted:
            sentence = f"position {entry.position}, {entry.name}, belongs to nothing that was issued in {name}"
            yield fails("", name, Check.readable, sentence)
    behind = cited(issued, scope, told)
    for each in issued.cited_statements:
        if (each.contract, each.event.period) not in behind.statements:
            yield fails(each.contract, each.name, Check.readable, "no statement of the pack cites it")
    for score in issued.cited_scores:
        event = score.event
        if (event.scorecard, event.period, event.partner) not in behind.scores:
            yield fails(event.partner, score.name, Check.readable, "no statement of the pack cites it")
