"""Projections beside the live ones: made, moved on with a bookmark, and exchanged with the live ones in one transaction.

Only projections move. What came from outside (`engine.store.schema.SOURCES`) and the log are never touched.
"""

from __future__ import annotations

import re

import psycopg

from engine.store.database import Rows
from engine.store.schema import COPIES, PROJECTIONS, SCHEMA, VERSION

LIVE = SCHEMA
NEXT = "settle_next"  # being made
BEFORE = "settle_before"  # live until the last swap
_ON_THE_WAY = "settle_on_the_way"

_TABLE = re.compile(r"^CREATE TABLE (\w+)", re.MULTILINE)
TABLES: tuple[str, ...] = tuple(_TABLE.findall(PROJECTIONS))
_WITH_COPIES = (*TABLES, *_TABLE.findall(COPIES))

# Readers of a projection keep it from being exchanged. Shorter than the server's own search for deadlocks (1 s), so that
# it is we who give way.
_READERS_MILLISECONDS_MAX = 200


class InUse(Exception):
    """Somebody reads projections that are to be exchanged."""


class OtherVersion(Exception):
    """The projections beside the live ones were made by another version of the engine."""


def make(cursor: Rows) -> None:
    """Empty projections in `NEXT`, with the bookmark at the beginning of the log."""
    cursor.execute(f"CREATE SCHEMA {NEXT}")
    cursor.execute(f"SET LOCAL search_path TO {NEXT}")
    cursor.execute(PROJECTIONS)
    cursor.execute(COPIES)
    _bookmark_at(cursor, NEXT, 0)
    cursor.execute(f"SET LOCAL search_path TO {NEXT}, {SCHEMA}")


def drop(cursor: Rows, schema: str) -> None:
    assert schema in {NEXT, BEFORE}, schema
    cursor.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def _bookmark_at(cursor: Rows, schema: str, position: int) -> None:
    cursor.execute(f"CREATE TABLE {schema}.progress (position bigint NOT NULL, version int NOT NULL)")
    cursor.execute(f"INSERT INTO {schema}.progress VALUES (%s, %s)", (position, VERSION))  # noqa: S608 - one of ours


def bookmark(cursor: Rows, schema: str) -> int | None:
    """Up to where in the log the schema's projections are; None where there are none. Locked until the transaction ends.

    Raises OtherVersion.
    """
    row = cursor.execute("SELECT to_regclass(%s)", (f"{schema}.progress",)).fetchone()
    if row is None or row[0] is None:
        return None
    row = cursor.execute(f"SELECT position, version FROM {schema}.progress FOR UPDATE").fetchone()  # noqa: S608
    assert row is not None, schema
    if row[1] != VERSION:
        raise OtherVersion
    return int(row[0])


def move(cursor: Rows, schema: str, position: int) -> None:
    cursor.execute(f"UPDATE {schema}.progress SET position = %s", (position,))  # noqa: S608


def analyze(cursor: Rows, schema: str) -> None:
    """Gives the server's planner the sizes of tables that were filled at once."""
    cursor.execute("ANALYZE " + ", ".join(f"{schema}.{table}" for table in TABLES))


def hold_live(cursor: Rows) -> None:
    """Nobody reads or writes the live projections until the transaction ends. The caller holds the writers' lock.

    Raises InUse where somebody does just now; the transaction is then over.
    """
    cursor.execute(f"SET LOCAL lock_timeout = {_READERS_MILLISECONDS_MAX}")
    try:
        cursor.execute(f"LOCK TABLE {', '.join(f'{LIVE}.{table}' for table in _WITH_COPIES)} IN ACCESS EXCLUSIVE MODE")
    except psycopg.errors.LockNotAvailable:
        raise InUse from None


def swap(cursor: Rows, incoming: str, position: int) -> None:
    """The incoming projections are the live ones from the commit on, and those that were live until then are kept in `BEFORE`.

    Both are at the position. The caller holds the live ones (`hold_live`). Raises InUse where somebody reads the others.
    """
    cursor.execute(f"CREATE SCHEMA {_ON_THE_WAY}")
    try:
        for table in _WITH_COPIES:
            cursor.execute(f"ALTER TABLE {LIVE}.{table} SET SCHEMA {_ON_THE_WAY}")
            cursor.execute(f"ALTER TABLE {incoming}.{table} SET SCHEMA {LIVE}")
        drop(cursor, incoming)
        drop(cursor, BEFORE)
    except psycopg.errors.LockNotAvailable:
        raise InUse from None
    cursor.execute(f"ALTER SCHEMA {_ON_THE_WAY} RENAME TO {BEFORE}")
    _bookmark_at(cursor, BEFORE, position)


def live_sealed_to(cursor: Rows, end: int) -> int:
    """Up to where the live chain goes, but not past the end; 0 where it has been lost."""
    row = cursor.execute(f"SELECT max(position) FROM {LIVE}.chain").fetchone()  # noqa: S608
    return max(0, min(end, int(row[0]))) if row is not None and row[0] is not None else 0


def live_rulebooks(cursor: Rows) -> set[str]:
    """Every rulebook that live contracts name, or that has a live version."""
    rows = cursor.execute(
        f"SELECT rulebook FROM {LIVE}.contracts UNION SELECT rulebook FROM {LIVE}.rulebook_versions"  # noqa: S608
    )
    return {row[0] for row in rows}
