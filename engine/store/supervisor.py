"""The process that keeps one PostgreSQL server running for as long as somebody uses its data folder.

`engine.store.embedded` starts this file by its path, with nothing but the standard library, so that it starts quickly
and from any folder. It holds `supervisor.lock` exclusively for its whole life: whoever finds that lock free knows that
nothing runs. Each user of the server holds `users.lock` shared; the kernel grants it to us exclusively when the last
of them is gone, however it died, and we hold it until the server has stopped, so that a newcomer waits and then starts
afresh.

The server ends with us: by our signal, or by the kernel's when we were killed (Linux). Everything said here goes to
standard error, which is `log` in the data folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, TypedDict

USERS_LOCK = "users.lock"
SUPERVISOR_LOCK = "supervisor.lock"
READY = "ready"
PORT = 5432

ORPHANS_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.01
_PR_SET_PDEATHSIG = 1
_PRIVATE = 0o700
_BUILTIN_LOCALE_SINCE = 17
# Other systems do not all have C.UTF-8.
_LOCALE = "C.UTF-8" if sys.platform == "linux" else "C"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The log is read when something went wrong; a line every five minutes for years would bury it.
    "log_checkpoints": "off",
}

# The users' lock must outlive our own cleaning up: a newcomer who got it earlier would join what is going away.
_held_until_exit: list[IO[bytes]] = []


class Failed(Exception):
    """The server cannot be started; the text goes to the log, where the starter finds it."""


@dataclass(frozen=True)
class Task:
    """What to run, where, and as whom; travels as command-line arguments."""

    data: str
    cluster: str
    socket_folder: str
    binaries: str
    major: int
    uid: int
    gid: int

    def arguments(self) -> list[str]:
        return [str(value) for value in astuple(self)]

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> Task:
        """Raises ValueError if these are not the arguments `arguments` wrote."""
        data, cluster, socket_folder, binaries, major, uid, gid = arguments
        return cls(data, cluster, socket_folder, binaries, int(major), int(uid), int(gid))


def take(path: Path, how: int) -> IO[bytes]:
    """The opened file, locked until it is closed; never inherited by a program we start.

    Raises BlockingIOError if `how` says LOCK_NB and the lock is taken, OSError if the file cannot be opened.
    """
    file = path.open("ab")
    try:
        fcntl.flock(file, how)
    except BaseException:
        file.close()
        raise
    return file


class Identity(TypedDict, total=False):
    """The arguments with which `subprocess` runs a program as another user."""

    user: int
    group: int
    extra_groups: list[int]


def identity(uid: int, gid: int) -> Identity:
    """Nothing if we are that user."""
    return {} if uid == os.geteuid() else {"user": uid, "group": gid, "extra_groups": []}


def main(arguments: list[str]) -> int:
    """Take the lock, step into the background, keep the server until nobody needs it. 0, or 1 after a failure."""
    task = Task.from_arguments(arguments)
    data = Path(task.data)
    try:
        supervising = take(data / SUPERVISOR_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    # The starter waits for this first process only. The lock passes to the second without a gap.
    if os.fork():
        os._exit(0)
    try:
        _supervise(task)
    except (Failed, OSError) as failure:
        sys.stderr.write(f"supervisor: {failure}\n")
        return 1
    finally:
        (data / READY).unlink(missing_ok=True)
        supervising.close()
    return 0


def _supervise(task: Task) -> None:
    cluster, socket_folder = Path(task.cluster), Path(task.socket_folder)
    if not cluster.exists():
        _create_cluster(task)
    _await_orphans(cluster)
    _make_private(socket_folder, task)
    server = _start_server(task)
    try:
        if _becomes_ready(server, cluster):
            _announce(Path(task.data) / READY, task.socket_folder)
            _keep_while_used(server, Path(task.data) / USERS_LOCK)
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait()
        shutil.rmtree(socket_folder, ignore_errors=True)
    if code:
        raise Failed(f"postgres ended with exit code {code}")


def _create_cluster(task: Task) -> None:
    """Beside its place and then renamed: a cluster that carries its name is a whole one."""
    home = Path(task.cluster).parent
    for remains in home.glob("cluster.new-*"):
        shutil.rmtree(remains, ignore_errors=True)
    new = home / f"cluster.new-{os.getpid()}"
    new.mkdir(mode=_PRIVATE)
    os.chown(new, task.uid, task.gid)
    # PostgreSQL's own C.UTF-8 sorts alike on every machine; older versions borrow the system's.
    provider = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if task.major >= _BUILTIN_LOCALE_SINCE else []
    done = subprocess.run(
        [
            f"{task.binaries}/initdb",
            *("-D", str(new), "-U", "settle", "-A", "trust", "--no-instructions"),
            *("-E", "UTF8", f"--locale={_LOCALE}", *provider),
        ],
        stdout=subprocess.DEVNULL,
        env=_environment(task),
        cwd="/",
        preexec_fn=_dies_with_us(signal.SIGKILL),
        check=False,
        **identity(task.uid, task.gid),
    )
    if done.returncode:
        raise Failed(f"initdb ended with exit code {done.returncode}")
    new.rename(task.cluster)
    _sync_folder(home)


def _start_server(task: Task) -> subprocess.Popen[bytes]:
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    return subprocess.Popen(
        [f"{task.binaries}/postgres", "-D", task.cluster, "-k", task.socket_folder, "-p", str(PORT), *settings],
        stdin=subprocess.DEVNULL,
        env=_environment(task),
        cwd="/",
        preexec_fn=_dies_with_us(signal.SIGINT),  # noqa: PLW1509 - there is one thread until the server is ready
        **identity(task.uid, task.gid),
    )


def _environment(task: Task) -> dict[str, str]:
    """Nothing of ours: a PGDATA or TZ of the caller must not change the server."""
    return {"PATH": f"{task.binaries}:/usr/bin:/bin", "LC_ALL": _LOCALE}


def _dies_with_us(by: signal.Signals) -> Callable[[], None] | None:
    """What the child does before it becomes the program; a change of user would clear it, so it comes after that."""
    if sys.platform != "linux":
        return None
    prctl, us = ctypes.CDLL(None).prctl, os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, int(by))
        if os.getppid() != us:
            os._exit(1)

    return bind


def _becomes_ready(server: subprocess.Popen[bytes], cluster: Path) -> bool:
    """Without a limit: a recovery that takes long must be allowed to finish, or it would begin again each time."""
    while server.poll() is None:
        if _status(cluster)[7:8] == ["ready"]:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _status(cluster: Path) -> list[str]:
    try:
        return [line.strip() for line in (cluster / "postmaster.pid").read_text().splitlines()]
    except OSError:
        return []


def _announce(ready: Path, socket_folder: str) -> None:
    new = ready.with_suffix(".new")
    new.write_text(socket_folder)
    new.rename(ready)


def _keep_while_used(server: subprocess.Popen[bytes], users: Path) -> None:
    ended = threading.Event()

    def stop_when_unused() -> None:
        _held_until_exit.append(take(users, fcntl.LOCK_EX))
        server.send_signal(signal.SIGINT)
        if not ended.wait(STOP_SECONDS_MAX):
            server.send_signal(signal.SIGQUIT)

    threading.Thread(target=stop_when_unused, daemon=True).start()
    server.wait()
    ended.set()


def _await_orphans(cluster: Path) -> None:
    """After a killed supervisor or postmaster: wait until the processes left behind are gone.

    Raises Failed if they stay.
    """
    file, status = cluster / "postmaster.pid", _status(cluster)
    if not file.exists():
        return
    postmaster = int(status[0]) if status and status[0].isdigit() else 0
    deadline = time.monotonic() + ORPHANS_SECONDS_MAX
    while living := _living_in(cluster, postmaster):
        if time.monotonic() > deadline:
            raise Failed(f"processes of an earlier server are still running: {living}")
        if sys.platform != "linux":
            os.kill(living[0], signal.SIGINT)
        time.sleep(_POLL_SECONDS)
    if _exists(postmaster):
        # Somebody else has that number now, as happens in a container that was started again (or a crash left the
        # file empty, and 0 is always taken). PostgreSQL would take it for a running server and refuse.
        file.unlink(missing_ok=True)


def _living_in(cluster: Path, postmaster: int) -> list[int]:
    if sys.platform != "linux":
        listed = subprocess.run(
            ["/bin/ps", "-p", str(postmaster), "-o", "command="], capture_output=True, text=True, check=False
        )
        return [postmaster] if str(cluster) in listed.stdout else []
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == cluster:
                found += [int(entry.name)] if (entry / "comm").read_text().startswith("postgres") else []
        except OSError:
            continue
    return found


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _make_private(folder: Path, task: Task) -> None:
    """An empty folder of the server's user alone. Raises Failed if its name is taken by anything else."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=_PRIVATE)
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as refusal:
        raise Failed(f"{folder} should be our folder for the socket, but is something else; remove it") from refusal
    try:
        found = os.fstat(handle)
        if found.st_uid not in {os.geteuid(), task.uid}:
            raise Failed(f"{folder} should be our folder for the socket, but belongs to user {found.st_uid}; remove it")
        if stat.S_IMODE(found.st_mode) != _PRIVATE:
            raise Failed(f"{folder} is our folder for the socket, but others may enter it; remove it")
        os.fchown(handle, task.uid, task.gid)
        # A socket left by a crash carries the number of a process that is gone, or is somebody else's by now.
        for name in os.listdir(handle):  # noqa: PTH208 - by handle, which nobody can exchange
            os.unlink(name, dir_fd=handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
