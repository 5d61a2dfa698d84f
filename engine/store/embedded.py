"""The engine's own PostgreSQL in a data folder, for whoever brings none: one server for all processes that use it.

    with embedded(Path(".settle")) as server:
        psycopg.connect(server.conninfo)

What lies in the data folder: `cluster` (the database), `log`, the locks, `ready` (the socket's folder while the server
runs) and, if the database had to go elsewhere, `location`. The server itself is kept by `engine.store.supervisor`,
which also explains the locks. Linux and macOS; only on Linux does the server also end when its supervisor is killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from engine.store import programs, supervisor
from engine.store.locks import FolderRefused, locked
from engine.store.programs import Account, binaries, nobody, user_name
from engine.store.supervisor import PORT, READY, SUPERVISOR_LOCK, USERS_LOCK, Task, take

START_LOCK = "start.lock"
CLUSTER = "cluster"
LOCATION = "location"
LOG = "log"
DATABASE = "settle"

START_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.005
_LOG_LINES = 12
# A socket's path may have 103 bytes (macOS; Linux 107), of which `/.s.PGSQL.5432` takes 14.
_SOCKET_FOLDER_BYTES_MAX = 103 - 14


class ServerDidNotStart(Exception):
    """PostgreSQL ended or did not answer in time; the text has the last lines of its log and where the rest is."""

    def __init__(self, what: str, log: Path, log_from: int) -> None:
        lines = _read_from(log, log_from).splitlines()[-_LOG_LINES:]
        super().__init__("\n".join([f"PostgreSQL {what}. Its log, {log}, ends with:", *(lines or ["(nothing)"])]))
        self.log = log


@dataclass(frozen=True)
class Server:
    """A running server: how to connect to its database `settle`, and the folder where the database really lies."""

    conninfo: str
    folder: Path


@contextmanager
def embedded(data: Path) -> Iterator[Server]:
    """The server of that data folder, started if none runs, stopped when its last user is gone.

    Raises FolderRefused if the folder cannot be used, NoPostgres if there is nothing to run, ServerDidNotStart if it
    failed or did not answer within `START_SECONDS_MAX`.
    """
    data = _data_folder(data)
    with locked(data / USERS_LOCK, fcntl.LOCK_SH):
        with locked(data / START_LOCK, fcntl.LOCK_EX):
            server = _join_or_start(data)
        yield server


def _data_folder(data: Path) -> Path:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FolderRefused(f"{data} should be the data folder, but there is a file; name another folder") from None
    except OSError as refusal:
        raise FolderRefused(f"{data} cannot be made ({refusal.strerror}); name another data folder") from refusal
    data = data.resolve()
    if (data / "PG_VERSION").exists():
        raise FolderRefused(f"{data} is the database folder of a PostgreSQL server itself; name a folder of our own")
    return data


def is_running(data: Path) -> bool:
    """Whether a server of that data folder runs, starts or stops at this moment."""
    return data.is_dir() and _supervised(data)


def _join_or_start(data: Path) -> Server:
    log_from = _size(data / LOG)
    deadline = time.monotonic() + START_SECONDS_MAX
    home = _home(data)
    account = _account(home / CLUSTER)
    started = False
    while True:
        socket_folder = _socket_folder_of_running(data, log_from, deadline)
        if socket_folder is None:
            # The one we started is gone again. One that we found may have been about to go: then we start ours.
            if started:
                raise ServerDidNotStart("did not start", data / LOG, log_from)
            home = _start(data, home, account)
            started = True
            continue
        conninfo = make_conninfo(host=socket_folder, port=PORT, user="settle", dbname=DATABASE)
        if _make_database(data, conninfo, log_from, deadline):
            return Server(conninfo, home / CLUSTER)


def _socket_folder_of_running(data: Path, log_from: int, deadline: float) -> str | None:
    """None if nothing runs. `ready` is believed only while its supervisor lives; a starter removes an old one first.

    Raises ServerDidNotStart if a server is starting and is not ready at the deadline.
    """
    while _supervised(data):
        try:
            return (data / READY).read_text()
        except FileNotFoundError:
            pass
        if time.monotonic() > deadline:
            raise ServerDidNotStart(f"was not ready after {START_SECONDS_MAX:.0f} seconds", data / LOG, log_from)
        time.sleep(_POLL_SECONDS)
    return None


def _supervised(data: Path) -> bool:
    try:
        take(data / SUPERVISOR_LOCK, fcntl.LOCK_SH | fcntl.LOCK_NB).close()
    except BlockingIOError:
        return True
    return False


def _start(data: Path, home: Path, account: Account) -> Path:
    """Start a supervisor and return the folder that holds the cluster."""
    programs_folder, major = binaries(account)
    if not (home / CLUSTER).exists() and home == data and not account.enters(data):
        home = _make_home_elsewhere(data)
    _refuse_other_version(home / CLUSTER, major)
    (data / READY).unlink(missing_ok=True)
    task = Task(
        data=str(data),
        cluster=str(home / CLUSTER),
        socket_folder=str(_socket_folder(data, account)),
        binaries=str(programs_folder),
        major=major,
        uid=account.uid,
        gid=account.gid,
    )
    with (data / LOG).open("ab") as log:
        subprocess.run(
            [sys.executable, "-I", "-S", supervisor.__file__, *task.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            check=False,
        )
    return home


def _make_database(data: Path, conninfo: str, log_from: int, deadline: float) -> bool:
    """Every user looks, since whoever started the server may have been killed before this step. False: it is gone.

    Raises ServerDidNotStart if the server has not let us in at the deadline.
    """
    while True:
        try:
            with psycopg.connect(make_conninfo(conninfo, dbname="postgres"), autocommit=True) as connection:
                if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchall():
                    connection.execute(f"CREATE DATABASE {DATABASE}")
                return True
        except psycopg.OperationalError as refusal:
            if not _supervised(data):
                return False
            # It may be recovering from the crash of one of its processes.
            if time.monotonic() > deadline:
                raise ServerDidNotStart(f"does not let us in: {refusal}", data / LOG, log_from) from refusal
            time.sleep(_POLL_SECONDS)


def _account(cluster: Path) -> Account:
    """Raises FolderRefused if the cluster's owner is not one we can run the server as."""
    us = os.geteuid()
    if not cluster.exists():
        return nobody() if us == 0 else Account(us, os.getegid())
    owner = cluster.stat()
    if owner.st_uid == 0:
        raise FolderRefused(
            f"{cluster} belongs to root, and PostgreSQL does not run as root;"
            f" give it to another user: chown -R nobody {cluster}"
        )
    if us not in {0, owner.st_uid}:
        raise FolderRefused(
            f"{cluster} belongs to user {user_name(owner.st_uid)}, as databases made by root do;"
            " run as root or as that user, or name another data folder"
        )
    return Account(owner.st_uid, owner.st_gid)


