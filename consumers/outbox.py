"""What was issued, sent to Kafka: each event of the log once, whatever dies in between.

The log is the outbox. A stretch of it is one Kafka transaction, which also commits the bookmark (as the offset of a consumer
group of this store's own), so both are there or neither. The store keeps the bookmark, too, and notes before each transaction how
far it would go: Kafka forgets offsets after a while, and then only the store knows. A rebuild moves neither.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata

from consumers.balances import balances
from consumers.outgoing import STATEMENTS, TOPICS, Outgoing, outgoing
from engine.aggregates.refusal import Refused
from engine.events import (
    BY_NAME,
    AssessmentCompleted,
    DiscrepancyResolved,
    PeriodClosed,
    PointsEvent,
    PointsRedemptionApproved,
    StatementClosed,
    StatementRestated,
)
from engine.projections.seals import Entry
from engine.store import log, outbox, recorder
from engine.store.alone import AlreadyRunning, alone
from engine.store.database import Rows, Store

NAME = "kafka"
EVENTS_A_TRANSACTION = 500
# So long a cluster surely keeps the offsets of a group without members; by default it does for a week.
FORGETS_AFTER = timedelta(days=1)
_MESSAGE_BYTES_MAX = 16 << 20


class OutboxRunning(Refused):
    code = "outbox-running"


class SentUnknown(Refused):
    """A transaction was under way, and the cluster no longer says whether it was committed."""

    code = "sent-unknown"


class NothingUnknown(Refused):
    code = "nothing-unknown"


class OutboxRefused(Refused):
    """Kafka does not take the messages."""

    code = "outbox-refused"


class Sent(NamedTuple):
    """How many messages were sent, by topic; and up to which position of the log everything is sent now."""

    messages: dict[str, int]
    position: int


def names() -> list[str]:
    """The stored names of the events that are told to others."""
    own = [event.NAME for event in (StatementClosed, StatementRestated, DiscrepancyResolved, AssessmentCompleted)]
    lives = [name for name in BY_NAME if name.startswith("statement.") and name not in own]
    points = [name for name, event in BY_NAME.items() if issubclass(event, (PointsEvent, PointsRedemptionApproved))]
    return [*own, *lives, *points, PeriodClosed.NAME]


def send(
    store: Store,
    bootstrap: str,
    clock: Callable[[], datetime],
    *,
    name: str = NAME,
    prefix: str = "settle",
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Sent:
    """Sends what was issued since the bookmark of the name, up to the end of the log now; topics are `PREFIX.statements` ...

    `progress` is told positions done and of how many. Raises OutboxRunning, SentUnknown, OutboxRefused.
    """
    try:
        with alone(store.conninfo, f"outbox {name}"):
            return _send(store, bootstrap, clock, name, prefix, progress)
    except AlreadyRunning:
        raise OutboxRunning(
            "another settle outbox send is at work on this store; wait until it ends, or stop it: this one then goes on from there"
        ) from None
    except ProducerFencedError:
        raise OutboxRunning(
            "another process sends for this store, and has taken over; what it sends is sent once: leave it to it"
        ) from None
    except (KafkaError, OSError) as error:
        raise OutboxRefused(
            f"Kafka at {bootstrap} does not take the messages ({error or type(error).__name__}); make sure that it runs and that "
            f"the topics {', '.join(f'{prefix}.{topic}' for topic in TOPICS)} are there, and send again: nothing is sent twice"
        ) from None


def _send(
    store: Store,
    bootstrap: str,
    clock: Callable[[], datetime],
    name: str,
    prefix: str,
    progress: Callable[[int, int], None],
) -> Sent:
    with store.writing() as cursor:
        mark = outbox.bookmark(cursor, name)
        last = recorder.last_position(cursor)
    sent = dict.fromkeys(TOPICS, 0)
    with _producing(bootstrap, mark.id) as producer:
        at = _resumed(bootstrap, mark, prefix, clock())
        while at < last:
            with store.reading() as cursor:
                entries = list(islice(_flat(log.named(cursor, names(), after=at, to=last)), EVENTS_A_TRANSACTION))
                messages = [message for entry in entries for message in _messages(cursor, entry)]
            to = entries[-1].position if len(entries) == EVENTS_A_TRANSACTION else last
            if messages:
                with store.writing() as cursor:
                    outbox.begin(cursor, name, to, clock())
                _transaction(producer, mark.id, messages, to, prefix)
            with store.writing() as cursor:
                outbox.end(cursor, name, to)
            for message in messages:
                sent[message.topic] += 1
            at = to
            progress(at, last)
    return Sent(sent, max(at, mark.position))


def _messages(cursor: Rows, entry: Entry) -> Iterator[Outgoing]:
    if entry.name == PeriodClosed.NAME:
        yield from balances(cursor, entry)
    else:
        yield outgoing(entry)


def resolve(store: Store, *, sent: bool, name: str = NAME) -> int:
    """Says what became of a transaction that the cluster has forgotten; returns up to where everything is sent then."""
    with store.writing() as cursor:
        mark = outbox.bookmark(cursor, name)
        if mark.sending is None:
            raise NothingUnknown("no transaction was under way, so there is nothing to say; settle outbox send goes on")
        position = mark.sending if sent else mark.position
        outbox.end(cursor, name, position)
    return position


def _flat(pages: Iterable[Sequence[Any]]) -> Iterator[Any]:
    for page in pages:
        yield from page


@contextmanager
def _producing(bootstrap: str, id_: str) -> Iterator[Any]:
    """A transactional producer; what an earlier one of this store left under way is finished or undone by now."""
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=f"settle-outbox-{id_}",
        acks="all",
        linger_ms=20,
        bootstrap_timeout_ms=10_000,
        max_block_ms=15_000,
        max_request_size=_MESSAGE_BYTES_MAX,
    )
    try:
        producer.init_transactions()
        yield producer
    finally:
        producer.close(timeout=5)


def _resumed(bootstrap: str, mark: outbox.Bookmark, prefix: str, now: datetime) -> int:
    """Up to where everything is sent: as the store knows it, or, after a death in a transaction, as the cluster does."""
    kept = _committed(bootstrap, mark.id, prefix)
    if mark.sending is not None and mark.begun_at is not None and kept is None and now - mark.begun_at > FORGETS_AFTER:
        raise SentUnknown(
            f"a transaction of the events from position {mark.position + 1} up to {mark.sending} was under way, and the cluster "
            "has forgotten whether it was committed; look whether their messages are in the topics, then say "
            "settle outbox resolve --sent or --not-sent"
        )
    return max(mark.position, kept or 0)


def _committed(bootstrap: str, id_: str, prefix: str) -> int | None:
    """The bookmark as the cluster has it; None where it has none."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=_group(id_),
        enable_auto_commit=False,
        isolation_level="read_committed",
        bootstrap_timeout_ms=10_000,
    )
    try:
        missing = sorted({f"{prefix}.{topic}" for topic in TOPICS} - consumer.topics())
        if missing:
            raise OutboxRefused(
                f"Kafka at {bootstrap} has no topic {' and no '.join(missing)}; make them, and send again"
            )
        found = consumer.committed(TopicPartition(f"{prefix}.{STATEMENTS}", 0), timeout_ms=15_000)
    finally:
        consumer.close(autocommit=False)
    return None if found is None else int(found)


def _group(id_: str) -> str:
    return f"settle-outbox-{id_}"


def _transaction(producer: Any, id_: str, messages: Sequence[Outgoing], to: int, prefix: str) -> None:  # noqa: ANN401
    producer.begin_transaction()
    try:
        for message in messages:
            producer.send(f"{prefix}.{message.topic}", key=message.key, value=message.value)
        where = TopicPartition(f"{prefix}.{STATEMENTS}", 0)
        producer.send_offsets_to_transaction({where: OffsetAndMetadata(to, "", -1)}, _group(id_))
        producer.commit_transaction()
    except ProducerFencedError:
        raise
    except (KafkaError, OSError):
        # The next one that begins undoes it, if this cannot.
        with contextlib.suppress(KafkaError, OSError):
            producer.abort_transaction()
        raise
