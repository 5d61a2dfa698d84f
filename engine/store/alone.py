"""Work that one process at a time does on a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from engine.store.database import StoreUnavailable

# The server lets go of a killed process's lock a moment later: whoever runs again at once waits so long for that.
WAIT_MS = 2_000


class AlreadyRunning(Exception):
    """Another process is at the same work on this store."""


@contextmanager
def alone(conninfo: str, work: str) -> Iterator[None]:
    """One process at a time, until the block ends or the process dies. Raises AlreadyRunning, StoreUnavailable."""
    try:
        connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(str(error).strip()) from error
    with connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{WAIT_MS}ms",))
        try:
            connection.execute("SELECT pg_advisory_lock(hashtextextended('settle.' || %s, 0))", (work,))
        except psycopg.errors.LockNotAvailable:
            raise AlreadyRunning from None
        yield
