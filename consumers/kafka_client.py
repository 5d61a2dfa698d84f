"""The Kafka client of a consumer: its settings, and what has to be done about the library to live with it."""

from __future__ import annotations

import socket
from typing import Any

from kafka import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.record.default_records import DefaultRecordBatch

MESSAGES_A_POLL = 20_000
_CLOSE_MS = 2_000
_SESSION_MS = 10_000


class _Lenient(bytearray):
    """A batch's bytes, of which texts are read whether they are UTF-8 or not."""

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 - an index or a slice
        found = super().__getitem__(at)
        return _Lenient(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


_read_record = DefaultRecordBatch._read_msg  # noqa: SLF001 - nothing public reads one


def _read_any_record(batch: Any) -> Any:  # noqa: ANN401
    """Mends kafka-python 3.0.12: brokers take names of headers that are not UTF-8, and it would never get past the record."""
    begin = batch._pos  # noqa: SLF001
    try:
        return _read_record(batch)
    except UnicodeDecodeError:
        batch._buffer, batch._pos = _Lenient(batch._buffer), begin  # noqa: SLF001
        return _read_record(batch)


DefaultRecordBatch._read_msg = _read_any_record  # noqa: SLF001


def connected(bootstrap: str, group: str) -> Any:  # noqa: ANN401 - kafka-python has no types
    """A consumer that has found its brokers. Raises KafkaError or OSError, and leaves nothing open then."""
    _knock(bootstrap)
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        isolation_level="read_committed",
        # A position that the broker does not hold must raise: a silent reset would look like a legal gap.
        auto_offset_reset="none",
        partition_assignment_strategy=[CooperativeStickyAssignor],
        max_poll_records=MESSAGES_A_POLL,
        max_partition_fetch_bytes=4 << 20,
        fetch_max_bytes=16 << 20,
        fetch_max_wait_ms=200,
        allow_auto_create_topics=False,
        bootstrap_timeout_ms=5_000,
        # Members learn by it that partitions are to be handed over, and none consumes until all have.
        heartbeat_interval_ms=1_000,
        session_timeout_ms=_SESSION_MS,
        max_poll_interval_ms=300_000,
    )
    _finish_joins(consumer)
    try:
        consumer.bootstrap(timeout_ms=5_000)
    except BaseException:
        close(consumer)
        raise
    return consumer


def close(consumer: Any) -> None:  # noqa: ANN401
    consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)


def _knock(bootstrap: str) -> None:
    """Raises OSError where nobody listens; a client that finds nobody leaves its thread and its sockets behind."""
    failed: OSError | None = None
    for each in bootstrap.split(","):
        host, _, port = each.strip().rpartition(":") if ":" in each else (each.strip(), "", "9092")
        try:
            socket.create_connection((host.strip("[]"), port), timeout=5).close()
        except OSError as error:
            failed = error
        else:
            return
    assert failed is not None
    raise failed


def _finish_joins(consumer: Any) -> None:  # noqa: ANN401
    """Mends kafka-python 3.0.12: a join that metadata made necessary, and that ended between two polls, is forgotten.

    The member then sends no heartbeats, is expelled and never knows it. As long as it is joining, it needs to join.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - nothing public tells, or mends, it
    needs_to = coordinator.need_rejoin
    coordinator.need_rejoin = lambda: coordinator.rejoining or needs_to()
