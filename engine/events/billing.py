"""What comes in volume: usage and billing."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from engine.events.base import Event


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
    charged_at: datetime | None = None


class UsageRecorded(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "usage.recorded"


class BillingCharged(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "billing.charged"


class BillingRefunded(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`refunds` is the id of the charge that is given back, `charged_at` when it was made."""

    NAME: ClassVar[str] = "billing.refunded"


class BillingWrittenOff(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`refunds` is the id of the charge that is given up, `charged_at` when it was made."""

    NAME: ClassVar[str] = "billing.written_off"


class BillingCollected(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "billing.collected"


class AdvancePaid(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An advance to the partner, to be recouped from its share."""

    NAME: ClassVar[str] = "advance.paid"
