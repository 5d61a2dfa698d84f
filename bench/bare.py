"""The yardstick: a bare loop that reads, parses and COPYs into one table, and does nothing else.

No validation, no dedupe, no decisions, no versions, no facts, no offsets in the database, and no index on the table. It
is what the engine would cost if it did nothing for its keep.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
from kafka.errors import NoOffsetForPartitionError

from bench.gate import Gate, tell
from bench.span import Span
from console.session import clock
from consumers.files import MESSAGES_A_BATCH
from consumers.kafka import Consumer

_TABLE = """
CREATE TABLE charges (
    source text NOT NULL, id text NOT NULL, type text NOT NULL, time timestamptz NOT NULL,
    contract text NOT NULL, amount text NOT NULL, event bytea NOT NULL
)
"""
_COPY = "COPY charges FROM STDIN WITH (FORMAT BINARY)"
_TYPES = ["text", "text", "text", "timestamptz", "text", "text", "bytea"]
_POLL_MS = 500


def ingest(gate: Gate, conninfo: str, path: str) -> Span:
    """File to committed, a commit each 10,000 lines. Measured: from opening the file to the last commit."""
    with psycopg.connect(conninfo) as connection:
        _make_table(connection)
        first, cpu = gate.pass_(), time.process_time()
        events, last = 0, first
        with Path(path).open("rb") as file:
            while lines := list(itertools.islice(file, MESSAGES_A_BATCH)):
                _copy(connection, lines)
                connection.commit()
                events, last = events + len(lines), time.monotonic()
        return Span(events, first, last, time.process_time() - cpu)


def consume(gate: Gate, conninfo: str, bootstrap: str, group: str, topic: str, partitions: int) -> Span:
    """Kafka to committed, a commit each poll, with the very consumer that the engine makes.

    Measured: from the first request for records, nothing fetched before, to the last commit. Not measured: start,
    connecting, joining the group.
    """
    with psycopg.connect(conninfo) as connection:
        _make_table(connection)
        return _Loop(bootstrap, group, topic).run(gate, connection, partitions)


class _Loop(Consumer):
    """A Consumer for the sake of its settings only; of what it does, nothing is used but connecting."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        super().__init__(None, bootstrap, group, [topic], clock, print)  # type: ignore[arg-type] # it has no store

    def run(self, gate: Gate, connection: psycopg.Connection[Any], partitions: int) -> Span:  # type: ignore[override]
        consumer = self._connected()
        try:
            while len(consumer.assignment()) < partitions:
                try:
                    consumer.poll(timeout_ms=100)
                except NoOffsetForPartitionError:
                    break
            for tp in consumer.assignment():
                consumer.seek(tp, 0)
            consumer.pause(*consumer.assignment())
            gate.pass_()
            consumer.resume(*consumer.paused())
            return self._measured(consumer, connection, sum(self._ends.values()))
        finally:
            consumer.close(autocommit=False)

    def _measured(self, consumer: Any, connection: psycopg.Connection[Any], wanted: int) -> Span:
        cpu, first = time.process_time(), time.monotonic()
        events, last = 0, first
        while events < wanted:
            raws = [r.value for records in consumer.poll(timeout_ms=_POLL_MS).values() for r in records]
            if not raws:
                continue
            _copy(connection, raws)
            connection.commit()
            consumer.commit_async()
            events, last = events + len(raws), time.monotonic()
            tell(committed=events)
        return Span(events, first, last, time.process_time() - cpu)


def _make_table(connection: psycopg.Connection[Any]) -> None:
    connection.execute(_TABLE)
    connection.commit()


def _copy(connection: psycopg.Connection[Any], raws: Iterable[bytes]) -> None:
    loads, parsed = orjson.loads, datetime.fromisoformat
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for raw in raws:
            event = loads(raw)
            data = event["data"]
            copy.write_row(
                (
                    event["source"],
                    event["id"],
                    event["type"],
                    parsed(event["time"]),
                    data["contract"],
                    data["amount"],
                    raw,
                )
            )
