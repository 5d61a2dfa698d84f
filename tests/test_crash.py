"""Two consumers that are killed again and again lose nothing, count nothing twice, and leave every account balanced."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from kafka.errors import KafkaError

from console import status
from consumers.decode import decode
from consumers.kafka_producer import key_of, producer
from engine import events
from engine.settlement.recording import Readable
from engine.store import intake, log, suspense
from engine.store.database import Store
from replay import facts
from tests.broker import Broker
from tests.histories import charged, registered, signed

pytestmark = pytest.mark.kafka

SEED = 20261103
PARTITIONS = 4
CONTRACTS = 60
CHARGES = 28_000
KILLS = 8
# Longer than the server lets a process hold the writers' lock that is frozen in a transaction (engine.store.database).
WAIT_SECONDS_MAX = 120.0
GROUP = TOPIC = "crashes"


def history(rng: random.Random) -> list[tuple[bytes, int | None]]:
    """(message, partition): everything once by its key, some later than what needs it, and a tenth again anywhere."""
    told = [registered(), *(signed(f"C-{number}") for number in range(CONTRACTS))]
    made = [
        charged(f"e{n}", f"C-{rng.randrange(CONTRACTS)}", f"{rng.randrange(10_000) / 100:.2f}") for n in range(CHARGES)
    ]
    for raw in told:
        made.insert(rng.randrange(len(made) // 2), raw)
    sent: list[tuple[bytes, int | None]] = [(raw, None) for raw in made]
    for raw in rng.sample(made, len(made) // 10):
        sent.insert(rng.randrange(len(sent)), (raw, rng.randrange(PARTITIONS)))
    return sent


def produce(broker: Broker, sent: list[tuple[bytes, int | None]]) -> None:
    with producer(broker.bootstrap) as client:
        futures = [client.send(TOPIC, raw, key=key_of(raw), partition=partition) for raw, partition in sent]
        client.flush(WAIT_SECONDS_MAX)
        assert all(future.succeeded() for future in futures)


class Worker:
    def __init__(self, database: str, bootstrap: str) -> None:
        self._command = [sys.executable, "-m", "tests.crash_worker", database, bootstrap, GROUP, TOPIC]
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[1])

    def kill(self) -> None:
        assert self.process.poll() is None, "it ended by itself"
        self.process.kill()
        self._gone()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def restart(self) -> None:
        self.process = self._started()

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self._gone()

    def _gone(self) -> int:
        assert self.process.stdin is not None
        code = self.process.wait(WAIT_SECONDS_MAX)
        self.process.stdin.close()
        return code


@pytest.fixture
def workers(broker: Broker, database: str) -> Iterator[list[Worker]]:
    broker.create_topic(TOPIC, PARTITIONS)
    started = [Worker(database, broker.bootstrap) for _ in range(2)]
    yield started
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()


def expel(broker: Broker) -> None:
    """Takes every member out of the group: the dead at once, and the living, who do not know it yet."""
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        with contextlib.suppress(KafkaError):
            members = admin.describe_groups([GROUP])[GROUP]["members"]
            admin.remove_group_members(GROUP, [MemberToRemove(member["member_id"]) for member in members])
    finally:
        admin.close()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def delay(worker: Worker, broker: Broker, store: Store, messages: int, start_another: Callable[[], None]) -> None:
    """Stops the only one that consumes, until another has recorded what it has in its hands when it goes on."""
    expel(broker)
    further = min(consumed(store) + 1_000, messages)
    assert within(WAIT_SECONDS_MAX, lambda: consumed(store) >= further)
    assert within(WAIT_SECONDS_MAX, lambda: paused_between_batches(worker, store))
    expel(broker)
    start_another()
    further = min(consumed(store) + 1_000, messages)
    assert within(WAIT_SECONDS_MAX, lambda: consumed(store) >= further)
    worker.signal(signal.SIGCONT)


def paused_between_batches(worker: Worker, store: Store) -> bool:
    """Where it holds no lock, so that the other can go on without it."""
    worker.signal(signal.SIGSTOP)
    # Only from then on: until all its threads have stopped, one of them may still begin a transaction.
    assert os.waitid(os.P_PID, worker.process.pid, os.WSTOPPED) is not None
    with store.reading() as cursor:
        (busy,) = cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
        ).fetchone() or (0,)
    if busy:
        worker.signal(signal.SIGCONT)
    return not busy


def consumed(store: Store) -> int:
    with store.reading() as cursor:
        return sum(account.next for account in intake.accounts(cursor))


def test_killed_consumers_lose_nothing_and_count_nothing_twice(
    broker: Broker, database: str, workers: list[Worker]
) -> None:
    rng = random.Random(SEED)  # noqa: S311
    sent = history(rng)
    with Store(database) as store:
        produce(broker, sent)
        for number in range(KILLS):
            # Somewhere in its work, or after a while: when it starts, joins the group, or waits for it.
            further = consumed(store) + rng.randrange(1, CHARGES // KILLS)
            if number % 4:
                within(rng.uniform(2.0, 6.0), lambda further=further: consumed(store) >= further)  # type: ignore[misc]
                time.sleep(rng.uniform(0, 0.03))
            else:
                within(rng.uniform(0.1, 2.0), lambda: False)
            killed, other = rng.sample(workers, 2)
            killed.kill()
            if rng.random() < 0.8:
                expel(broker)
            if number % 2:
                delay(other, broker, store, len(sent), killed.restart)
            else:
                killed.restart()
        assert within(WAIT_SECONDS_MAX, lambda: consumed(store) >= len(sent)), consumed(store)
        assert within(WAIT_SECONDS_MAX, lambda: not suspended(store)), suspended(store)
        # The one that was killed last may not have got as far as to hear the signal.
        assert {worker.stop() for worker in workers} <= {0, -signal.SIGTERM}
        check(store, [raw for raw, _ in sent])


def suspended(store: Store) -> list[tuple[str, str, int]]:
    with store.reading() as cursor:
        return [row for row in suspense.totals(cursor) if row[0] == "suspended"]


def check(store: Store, sent: list[bytes]) -> None:
    expected = {arrival.identity: arrival.event for arrival in map(decode, sent) if isinstance(arrival, Readable)}
    with store.reading() as cursor:
        stored = log.states(cursor, after=0, to=10**9, limit=10**9)
        told = status._told(cursor)
        streams = cursor.execute(
            "SELECT count(*), min(originator_version), max(originator_version) FROM settle.log GROUP BY originator_id"
        ).fetchall()
        batches = cursor.execute(
            "SELECT first_position, last_position FROM settle.batches ORDER BY first_position"
        ).fetchall()
        live = cursor.execute(
            "SELECT contract, sum(events), sum(value_micros) FROM settle.facts WHERE field = 'amount' GROUP BY contract"
        ).fetchall()

    assert Counter(events.decoded(name, state) for _, name, state in stored) == Counter(expected.values())
    assert [position for position, _, _ in stored] == list(range(1, len(expected) + 1))
    assert all((low, high) == (1, number) for number, low, high in streams)
    assert [first for first, _ in batches] == [1, *(last + 1 for _, last in batches[:-1])]

    assert told["balanced"]
    assert told["consumed"] == len(sent)
    assert told["total"]["duplicate"] == len(sent) - len(expected)
    assert told["total"]["rejected"] == told["total"]["skipped"] == 0
    assert told["total"]["suspended"] == told["recycled"] > 0

    assert facts.verify(store).equal
    charges = [event for event in expected.values() if isinstance(event, events.BillingCharged)]
    numbers = Counter(charge.contract for charge in charges)
    amounts: Counter[str] = Counter()
    for charge in charges:
        amounts[charge.contract] += charge.amount
    assert {(contract, number, amount) for contract, number, amount in live} == {
        (contract, numbers[contract], amounts[contract]) for contract in numbers
    }
