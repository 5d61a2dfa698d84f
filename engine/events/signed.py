"""Contracts, the rulebooks that settle them, and rates of exchange."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import ClassVar

from engine.events.base import Event
from engine.period import Calendar


class LatePolicy(StrEnum):
    """What an event does that comes after its period was closed: it becomes an adjustment; one that waits until a person
    approves it; or it is suspended.
    """

    adjust = "adjust"
    hold = "hold"
    suspend = "suspend"


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
    late_events: LatePolicy = LatePolicy.adjust
    author: str | None = None


class ContractTerminated(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`valid_to` is the first day on which the contract is no longer in force."""

    NAME: ClassVar[str] = "contract.terminated"
    contract: str
    valid_to: date
    reason: str | None = None
    author: str | None = None


class RulebookPublished(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`text` is the rulebook as written (YAML). One that reaches into closed periods has an author, and another approver."""

    NAME: ClassVar[str] = "rulebook.published"
    KIND: ClassVar[str] = "rulebook"
    KEY: ClassVar[tuple[str, ...]] = ("rulebook",)
    rulebook: str
    version: int
    text: str
    author: str | None = None
    approver: str | None = None


class FxRatePublished(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One unit of `base` is `rate` of `quote` on the day. `rate` is canonical decimal text (engine.money.plain)."""

    NAME: ClassVar[str] = "fx.rate_published"
    KIND: ClassVar[str] = "fx"
    KEY: ClassVar[tuple[str, ...]] = ("publisher", "base", "quote")
    publisher: str
    base: str
    quote: str
    day: date
    rate: str
