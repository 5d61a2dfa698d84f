"""Variants of ours: what `settle consume --until-end` and `settle ingest` run, with a clock at both ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.gate import Gate, tell
from bench.span import Span
from console.session import clock
from consumers.files import Progress, ingest_file
from consumers.kafka import Consumer
from engine.store.database import Rows, Store
from engine.store.intake import Counts


class ClockedStore(Store):
    """Knows when its last transaction was committed, whichever thread did it."""

    committed = 0.0

    @contextmanager
    def writing(self) -> Iterator[Rows]:
        with super().writing() as cursor:
            yield cursor
        self.committed = time.monotonic()


class GatedConsumer(Consumer):
    """The engine's consumer, which reads nothing until its group is complete and the word has come.

    `partitions` is how many this member is to have; `first` is when it asked for its first record.
    """

    def __init__(self, gate: Gate, partitions: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._gate = gate
        self._partitions = partitions
        self.first: float | None = None
        self.cpu_before = 0.0

    def _poll(self, consumer: Any) -> dict[Any, list[Any]]:
        if self.first is None:
            if len(self._reached) == self._partitions:
                self._gate.ready()
            if not self._gate.opened():
                consumer.pause(*consumer.assignment())
                polled = super()._poll(consumer)
                assert not polled, "a paused partition gave records"
                return polled
            consumer.resume(*consumer.paused())
            self.first, self.cpu_before = time.monotonic(), time.process_time()
        return super()._poll(consumer)


def consume(gate: Gate, conninfo: str, bootstrap: str, group: str, topic: str, partitions: int) -> Span:
    """Kafka to committed. The word comes when every member of the group has its partitions.

    Measured: from this member's first request for records, nothing fetched before, to its last commit: fetching,
    decoding, validating, dedupe, the aggregates' decisions, log, facts and offsets, and the rebalance at the end where
    another member is done earlier. Not measured: start, connecting, joining the group, leaving it.
    """
    with ClockedStore(conninfo) as store:
        consumer = GatedConsumer(gate, partitions, store, bootstrap, group, [topic], clock, _complain)
        counts = consumer.run(until_end=True, progress=_tell_committed)
        assert consumer.first is not None
        return Span(_all_recorded(counts), consumer.first, store.committed, time.process_time() - consumer.cpu_before)


def ingest(gate: Gate, conninfo: str, path: str) -> Span:
    """File to committed. Measured: from opening the file to the last commit. Not measured: start and connecting."""
    with ClockedStore(conninfo) as store:
        first, cpu = gate.pass_(), time.process_time()
        counts = ingest_file(store, path, clock, _tell_read)
        return Span(_all_recorded(counts), first, store.committed, time.process_time() - cpu)


def _all_recorded(counts: Counts) -> int:
    assert counts == Counts(recorded=counts.recorded), f"not every event was recorded: {counts}"
    return counts.recorded


def _tell_committed(counts: Counts) -> None:
    tell(committed=counts.recorded)


def _tell_read(progress: Progress) -> None:
    tell(committed=progress.counts.recorded)


def _complain(sentence: str) -> None:
    raise AssertionError(f"the run was disturbed: {sentence}")
