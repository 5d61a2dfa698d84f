"""What was issued is sent to Kafka once: whatever dies in between, and whatever is made anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition

from consumers import outbox
from consumers.outgoing import TOPICS
from engine.settlement import closing
from engine.store import outbox as bookmarks
from engine.store.database import Store
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.broker import Broker
from tests.histories import message, registered, signed
from tests.settlement.test_chains import NOVEMBER, OCTOBER, assessed, book, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

pytestmark = pytest.mark.kafka

NOW = datetime(2027, 2, 1, tzinfo=UTC)
POINTS = {"partner": "P-1", "program": "club", "points": "12.5", "reason": "fair", "author": "Li", "approver": "Wu"}


def clock() -> datetime:
    return NOW


@pytest.fixture
def prefix(broker: Broker, request: pytest.FixtureRequest) -> str:
    name = f"out-{abs(hash(request.node.name)) % 10**9}-{os.getpid()}"
    for topic in TOPICS:
        broker.create_topic(f"{name}.{topic}", 2)
    return name


def sent(broker: Broker, prefix: str) -> dict[str, list[dict[str, Any]]]:
    """What readers of committed messages find in the topics, by their positions."""
    found: dict[str, list[dict[str, Any]]] = {}
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, isolation_level="read_committed", group_id=None)
    try:
        for topic in TOPICS:
            places = [TopicPartition(f"{prefix}.{topic}", number) for number in range(2)]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends = consumer.end_offsets(places)
            values = []
            while any(consumer.position(place) < ends[place] for place in places):
                for records in consumer.poll(timeout_ms=200).values():
                    values += [msgspec.json.decode(record.value) for record in records]
            found[topic] = sorted(values, key=lambda each: int(each["id"].partition("/")[0]))
    finally:
        consumer.close()
    return found


def issued(store: Store) -> None:
    take(
        store, registered(), signed(), signed("C-2"), book("  - {name: payable, amount: 30% * sales, round: half_up}\n")
    )
    take(store, charge("1", "100", 10), charge("2", "50", 10, "C-2"), message("points.adjusted", "p", POINTS))
    closing.close(store, OCTOBER, NOW)


def test_statements_adjustments_and_points_are_sent_once(store: Store, broker: Broker, prefix: str) -> None:
    issued(store)
    assert outbox.send(store, broker.bootstrap, clock, prefix=prefix).messages == {
        "statements": 2, "adjustments": 0, "scores": 0, "points": 1,
    }  # fmt: skip
    take(store, charge("late", "10", 10))
    restate(store, NOW)
    closing.close(store, NOVEMBER, NOW)
    assert outbox.send(store, broker.bootstrap, clock, prefix=prefix).messages["adjustments"] == 1
    assert rebuild(store).swapped
    assert not any(outbox.send(store, broker.bootstrap, clock, prefix=prefix).messages.values())
    found = sent(broker, prefix)
    assert [(each["type"], each["data"]["statement"]["payable"]) for each in found["statements"]] == [
        ("settlement_note.issued", "30.00"), ("settlement_note.issued", "15.00"),
        ("settlement_note.issued", "0.00"), ("settlement_note.issued", "0.00"),
    ]  # fmt: skip
    (adjusted,) = found["adjustments"]
    assert adjusted["data"]["adjustment"]["payable"][0]["amount"] == "3.00"
    (points,) = found["points"]
    assert (points["type"], points["data"]["points"]) == ("loyalty_points.adjusted", "12.5")
    ids = [each["id"] for own in found.values() for each in own]
    assert len(ids) == len(set(ids)) == 6


DIES = """
import os, signal, sys
from datetime import UTC, datetime
from consumers import outbox
from engine.store import outbox as bookmarks
from engine.store.database import Store

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

where, conninfo, bootstrap, prefix = sys.argv[1:]
if where == "before the transaction is committed":
    outbox.KafkaProducer.commit_transaction = die
elif where == "before the store knows of it":
    bookmarks.end = die
else:
    outbox._transaction = die
with Store(conninfo) as store:
    outbox.send(store, bootstrap, lambda: datetime(2027, 2, 1, tzinfo=UTC), prefix=prefix)
"""


@pytest.mark.parametrize(
    "where", ["before it begins", "before the transaction is committed", "before the store knows of it"]
)
def test_killed_anywhere_the_next_one_sends_each_once(store: Store, broker: Broker, prefix: str, where: str) -> None:
    issued(store)
    died = subprocess.run(
        [sys.executable, "-c", DIES, where, store.conninfo, broker.bootstrap, prefix], check=False, timeout=60
    )
    assert died.returncode == -signal.SIGKILL
    outbox.send(store, broker.bootstrap, clock, prefix=prefix)
    found = sent(broker, prefix)
    assert [len(found[topic]) for topic in TOPICS] == [2, 0, 0, 1]


def test_what_the_cluster_has_forgotten_a_person_says(store: Store, broker: Broker, prefix: str) -> None:
    issued(store)
    with store.writing() as cursor:
        bookmarks.bookmark(cursor, outbox.NAME)
        bookmarks.begin(cursor, outbox.NAME, 3, NOW - timedelta(days=2))
    with pytest.raises(outbox.SentUnknown):
        outbox.send(store, broker.bootstrap, clock, prefix=prefix)
    assert outbox.resolve(store, sent=False) == 0
    with pytest.raises(outbox.NothingUnknown):
        outbox.resolve(store, sent=True)
    assert outbox.send(store, broker.bootstrap, clock, prefix=prefix).messages["statements"] == 2


def test_without_topics_nothing_is_sent_and_it_says_so(store: Store, broker: Broker) -> None:
    issued(store)
    with pytest.raises(outbox.OutboxRefused, match=r"has no topic nowhere\.adjustments and no"):
        outbox.send(store, broker.bootstrap, clock, prefix="nowhere")
    with store.reading() as cursor:
        assert bookmarks.bookmarks(cursor)[0].position == 0


def test_a_closing_states_what_its_partners_have_in_points(store: Store, broker: Broker, prefix: str) -> None:
    assessed(store)
    closing.close(store, OCTOBER, NOW)
    outbox.send(store, broker.bootstrap, clock, prefix=prefix)
    found = sent(broker, prefix)["points"]
    # As tests/settlement/test_chains.py computes them: 150 earned and 25 for grade A; 100 earned less 160.
    assert {each["data"]["partner"]: (each["type"], each["data"]["balance"], each["data"]["at"]) for each in found} == {
        "P-1": ("loyalty_balance.stated", "175", "2026-10-31"),
        "P-2": ("loyalty_balance.stated", "-60", "2026-10-31"),
    }
