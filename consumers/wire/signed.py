"""Contracts with partners, the rulebooks that settle them, and rates of exchange."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from consumers.fields import CurrencyCode, Day, Rate, RulebookText, Text, TimeZone
from consumers.wire.base import Data, Told
from engine.events import LatePolicy
from engine.period import Calendar


class ContractSignedData(Told):
    """A contract with a partner, in force from `valid_from` up to, and without, `valid_to`."""

    contract: Text
    partner: Text
    cooperation_model: Text
    rulebook: Text
    currency: CurrencyCode
    valid_from: Day
    valid_to: Day | None = None
    calendar: Calendar = Calendar.monthly
    time_zone: TimeZone = "UTC"
    products: Annotated[tuple[Text, ...], Field(min_length=1, max_length=10_000)] | None = None
    late_events: LatePolicy = LatePolicy.adjust
    author: Text | None = None


class ContractTerminatedData(Told):
    """The contract ends: `valid_to` is the first day on which it is no longer in force."""

    contract: Text
    valid_to: Day
    reason: Text | None = None
    author: Text | None = None


class RulebookPublishedData(Told):
    """A rulebook version, as written (YAML). One that reaches into closed periods names its author, and another approver."""

    rulebook: Text
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    text: RulebookText
    author: Text | None = None
    approver: Text | None = None


class FxRatePublishedData(Told):
    """One unit of `base` is `rate` of `quote` on the day, as `publisher` says."""

    publisher: Text
    base: CurrencyCode
    quote: CurrencyCode
    day: Day
    rate: Rate


TYPES: dict[str, type[Data]] = {
    "contract.signed": ContractSignedData,
    "contract.terminated": ContractTerminatedData,
    "rulebook.published": RulebookPublishedData,
    "fx.rate_published": FxRatePublishedData,
}
