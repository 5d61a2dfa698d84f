"""From readable messages to recorded events: one transaction a batch, in which everything moves or nothing does.

Offsets are fenced, repeats dropped, aggregates asked, events appended, facts folded, refusals kept in suspense, and the
account of every message is balanced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, assert_never

import msgspec

from engine.aggregates.refusal import Refused, for_a_person
from engine.aggregates.relation import WrongState
from engine.events import Event, PartnerBankAccountErased, PartnerContactErased
from engine.settlement import allotting, deciding, folding, journaling
from engine.settlement.deciding import Decision
from engine.settlement.desk import Refusal
from engine.store import data_keys, facts, intake, log, recorder, suspense
from engine.store.database import Rows, Store
from engine.store.intake import Counts, Span


class Readable(msgspec.Struct, frozen=True, gc=False):
    """An event as it came. `identity` and `content` are 16-byte hashes: of source and id, and of the whole event."""

    raw: bytes
    event: Event
    state: bytes
    identity: bytes
    content: bytes


# The content of a message whose personal fields were erased: it cannot be told whether it is the same as before.
ERASED = bytes(16)


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """Bytes that are no event, or none that may come from there. `cause` says what is wrong with them and where."""

    raw: bytes
    cause: str
    code: str = "unreadable"


class Message(msgspec.Struct, frozen=True, gc=False):
    """What was delivered, and where it came from."""

    channel: str
    partition: int
    offset: int
    headers: Mapping[str, bytes] | None
    found: Readable | Unreadable


class Slice(NamedTuple):
    """The part of a channel's partition that a batch covers: `length` offsets from `expected`, `skipped` without message.

    `expected` None goes on wherever the account stands: for files, which nobody else reads on.
    """

    channel: str
    partition: int
    expected: int | None
    length: int
    skipped: int = 0


class Result(NamedTuple):
    """What became of a batch. `arrived` names what suspended messages may have waited for, such as `contract:C-17`."""

    counts: Counts
    arrived: tuple[str, ...]


def record(store: Store, slices: Sequence[Slice], messages: Sequence[Message], recorded_at: datetime) -> Result:
    """Takes in a batch. Raises OffsetsMoved or StoreUnavailable, and then nothing of it is kept."""
    with store.writing() as cursor:
        held = {
            (s.channel, s.partition): intake.hold(cursor, s.channel, s.partition, s.expected) for s in sorted(slices)
        }
        recorder.lock(cursor)
        fresh, ended, kept = _claimed(cursor, messages)
        decided = _decided(cursor, fresh, recorded_at)
        for refusal in decided.refusals:
            ended[refusal.seq] = "suspended"
            kept[refusal.seq] = _kept(messages[refusal.seq], refusal)
        if kept:
            suspense.keep(cursor, [kept[seq] for seq in sorted(kept)], recorded_at)
        arrived = _noted(cursor, decided, [messages[refusal.seq] for refusal in decided.refusals])
        intake.advance(cursor, _accounted(slices, held, messages, ended))
    ends = Counter(ended.values())
    counts = Counts(
        recorded=len(messages) - len(ended),
        duplicate=ends["duplicate"],
        suspended=ends["suspended"],
        rejected=ends["rejected"],
        skipped=sum(s.skipped for s in slices),
    )
    return Result(counts, arrived)


class CommandRefused(Refused):
    """What a person asked for, and the aggregates refuse. Nothing of it is kept."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code  # type: ignore[misc] # that of what was refused


# The channel of what persons ask for at the command line.
COMMANDS = "commands"


def command(store: Store, asked: Sequence[Readable], at: datetime) -> tuple[str, ...]:
    """Records what a person asks for, all of it or nothing; returns what arrived. Raises CommandRefused, StoreUnavailable.

    Its events' ids are made from the versions that the person saw (consumers.commands): if somebody else was quicker, it is
    refused.
    """
    messages = [Message(COMMANDS, 0, number, None, each) for number, each in enumerate(asked)]
    with store.writing() as cursor:
        intake.ensure(cursor, COMMANDS, [(0, 0)])
        held = {(COMMANDS, 0): intake.hold(cursor, COMMANDS, 0, None)}
        recorder.lock(cursor)
        fresh, _, _ = _claimed(cursor, messages)
        if len(fresh) < len(asked):
            raise CommandRefused(
                "changed-meanwhile",
                "somebody else has just changed it; look at it as it stands now, and ask again if it is still wanted",
            )
        decided = _decided(cursor, fresh, at)
        if decided.refusals:
            raise CommandRefused(decided.refusals[0].code, for_a_person(decided.refusals[0].sentence))
        arrived = _noted(cursor, decided, [])
        intake.advance(cursor, _accounted([Slice(COMMANDS, 0, None, len(asked))], held, messages, {}))
    return arrived


