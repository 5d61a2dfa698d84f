"""Everything that is stored: one class an event, under an explicit name that never changes.

An event is frozen and complete in itself. Amounts and quantities are **micros**: integers of millionths of the unit.
`source` and `id` are the event's identity, given by whoever made it; `time` is when it happened. When the engine learned
it is not part of it: that is its position in the log.

A shape that has to change gets a new stored name and a new class; the old class stays, so that history always loads.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar

import msgspec

from engine.period import Calendar


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What all events carry. `NAME` is the stored name; `time` is in UTC."""

    NAME: ClassVar[str]
    source: str
    id: str
    time: datetime


class PartnerRegistered(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "partner.registered"
    partner: str
    name: str
    kind: str
    country: str | None = None
    tax_id: str | None = None


class ContractSigned(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """In force on the days from `valid_from` up to, and without, `valid_to`. No `products` means all of them."""

    NAME: ClassVar[str] = "contract.signed"
    contract: str
    partner: str
    cooperation_model: str
    rulebook: str
    currency: str
    valid_from: date
    valid_to: date | None = None
    calendar: Calendar = Calendar.monthly
    time_zone: str = "UTC"
    products: tuple[str, ...] | None = None


class ContractTerminated(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`valid_to` is the first day on which the contract is no longer in force."""

    NAME: ClassVar[str] = "contract.terminated"
    contract: str
    valid_to: date
    reason: str | None = None


class RulebookPublished(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`text` is the rulebook as written (YAML)."""

    NAME: ClassVar[str] = "rulebook.published"
    rulebook: str
    version: int
    text: str


class StreamedEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event of a contract that arrives in volume and is folded into facts. Numbers are micros."""

    contract: str
    product: str | None = None
    meter: str | None = None
    quantity: int | None = None
    amount: int | None = None
    currency: str | None = None
    amounts: dict[str, int] | None = None
    attributes: dict[str, str] | None = None
    refunds: str | None = None


class UsageRecorded(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "usage.recorded"


class BillingCharged(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "billing.charged"


class BillingRefunded(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`refunds` is the id of the charge that is given back."""

    NAME: ClassVar[str] = "billing.refunded"


class BillingWrittenOff(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "billing.written_off"


class BillingCollected(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "billing.collected"


class StatementClosed(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A statement as issued. `statement` is its canonical JSON text, `facts` what it was computed from.

    `position` is the end of the log at closing: every event up to it is in the facts, none after it.
    """

    NAME: ClassVar[str] = "statement.closed"
    contract: str
    period: str
    position: int
    digest: str
    statement: str
    facts: str


PartnerEvent = PartnerRegistered
ContractEvent = ContractSigned | ContractTerminated
RulebookEvent = RulebookPublished
StatementEvent = StatementClosed
VolumeEvent = UsageRecorded | BillingCharged | BillingRefunded | BillingWrittenOff | BillingCollected

VOLUME: dict[str, type[StreamedEvent]] = {
    event.NAME: event for event in (UsageRecorded, BillingCharged, BillingRefunded, BillingWrittenOff, BillingCollected)
}
BY_NAME: dict[str, type[Event]] = {
    event.NAME: event
    for event in (PartnerRegistered, ContractSigned, ContractTerminated, RulebookPublished, StatementClosed)
} | dict(VOLUME)

_encoder = msgspec.json.Encoder(order="deterministic")
_decoders = {name: msgspec.json.Decoder(event) for name, event in BY_NAME.items()}


def encoded(event: Event) -> bytes:
    """The event's stored state. Equal events have equal states, so a hash of it tells contents apart."""
    return _encoder.encode(event)


def decoded(name: str, state: bytes) -> Event:
    """The event stored under `name`; a name or a state that this version does not know stops the engine."""
    return _decoders[name].decode(state)
