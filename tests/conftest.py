"""What tests may ask for: a Kafka broker and a PostgreSQL server, one each for the whole run, and a database each."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import settings
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from engine.store.embedded import embedded, is_running

if TYPE_CHECKING:
    from tests.broker import Broker

# How long an example takes says something of the machine alone.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_STOP_SECONDS_MAX = 30.0
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    # kafka-python reads its message schemas so, when first needed; Python 3.13 took the deprecation back.
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")
    # Its clients may leave a socket to be closed with the object when they are closed on a busy machine; that is told in
    # whatever test runs then.
    config.addinivalue_line("filterwarnings", "ignore:unclosed <socket.socket:ResourceWarning")


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A Kafka broker. Without one the test is skipped with the reason; in CI it fails."""
    # Not at the top: the warning above would come before its filter.
    from tests.broker import broker_or_skip

    with broker_or_skip() as started:
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The conninfo of a throw-away server, or of the one that SETTLE_TEST_DATABASE_URL names."""
    if named := os.environ.get("SETTLE_TEST_DATABASE_URL"):
        yield named
        return
    folder = Path(tempfile.mkdtemp(prefix="settle-test-"))
    # The server's user must be able to enter, or the database would be put elsewhere when root runs the tests.
    folder.chmod(0o711)
    with embedded(folder) as server:
        yield server.conninfo
    deadline = time.monotonic() + _STOP_SECONDS_MAX
    while is_running(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    shutil.rmtree(folder)


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The conninfo of an empty database of this test's own, dropped afterwards with whoever is still connected."""
    # Runs that share a server differ by the process; tests of one run by the number.
    name = f"settle_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