def recycle(store: Store, entries: Sequence[tuple[int, Message]], at: datetime) -> tuple[int, tuple[str, ...]]:
    """Tries suspended messages, each with its suspense id, again. Returns how many were recorded, and what arrived.

    Their identities are taken already, so that a repeat that came meanwhile was a duplicate of what is suspended here.
    """
    with store.writing() as cursor:
        recorder.lock(cursor)
        open_ = suspense.locked(cursor, [id_ for id_, _ in entries])
        tried = [(id_, message) for id_, message in entries if id_ in open_]
        found = [_readable(message) for _, message in tried]
        waited = {seq for seq, (id_, _) in enumerate(tried) if open_[id_] == WrongState.code}
        decided = _decided(cursor, list(enumerate(found)), at, waited)
        refused = {refusal.seq: refusal for refusal in decided.refusals}
        suspense.recycled(cursor, [id_ for seq, (id_, _) in enumerate(tried) if seq not in refused], at)
        suspense.still_suspended(cursor, [(r.code, r.sentence, r.waits_for, tried[r.seq][0]) for r in refused.values()])
        arrived = _noted(cursor, decided, [tried[refusal.seq][1] for refusal in decided.refusals])
    return len(tried) - len(refused), arrived


def _readable(message: Message) -> Readable:
    assert isinstance(message.found, Readable), message
    return message.found


class _Sorted(NamedTuple):
    """The messages that came for the first time, with their indexes; how the others ended; and those to be kept."""

    fresh: list[tuple[int, Readable]]
    ended: dict[int, str]
    kept: dict[int, suspense.Kept]


def _claimed(cursor: Rows, messages: Sequence[Message]) -> _Sorted:
    """Tells new messages from others, and takes the identities of the new ones in."""
    readable = [(seq, found) for seq, m in enumerate(messages) if isinstance(found := m.found, Readable)]
    pairs = [(found.identity, found.content) for _, found in readable]
    if len(dict(pairs)) == len(messages) and intake.claim_if_all_new(cursor, pairs):
        return _Sorted(readable, {}, {})
    told_apart = _told_apart(cursor, messages, intake.known(cursor, [identity for identity, _ in pairs]))
    intake.claim(cursor, [(found.identity, found.content) for _, found in told_apart.fresh])
    return told_apart


def _told_apart(cursor: Rows, messages: Sequence[Message], contents: dict[bytes, bytes]) -> _Sorted:
    """`contents` are the content hashes of identities that were taken in before."""
    told = _Sorted([], {}, {})
    # Which contents under taken identities are in suspense already, or about to be; looked up when the first is met.
    conflicts: set[tuple[bytes, bytes]] | None = None
    for seq, message in enumerate(messages):
        found = message.found
        match found:
            case Unreadable():
                told.ended[seq] = "rejected"
                told.kept[seq] = _kept(message, Refusal(seq, found.code, found.cause, None))
            case Readable() if found.identity not in contents:
                contents[found.identity] = found.content
                told.fresh.append((seq, found))
            case Readable() if found.content in {contents[found.identity], ERASED}:
                told.ended[seq] = "duplicate"
            case Readable():
                if conflicts is None:
                    read = (each.found for each in messages)
                    pairs = [(each.identity, each.content) for each in read if isinstance(each, Readable)]
                    conflicts = suspense.conflicting(cursor, pairs)
                if (found.identity, found.content) in conflicts:
                    told.ended[seq] = "duplicate"
                    continue
                conflicts.add((found.identity, found.content))
                told.ended[seq] = "suspended"
                told.kept[seq] = _kept(message, _conflict(seq, found))
            case _:
                assert_never(found)
    return told


def _conflict(seq: int, found: Readable) -> Refusal:
    return Refusal(
        seq,
        "identity-conflict",
        f"event {found.event.id} of {found.event.source} was taken in before with other content; an event never "
        "changes, so send a correction under a new id, and write this one off",
        None,
    )


