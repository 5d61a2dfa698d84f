"""How far what was issued has been sent on: a bookmark in the log, which no rebuild moves."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from engine.store.database import Rows


class Bookmark(NamedTuple):
    """Sent up to `position`; `sending` is up to where a transaction that may have been committed would have gone, `begun_at` when."""

    name: str
    id: str
    position: int
    sending: int | None
    begun_at: datetime | None


def bookmark(cursor: Rows, name: str) -> Bookmark:
    """The bookmark of the name; at the beginning of the log where there was none."""
    cursor.execute("INSERT INTO settle.outbox (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
    row = cursor.execute(
        "SELECT name, id::text, position, sending, begun_at FROM settle.outbox WHERE name = %s", (name,)
    ).fetchone()
    assert row is not None, name
    return Bookmark(*row)


def bookmarks(cursor: Rows) -> list[Bookmark]:
    return [
        Bookmark(*row)
        for row in cursor.execute("SELECT name, id::text, position, sending, begun_at FROM settle.outbox ORDER BY name")
    ]


def begin(cursor: Rows, name: str, to: int, at: datetime) -> None:
    """Notes that a transaction up to the position begins."""
    cursor.execute("UPDATE settle.outbox SET sending = %s, begun_at = %s WHERE name = %s", (to, at, name))


def end(cursor: Rows, name: str, position: int) -> None:
    """Notes that all up to the position is sent."""
    cursor.execute(
        "UPDATE settle.outbox SET position = %s, sending = NULL, begun_at = NULL WHERE name = %s", (position, name)
    )
