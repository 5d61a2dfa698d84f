"""Suspended messages tried again, by themselves when what they wait for arrives, or by command; and given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from consumers.decode import decode
from consumers.personal import AS_KEPT
from consumers.proposing import propose
from engine.events import PartnerBankAccountChanged
from engine.settlement import allotting
from engine.settlement.recording import Message, Readable, recycle
from engine.store import data_keys, recorder, registry, suspense
from engine.store.database import Rows, Store
from engine.store.suspense import Entry

# Bounds memory and the time for which the writers' lock is held, however many messages wait.
ENTRIES_A_TRANSACTION = 2_000

# A second content under an identity that is taken can never be recorded; it can only be written off.
NEVER = frozenset({"identity-conflict"})


def recycle_waiting(store: Store, arrived: Sequence[str], clock: Callable[[], datetime]) -> int:
    """Tries what waits for any of `arrived`, and for what arrives thereby, and proposes what follows from assessments among it.

    Returns how many messages were recorded.
    """
    recorded = 0
    causes = list(arrived)
    while causes:
        now, causes = causes, []
        with store.reading() as cursor:
            position = recorder.last_position(cursor)
        causes += propose(store, suspense.finals_among(now), clock())
        for entries in _waiting(store, now):
            done, more = recycle(store, [(entry.id, message_of(entry)) for entry in entries], clock())
            recorded += done
            causes += more
        with store.writing() as cursor:
            suspense.tried(cursor, now, position)
    return recorded


def _waiting(store: Store, causes: Sequence[str]) -> Iterator[list[Entry]]:
    """What waits for the causes, each part looked up when those before it have been tried. What waits for volume comes first, since
    it was there before whatever else arrived; of it, only what has room.
    """
    authorisations = suspense.volumes_among(causes)
    while authorisations:
        with store.reading() as cursor:
            entries = suspense.of_ids(cursor, allotting.fitting(cursor, authorisations, ENTRIES_A_TRANSACTION))
        if not entries:
            break
        yield entries
    after = 0
    while True:
        with store.reading() as cursor:
            entries = suspense.waiting(cursor, causes, after, ENTRIES_A_TRANSACTION)
        if not entries:
            break
        after = entries[-1].id
        yield entries


def recycle_ripe(store: Store, clock: Callable[[], datetime]) -> int:
    """Tries what waits for something that is there by now: left where a process died before it recycled them."""
    with store.reading() as cursor:
        causes = [cause for cause, _ in suspense.arrivals(cursor)]
    return recycle_waiting(store, causes, clock)


def recycle_all(store: Store, clock: Callable[[], datetime], code: str | None = None) -> tuple[int, int]:
    """Tries every suspended message, or those of one code. Returns (tried, recorded)."""
    tried = recorded = after = 0
    while True:
        with store.reading() as cursor:
            entries = suspense.entries(cursor, code=code, after=after, limit=ENTRIES_A_TRANSACTION)
        if not entries:
            return tried, recorded
        after = entries[-1].id
        possible = [(entry.id, message_of(entry)) for entry in entries if entry.code not in NEVER]
        done, arrived = recycle(store, possible, clock()) if possible else (0, ())
        tried += len(possible)
        recorded += done + recycle_waiting(store, arrived, clock)


def write_off(store: Store, id_: int, at: datetime, by: str, reason: str) -> bool:
    """Gives the message up; False where it is not suspended (or rejected) any more.

    A bank account that was never recorded has no number by which it could be erased, so its key goes with it.
    """
    with store.writing() as cursor:
        recorder.lock(cursor)
        entry = suspense.entry(cursor, id_)
        if entry is None or not suspense.write_off(cursor, id_, at, by, reason):
            return False
        found = message_of(entry).found
        if isinstance(found, Readable) and isinstance(found.event, PartnerBankAccountChanged):
            _forget(cursor, found.event, found.identity)
    return True


def _forget(cursor: Rows, account: PartnerBankAccountChanged, identity: bytes) -> None:
    known = registry.partners(cursor, [account.partner]).get(account.partner)
    recorded = known is not None and any(each is not None and each.is_of(account) for each in known.proposals)
    if not recorded and not suspense.any_suspended(cursor, identity):
        data_keys.destroy(cursor, data_keys.of_bank_account(account.partner, account.source, account.id))


def message_of(entry: Entry) -> Message:
    # Decoded again: what was readable when it came is readable from the same bytes.
    found = decode(entry.raw, entry.headers, AS_KEPT, own=True)
    return Message(entry.channel, entry.partition, entry.offset, entry.headers, found)
