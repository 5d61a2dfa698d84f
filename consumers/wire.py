"""Messages as they arrive: CloudEvents 1.0 envelopes and the data of every event type, strict.

Unknown fields are refused by name; numbers are decimal strings (or JSON integers), never binary floats; times carry a
zone. JSON Schemas and the AsyncAPI document in `docs/wire/` are written from these models (`make docs`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal, get_args
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from engine.money import CURRENCIES
from engine.period import Calendar

TEXT_LENGTH_MAX = 256
ATTRIBUTES_MAX = 32
RULEBOOK_LENGTH_MAX = 262_144
# Polars, which decides what day it is in a time zone, knows the changes of clocks up to the end of 2099.
YEAR_MIN, YEAR_END = 1970, 2100

# No control characters: they have no place in a name, PostgreSQL cannot keep NUL, and terminals obey some of them.
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LENGTH_MAX, pattern=_PRINTABLE)]
FieldName = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]

# Named in the schema, so that a producer's own validation agrees with ours.
_UNSIGNED = r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$"
_SIGNED = r"^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$"
INTEGER_MAX = 10**12 - 1
Amount = (
    Annotated[str, StringConstraints(pattern=_UNSIGNED, max_length=20)] | Annotated[int, Field(ge=0, le=INTEGER_MAX)]
)
Quantity = (
    Annotated[str, StringConstraints(pattern=_SIGNED, max_length=20)]
    | Annotated[int, Field(ge=-INTEGER_MAX, le=INTEGER_MAX)]
)


_ZONES = available_timezones() - {"Factory", "localtime", "posixrules"}


def _known_zone(name: str) -> str:
    if name not in _ZONES:
        raise ValueError(f"{name!r} is not a time zone of the IANA database, such as Asia/Shanghai")
    return name


Time = Annotated[AwareDatetime, Field(ge=datetime(YEAR_MIN, 1, 1, tzinfo=UTC), lt=datetime(YEAR_END, 1, 1, tzinfo=UTC))]
Day = Annotated[date, Field(ge=date(YEAR_MIN, 1, 1), lt=date(YEAR_END, 1, 1))]
CurrencyCode = Literal[CURRENCIES]  # type: ignore[valid-type] # made from ISO 4217
Attributes = Annotated[dict[FieldName, Text], Field(max_length=ATTRIBUTES_MAX)]
FurtherAmounts = Annotated[dict[FieldName, Amount], Field(max_length=ATTRIBUTES_MAX)]

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Data(BaseModel):
    model_config = _STRICT


class PartnerRegisteredData(_Data):
    """A partner of the given kind is known from now on."""

    partner: Text
    name: Text
    kind: Literal["content_provider", "service_provider", "agent", "group_customer", "supplier", "other"]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    tax_id: Text | None = None


class ContractSignedData(_Data):
    """A contract with a partner, in force from `valid_from` up to, and without, `valid_to`."""

    contract: Text
    partner: Text
    cooperation_model: Text
    rulebook: Text
    currency: CurrencyCode
    valid_from: Day
    valid_to: Day | None = None
    calendar: Calendar = Calendar.monthly
    time_zone: Annotated[Text, AfterValidator(_known_zone)] = "UTC"
    products: Annotated[tuple[Text, ...], Field(min_length=1, max_length=10_000)] | None = None


class ContractTerminatedData(_Data):
    """The contract ends: `valid_to` is the first day on which it is no longer in force."""

    contract: Text
    valid_to: Day
    reason: Text | None = None


class RulebookPublishedData(_Data):
    """A rulebook version, as written (YAML)."""

    rulebook: Text
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    text: Annotated[str, StringConstraints(min_length=1, max_length=RULEBOOK_LENGTH_MAX)]


class UsageRecordedData(_Data):
    """A quantity of a meter was used under a contract; a negative one takes usage back."""

    contract: Text
    meter: Text
    quantity: Quantity
    product: Text | None = None
    attributes: Attributes | None = None


class Billing(_Data):
    contract: Text
    amount: Amount
    currency: CurrencyCode
    product: Text | None = None
    quantity: Amount | None = None
    amounts: FurtherAmounts | None = None
    attributes: Attributes | None = None


class BillingChargedData(Billing):
    """A customer was charged. `amounts` are further ones of the same charge and currency, such as discounts."""


class BillingRefundedData(Billing):
    """A charge was given back, wholly or in part: `refunds` is the id of the charge."""

    refunds: Text


class BillingWrittenOffData(Billing):
    """A charge was given up as a bad debt."""


class BillingCollectedData(Billing):
    """A charge was paid by the customer."""


class _Envelope(BaseModel):
    """CloudEvents 1.0. `source` and `id` identify an event for ever; `time` is when it happened."""

    model_config = _STRICT
    specversion: Literal["1.0"]
    id: Text
    source: Text
    time: Time
    datacontenttype: Literal["application/json"] | None = None
    dataschema: Text | None = None
    subject: Text | None = None


class PartnerRegistered(_Envelope):
    type: Literal["partner.registered"]
    data: PartnerRegisteredData


class ContractSigned(_Envelope):
    type: Literal["contract.signed"]
    data: ContractSignedData


class ContractTerminated(_Envelope):
    type: Literal["contract.terminated"]
    data: ContractTerminatedData


class RulebookPublished(_Envelope):
    type: Literal["rulebook.published"]
    data: RulebookPublishedData


class UsageRecorded(_Envelope):
    type: Literal["usage.recorded"]
    data: UsageRecordedData


class BillingCharged(_Envelope):
    type: Literal["billing.charged"]
    data: BillingChargedData


class BillingRefunded(_Envelope):
    type: Literal["billing.refunded"]
    data: BillingRefundedData


class BillingWrittenOff(_Envelope):
    type: Literal["billing.written_off"]
    data: BillingWrittenOffData


class BillingCollected(_Envelope):
    type: Literal["billing.collected"]
    data: BillingCollectedData


# The discriminator makes an unknown type one sentence, not nine.
AnyMessage = (
    BillingCharged
    | UsageRecorded
    | BillingRefunded
    | BillingCollected
    | BillingWrittenOff
    | PartnerRegistered
    | ContractSigned
    | ContractTerminated
    | RulebookPublished
)
MESSAGES: tuple[type[_Envelope], ...] = get_args(AnyMessage)
READER: TypeAdapter[AnyMessage] = TypeAdapter(Annotated[AnyMessage, Field(discriminator="type")])
