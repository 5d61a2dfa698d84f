"""A real Kafka broker for tests: one KRaft node from Maven's jars, or the one that SETTLE_TEST_KAFKA names.

The jars are fetched once into the cache. The broker's data lie in a temporary folder. On Linux the broker dies with the
test process, however that dies; call from the main thread, since the kernel counts the death of the calling thread.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

KAFKA_VERSION = "4.3.1"
POM = Path(__file__).parent / "kafka_broker" / "pom.xml"
CACHE = Path(__file__).parents[1] / ".cache" / "kafka"

JAVA_VERSION_MIN = 17
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
_START_ATTEMPTS = 3
_POLL_SECONDS = 0.1
_LOG_LINES = 15
# Below the range from which the kernel lends ports to clients: ours stays free while the broker is stopped.
_PORTS = range(20_000, 30_000)

# Runs in the child before it becomes Java, so that no Python runs between fork and exec of a process with threads.
_DIE_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the test process is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class BrokerUnavailable(Exception):
    """No broker can be had here; the text says why and what to do."""


class Broker:
    """A broker that somebody else runs: it can be used, not stopped."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create_topic(self, name: str, partitions: int) -> None:
        """Returns when every partition has a leader. Raises KafkaError if the topic exists or is not ready in time."""
        with _admin(self.bootstrap) as admin:
            admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1}}, wait_for_metadata=True)

    def start(self) -> None:
        pytest.skip("SETTLE_TEST_KAFKA names a broker that the tests cannot start and stop")

    stop = pause = start


class OwnBroker(Broker):
    """A broker that we run. It keeps its port and its data between `stop` and `start`."""

    def __init__(self, java: str, jars: Path, folder: Path) -> None:
        self._port, self._controller_port = _free_ports()
        super().__init__(f"127.0.0.1:{self._port}")
        self._java = [java, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        self._jars = f"{jars}/*"
        self._properties = folder / "server.properties"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._format(folder / "data")

    def start(self) -> None:
        """Start it, or let it go on after `pause`; returns when it answers. Raises BrokerUnavailable if it does not."""
        if self._process is None:
            self._process = self._run("-Xms128m", "-Xmx512m", "-cp", self._jars, "kafka.Kafka", str(self._properties))
        self._process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not (_listens(self._port) and _answers(self.bootstrap)):
            if self._process.poll() is not None:
                self._process = None
                raise BrokerUnavailable(f"the broker ended while starting; its log ends with:\n{self._end_of_log()}")
            if time.monotonic() > deadline:
                self.stop()
                raise BrokerUnavailable(f"no answer after {READY_SECONDS_MAX:.0f} s; its log:\n{self._end_of_log()}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop it in order; kill it if that takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Connections stay open and nothing is answered, until `start` or `stop`."""
        assert self._process is not None, "only a started broker can be paused"
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def _format(self, data: Path) -> None:
        self._properties.write_text(
            _PROPERTIES.format(port=self._port, controller_port=self._controller_port, data=data)
        )
        cluster = base64.urlsafe_b64encode(uuid.uuid5(uuid.NAMESPACE_URL, str(data)).bytes).rstrip(b"=").decode()
        tool = ["-cp", self._jars, "kafka.tools.StorageTool", "format", "--standalone"]
        formatting = self._run(*tool, f"--cluster-id={cluster}", "--config", str(self._properties))
        if formatting.wait(READY_SECONDS_MAX):
            raise BrokerUnavailable(f"the storage could not be formatted; its log ends with:\n{self._end_of_log()}")

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        launcher = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*launcher, *self._java, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the tests; they stop the broker in their own time.
                start_new_session=True,
            )

    def _end_of_log(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


@contextmanager
def start_broker(cache: Path) -> Iterator[Broker]:
    """A broker that answers, until the end of the block.

    Raises BrokerUnavailable if there is no Java, the jars cannot be fetched, or the broker does not answer.
    """
    if named := os.environ.get("SETTLE_TEST_KAFKA"):
        if not _answers(named):
            raise BrokerUnavailable(f"SETTLE_TEST_KAFKA names {named}, which does not answer")
        yield Broker(named)
        return
    java = _java()
    jars = _jars(cache)
    with tempfile.TemporaryDirectory(prefix="kafka-") as folder:
        broker = _started(java, jars, Path(folder))
        try:
            yield broker
        finally:
            broker.stop()


@contextmanager
def broker_or_skip() -> Iterator[Broker]:
    """The broker; without one the test is skipped, except in CI (CI=true), where it fails."""
    with contextlib.ExitStack() as stack:
        try:
            broker = stack.enter_context(start_broker(CACHE))
        except BrokerUnavailable as reason:
            if os.environ.get("CI") == "true":
                pytest.fail(str(reason))
            pytest.skip(str(reason))
        yield broker


def _started(java: str, jars: Path, folder: Path) -> OwnBroker:
    """A port that was free may be taken when Java gets to it; then others are tried."""
    for attempt in range(1, _START_ATTEMPTS + 1):
        here = folder / str(attempt)
        here.mkdir()
        broker = OwnBroker(java, jars, here)
        try:
            broker.start()
        except BrokerUnavailable as reason:
            if attempt == _START_ATTEMPTS or "Address already in use" not in str(reason):
                raise
        except BaseException:
            broker.stop()
            raise
        else:
            return broker
    raise AssertionError("unreachable: the last attempt returns or raises")


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr if java else ""
    found = re.search(r'version "(\d+)', said)
    if java is None or found is None or int(found[1]) < JAVA_VERSION_MIN:
        what = f"Java {found[1]} is too old" if found else "no Java found"
        raise BrokerUnavailable(
            f"{what}: install a Java {JAVA_VERSION_MIN} runtime and Maven,"
            " or name a running broker in SETTLE_TEST_KAFKA"
        )
    return java


def _jars(cache: Path) -> Path:
    """The folder of the jars that the pom names, fetched if it is not there yet."""
    version = f"{KAFKA_VERSION}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    target = cache / version
    if target.is_dir():
        return target / "lib"
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailable("no Maven found: install it, or name a running broker in SETTLE_TEST_KAFKA")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            new = cache / f"{version}.new"
            shutil.rmtree(new, ignore_errors=True)
            fetched = subprocess.run(
                [
                    *(maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"),
                    *("-DincludeScope=runtime", f"-DoutputDirectory={(new / 'lib').resolve()}"),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if fetched.returncode:
                end = "\n".join(fetched.stdout.splitlines()[:_LOG_LINES])
                raise BrokerUnavailable(f"Maven could not fetch the broker, exit code {fetched.returncode}:\n{end}")
            new.rename(target)
    return target / "lib"


def _listens(port: int) -> bool:
    """Asked first, because a Kafka client whose first contact fails leaves its thread and its sockets behind."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(bootstrap: str) -> bool:
    try:
        with _admin(bootstrap) as admin:
            admin.list_topics()
    except (KafkaError, OSError):
        return False
    return True


@contextmanager
def _admin(bootstrap: str) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), bootstrap_timeout_ms=20_000)
    try:
        yield admin
    finally:
        admin.close()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        return _bind_somewhere(one), _bind_somewhere(other)


def _bind_somewhere(to_bind: socket.socket) -> int:
    for port in random.sample(_PORTS, 100):
        with contextlib.suppress(OSError):
            to_bind.bind(("127.0.0.1", port))
            return port
    raise BrokerUnavailable(f"no free port found between {_PORTS.start} and {_PORTS.stop}")
