"""Opportunities that partners register."""

from __future__ import annotations

from consumers.fields import Amount, CurrencyCode, Day, Text
from consumers.wire.base import Data, Told


class Lead(Told):
    partner: Text
    lead: Text


class LeadRegisteredData(Lead):
    """A partner knows a customer for a product, whose sale may come to `value`. It stands up to, and without, `expires`."""

    contract: Text
    customer: Text
    product: Text
    value: Amount
    currency: CurrencyCode
    expires: Day
    author: Text | None = None


class LeadAcceptedData(Lead):
    """The customer is left to the partner for the product. The first registration that stands has it."""

    author: Text


class LeadRejectedData(Lead):
    """The customer is not left to the partner, or no longer."""

    author: Text
    reason: Text


class LeadWonData(Lead):
    """The customer bought, for `amount`; `reference` names the sale. The rulebook says what the partner earns by it."""

    amount: Amount
    currency: CurrencyCode
    reference: Text | None = None
    author: Text | None = None


class LeadLostData(Lead):
    """The customer did not buy."""

    reason: Text | None = None
    author: Text | None = None


TYPES: dict[str, type[Data]] = {
    "lead.registered": LeadRegisteredData,
    "lead.accepted": LeadAcceptedData,
    "lead.rejected": LeadRejectedData,
    "lead.won": LeadWonData,
    "lead.lost": LeadLostData,
}
