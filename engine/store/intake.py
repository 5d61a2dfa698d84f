"""The account of every message taken in: offsets, identities and counts, moved in the transaction of the events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg

from engine.store.database import Rows
from engine.store.recorder import copy_uuid_pairs, uuid_array


class OffsetsMoved(Exception):
    """Another consumer, or an earlier commit whose answer was lost, has moved these partitions: read offsets again."""


class Counts(NamedTuple):
    """How messages ended. `skipped` are offsets of a Kafka partition that hold no message (markers, compaction)."""

    recorded: int = 0
    duplicate: int = 0
    suspended: int = 0
    rejected: int = 0
    skipped: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class Span(NamedTuple):
    """Up to where a partition is consumed now, and how the messages in between ended."""

    channel: str
    partition: int
    next: int
    counts: Counts


class Account(NamedTuple):
    """One channel's partition as `settle status` shows it."""

    channel: str
    partition: int
    start: int
    next: int
    counts: Counts


def ensure(cursor: Rows, channel: str, partitions: Iterable[tuple[int, int]]) -> None:
    """Opens the account of each (partition, start offset) that has none yet."""
    cursor.executemany(
        "INSERT INTO settle.intake (channel, partition, start_offset, next_offset) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        [(channel, partition, start, start) for partition, start in partitions],
    )


def offsets(cursor: Rows, channel: str) -> dict[int, int]:
    """The next offset to consume of each partition that has an account."""
    rows = cursor.execute("SELECT partition, next_offset FROM settle.intake WHERE channel = %s", (channel,))
    return dict(rows.fetchall())


def hold(cursor: Rows, channel: str, partition: int, expected: int | None) -> int:
    """Locks the account and returns its next offset; raises OffsetsMoved where it is not the expected one.

    Called before the writers' lock is taken, and in the same order by all, so that writers cannot block one another.
    """
    row = cursor.execute(
        "SELECT next_offset FROM settle.intake WHERE channel = %s AND partition = %s FOR UPDATE", (channel, partition)
    ).fetchone()
    if row is None or expected not in {None, row[0]}:
        found = "no account" if row is None else f"offset {row[0]}"
        raise OffsetsMoved(f"{channel}/{partition}: expected offset {expected}, found {found}")
    return int(row[0])


def advance(cursor: Rows, spans: Sequence[Span]) -> None:
    """Moves the accounts to the end of their spans. The table's own check refuses counts that don't balance."""
    cursor.executemany(
        "UPDATE settle.intake SET next_offset = %s, recorded = recorded + %s, duplicate = duplicate + %s, "
        "suspended = suspended + %s, rejected = rejected + %s, skipped = skipped + %s "
        "WHERE channel = %s AND partition = %s",
        [(span.next, *span.counts, span.channel, span.partition) for span in spans],
    )


def accounts(cursor: Rows) -> list[Account]:
    rows = cursor.execute(
        "SELECT channel, partition, start_offset, next_offset, recorded, duplicate, suspended, rejected, skipped "
        "FROM settle.intake ORDER BY channel, partition"
    )
    return [Account._make([*row[:4], Counts._make(row[4:])]) for row in rows]


def known(cursor: Rows, identities: Iterable[bytes]) -> dict[bytes, bytes]:
    """The content hashes of those identities that were taken in before."""
    rows = cursor.execute(
        "SELECT uuid_send(identity), uuid_send(content) FROM settle.identities WHERE identity = ANY(%s::uuid[])",
        (uuid_array(identities),),
        binary=True,
    )
    return dict(rows.fetchall())


def identities(cursor: Rows) -> tuple[int, int]:
    """How many identities were taken in; and how many of these are of messages in suspense, or written off, so of no event."""
    row = cursor.execute(
        "SELECT (SELECT count(*) FROM settle.identities), (SELECT count(*) FROM settle.suspense "
        "WHERE state IN ('suspended', 'written_off') AND identity IS NOT NULL AND code <> 'identity-conflict')"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def claim_if_all_new(cursor: Rows, identities: Sequence[tuple[bytes, bytes]]) -> bool:
    """Takes the (identity, content) pairs in if none was taken in before; else takes none and returns False.

    To find out by trying spares the usual batch, in which everything is new, a look-up of every identity.
    """
    try:
        with cursor.connection.transaction():
            claim(cursor, identities)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def claim(cursor: Rows, identities: Iterable[tuple[bytes, bytes]]) -> None:
    """Takes (identity, content) pairs in, for ever. The caller holds the writers' lock and knows that they are new."""
    copy_uuid_pairs(cursor, "settle.identities (identity, content)", identities)


def note_batch(cursor: Rows, first: int, last: int, recorded_at: datetime) -> None:
    cursor.execute("INSERT INTO settle.batches VALUES (%s, %s, %s)", (first, last, recorded_at))


def begin_at(cursor: Rows, channel: str, partition: int, start: int) -> bool:
    """Moves the account of a partition from which nothing was consumed yet; False where something was."""
    cursor.execute(
        "UPDATE settle.intake SET start_offset = %s, next_offset = %s "
        "WHERE channel = %s AND partition = %s AND start_offset = next_offset",
        (start, start, channel, partition),
    )
    return cursor.rowcount == 1
