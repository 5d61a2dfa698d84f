"""Reading the log, and the ids of its streams."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from engine.events import ISSUED, VOLUME
from engine.projections.seals import Entry
from engine.store.database import Rows
from engine.store.recorder import uuid_array


@lru_cache(maxsize=200_000)
def stream_id(kind: str, name: str) -> bytes:
    """The 16-byte id of a stream: made from what it names, so that it is the same everywhere."""
    return hashlib.blake2b(f"{kind}\0{name}".encode(), digest_size=16).digest()


def versions(cursor: Rows, streams: Iterable[bytes]) -> dict[bytes, int]:
    """The last version of each stream that has events."""
    rows = cursor.execute(
        "SELECT uuid_send(o), v FROM unnest(%s::uuid[]) o, "
        "LATERAL (SELECT max(originator_version) FROM settle.log WHERE originator_id = o) m(v) WHERE v IS NOT NULL",
        (uuid_array(streams),),
        binary=True,
    )
    return dict(rows.fetchall())


def states(cursor: Rows, *, after: int, to: int, limit: int = 20_000) -> list[tuple[int, str, bytes]]:
    """(position, stored name, state) of the log past `after` and up to `to`, at most `limit`, in order."""
    rows = cursor.execute(
        "SELECT notification_id, topic, state FROM settle.log WHERE notification_id > %s AND notification_id <= %s "
        "ORDER BY notification_id LIMIT %s",
        (after, to, limit),
        binary=True,
    )
    return rows.fetchall()


def told(cursor: Rows, *, after: int, to: int) -> Iterator[tuple[int, str, bytes]]:
    """(position, stored name, state) of everything past `after` and up to `to` but what comes in volume, in order."""
    cursor.execute(
        "SELECT notification_id, topic, state FROM settle.log WHERE notification_id > %s AND notification_id <= %s "
        "AND topic <> ALL(%s) ORDER BY notification_id",
        (after, to, list(VOLUME)),
        binary=True,
    )
    while rows := cursor.fetchmany(10_000):
        yield from rows


def position_at(cursor: Rows, time: datetime) -> int:
    """The end of the log at the time: the last position recorded up to then, 0 where there is none."""
    row = cursor.execute(
        "SELECT coalesce(max(last_position), 0) FROM settle.batches WHERE recorded_at <= %s", (time,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def entries(cursor: Rows, *, after: int, to: int, limit: int = 20_000) -> list[Entry]:
    """The whole rows of the log past `after` and up to `to`, at most `limit`, in order."""
    rows = cursor.execute(
        "SELECT notification_id, uuid_send(originator_id), originator_version, topic, state FROM settle.log "
        "WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id LIMIT %s",
        (after, to, limit),
        binary=True,
    ).fetchall()
    return _timed(cursor, rows)


def entries_at(cursor: Rows, positions: Sequence[int]) -> list[Entry]:
    """The rows of the log at the positions, in order."""
    rows = cursor.execute(
        "SELECT notification_id, uuid_send(originator_id), originator_version, topic, state FROM settle.log "
        "WHERE notification_id = ANY(%s) ORDER BY notification_id",
        (list(positions),),
        binary=True,
    ).fetchall()
    return _timed(cursor, rows)


def named(cursor: Rows, names: Iterable[str], *, to: int, after: int = 0, page: int = 20_000) -> Iterator[list[Entry]]:
    """Pages of the whole rows of the events with these stored names past `after` and up to the position, in order."""
    wanted = list(names)
    while True:
        rows = cursor.execute(
            "SELECT notification_id, uuid_send(originator_id), originator_version, topic, state FROM settle.log "
            "WHERE notification_id > %s AND notification_id <= %s AND topic = ANY(%s) ORDER BY notification_id LIMIT %s",
            (after, to, wanted, page),
            binary=True,
        ).fetchall()
        if rows:
            yield _timed(cursor, rows)
        if len(rows) < page:
            return
        after = rows[-1][0]


def issued_in(cursor: Rows, period: str) -> list[Entry]:
    """The whole rows of what the engine issued in the period: statements and their versions, scores, closings; in order."""
    rows = cursor.execute(
        "SELECT notification_id, uuid_send(originator_id), originator_version, topic, state FROM settle.log "
        # The state is JSON without spaces, in which a quote within a text has a backslash before it.
        "WHERE topic = ANY(%s) AND position(convert_to(%s, 'UTF8') IN state) > 0 ORDER BY notification_id",
        (list(ISSUED), f'"period":"{period}"'),
        binary=True,
    ).fetchall()
    return _timed(cursor, rows)


def entries_of(cursor: Rows, streams: Iterable[bytes]) -> list[Entry]:
    """The whole rows of the streams' events, in the order of the log."""
    rows = cursor.execute(
        "SELECT notification_id, uuid_send(originator_id), originator_version, topic, state FROM settle.log "
        "WHERE originator_id = ANY(%s::uuid[]) ORDER BY notification_id",
        (uuid_array(streams),),
        binary=True,
    ).fetchall()
    return _timed(cursor, rows)


