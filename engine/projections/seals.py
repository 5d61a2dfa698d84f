"""Digests that make the log tamper-evident: a leaf an event, a chain over all, and a seal over those of one subject.

* A **leaf** is SHA-256 over everything that is kept of an event: position, time of recording, stream, version, stored name
  and state.
* The **chain** goes over the leaves in blocks of `BLOCK` positions, head(n) = SHA-256(head(n - 1) + SHA-256(the block's
  leaves)). Its head at a position depends on the log up to there alone, not on how it was read.
* A **seal** is the rolling digest seal(n) = SHA-256(seal(n - 1) + leaf) over the events of one subject in the order of the log:
  a contract's events of one period, its terms, its discrepancies, a partner's, a rulebook's, the exchange rates. So a few events can be shown
  to be all that there were, and in their order, without the rest of the log.
* A **root** is that of the Merkle tree over the leaves of what a closing issued (RFC 9162, section 2.1.1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import date
from hashlib import sha256
from typing import NamedTuple

from engine.events import (
    AssessmentCompleted,
    ContractSigned,
    ContractTerminated,
    DiscrepancyEvent,
    Event,
    FxRatePublished,
    PartnerRegistered,
    PeriodClosed,
    ReportedEvent,
    StatementClosed,
    StatementRestated,
    StreamedEvent,
)

BLOCK = 1024
LEAF_BYTES = 32
# The period of subjects that have none.
WITHOUT_PERIOD = date(1970, 1, 1)
_HEAD_OF_LEAF = struct.Struct("!qq16sq").pack


class Entry(NamedTuple):
    """One row of the log. `recorded_at` is in microseconds since 1970, `stream` 16 bytes, `version` its place there."""

    position: int
    recorded_at: int
    stream: bytes
    version: int
    name: str
    state: bytes

    @property
    def leaf(self) -> bytes:
        head = _HEAD_OF_LEAF(self.position, self.recorded_at, self.stream, self.version)
        return sha256(b"%b%b\0%b" % (head, self.name.encode(), self.state)).digest()


class Chain(NamedTuple):
    """The chain up to a position: its head after the last whole block, and the leaves of the block that is not whole yet."""

    position: int = 0
    head: bytes = b""
    leaves: bytes = b""

    def extended(self, leaves: Sequence[bytes]) -> Chain:
        """With the leaves of the positions that follow."""
        head, waiting = self.head, self.leaves + b"".join(leaves)
        size = BLOCK * LEAF_BYTES
        whole = len(waiting) // size * size
        for at in range(0, whole, size):
            head = sha256(head + sha256(waiting[at : at + size]).digest()).digest()
        return Chain(self.position + len(leaves), head, waiting[whole:])

    @property
    def now(self) -> str:
        """The head at the position, in hex."""
        return (sha256(self.head + sha256(self.leaves).digest()).digest() if self.leaves else self.head).hex()


class Subject(NamedTuple):
    """Whose events a seal covers. `period` is the first day of the contract's period, or WITHOUT_PERIOD."""

    kind: str
    name: str
    period: date = WITHOUT_PERIOD


RATES = Subject("rates", "")


def subject_of(event: Event, period: date | None) -> Subject | None:  # noqa: PLR0911 - one a kind
    """The subject of the event, whose period (where it has one) is the given; None for what the engine itself issued."""
    match event:
        case StreamedEvent():
            assert period is not None, event
            return Subject("events", event.contract, period)
        case ContractSigned() | ContractTerminated():
            return Subject("contract", event.contract)
        case PartnerRegistered() | ReportedEvent():
            return Subject("partner", event.partner)
        case FxRatePublished():
            return RATES
        case DiscrepancyEvent():
            return Subject("discrepancy", event.contract)
        case StatementClosed() | StatementRestated() | PeriodClosed() | AssessmentCompleted():
            return None
        case _:
            assert event.KIND, event
            return Subject(event.KIND, event.named)


class Seal(NamedTuple):
    """How many events of a subject there are, and their rolling digest."""

    events: int = 0
    digest: bytes = b""

    def extended(self, leaf: bytes) -> Seal:
        return Seal(self.events + 1, sha256(self.digest + leaf).digest())


def sealed(leaves: Iterable[bytes]) -> Seal:
    """The seal over the leaves, in their order."""
    seal = Seal()
    for leaf in leaves:
        seal = seal.extended(leaf)
    return seal


def tree(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of the leaves: RFC 9162, section 2.1.1, with SHA-256."""
    if not leaves:
        return sha256(b"").digest()
    nodes = [sha256(b"\0" + leaf).digest() for leaf in leaves]
    # Level by level: a node without a neighbour goes up as it is, which is the RFC's split at a power of two.
    while len(nodes) > 1:
        paired = [sha256(b"\1" + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=False)]
        nodes = paired + nodes[len(nodes) // 2 * 2 :]
    return nodes[0]
