"""The connection to PostgreSQL: a pool, the engine's schema, and two kinds of transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from eventsourcing.persistence import InterfaceError, InternalError, OperationalError
from eventsourcing.postgres import PostgresDatastore
from psycopg import Cursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from engine.store.recorder import TABLE, LogRecorder
from engine.store.schema import COPIES, PROJECTIONS, SCHEMA, SOURCES, VERSION

Rows = Cursor[tuple[Any, ...]]


class StoreUnavailable(Exception):
    """The database does not answer. What was committed is safe; the same call may go through later."""


class OtherSchemaVersion(Exception):
    """The tables were made by another version of the engine."""


class Store:
    """An open store. Use as a context manager, or close it.

    `projections` is the PostgreSQL schema whose projections are meant: the live ones, or those that are being made beside them.
    """

    def __init__(self, conninfo: str, connections: int = 4, projections: str = SCHEMA) -> None:
        named: dict[str, Any] = {k: v for k, v in conninfo_to_dict(conninfo).items() if v is not None}
        self.conninfo = conninfo
        named["options"] = f"{named.get('options', '')} -c search_path={projections},{SCHEMA}".strip()
        self._datastore = PostgresDatastore(
            dbname=str(named.pop("dbname", "settle")),
            host=str(named.pop("host", "")),
            port=str(named.pop("port", "")) or "5432",
            user=str(named.pop("user", "")),
            password=str(named.pop("password", "")),
            pool_size=1,
            max_overflow=connections - 1,
            max_waiting=64,
            # Short, so that whoever waits can be stopped, and keeps its place in a consumer group.
            connect_timeout=5,
            # A process frozen in a transaction would hold the writers' lock for ever.
            idle_in_transaction_session_timeout=60,
            schema=SCHEMA,
        )
        # What the library has no argument for: sslmode, options and the like.
        self._datastore.pool.kwargs = {**(self._datastore.pool.kwargs or {}), **named}  # type: ignore[dict-item]
        try:
            with psycopg.connect(conninfo, autocommit=True, connect_timeout=5) as connection:
                _make_schema(connection)
            self.recorder = LogRecorder(self._datastore, events_table_name=TABLE)
        except psycopg.OperationalError as error:
            self.close()
            raise StoreUnavailable(str(error).strip()) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._datastore.close()

    @contextmanager
    def writing(self) -> Iterator[Rows]:
        """A transaction that commits when the block ends and leaves nothing behind when it raises.

        Raises StoreUnavailable where the connection breaks; whether the transaction was committed is then unknown.
        """
        try:
            with (
                self._datastore.get_connection() as connection,
                connection.transaction(),
                connection.cursor(row_factory=tuple_row) as cursor,
            ):
                yield cursor
        except (OperationalError, InterfaceError) as error:
            raise StoreUnavailable(str(error).strip()) from error
        except InternalError as error:
            if isinstance(error.__cause__, psycopg.errors.IdleInTransactionSessionTimeout):
                raise StoreUnavailable(str(error).strip()) from error
            raise

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        """A read-only transaction in which every query sees the same state.

        It may wait as long as it likes: it holds no lock that a writer needs, and a replay computes for minutes in between.
        """
        with self.writing() as cursor:
            cursor.execute(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0"
            )
            yield cursor


def _make_schema(connection: psycopg.Connection[Any]) -> None:
    """Makes the tables where they are not; one process at a time. Raises OtherSchemaVersion."""
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('settle.schema', 0))")
        found = cursor.execute("SELECT to_regclass('settle.version')").fetchone()
        if found is not None and found[0] is not None:
            row = cursor.execute("SELECT version FROM settle.version").fetchone()
            assert row is not None
            if row[0] != VERSION:
                raise OtherSchemaVersion(
                    f"the store has schema version {row[0]}, and this engine writes version {VERSION}; "
                    "use the engine that made it, or another database or data folder"
                )
            return
        cursor.execute("CREATE SCHEMA IF NOT EXISTS settle")
        cursor.execute("SET LOCAL search_path TO settle")
        cursor.execute(SOURCES)
        cursor.execute(PROJECTIONS)
        cursor.execute(COPIES)
        cursor.execute(_LOG)
        cursor.execute("INSERT INTO settle.version VALUES (%s)", (VERSION,))


# The library's own table, to the letter, so that its recorders and tools read it; it has no column for a time.
_LOG = """
CREATE TABLE settle.log (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) WITH (autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0.01);
CREATE UNIQUE INDEX log_notification_id_idx ON settle.log (notification_id);
"""