def untimed(cursor: Rows) -> list[tuple[int, int]]:
    """Where the times of recording do not cover the log exactly once: (expected position, position of the batch there is)."""
    rows = cursor.execute(
        "SELECT expected, first_position FROM ("
        "  SELECT coalesce(lag(last_position) OVER (ORDER BY first_position), 0) + 1 AS expected, first_position "
        "  FROM settle.batches"
        ") b WHERE expected <> first_position ORDER BY first_position LIMIT 10"
    ).fetchall()
    ends = cursor.execute(
        "SELECT (SELECT coalesce(max(last_position), 0) FROM settle.batches), "
        "(SELECT coalesce(max(notification_id), 0) FROM settle.log)"
    ).fetchone()
    assert ends is not None
    return [*rows, *([(ends[1], ends[0])] if ends[0] != ends[1] else [])]


def _timed(cursor: Rows, rows: Sequence[tuple[int, bytes, int, str, bytes]]) -> list[Entry]:
    if not rows:
        return []
    batches = cursor.execute(
        "SELECT last_position, (extract(epoch FROM recorded_at) * 1000000)::bigint FROM settle.batches "
        "WHERE last_position >= %s AND first_position <= %s ORDER BY first_position",
        (rows[0][0], rows[-1][0]),
    ).fetchall()
    found = []
    at = 0
    for position, stream, version, name, state in rows:
        while batches[at][0] < position:
            at += 1
        found.append(Entry(position, batches[at][1], stream, version, name, state))
    return found


def of_streams(
    cursor: Rows, streams: Sequence[bytes], page: int = 20_000, *, to: int | None = None
) -> Iterator[list[tuple[int, str, bytes]]]:
    """Pages of (position, stored name, state) of the streams' events up to the position, each stream in its order."""
    for stream in streams:
        version = 0
        while True:
            rows = cursor.execute(
                "SELECT notification_id, topic, state, originator_version FROM settle.log "
                "WHERE originator_id = %s::uuid AND originator_version > %s "
                "AND (%s::bigint IS NULL OR notification_id <= %s) ORDER BY originator_version LIMIT %s",
                (stream.hex(), version, to, to, page),
                binary=True,
            ).fetchall()
            if rows:
                yield [row[:3] for row in rows]
            if len(rows) < page:
                break
            version = rows[-1][3]


def since(cursor: Rows, stream: bytes, position: int, page: int = 1_000) -> list[tuple[int, str, bytes]]:
    """(position, stored name, state) of the stream's events past the position, in order. Reads no more than those."""
    found: list[tuple[int, str, bytes]] = []
    before: int | None = None
    while True:
        rows = cursor.execute(
            "SELECT notification_id, topic, state, originator_version FROM settle.log WHERE originator_id = %s::uuid "
            "AND (%s::bigint IS NULL OR originator_version < %s) ORDER BY originator_version DESC LIMIT %s",
            (stream.hex(), before, before, page),
            binary=True,
        ).fetchall()
        later = [row for row in rows if row[0] > position]
        found += [row[:3] for row in later]
        if len(later) < page:
            return found[::-1]
        before = rows[-1][3]


def recorded_at(cursor: Rows, position: int) -> datetime | None:
    """When the engine learned the event at the position."""
    row = cursor.execute(
        "SELECT recorded_at FROM settle.batches WHERE first_position <= %s ORDER BY first_position DESC LIMIT 1",
        (position,),
    ).fetchone()
    return None if row is None else row[0]
