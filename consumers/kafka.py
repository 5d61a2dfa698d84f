"""The consumer of Kafka topics. The group hands out partitions; offsets live in PostgreSQL and move with the events.

Whatever happens to the group, the broker, the database or this process, the same rule mends it: read the offsets of the
assigned partitions from the store, seek there, go on. A consumer that lost a partition and does not know it yet is fenced
by the comparison of its expected offset, in the transaction that would have written.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, TopicPartition
from kafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from consumers.dead_letters import DeadLetters
from consumers.decode import decode
from consumers.ingest import Clock, Pipeline
from consumers.kafka_client import close, connected
from consumers.secrets import Vault
from consumers.suspense import recycle_ripe
from engine.settlement.recording import Message, Slice
from engine.store import intake
from engine.store.database import Store, StoreUnavailable
from engine.store.intake import Counts, OffsetsMoved

log = logging.getLogger(__name__)

_POLL_MS = 500
_PROBE_AFTER_IDLE_POLLS = 10
_PAUSE_FIRST, _PAUSE_MAX = 0.5, 5.0

Notify = Callable[[str], None]


class RetentionOvertook(Exception):
    """Kafka has deleted messages that were never consumed."""


class _BrokerAway(Exception):
    """The client is given up: while it waits it would leave a socket open with every attempt to connect."""


class Consumer:
    """One member of a consumer group. `run` returns when told to stop, or at the end of the topics."""

    def __init__(
        self, store: Store, bootstrap: str, group: str, topics: Sequence[str], clock: Clock, notify: Notify
    ) -> None:
        self._store = store
        self._bootstrap = bootstrap
        self._group = group
        self._topics = list(topics)
        self._clock = clock
        self._notify = notify
        self._reached: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._reassigned = threading.Event()
        self.stop = threading.Event()
        self.counts = Counts()

    def run(self, *, until_end: bool = False, progress: Callable[[Counts], None] = lambda _: None) -> Counts:
        """Consumes until `stop` is set or, with `until_end`, up to where the topics ended when it began.

        Raises RetentionOvertook.
        """
        away = False
        with Pipeline(self._store, self._clock) as pipeline:
            while (consumer := self._patiently("broker", self._connected, away=away)) is not None:
                try:
                    with DeadLetters(self._store, self._bootstrap, self._notify) as letters:
                        self._loop(consumer, pipeline, letters, until_end=until_end, progress=progress)
                    break
                except _BrokerAway:
                    away = True
                finally:
                    close(consumer)
        return self.counts

    def _loop(
        self,
        consumer: Any,  # noqa: ANN401 - kafka-python has no types
        pipeline: Pipeline,
        letters: DeadLetters,
        *,
        until_end: bool,
        progress: Callable[[Counts], None],
    ) -> None:
        idle = 0
        if not self._ends:
            told = "nothing to consume" if until_end else "waiting for it"
            self._notify(f"there is no topic {', '.join(self._topics)} at {self._bootstrap} yet; {told}")
        while not self.stop.is_set() and (self._ends or not until_end):
            try:
                if self._reassigned.is_set():
                    self._begin(consumer, pipeline, letters)
                polled = self._poll(consumer)
                idle = 0 if polled else idle + 1
                self._record(consumer, pipeline, letters, polled)
                progress(self.counts)
                if not polled and until_end and self._at_end(consumer):
                    return
                if idle % _PROBE_AFTER_IDLE_POLLS == _PROBE_AFTER_IDLE_POLLS - 1:
                    self._probe(consumer)
            except OffsetsMoved as moved:
                log.info("offsets moved: %s", moved)
                self._reassigned.set()
            except StoreUnavailable:
                self._wait_for_store(consumer)
                self._reassigned.set()
        try:
            self.counts = self.counts.plus(pipeline.finish())
        except (OffsetsMoved, StoreUnavailable) as refused:
            # Nothing of the last batch is kept, and whoever reads the offsets next goes on before it.
            log.info("stopped: %s", refused)

    def _begin(self, consumer: Any, pipeline: Pipeline, letters: DeadLetters) -> None:  # noqa: ANN401
        """Goes where the store says, and does what a process that died, perhaps with these partitions, left undone."""
        self.counts = self.counts.plus(pipeline.finish())
        self._seek(consumer)
        recycle_ripe(self._store, self._clock)
        letters.send()

    def _record(
        self,
        consumer: Any,  # noqa: ANN401
        pipeline: Pipeline,
        letters: DeadLetters,
        polled: dict[TopicPartition, list[Any]],
    ) -> None:
        recorded = self._reached
        if polled:
            done = pipeline.submit(*self._batch(polled))
            self._reached = recorded | {tp: records[-1].offset + 1 for tp, records in polled.items()}
        else:
            done = pipeline.finish()
        self.counts = self.counts.plus(done)
        if done.rejected:
            letters.send()
        if sum(done[:4]):
            self._tell_kafka(consumer, recorded)

    def _probe(self, consumer: Any) -> None:  # noqa: ANN401
        """A poll returns nothing, whether there is nothing or no broker. Raises _BrokerAway."""
        try:
            consumer.end_offsets(list(self._ends), timeout_ms=5_000)
        except (KafkaError, OSError) as error:
            log.info("broker: %s", error)
            raise _BrokerAway from error

    def _connected(self) -> Any:  # noqa: ANN401
        consumer = connected(self._bootstrap, self._group)
        try:
            parts = [TopicPartition(t, p) for t in self._topics for p in consumer.partitions_for_topic(t) or ()]
            self._ends = self._ends or (consumer.end_offsets(parts, timeout_ms=5_000) if parts else {})
            consumer.subscribe(self._topics, listener=_Listener(self._reassigned))
        except BaseException:
            close(consumer)
            raise
        self._reassigned.set()
        return consumer

    def _poll(self, consumer: Any) -> dict[TopicPartition, list[Any]]:  # noqa: ANN401
        """Records that follow what was reached; none where positions have to be read anew first."""
        try:
            polled = consumer.poll(timeout_ms=_POLL_MS)
        except NoOffsetForPartitionError:
            self._reassigned.set()
        except OffsetOutOfRangeError as error:
            self._begin_where_kafka_does(consumer, error.args[0])
            self._reassigned.set()
        if self._reassigned.is_set():
            return {}
        following = {}
        for tp, records in polled.items():
            if tp not in self._reached or records[0].offset < self._reached[tp]:
                self._reassigned.set()
            else:
                following[tp] = records
        return following

    def _seek(self, consumer: Any) -> None:  # noqa: ANN401
        """Sets every assigned partition to the offset that the store holds."""
        self._reassigned.clear()
        assigned = sorted(consumer.assignment())
        self._reached = {}
        for topic, parts in itertools.groupby(assigned, key=lambda tp: tp.topic):
            partitions = [tp.partition for tp in parts]
            with self._store.writing() as cursor:
                intake.ensure(cursor, topic, [(partition, 0) for partition in partitions])
                offsets = intake.offsets(cursor, topic)
            for partition in partitions:
                tp = TopicPartition(topic, partition)
                try:
                    consumer.seek(tp, offsets[partition])
                except (ValueError, KeyError):
                    # Taken away since; the I/O thread does that while we are here.
                    self._reassigned.set()
                else:
                    self._reached[tp] = offsets[partition]

    def _begin_where_kafka_does(self, consumer: Any, positions: dict[TopicPartition, int]) -> None:  # noqa: ANN401
        begins = consumer.beginning_offsets(list(positions), timeout_ms=30_000)
        for tp, begin in begins.items():
            with self._store.writing() as cursor:
                moved = intake.begin_at(cursor, tp.topic, tp.partition, begin)
                found = intake.offsets(cursor, tp.topic)[tp.partition]
            # Where it is another offset by now, somebody else has begun there already.
            if not moved and found == positions[tp]:
                raise RetentionOvertook(
                    f"{tp.topic}/{tp.partition}: offset {positions[tp]} is next, but Kafka begins at {begin}; messages "
                    "were deleted before they were consumed, or the topic was made anew. Restore them, or consume "
                    "the topic under another name"
                )

    def _batch(self, polled: dict[TopicPartition, list[Any]]) -> tuple[list[Slice], list[Message]]:
        slices = []
        messages: list[Message] = []
        for tp, records in polled.items():
            expected, end = self._reached[tp], records[-1].offset + 1
            slices.append(Slice(tp.topic, tp.partition, expected, end - expected, end - expected - len(records)))
            for r in records:
                headers = _headers(r) if r.headers else None
                found = decode(r.value, headers, Vault(self._store))
                # What was sealed is structured now; and headers beside what was withheld may repeat it.
                kept = headers if found.raw == (r.value or b"") else None
                messages.append(Message(tp.topic, tp.partition, r.offset, kept, found))
        return slices, messages

    def _at_end(self, consumer: Any) -> bool:  # noqa: ANN401
        """Asked of Kafka, since behind the last message there may be markers, of which only Kafka knows."""
        # What a poll returned while partitions were taken away was dropped, and Kafka thinks that we have it.
        if self._reassigned.is_set() or not self._reached:
            return False
        try:
            return all((consumer.position(tp, timeout_ms=5_000) or 0) >= self._ends.get(tp, 0) for tp in self._reached)
        except (KafkaError, KeyError) as error:
            # Taken away since, or Kafka does not answer: then we are told so, and ask again.
            log.info("position: %s", error)
            return False

    def _tell_kafka(self, consumer: Any, recorded: Mapping[TopicPartition, int]) -> None:  # noqa: ANN401
        """For those who watch the group's lag; nothing here ever reads it back."""
        from kafka.structs import OffsetAndMetadata  # noqa: PLC0415

        consumer.commit_async(
            {tp: OffsetAndMetadata(offset, "", -1) for tp, offset in recorded.items()}, callback=lambda *_: None
        )

    def _wait_for_store(self, consumer: Any) -> None:  # noqa: ANN401
        """Keeps the group membership alive, and says once that it waits and once that it goes on."""
        consumer.pause(*consumer.assignment())

        def answers() -> None:
            consumer.poll(timeout_ms=0)
            with self._store.reading() as cursor:
                intake.accounts(cursor)

        self._patiently("database", answers, away=True)
        consumer.resume(*consumer.paused())

    def _patiently(self, what: str, call: Callable[[], Any], *, away: bool = False) -> Any:  # noqa: ANN401
        """The call's result, however long it takes until it succeeds; None when told to stop meanwhile."""
        said = False
        for pause in _pauses():
            if not away:
                try:
                    result = call()
                except (StoreUnavailable, KafkaError, OSError) as error:
                    log.info("%s: %s", what, error)
                else:
                    if said:
                        self._notify(f"the {what} is back; going on where it was")
                    return result
            away = False
            if not said:
                self._notify(f"the {what} does not answer; waiting for it, nothing is lost")
                said = True
            if self.stop.wait(pause):
                return None
        raise AssertionError


def _headers(record: Any) -> dict[str, bytes]:  # noqa: ANN401
    """A header may come without a value; it says nothing that could be kept."""
    return {key: value for key, value in record.headers if value is not None}


def _pauses() -> Iterator[float]:
    pause = _PAUSE_FIRST
    while True:
        yield pause
        pause = min(pause * 2, _PAUSE_MAX)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs on the consumer's I/O thread, where nothing may block: it only says that positions must be read anew."""

    def __init__(self, reassigned: threading.Event) -> None:
        self._reassigned = reassigned

    def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002
        self._reassigned.set()

    def on_partitions_assigned(self, assigned: object) -> None:  # noqa: ARG002
        self._reassigned.set()
