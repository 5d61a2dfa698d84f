"""What comes in volume: usage and billing."""

from __future__ import annotations

from consumers.fields import Amount, Attributes, CurrencyCode, FurtherAmounts, Quantity, Text, Time
from consumers.wire.base import Data


class UsageRecordedData(Data):
    """A quantity of a meter was used under a contract; a negative one takes usage back."""

    contract: Text
    meter: Text
    quantity: Quantity
    product: Text | None = None
    attributes: Attributes | None = None


class Money(Data):
    contract: Text
    amount: Amount
    currency: CurrencyCode
    product: Text | None = None
    attributes: Attributes | None = None


class Billing(Money):
    quantity: Amount | None = None
    amounts: FurtherAmounts | None = None


class BillingChargedData(Billing):
    """A customer was charged. `amounts` are further ones of the same charge and currency, such as discounts."""


class BillingRefundedData(Billing):
    """A charge was given back, wholly or in part: `refunds` is the id of the charge, `charged_at` when it was made."""

    refunds: Text
    charged_at: Time | None = None


class BillingWrittenOffData(Billing):
    """A charge was given up as a bad debt: `refunds` is the id of the charge, `charged_at` when it was made."""

    refunds: Text | None = None
    charged_at: Time | None = None


class BillingCollectedData(Billing):
    """A charge was paid by the customer."""


class AdvancePaidData(Money):
    """An advance was paid to the partner, to be recouped from its share."""


TYPES: dict[str, type[Data]] = {
    "billing.charged": BillingChargedData,
    "usage.recorded": UsageRecordedData,
    "billing.refunded": BillingRefundedData,
    "billing.collected": BillingCollectedData,
    "billing.written_off": BillingWrittenOffData,
    "advance.paid": AdvancePaidData,
}
