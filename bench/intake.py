"""Intake: how many events a second go from Kafka or a file to committed, beside a bare loop and the bare library.

Every variant runs in processes of its own, on the same server, each time on a fresh database. The variants take turns,
round after round, so that a slow minute of the machine falls on all of them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from bench import databases, machine, report
from bench.databases import Databases
from bench.events import CONTRACTS, write_charges
from bench.library import AGGREGATES_A_SAVE
from bench.report import Memory, Outcome
from bench.runs import Run, RunFailed, run
from consumers.files import lines_of
from consumers.kafka_producer import produce
from tests.broker import CACHE, KAFKA_VERSION, Broker, BrokerUnavailable, OwnBroker, start_broker

PARTITIONS = 4
# The library's own way is far slower; a smaller sample takes as long, and its rate does not depend on it.
_SAVES_SINGLE = 2_000
_SAVES_BATCHED = 20_000
_TOPIC, _TOPIC_LONG = "bench", "bench-long"
# The memory runs are twice as long as the others, and looked at after a quarter, a half and all of their events.
_LONG = 2
_PARTS = (4, 2, 1)


class Variant(NamedTuple):
    """`kind` names the worker's function; `registered` asks for a database with contracts, which only ours has."""

    key: str
    label: str
    kind: str
    events: int
    registered: bool = False
    processes: int = 1
    a_save: int = 0

    @property
    def from_kafka(self) -> bool:
        return self.kind.endswith("-kafka")


def variants(events: int) -> list[Variant]:
    single, batched = min(events, _SAVES_SINGLE), min(events, _SAVES_BATCHED)
    a_save = AGGREGATES_A_SAVE
    return [
        Variant(
            "ours-kafka-1", f"ours, Kafka, 1 consumer, {PARTITIONS} partitions", "ours-kafka", events, registered=True
        ),
        Variant(
            "ours-kafka-2",
            f"ours, Kafka, 2 consumers, {PARTITIONS} partitions",
            "ours-kafka",
            events,
            registered=True,
            processes=2,
        ),
        Variant("bare-kafka", "(a) bare loop, Kafka", "bare-kafka", events),
        Variant("ours-file", "ours, file", "ours-file", events, registered=True),
        Variant("bare-file", "(a) bare loop, file", "bare-file", events),
        Variant("library-1", "(b) library, one aggregate a save, file", "library", single, a_save=1),
        Variant("library-n", f"(c) library, {a_save} aggregates a save, file", "library", batched, a_save=a_save),
    ]


def main(events: int, rounds: int, date: str, results: Path) -> None:
    """Measures, prints the table and writes it to `results`. Raises RunFailed."""
    with ExitStack() as stack:
        stack.enter_context(_kept_quiet())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="settle-bench-input-")))
        _say("starting PostgreSQL and Kafka")
        server = stack.enter_context(databases.started())
        broker = _broker(stack)
        facts = machine.facts(server.facts(), _kafka_version(broker))
        bench = _Bench(server, broker, folder, events)
        outcomes = bench.rounds(rounds)
        memory = bench.memory()
    told = report.Report(
        date=date,
        events=events,
        event_bytes=bench.event_bytes,
        contracts=CONTRACTS,
        rounds=rounds,
        machine=facts,
        outcomes=outcomes,
        memory=memory,
        without_kafka=broker is None,
    )
    print(report.markdown(told))
    report.write(told, results)
    _say(f"written to {results}/intake.md and intake.json")


