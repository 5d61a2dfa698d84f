"""The log: the eventsourcing library's stored events, written by binary COPY under one writers' lock.

The library's own insert uses psycopg's pipeline mode, which hangs on large batches and can commit a tracking row without
its events, and an EXCLUSIVE table lock, which shuts out vacuum. See docs/decisions/0003-store.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg import Cursor

TABLE = "log"


# One event to append: the 16-byte id of its stream, its version there, its stored name and state. A plain tuple, because
# there are millions.
Row = tuple[bytes, int, str, bytes]


class LogRecorder(PostgresApplicationRecorder):
    """Positions are the library's notification ids, given out under the lock: they become visible in order, gapless."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:  # noqa: ANN401
        """All or nothing; IntegrityError where a version is taken."""
        rows = [(e.originator_id.bytes, e.originator_version, e.topic, e.state) for e in stored_events]  # type: ignore[union-attr]
        with self.datastore.get_connection() as connection, connection.transaction(), connection.cursor() as cursor:
            lock(cursor)
            first = append(cursor, rows)
        return range(first, first + len(rows))


def lock(cursor: Cursor[Any]) -> None:
    """Waits until no other transaction writes to the log; held until the transaction ends."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('settle.log', 0))")


def last_position(cursor: Cursor[Any]) -> int:
    row = cursor.execute("SELECT max(notification_id) AS last FROM settle.log").fetchone()
    assert row is not None
    return int((row["last"] if isinstance(row, dict) else row[0]) or 0)


def append(cursor: Cursor[Any], rows: Sequence[Row]) -> int:
    """Appends the rows in their order and returns the position of the first. The caller holds the lock."""
    first = last_position(cursor) + 1
    with cursor.copy(
        "COPY settle.log (originator_id, originator_version, topic, state, notification_id) "
        "FROM STDIN WITH (FORMAT BINARY)"
    ) as copy:
        copy.write(_packed(rows, first))
    return first


_HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
_TRAILER = b"\xff\xff"
_FIXED = struct.Struct("!hi16siqi").pack  # five columns: the uuid, the int8, and the length of the name
_LENGTH = struct.Struct("!i").pack
_POSITION = struct.Struct("!iq").pack
_UUID_PAIR = struct.Struct("!hi16si16s").pack


def _packed(rows: Iterable[Row], position: int) -> bytes:
    out = [_HEADER]
    add = out.append
    names: dict[str, bytes] = {}
    for stream, version, name, state in rows:
        encoded = names.get(name)
        if encoded is None:
            encoded = names[name] = name.encode()
        add(_FIXED(5, 16, stream, 8, version, len(encoded)))
        add(encoded)
        add(_LENGTH(len(state)))
        add(state)
        add(_POSITION(8, position))
        position += 1
    add(_TRAILER)
    return b"".join(out)


def copy_uuid_pairs(cursor: Cursor[Any], table_and_columns: str, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """COPY of two uuid columns, given as 16 bytes each. The first argument is a literal of this package."""
    with cursor.copy(f"COPY {table_and_columns} FROM STDIN WITH (FORMAT BINARY)".encode()) as copy:
        copy.write(_HEADER + b"".join([_UUID_PAIR(2, 16, a, 16, b) for a, b in pairs]) + _TRAILER)


def uuid_array(ids: Iterable[bytes]) -> str:
    """The text form of a PostgreSQL uuid array; much cheaper than a UUID object an element."""
    return "{" + ",".join([i.hex() for i in ids]) + "}"
