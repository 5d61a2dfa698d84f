"""Sending messages to Kafka, keyed so that one contract's events stay in one partition, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from kafka import KafkaProducer


class _Data(msgspec.Struct):
    contract: str | None = None
    partner: str | None = None
    rulebook: str | None = None


class _Keyed(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Keyed).decode


def producer(bootstrap: str, max_request_size: int = 1_048_576) -> KafkaProducer:
    """Idempotent and waiting for all replicas: what it has acknowledged is in the topic once."""
    return KafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        linger_ms=20,
        batch_size=256 * 1024,
        bootstrap_timeout_ms=10_000,
        max_block_ms=15_000,  # a topic that is not there is refused in time
        max_request_size=max_request_size,
    )


def key_of(raw: bytes) -> bytes | None:
    """The contract's id, else the partner's, else the rulebook's; None where the message shows none."""
    try:
        data = _decode(raw).data
    except (ValueError, RecursionError):
        return None
    named = data.contract or data.partner or data.rulebook
    return None if named is None else named.encode()


def produce(
    bootstrap: str, topic: str, messages: Iterable[bytes], progress: Callable[[int], None] = lambda _: None
) -> int:
    """Sends the messages as they are and returns their number, once all are acknowledged. Raises KafkaError."""
    sent = 0
    failed: list[BaseException] = []
    client = producer(bootstrap)
    try:
        for raw in messages:
            client.send(topic, key=key_of(raw), value=raw).add_errback(failed.append)
            sent += 1
            if sent % 10_000 == 0:
                progress(sent)
                if failed:
                    break
        client.flush()
    finally:
        client.close()
    if failed:
        raise failed[0]
    progress(sent)
    return sent