def _kept(message: Message, refusal: Refusal) -> suspense.Kept:
    found = message.found
    return suspense.Kept(
        state="suspended" if isinstance(found, Readable) else "rejected",
        code=refusal.code,
        sentence=refusal.sentence,
        waits_for=refusal.waits_for,
        channel=message.channel,
        partition=message.partition,
        offset=message.offset,
        headers=message.headers,
        raw=found.raw,
        identity=found.identity if isinstance(found, Readable) else None,
        content=found.content if isinstance(found, Readable) else None,
    )


class _Decided(NamedTuple):
    """What is not accepted; what arrived; and whether volume of an authorisation was given back."""

    refusals: list[Refusal]
    arrived: list[str]
    gave_back: bool


def _decided(
    cursor: Rows, fresh: Sequence[tuple[int, Readable]], at: datetime, waited: Container[int] = ()
) -> _Decided:
    """Decides the messages, of which some `waited` for the step before theirs, and appends what is accepted."""
    refusals: list[Refusal] = []
    arrived: list[str] = []
    gave_back = False
    for run in deciding.runs([(seq, found.event, found.state) for seq, found in fresh]):
        decision = deciding.decide(cursor, run, waited, at)
        _append(cursor, decision, at)
        refusals += decision.refusals
        arrived += decision.arrived
        gave_back = gave_back or decision.gave_back
    return _Decided(refusals, arrived, gave_back)


def _noted(cursor: Rows, decided: _Decided, refused: Sequence[Message]) -> tuple[str, ...]:
    """Notes for how much volume each of the `refused` messages, which are in suspense by now, waits, and what arrived for these and
    others; returns what arrived.
    """
    waits = [
        (_readable(message).identity, *need)
        for message, refusal in zip(refused, decided.refusals, strict=True)
        for need in refusal.needs
    ]
    if waits:
        suspense.wait_for_volumes(cursor, waits)
    position = recorder.last_position(cursor)
    if decided.arrived:
        suspense.note_arrivals(cursor, decided.arrived, position)
    ripe = allotting.ripe(cursor) if decided.gave_back else []
    volumes = [suspense.volume_of(each) for each in ripe]
    due = [*volumes, *map(suspense.final_of, suspense.finals_among(decided.arrived))]
    if due:
        suspense.note(cursor, due, position)
    return (*decided.arrived, *volumes)


def _append(cursor: Rows, decision: Decision, at: datetime) -> None:
    """Writes the accepted events to the log, each the next version of its stream, and their facts."""
    if not decision.accepted:
        return
    versions = log.versions(cursor, {stream for stream, _, _ in decision.accepted})
    rows = []
    for stream, name, state in decision.accepted:
        version = versions[stream] = versions.get(stream, 0) + 1
        rows.append((stream, version, name, state))
    first = recorder.append(cursor, rows)
    intake.note_batch(cursor, first, first + len(rows) - 1, at)
    if decision.facts.height:
        facts.add(cursor, decision.facts)
    told = [(first + index, event) for index, event in decision.told]
    folding.keep(cursor, told, decision.changed)
    journaling.keep_told(cursor, told)
    journaling.keep_advances(cursor, [(first + index, event) for index, event in decision.advances])
    folding.refold_phases(cursor, [event for _, event in decision.told], first + len(rows) - 1)
    for _, event in decision.told:
        match event:
            case PartnerContactErased():
                data_keys.destroy(cursor, data_keys.of_contact(event.partner, event.contact))
            case PartnerBankAccountErased():
                assert event.proposed_by is not None, event
                data_keys.destroy(cursor, data_keys.of_bank_account(event.partner, *event.proposed_by))
            case _:
                pass  # destroys nothing


def _accounted(
    slices: Sequence[Slice],
    held: Mapping[tuple[str, int], int],
    messages: Sequence[Message],
    ended: Mapping[int, str],
) -> list[Span]:
    assert sum(s.length - s.skipped for s in slices) == len(messages), "a message is in no slice, or a slice lacks one"
    ends = Counter((messages[seq].channel, messages[seq].partition, end) for seq, end in ended.items())
    spans = []
    for s in slices:
        duplicate, suspended, rejected = (
            ends[s.channel, s.partition, end] for end in ("duplicate", "suspended", "rejected")
        )
        recorded = s.length - s.skipped - duplicate - suspended - rejected
        counts = Counts(recorded, duplicate, suspended, rejected, s.skipped)
        spans.append(Span(s.channel, s.partition, held[s.channel, s.partition] + s.length, counts))
    return spans
