"""The consumer against a real broker and a real database: nothing lost, nothing twice, whatever goes away in between."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import NoOffsetForPartitionError
from kafka.record.default_records import DefaultRecordBatchBuilder
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from console import status
from consumers import dead_letters, ingest, kafka, kafka_client, kafka_producer
from consumers.kafka import Consumer, RetentionOvertook
from consumers.kafka_producer import key_of, producer
from engine.settlement.recording import Slice, record
from engine.store import intake, log, suspense
from engine.store.database import Store
from engine.store.intake import Counts, OffsetsMoved
from replay import facts
from tests.broker import Broker
from tests.consumers import test_personal as personal
from tests.histories import charged, messages, registered, signed

pytestmark = pytest.mark.kafka

WAIT_SECONDS_MAX = 40.0
PARTITIONS = 4
KNOWN = [registered(), *(signed(f"C-{number}") for number in range(1, 5))]
MESSAGE_TOO_LARGE = b"\0" + b"g" * 900_000

Headers = list[tuple[str, bytes | None]]


def clock() -> datetime:
    return datetime(2026, 11, 1, tzinfo=UTC)


def eventually(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS_MAX} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """With a partner and four contracts, taken in from a file."""
    with Store(database) as opened:
        with opened.writing() as cursor:
            intake.ensure(cursor, "file:known", [(0, 0)])
        ingest.ingest(opened, [Slice("file:known", 0, 0, len(KNOWN))], messages(KNOWN, channel="file:known"), clock)
        yield opened


@pytest.fixture
def topic(broker: Broker, request: pytest.FixtureRequest) -> str:
    name = re.sub(r"[^a-z_]", "-", request.node.name.removeprefix("test_"))[:100]
    broker.create_topic(name, PARTITIONS)
    return name


@pytest.fixture
def send(broker: Broker, topic: str) -> Iterator[Callable[..., None]]:
    """Sends messages to a partition of the topic; without one, to that of their key."""
    with producer(broker.bootstrap) as client:

        def sends(raws: Sequence[bytes | None], partition: int | None = None, headers: Headers | None = None) -> None:
            sent = [
                client.send(
                    topic, key=key_of(raw or b"") or b"-", value=raw, partition=partition, headers=headers or []
                )
                for raw in raws
            ]
            client.flush(WAIT_SECONDS_MAX)
            for future in sent:
                future.get(0)

        yield sends


class Running:
    """A consumer in a thread of its own."""

    def __init__(self, store: Store, broker: Broker, topic: str, group: str, threads: ThreadPoolExecutor) -> None:
        self.said: list[str] = []
        self.consumer = Consumer(store, broker.bootstrap, group, [topic], clock, self.said.append)
        self.result: Future[Counts] = threads.submit(self.consumer.run)

    @property
    def partitions(self) -> int:
        return len(self.consumer._reached)

    def stop(self) -> Counts:
        self.consumer.stop.set()
        return self.result.result(WAIT_SECONDS_MAX)


@pytest.fixture
def start(store: Store, broker: Broker, topic: str) -> Iterator[Callable[..., Running]]:
    """Starts a consumer that runs until it is told to stop, at the latest at the end of the test."""
    began: list[Running] = []
    with ThreadPoolExecutor(8, thread_name_prefix="consumer") as threads:

        def starts(group: str = topic) -> Running:
            began.append(Running(store, broker, topic, group, threads))
            return began[-1]

        yield starts
        for running in began:
            running.consumer.stop.set()


def consume(store: Store, broker: Broker, topic: str, group: str | None = None) -> Counts:
    """What a consumer that stops at the end of the topic counts."""
    consumer = Consumer(store, broker.bootstrap, group or topic, [topic], clock, pytest.fail)
    # A consumer that waits for ever fails its test, and does not hold up the others.
    alarm = threading.Timer(WAIT_SECONDS_MAX, consumer.stop.set)
    alarm.start()
    try:
        return consumer.run(until_end=True)
    finally:
        alarm.cancel()


def account(store: Store, topic: str) -> Counts:
    """The topic's account, all partitions together, after everything that must hold was checked."""
    with store.reading() as cursor:
        assert status._told(cursor)["balanced"]
        total = Counts()
        for each in intake.accounts(cursor):
            if each.channel == topic:
                total = total.plus(each.counts)
    assert facts.verify(store).equal
    return total