def _home(data: Path) -> Path:
    """Raises FolderRefused if the folder that `location` names is gone: an empty database must not take its place."""
    try:
        home = Path((data / LOCATION).read_text().strip())
    except FileNotFoundError:
        return data
    if not home.is_dir():
        raise FolderRefused(
            f"the database of {data} lay in {home}, which is gone;"
            f" bring it back, or remove {data / LOCATION} to begin with an empty one"
        )
    return home


def _make_home_elsewhere(data: Path) -> Path:
    try:
        programs.ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(dir=programs.ROOT_HOME))
    except OSError as refusal:
        raise FolderRefused(
            f"the server's user cannot enter {data}, and {programs.ROOT_HOME} cannot be used instead ({refusal});"
            " name a data folder which every user may enter"
        ) from refusal
    home.chmod(0o755)
    new = data / f"{LOCATION}.new"
    with new.open("w") as file:
        file.write(f"{home}\n")
        file.flush()
        os.fsync(file.fileno())
    new.rename(data / LOCATION)
    return home


def _refuse_other_version(cluster: Path, major: int) -> None:
    if not cluster.exists():
        return
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise FolderRefused(f"{cluster} is not a PostgreSQL database; name another data folder") from None
    if found != str(major):
        raise FolderRefused(
            f"{cluster} was made by PostgreSQL {found}, and the PostgreSQL here is {major}, which cannot read it;"
            f" install PostgreSQL {found}, or dump the database with it and load it into a new data folder"
        )


def _socket_folder(data: Path, account: Account) -> Path:
    """Always the same for the same folder, so that a process may reconnect after the server was started again."""
    found = data.stat()
    name = hashlib.sha256(f"{data}:{found.st_dev}:{found.st_ino}".encode(errors="surrogateescape")).hexdigest()[:16]
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - the name is made and checked safely
        folder = parent.resolve() / f"tantieme-{account.uid}-{name}"
        if len(os.fsencode(folder)) <= _SOCKET_FOLDER_BYTES_MAX and account.enters(parent):
            return folder
    raise FolderRefused("there is no temporary folder for the server's socket; set TMPDIR to a short path of your own")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _read_from(file: Path, offset: int) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(offset)
            return opened.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
