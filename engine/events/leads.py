"""Opportunities: leads that partners register, and what became of them."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from engine.events.reported import ReportedEvent


class LeadEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a lead. `contract` and `product` are those of its registration."""

    KIND: ClassVar[str] = "lead"
    KEY: ClassVar[tuple[str, ...]] = ("lead",)
    lead: str
    product: str | None = None


class LeadRegistered(LeadEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A partner knows a customer for a product. `value` is what the sale may come to, in micros of `currency`.

    `expires` is the first day on which the lead no longer stands. `place` is which registration it is of that customer and
    product, from 1: the engine says so when it records it.
    """

    NAME: ClassVar[str] = "lead.registered"
    customer: str
    value: int
    currency: str
    expires: date
    author: str | None = None
    place: int = 0


class LeadAccepted(LeadEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "lead.accepted"
    author: str


class LeadRejected(LeadEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "lead.rejected"
    author: str
    reason: str


class LeadWon(LeadEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The customer bought, for `amount`, in micros of `currency`. `reference` names the sale."""

    NAME: ClassVar[str] = "lead.won"
    amount: int
    currency: str
    reference: str | None = None
    author: str | None = None

    @property
    def value(self) -> int:
        """What the lead came to, under the name under which the registration says what it may come to."""
        return self.amount


class LeadLost(LeadEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "lead.lost"
    reason: str | None = None
    author: str | None = None
