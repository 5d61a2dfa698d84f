"""The one way in: messages from Kafka, files and the demo are decoded, recorded, and what waited for them recycled."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Self

from consumers.suspense import recycle_waiting
from engine.settlement.recording import Message, Result, Slice, record
from engine.store.database import Store
from engine.store.intake import Counts

Clock = Callable[[], datetime]


class Pipeline:
    """Records one batch while the next is read: at most one is in flight, and batches are recorded in order.

    A batch's failure is raised by the next call; what was submitted after it was never begun.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._flying: Future[Result] | None = None

    def __enter__(self) -> Self:
        # A batch holds some 100,000 objects that all live until it is recorded. At its usual thresholds the collector
        # would walk them over and over, a quarter of the time of reading them, to find nothing.
        self._thresholds = gc.get_threshold()
        gc.set_threshold(500_000, *self._thresholds[1:])
        # The recording thread waits for PostgreSQL a dozen times a batch, and each time again for the reading one to let
        # it go on: at the usual 5 ms that is a fifth of its time.
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(0.001)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self._interval)
        gc.set_threshold(*self._thresholds)
        self._worker.shutdown(wait=True)

    def submit(self, slices: Sequence[Slice], messages: Sequence[Message]) -> Counts:
        """Begins to record the batch; returns the counts of the one before. Raises as `finish` does."""
        before = self.finish()
        self._flying = self._worker.submit(ingest, self._store, slices, messages, self._clock)
        return before

    def finish(self) -> Counts:
        """Waits for the batch in flight. Raises OffsetsMoved, StoreUnavailable, and then it is not recorded."""
        flying, self._flying = self._flying, None
        return flying.result().counts if flying else Counts()


def ingest(store: Store, slices: Sequence[Slice], messages: Sequence[Message], clock: Clock) -> Result:
    """Records the messages and then whatever had waited for them. Raises OffsetsMoved, StoreUnavailable."""
    result = record(store, slices, messages, clock())
    if result.arrived:
        recycle_waiting(store, result.arrived, clock)
    return result
