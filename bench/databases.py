"""The PostgreSQL server of the benchmark, and a fresh database for every run on it."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from bench.events import registrations
from console.session import clock
from consumers.decode import decode
from consumers.ingest import ingest
from engine.settlement.recording import Message, Slice
from engine.store import intake
from engine.store.database import Store
from engine.store.embedded import embedded, is_running
from engine.store.intake import Counts

_STOP_SECONDS_MAX = 60.0
_REGISTERED = "registered"


class Databases:
    """Makes databases: empty ones, and ones of ours in which the contracts are registered already."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._numbers = itertools.count(1)
        self._register()

    @contextmanager
    def fresh(self, *, registered: bool) -> Iterator[str]:
        """The conninfo of a database, gone afterwards. What earlier runs left to write is written before it begins."""
        name = f"run_{next(self._numbers)}"
        with self._administrator() as administrator:
            administrator.execute(f"CREATE DATABASE {name} TEMPLATE {_REGISTERED if registered else 'template0'}")
            administrator.execute("CHECKPOINT")
        try:
            yield make_conninfo(self._conninfo, dbname=name)
        finally:
            with self._administrator() as administrator:
                administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def facts(self) -> dict[str, str]:
        """The server's version, and the settings that decide what a commit costs."""
        with self._administrator() as administrator:
            names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
            return {name: str(administrator.execute(f"SHOW {name}").fetchall()[0][0]) for name in names}

    def _register(self) -> None:
        with self._administrator() as administrator:
            administrator.execute(f"CREATE DATABASE {_REGISTERED} TEMPLATE template0")
        messages = registrations()
        channel = "file:registrations"
        with Store(make_conninfo(self._conninfo, dbname=_REGISTERED)) as store:
            with store.writing() as cursor:
                intake.ensure(cursor, channel, [(0, 0)])
            read = [Message(channel, 0, number, None, decode(raw)) for number, raw in enumerate(messages)]
            done = ingest(store, [Slice(channel, 0, None, len(messages))], read, clock)
        assert done.counts == Counts(recorded=len(messages)), f"registering failed: {done.counts}"

    def _administrator(self) -> psycopg.Connection[Any]:
        return psycopg.connect(make_conninfo(self._conninfo, dbname="postgres"), autocommit=True)


@contextmanager
def started() -> Iterator[Databases]:
    """The engine's own embedded server, durable as it always is, in a temporary folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="settle-bench-"))
    try:
        # The server's user must be able to enter, or the database would be put elsewhere when root runs this.
        folder.chmod(0o711)
        with embedded(folder) as server:
            yield Databases(server.conninfo)
    finally:
        deadline = time.monotonic() + _STOP_SECONDS_MAX
        while is_running(folder) and time.monotonic() < deadline:
            time.sleep(0.01)
        shutil.rmtree(folder, ignore_errors=True)