def recorded(store: Store, topic: str) -> int:
    with store.reading() as cursor:
        return sum(each.counts.recorded for each in intake.accounts(cursor) if each.channel == topic)


def ids(store: Store) -> list[str]:
    """The ids of the volume events in the log, in their order."""
    with store.reading() as cursor:
        events = [json.loads(state) for _, name, state in log.states(cursor, after=0, to=10**9) if "billing" in name]
    return [event["id"] for event in events]


def kept(store: Store, *states: str) -> list[suspense.Entry]:
    with store.reading() as cursor:
        return suspense.entries(cursor, states=states)


def charges(prefix: str, number: int, contract: str = "C-1") -> list[bytes]:
    return [charged(f"{prefix}{n}", contract) for n in range(number)]


def records(broker: Broker, topic: str, number: int) -> list[Any]:
    """The first records of a topic, once there are so many."""
    found: list[Any] = []
    with KafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=None, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])

        def enough() -> bool:
            for polled in consumer.poll(timeout_ms=100).values():
                found.extend(polled)
            return len(found) >= number

        eventually(enough, f"{number} messages in {topic}")
    return found


def committed(broker: Broker, group: str) -> dict[int, int]:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        offsets = admin.list_group_offsets([group])[group]
    finally:
        admin.close()
    return {partition.partition: found.offset for partition, found in offsets.items() if found.offset > 0}