class _Bench:
    def __init__(self, server: Databases, broker: Broker | None, folder: Path, events: int) -> None:
        self._server = server
        self._broker = broker
        self._events = events
        self._file, self._file_long = folder / "events.jsonl", folder / "events-long.jsonl"
        self._groups = 0
        _say(f"writing {events:,} and {events * _LONG:,} events")
        self.event_bytes = write_charges(self._file, events)
        write_charges(self._file_long, events * _LONG)
        if broker is not None:
            for topic, file in ((_TOPIC, self._file), (_TOPIC_LONG, self._file_long)):
                broker.create_topic(topic, PARTITIONS)
                _say(f"sending them to topic {topic}")
                produce(broker.bootstrap, topic, lines_of(str(file)))

    def rounds(self, rounds: int) -> list[Outcome]:
        """Odd rounds go forwards, even ones backwards, so that nobody always comes after the same one."""
        told = [v for v in variants(self._events) if self._broker is not None or not v.from_kafka]
        runs: dict[str, list[Run]] = {variant.key: [] for variant in told}
        # Once for nothing: the first reader of a topic finds a Java that has compiled nothing yet.
        for variant in told:
            if variant.key == "bare-kafka":
                _say("warming up")
                self._run(variant, self._file, _TOPIC)
        for number in range(1, rounds + 1):
            for variant in told if number % 2 else reversed(told):
                done = self._run(variant, self._file, _TOPIC)
                runs[variant.key].append(done)
                _say(f"round {number}/{rounds}  {variant.label:<44} {done.rate:>10,.0f} events/s")
        return [Outcome(v.key, v.label, v.events, runs[v.key]) for v in told]

    def memory(self) -> list[Memory]:
        """One long run a source; its peak by the time that a quarter, a half and all of its events were committed."""
        found = []
        long = self._events * _LONG
        for variant in variants(long):
            if not variant.registered or variant.processes > 1 or (variant.from_kafka and self._broker is None):
                continue
            _say(f"memory of {variant.label}, {long:,} events")
            samples = self._run(variant, self._file_long, _TOPIC_LONG, sampled=True).samples
            peaks = {
                long // part: max(sample.memory for sample in samples if sample.committed <= long // part)
                for part in _PARTS
            }
            found.append(Memory(variant.key, variant.label, peaks))
        return found

    def _run(self, variant: Variant, file: Path, topic: str, *, sampled: bool = False) -> Run:
        with self._server.fresh(registered=variant.registered) as conninfo:
            arguments: dict[str, Any] = {"conninfo": conninfo}
            if variant.from_kafka:
                assert self._broker is not None
                # A new group has nothing to go on from, and no member of an earlier one to wait for.
                self._groups += 1
                arguments |= {
                    "bootstrap": self._broker.bootstrap,
                    "group": f"bench-{self._groups}",
                    "topic": topic,
                    "partitions": PARTITIONS // variant.processes,
                }
            else:
                arguments["path"] = str(file)
            if variant.a_save:
                arguments |= {"events": variant.events, "a_save": variant.a_save}
            task: Mapping[str, Any] = {"kind": variant.kind, "arguments": arguments}
            done = run([dict(task)] * variant.processes, variant.events, sampled=sampled)
            _assert_stored(conninfo, variant)
            return done


# Where a variant's events must lie after its run, whatever its worker says. Ours counts them in the facts as well.
_STORED = {
    "ours-kafka": "SELECT least((SELECT count(*) FROM settle.log WHERE topic = 'billing.charged'), "
    "(SELECT sum(events) FROM settle.facts WHERE field = 'amount'))",
    "bare-kafka": "SELECT count(*) FROM charges",
    "library": "SELECT count(*) FROM application_events",
}


def _assert_stored(conninfo: str, variant: Variant) -> None:
    query = _STORED.get(variant.kind) or _STORED[variant.kind.replace("-file", "-kafka")]
    with psycopg.connect(conninfo) as connection:
        stored = connection.execute(query).fetchall()[0][0]
    if stored != variant.events:
        raise RunFailed(f"{variant.label}: {stored:,} of {variant.events:,} events are in the database")


def _broker(stack: ExitStack) -> Broker | None:
    try:
        return stack.enter_context(start_broker(CACHE))
    except BrokerUnavailable as reason:
        _say(f"without Kafka: {reason}")
        return None


def _kafka_version(broker: Broker | None) -> str:
    match broker:
        case None:
            return "none"
        case OwnBroker():
            return f"{KAFKA_VERSION} (one KRaft node, same machine)"
        case _:
            return f"the broker at {broker.bootstrap}"


@contextmanager
def _kept_quiet() -> Iterator[None]:
    """The Kafka client's log would run into the table."""
    import logging  # noqa: PLC0415

    logger = logging.getLogger("kafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _say(sentence: str) -> None:
    print(f"bench: {sentence}", file=sys.stderr, flush=True)
