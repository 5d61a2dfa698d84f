"""Rejected Kafka messages, passed on to a dead-letter topic beside the one they came from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Self

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError

from consumers.kafka_producer import producer
from engine.store import suspense
from engine.store.database import Store
from engine.store.suspense import Entry

log = logging.getLogger(__name__)

SUFFIX = ".dead-letter"
_LETTERS_A_ROUND = 1_000
# What suspense keeps of a message, and as much again for its headers: its own topic may take more than is usual.
_LETTER_BYTES_MAX = 2 * suspense.RAW_BYTES_MAX


class DeadLetters:
    """Sends what the store holds as rejected and not yet dead-lettered: nothing is missed, whenever a process died.

    A message can be sent twice, where a process died before it noted the acknowledgement or two send at the same
    moment; header `tantieme_suspense` tells.
    """

    def __init__(self, store: Store, bootstrap: str, notify: Any) -> None:  # noqa: ANN401
        self._store = store
        self._bootstrap = bootstrap
        self._notify = notify
        self._producer: KafkaProducer | None = None
        self._topics: set[str] = set()
        self._told = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._producer is not None:
            self._producer.close(timeout=5)

    def send(self) -> None:
        """Where the broker refuses, the letters stay in suspense and are tried again with the next ones."""
        try:
            while self._round():
                pass
        except KafkaError as error:
            log.info("dead letters: %s", error)
            if not self._told:
                self._told = True
                self._notify(f"dead letters cannot be sent ({error}); they stay in suspense and are tried again")

    def _round(self) -> bool:
        """Whether there may be more to send. Raises KafkaError where any was refused, after noting those that were not."""
        with self._store.writing() as cursor:
            letters = suspense.undelivered(cursor, _LETTERS_A_ROUND)
            if not letters:
                return False
            if self._producer is None:
                self._producer = producer(self._bootstrap, max_request_size=_LETTER_BYTES_MAX)
            for topic in {letter.channel + SUFFIX for letter in letters} - self._topics:
                self._ensure(topic)
            acknowledged, failed = self._sent(self._producer, letters)
            suspense.dead_lettered(cursor, acknowledged)
        if failed is not None:
            raise failed
        self._told = False
        return len(letters) == _LETTERS_A_ROUND

    def _sent(self, client: KafkaProducer, letters: Sequence[Entry]) -> tuple[list[int], KafkaError | None]:
        """The ids of the letters that Kafka has, and why it has not the others: one that is refused holds up no other."""
        failed: KafkaError | None = None
        futures = []
        for letter in letters:
            try:
                future = client.send(letter.channel + SUFFIX, letter.raw, headers=_headers(letter))
            except MessageSizeTooLargeError as error:
                failed = error
            except KafkaError as error:
                failed = error
                break
            else:
                futures.append((letter.id, future))
        try:
            client.flush(timeout=30)
        except KafkaError as error:
            failed = error
        acknowledged = [id_ for id_, future in futures if future.succeeded()]
        for _, future in futures:
            if future.failed():
                failed = future.exception
        return acknowledged, failed

    def _ensure(self, topic: str) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            admin.create_topics({topic: {"num_partitions": 1, "configs": {"max.message.bytes": _LETTER_BYTES_MAX}}})
        except TopicAlreadyExistsError:
            pass
        finally:
            admin.close()
        self._topics.add(topic)


def _headers(letter: Entry) -> list[tuple[str, bytes]]:
    said = {
        "reason": letter.sentence,
        "topic": letter.channel,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "suspense": str(letter.id),
    }
    return [*(letter.headers or {}).items(), *((f"tantieme_{key}", value.encode()) for key, value in said.items())]