def delete_before(broker: Broker, topic: str, offset: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.delete_records({TopicPartition(topic, 0): offset})
    finally:
        admin.close()


def offsets(store: Store, topic: str) -> dict[int, int]:
    with store.reading() as cursor:
        return intake.offsets(cursor, topic)


def test_what_was_produced_is_recorded_once_however_often_it_is_consumed(
    store: Store, broker: Broker, topic: str
) -> None:
    made = [charged(f"e{n}", f"C-{n % 4 + 1}") for n in range(4_000)]
    assert kafka_producer.produce(broker.bootstrap, topic, made) == len(made)
    assert consume(store, broker, topic) == Counts(recorded=4_000)
    assert account(store, topic) == Counts(recorded=4_000)
    assert sorted(ids(store)) == sorted(f"e{n}" for n in range(4_000))

    assert consume(store, broker, topic) == Counts()
    assert consume(store, broker, topic, "another group") == Counts()
    kafka_producer.produce(broker.bootstrap, topic, made)
    assert consume(store, broker, topic) == Counts(duplicate=4_000)
    assert account(store, topic) == Counts(recorded=4_000, duplicate=4_000)


def test_offsets_are_committed_to_kafka_for_those_who_watch_the_lag(
    store: Store, broker: Broker, topic: str, send: Callable[..., None], start: Callable[..., Running]
) -> None:
    send([charged(f"e{n}", f"C-{n % 4 + 1}") for n in range(100)])
    consume(store, broker, topic)
    ends = {partition: offset for partition, offset in offsets(store, topic).items() if offset}
    eventually(lambda: committed(broker, topic) == ends, "committed offsets")

    running = start()
    send(charges("f", 10), partition=0)
    eventually(lambda: recorded(store, topic) == 110, "recorded")
    running.stop()
    ends = {partition: offset for partition, offset in offsets(store, topic).items() if offset}
    eventually(lambda: committed(broker, topic) == ends, "committed offsets of a consumer that was stopped")


def test_a_repeat_in_another_partition_is_a_duplicate_and_other_content_is_a_conflict(
    store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    for partition in range(PARTITIONS):
        send(charges("e", 50), partition)
    send([charged("e7", amount="3.00"), charged("e7", amount="3.00")], 2)
    assert consume(store, broker, topic) == Counts(recorded=50, duplicate=151, suspended=1)
    assert account(store, topic) == Counts(recorded=50, duplicate=151, suspended=1)
    (entry,) = kept(store, "suspended")
    assert (entry.code, entry.waits_for) == ("identity-conflict", None)


def test_usage_that_comes_before_its_contract_is_recorded_when_that_comes(
    store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    send([charged(f"e{n}", "C-9") for n in range(20)], 0)
    assert consume(store, broker, topic) == Counts(suspended=20)
    assert {(entry.code, entry.waits_for) for entry in kept(store, "suspended")} == {
        ("unknown-contract", "contract:C-9")
    }
    send([signed("C-9", partner="P-9")], 1)
    send([registered("P-9")], 2)
    consume(store, broker, topic)
    assert not kept(store, "suspended")
    # C-9 and P-9 may come in either order.
    assert account(store, topic) in {Counts(recorded=2, suspended=20), Counts(recorded=1, suspended=21)}
    assert sorted(ids(store)) == sorted(f"e{n}" for n in range(20))


def test_an_unreadable_message_is_rejected_and_sent_as_a_dead_letter(
    store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    send([charged("e1"), b'{"specversion":', None, MESSAGE_TOO_LARGE, charged("e2")], 3)
    assert consume(store, broker, topic) == Counts(recorded=2, rejected=3)
    assert account(store, topic) == Counts(recorded=2, rejected=3)
    assert ids(store) == ["e1", "e2"]
    assert [(entry.offset, entry.raw) for entry in kept(store, "rejected")] == [
        (1, b'{"specversion":'),
        (2, b""),
        (3, MESSAGE_TOO_LARGE),
    ]
    letters = records(broker, topic + dead_letters.SUFFIX, 3)
    assert [letter.value for letter in letters] == [b'{"specversion":', b"", MESSAGE_TOO_LARGE]
    headers = [dict(letter.headers) for letter in letters]
    assert [entry.sentence.encode() for entry in kept(store, "rejected")] == [h["tantieme_reason"] for h in headers]
    assert [(h["tantieme_topic"], h["tantieme_partition"], h["tantieme_offset"]) for h in headers] == [
        (topic.encode(), b"3", offset) for offset in (b"1", b"2", b"3")
    ]
    with store.writing() as cursor:
        assert not suspense.undelivered(cursor, 10)


def test_personal_fields_are_sealed_on_their_way_and_no_dead_letter_has_them(
    monkeypatch: pytest.MonkeyPatch, store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    monkeypatch.setenv("SETTLE_SECRET_KEY", personal.KEY)
    beside = [("customer", personal.NAME.encode())]
    send([personal.contact("sound"), personal.contact("waits", partner="P-9"), *personal.BROKEN[:4]], 0, headers=beside)
    assert consume(store, broker, topic) == Counts(recorded=1, suspended=1, rejected=4)
    letters = records(broker, topic + dead_letters.SUFFIX, 4)
    assert personal.betrayed("".join(f"{letter.value} {letter.headers}" for letter in letters)) == []
    assert [json.loads(letter.value)["id"] for letter in letters] == ["e1", "e2", "e3", "e4"]
    assert personal.betrayed(personal.dump(store)) == []


def test_a_header_without_value_is_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch, store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    # Kafka takes it, and other clients send it; this one does not.
    pack = DefaultRecordBatchBuilder.append
    monkeypatch.setattr(
        DefaultRecordBatchBuilder,
        "append",
        lambda self, *record: pack(self, *record[:-1], [("trace", None), *record[-1]]),
    )
    send([charged("e1"), b"unreadable"], 0, headers=[("source", b"eu")])
    monkeypatch.undo()
    assert ("trace", None) in records(broker, topic, 1)[0].headers
    assert consume(store, broker, topic) == Counts(recorded=1, rejected=1)
    (letter,) = records(broker, topic + dead_letters.SUFFIX, 1)
    assert dict(letter.headers)["source"] == b"eu"


class NotUtf8(str):
    """A header's name that this client encodes as others may: not in UTF-8."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"\xff" + super().encode()


def test_a_header_of_any_name_is_no_reason_to_stop(
    store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    names = [NotUtf8("name"), "na\0me", "\x1b[2J", "n" * 30_000, "ce_\0", ""]
    for number, name in enumerate(names):
        send([charged(f"e{number}"), b"unreadable"], 0, headers=[(name, b"x"), ("source", b"eu")])
    send([charged("e6")], 0)
    assert consume(store, broker, topic) == Counts(recorded=7, rejected=6)
    assert account(store, topic) == Counts(recorded=7, rejected=6)
    headers = [dict(letter.headers) for letter in records(broker, topic + dead_letters.SUFFIX, 6)]
    assert {each["source"] for each in headers} == {b"eu"}
    assert headers[0]["\\xffname"] == b"x"


def test_what_no_reader_can_follow_is_rejected_and_the_next_is_recorded(
    store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    deep = b'{"iban":' + b"[" * 50_000
    headers = [("ce_type", b"billing.charged"), ("ce_specversion", b"1.0"), ("ce_id", b"\xff")]
    send([deep, b'{"a\\u0000b":1}', None], 0)
    send([deep, b"{}", None], 0, headers=headers)
    send([charged("e1")], 0)
    assert consume(store, broker, topic) == Counts(recorded=1, rejected=6)
    assert account(store, topic) == Counts(recorded=1, rejected=6)
    assert len(records(broker, topic + dead_letters.SUFFIX, 6)) == 6


def test_a_dead_letter_that_a_dead_process_left_behind_is_sent_by_the_next(
    store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    send([b"left behind"], 0)
    reject(store, topic, [b"left behind"])
    assert consume(store, broker, topic) == Counts()
    (letter,) = records(broker, topic + dead_letters.SUFFIX, 1)
    assert (letter.value, dict(letter.headers)["tantieme_offset"]) == (b"left behind", b"0")
    with store.writing() as cursor:
        assert not suspense.undelivered(cursor, 10)


def test_a_dead_letter_that_is_too_large_holds_up_no_other(store: Store, broker: Broker, topic: str) -> None:
    """A cluster may take larger messages than its producers' defaults."""
    largest = b"l" * suspense.RAW_BYTES_MAX
    reject(store, topic, [b"before", largest, b"after"])
    with dead_letters.DeadLetters(store, broker.bootstrap, pytest.fail) as letters:
        letters.send()
        reject(store, topic, [b"later"], first=3)
        letters.send()
    sent = [letter.value for letter in records(broker, topic + dead_letters.SUFFIX, 4)]
    assert sent == [b"before", largest, b"after", b"later"]


def reject(store: Store, topic: str, raws: Sequence[bytes], first: int = 0) -> None:
    """As a consumer does that dies before it sends the dead letters."""
    with store.writing() as cursor:
        intake.ensure(cursor, topic, [(0, 0)])
    record(store, [Slice(topic, 0, None, len(raws))], messages(raws, topic, first), clock())


def test_binary_mode_is_recorded(store: Store, broker: Broker, topic: str, send: Callable[..., None]) -> None:
    envelope = json.loads(charged("e1"))
    data = json.dumps(envelope.pop("data")).encode()
    headers = [(f"ce_{name}", value.encode()) for name, value in envelope.items()]
    send([data], 0, headers=[*headers, ("content-type", b"application/json")])
    send([charged("e1")], 1)
    assert consume(store, broker, topic) == Counts(recorded=1, duplicate=1)
    assert ids(store) == ["e1"]


def test_members_of_a_group_come_and_go_and_nothing_is_lost_or_twice(
    store: Store, topic: str, send: Callable[..., None], start: Callable[..., Running]
) -> None:
    sent = 0

    def more() -> None:
        nonlocal sent
        for partition in range(PARTITIONS):
            send(charges(f"{sent}-{partition}-", 250, f"C-{partition + 1}"), partition)
        sent += 1_000

    first, second = start(), start()
    more()
    eventually(lambda: (first.partitions, second.partitions) == (2, 2), "two share four partitions")
    more()
    third = start()
    more()
    eventually(lambda: third.partitions == 1, "a third takes its share")
    more()
    counts = first.stop()
    more()
    eventually(lambda: second.partitions + third.partitions == PARTITIONS, "the others take over")
    eventually(lambda: recorded(store, topic) == sent, "all recorded")
    for running in (second, third):
        counts = counts.plus(running.stop())
    assert counts == account(store, topic) == Counts(recorded=sent)
    assert len(ids(store)) == len(set(ids(store))) == sent


def test_a_slice_that_another_has_moved_is_refused_whole(store: Store, topic: str) -> None:
    with store.writing() as cursor:
        intake.ensure(cursor, topic, [(0, 0), (1, 0)])
    record(store, [Slice(topic, 0, 0, 1)], messages([charged("e1")], topic), clock())
    late = [*messages([charged("e2"), b"unreadable"], topic, 0)]
    with pytest.raises(OffsetsMoved, match=re.escape(f"{topic}/0: expected offset 0, found offset 1")):
        record(store, [Slice(topic, 1, 0, 0), Slice(topic, 0, 0, 2)], late, clock())
    assert ids(store) == ["e1"]
    assert not kept(store, "suspended", "rejected")
    assert account(store, topic) == Counts(recorded=1)


def test_two_groups_that_both_hold_every_partition_count_every_message_once(
    monkeypatch: pytest.MonkeyPatch,
    store: Store,
    topic: str,
    send: Callable[..., None],
    start: Callable[..., Running],
) -> None:
    """As a consumer that lost its partitions and does not know it yet."""
    monkeypatch.setattr(kafka_client, "MESSAGES_A_POLL", 50)
    for partition in range(PARTITIONS):
        send(charges(f"{partition}-", 500, f"C-{partition + 1}"), partition)
    both = [start("one"), start("other")]
    for partition in range(PARTITIONS):
        send(charges(f"more-{partition}-", 500, f"C-{partition + 1}"), partition)
    eventually(lambda: recorded(store, topic) == 4_000, "all recorded")
    counts = [running.stop() for running in both]
    assert Counts().plus(counts[0]).plus(counts[1]) == account(store, topic) == Counts(recorded=4_000)
    assert len(set(ids(store))) == 4_000


def test_offsets_without_message_are_counted_and_an_aborted_message_is_not_recorded(
    store: Store, broker: Broker, topic: str
) -> None:
    with KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=topic, acks="all") as client:
        client.init_transactions()
        for number, ends in enumerate([client.commit_transaction, client.abort_transaction, client.commit_transaction]):
            client.begin_transaction()
            for raw in charges(f"{number}-", 10):
                client.send(topic, raw, partition=0)
            client.flush()
            ends()
    # The last marker has no message behind it yet: the consumer knows that it is at the end all the same.
    assert consume(store, broker, topic) == Counts(recorded=20, skipped=12)
    assert account(store, topic) == Counts(recorded=20, skipped=12)
    assert {name.partition("-")[0] for name in ids(store)} == {"0", "2"}
    assert offsets(store, topic)[0] == 32


# kafka-python leaves a socket open with every attempt to connect that fails; they are to be found by no other test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_goes_away_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broker: Broker,
    store: Store,
    topic: str,
    start: Callable[..., Running],
) -> None:
    # A captured error would hold its socket.
    caplog.set_level(logging.CRITICAL + 1, "kafka")
    monkeypatch.setattr(kafka, "_PROBE_AFTER_IDLE_POLLS", 2)
    # The group waits so long for the member that could not say that it leaves; the broker allows no less.
    monkeypatch.setattr(kafka_client, "_SESSION_MS", 6_000)
    running = start()
    kafka_producer.produce(broker.bootstrap, topic, charges("before-", 100))
    eventually(lambda: recorded(store, topic) == 100, "recorded")
    broker.stop()
    try:
        eventually(lambda: running.said, "said that the broker is away")
    finally:
        broker.start()
    kafka_producer.produce(broker.bootstrap, topic, charges("after-", 100))
    eventually(lambda: recorded(store, topic) == 200, "recorded afterwards")
    assert running.stop() == account(store, topic) == Counts(recorded=200)
    assert running.said == BROKER_AWAY_AND_BACK
    gc.collect()


def test_a_broker_that_is_away_at_first_is_waited_for(
    broker: Broker, store: Store, topic: str, start: Callable[..., Running]
) -> None:
    kafka_producer.produce(broker.bootstrap, topic, charges("e", 10))
    broker.stop()
    try:
        running = start()
        eventually(lambda: running.said, "said that the broker is away")
    finally:
        broker.start()
    eventually(lambda: recorded(store, topic) == 10, "recorded")
    assert running.stop() == account(store, topic) == Counts(recorded=10)
    assert running.said == BROKER_AWAY_AND_BACK


BROKER_AWAY_AND_BACK = [
    "the broker does not answer; waiting for it, nothing is lost",
    "the broker is back; going on where it was",
]


class Away:
    """The database takes no connections and has ended those that there were, until the end of the block."""

    def __init__(self, server: str, database: str) -> None:
        self._server = server
        self._name = str(conninfo_to_dict(database)["dbname"])

    def _allow(self, *, allowed: bool) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(
                SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(Identifier(self._name), SQL(str(allowed).lower()))
            )
            if not allowed:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self._name,)
                )

    def __enter__(self) -> None:
        self._allow(allowed=False)

    def __exit__(self, *_: object) -> None:
        self._allow(allowed=True)


DATABASE_AWAY_AND_BACK = [
    "the database does not answer; waiting for it, nothing is lost",
    "the database is back; going on where it was",
]


def test_a_database_that_goes_away_is_waited_for(
    postgres: str,
    database: str,
    store: Store,
    topic: str,
    send: Callable[..., None],
    start: Callable[..., Running],
) -> None:
    running = start()
    send(charges("before-", 100), 0)
    eventually(lambda: recorded(store, topic) == 100, "recorded")
    with Away(postgres, database):
        send(charges("during-", 100), 1)
        eventually(lambda: running.said, "said that the database is away")
    send(charges("after-", 100), 2)
    eventually(lambda: len(running.said) > 1, "said that the database is back")
    eventually(lambda: recorded(store, topic) == 300, "recorded afterwards")
    running.stop()
    assert account(store, topic) == Counts(recorded=300)
    assert running.said == DATABASE_AWAY_AND_BACK


def test_a_join_that_ends_between_two_polls_is_not_forgotten(store: Store, broker: Broker, topic: str) -> None:
    """Left to itself, kafka-python 3.0.12 would stay without heartbeats and without the new partition for ever."""
    client = Consumer(store, broker.bootstrap, topic, [topic], clock, pytest.fail)._connected()

    def assigned() -> int:
        with contextlib.suppress(NoOffsetForPartitionError):
            client.poll(timeout_ms=100)
        return len(client.assignment())

    try:
        eventually(lambda: assigned() == PARTITIONS, "assigned")
        for partition in client.assignment():
            client.seek(partition, 0)
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        admin.create_partitions({topic: PARTITIONS + 1})
        admin.close()
        eventually(lambda: client.topics() and client._coordinator.need_rejoin(), "the new partition known")
        client.poll(timeout_ms=0)
        eventually(lambda: client._coordinator._join_task.is_done, "joined")
        eventually(lambda: assigned() == PARTITIONS + 1, "the new partition assigned")
    finally:
        client.close()


def test_what_a_dead_process_left_to_be_recycled_is_recycled_by_who_takes_its_partitions(
    store: Store, topic: str, send: Callable[..., None], start: Callable[..., Running]
) -> None:
    stays, dies = start(), start()
    eventually(lambda: (stays.partitions, dies.partitions) == (2, 2), "two share four partitions")
    with store.writing() as cursor:
        intake.ensure(cursor, "file:other", [(0, 0)])
    # Recorded, and not yet recycled what waits for it.
    for raw in (charged("e1", "C-9"), signed("C-9")):
        record(store, [Slice("file:other", 0, None, 1)], messages([raw], "file:other"), clock())
    dies.stop()
    eventually(lambda: not kept(store, "suspended"), "recycled")
    stays.stop()
    assert ids(store) == ["e1"]
    account(store, topic)


def test_a_consumer_that_is_stopped_while_its_batch_is_refused_just_stops(
    monkeypatch: pytest.MonkeyPatch, store: Store, send: Callable[..., None], start: Callable[..., Running], topic: str
) -> None:
    running = start()
    eventually(lambda: running.partitions == PARTITIONS, "assigned")

    def moved(*_: object) -> None:
        running.consumer.stop.set()
        raise OffsetsMoved("by another")

    monkeypatch.setattr(ingest, "record", moved)
    send(charges("e", 10), 0)
    assert running.result.result(WAIT_SECONDS_MAX) == Counts()
    assert account(store, topic) == Counts()


def test_messages_deleted_before_they_were_consumed_stop_the_consumer_with_a_sentence(
    store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    send(charges("e", 10), 0)
    consume(store, broker, topic)
    send(charges("f", 10), 0)
    delete_before(broker, topic, 15)
    with pytest.raises(RetentionOvertook) as overtaken:
        consume(store, broker, topic)
    assert str(overtaken.value) == (
        f"{topic}/0: offset 10 is next, but Kafka begins at 15; messages were deleted before they were consumed, or "
        "the topic was made anew. Restore them, or consume the topic under another name"
    )
    assert account(store, topic) == Counts(recorded=10)


def test_messages_that_are_polled_while_partitions_are_handed_over_are_not_taken_for_consumed(
    monkeypatch: pytest.MonkeyPatch, store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    send(charges("e", 10), 0)
    consumer = Consumer(store, broker.bootstrap, topic, [topic], clock, pytest.fail)
    handed_over = []

    class Client(KafkaConsumer):  # type: ignore[misc]
        def poll(self, **options: Any) -> Any:
            polled = super().poll(**options)
            if polled and not handed_over:
                handed_over.append(True)
                consumer._reassigned.set()
            return polled

    monkeypatch.setattr(kafka_client, "KafkaConsumer", Client)
    assert consumer.run(until_end=True) == Counts(recorded=10)
    assert handed_over


def test_a_topic_that_another_has_begun_meanwhile_is_not_taken_for_overtaken(
    monkeypatch: pytest.MonkeyPatch, store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    send(charges("e", 20), 0)
    delete_before(broker, topic, 15)
    others = []

    class Client(KafkaConsumer):  # type: ignore[misc]
        def beginning_offsets(self, *arguments: Any, **options: Any) -> Any:
            if not others:
                others.append(None)
                others[0] = consume(store, broker, topic, "another group")
            return super().beginning_offsets(*arguments, **options)

    monkeypatch.setattr(kafka_client, "KafkaConsumer", Client)
    assert consume(store, broker, topic) == Counts()
    assert others == [account(store, topic)] == [Counts(recorded=5)]


def test_a_topic_never_consumed_is_begun_where_kafka_begins(
    store: Store, broker: Broker, topic: str, send: Callable[..., None]
) -> None:
    send(charges("e", 20), 0)
    delete_before(broker, topic, 15)
    assert consume(store, broker, topic) == Counts(recorded=5)
    assert account(store, topic) == Counts(recorded=5)
    with store.reading() as cursor:
        (begun,) = [each for each in intake.accounts(cursor) if each.channel == topic and each.partition == 0]
    assert (begun.start, begun.next) == (15, 20)
