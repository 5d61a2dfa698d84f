"""The broker that other tests rely on: it keeps messages, also while it is away, and never outlives the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import TopicAlreadyExistsError

from tests import broker as module
from tests.broker import Broker, BrokerUnavailable, OwnBroker, start_broker

pytestmark = pytest.mark.kafka

WAIT_SECONDS_MAX = 60.0
PARTITIONS = 2
MESSAGES = [f"message {number}".encode() for number in range(100)]

HOLD = """
import sys
from pathlib import Path
from tests.broker import start_broker
with start_broker(Path(sys.argv[1])) as broker:
    print(broker.bootstrap, flush=True)
    sys.stdin.read()
"""


def produce(broker: Broker, topic: str) -> None:
    with KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        sent = [producer.send(topic, message, partition=n % PARTITIONS) for n, message in enumerate(MESSAGES)]
        producer.flush(WAIT_SECONDS_MAX)
        assert all(future.get(0).topic == topic for future in sent)


def consume(broker: Broker, topic: str) -> list[bytes]:
    """What the topic holds, sorted; as many as were produced are awaited."""
    found: list[bytes] = []
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    with KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=None, auto_offset_reset="earliest") as consumer:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        expected = sum(consumer.end_offsets(partitions).values())
        while len(found) < expected and time.monotonic() < deadline:
            for records in consumer.poll(timeout_ms=500).values():
                found += [record.value for record in records]
    return sorted(found)


def test_what_is_produced_is_consumed(broker: Broker) -> None:
    broker.create_topic("round-trip", PARTITIONS)
    produce(broker, "round-trip")
    assert consume(broker, "round-trip") == sorted(MESSAGES)


def test_a_stopped_broker_is_gone_and_comes_back_with_its_messages(broker: Broker) -> None:
    broker.create_topic("kept", PARTITIONS)
    produce(broker, "kept")
    before = broker.bootstrap
    broker.stop()
    assert not module._listens(int(before.rpartition(":")[2]))
    broker.start()
    assert broker.bootstrap == before
    assert consume(broker, "kept") == sorted(MESSAGES)


def test_a_paused_broker_goes_on(broker: Broker) -> None:
    broker.create_topic("paused", PARTITIONS)
    produce(broker, "paused")
    broker.pause()
    try:
        if isinstance(broker, OwnBroker) and broker._process is not None:
            assert psutil.Process(broker._process.pid).status() == psutil.STATUS_STOPPED
    finally:
        broker.start()
    assert consume(broker, "paused") == sorted(MESSAGES)


def test_a_topic_exists_once(broker: Broker) -> None:
    broker.create_topic("once", 1)
    with pytest.raises(TopicAlreadyExistsError):
        broker.create_topic("once", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="only the kernel of Linux ends a child with its parent")
@pytest.mark.skipif("SETTLE_TEST_KAFKA" in os.environ, reason="the broker is not ours")
@pytest.mark.usefixtures("broker")  # It says that there can be one, and fetches the jars.
def test_a_broker_dies_with_a_killed_test_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, module.CACHE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        # What a killed process cannot remove.
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        (java,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGKILL)
        java.wait(WAIT_SECONDS_MAX)


def test_without_java_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SETTLE_TEST_KAFKA", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = "no Java found: install a Java 17 runtime and Maven, or name a running broker in SETTLE_TEST_KAFKA"
    with pytest.raises(BrokerUnavailable, match=said), start_broker(tmp_path):
        pass


@pytest.mark.parametrize(("in_ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_broker_tests_are_skipped_but_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch, in_ci: str, outcome: type[BaseException]
) -> None:
    def refuse(_: Path) -> None:
        raise BrokerUnavailable("the reason")

    monkeypatch.setattr(module, "start_broker", refuse)
    monkeypatch.setenv("CI", in_ci)
    with pytest.raises(outcome, match="the reason"), module.broker_or_skip():
        pass


def test_jars_that_cannot_be_fetched_leave_nothing_half(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\nfor last; do :; done\nmkdir -p ${last#*=}\necho no route\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:{os.environ['PATH']}")
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match=r"(?s)exit code 1.*no route"):
            module._jars(tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir() and path.suffix != ".new"]
