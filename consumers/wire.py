"""Messages as they arrive: CloudEvents 1.0 envelopes and the data of every event type, strict.

Unknown fields are refused by name; numbers are decimal strings (or JSON integers), never binary floats; times carry a zone.
JSON Schemas and the AsyncAPI document in `docs/wire/` are written from these models (`make docs`).
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from consumers.fields import (
    COMPENSATION_IS_WHOLE,
    Amount,
    Attributes,
    Country,
    CurrencyCode,
    Day,
    FurtherAmounts,
    PeriodName,
    Quantity,
    QuantityAboveZero,
    Rate,
    RulebookText,
    Text,
    Time,
    TimeZone,
)
from engine.events import LatePolicy
from engine.period import Calendar


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Told(_Data):
    """What comes one by one: it has the same fields under the same names on the wire and in the log."""


class PartnerRegisteredData(Told):
    """A partner of the given kind is known from now on."""

    partner: Text
    name: Text
    kind: Literal["content_provider", "service_provider", "agent", "group_customer", "supplier", "other"]
    country: Country | None = None
    tax_id: Text | None = None


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


class ContractTerminatedData(Told):
    """The contract ends: `valid_to` is the first day on which it is no longer in force."""

    contract: Text
    valid_to: Day
    reason: Text | None = None


class RulebookPublishedData(Told):
    """A rulebook version, as written (YAML). One that reaches into closed periods names its author, and another approver."""

    rulebook: Text
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    text: RulebookText
    author: Text | None = None
    approver: Text | None = None


class UsageRecordedData(_Data):
    """A quantity of a meter was used under a contract; a negative one takes usage back."""

    contract: Text
    meter: Text
    quantity: Quantity
    product: Text | None = None
    attributes: Attributes | None = None


class Money(_Data):
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


class Case(Told):
    """A consultation, a complaint, or a report of a business failure."""

    case: Text
    partner: Text
    kind: Literal["consultation", "complaint", "failure"]
    contract: Text | None = None
    product: Text | None = None
    service: Text | None = None
    severity: Literal["low", "medium", "high", "critical"] | None = None


class CaseOpenedData(Case):
    """A partner, or a customer about a partner, has raised a case."""


class CaseAcknowledgedData(Case):
    """Somebody has taken the case up."""


class CaseAnsweredData(Case):
    """The case was answered, after so many minutes."""

    on_time: bool | None = None
    minutes: Amount | None = None


class CaseEscalatedData(Case):
    """The case was handed upwards."""


class CaseClosedData(Case, json_schema_extra=COMPENSATION_IS_WHOLE):
    """The case ended. Of a failure: how many minutes it lasted, how many uses it affected, whether it was reported late.

    A compensation is in the currency of the contract, which must then be named.
    """

    upheld: bool | None = None
    minutes: Amount | None = None
    affected: Amount | None = None
    compensation: Amount | None = None
    currency: CurrencyCode | None = None
    late: bool | None = None

    @model_validator(mode="after")
    def _compensation_is_whole(self) -> Self:
        if (self.compensation is None) != (self.currency is None):
            raise ValueError("compensation and currency go together; give both or neither")
        if self.compensation is not None and self.contract is None:
            raise ValueError("a compensation is settled under a contract; name it")
        return self


class CaseReopenedData(Case):
    """A closed case goes on."""


class Training(Told):
    partner: Text
    course: Text
    participant: Text | None = None


class TrainingEnrolledData(Training):
    """A partner's people begin a course."""


class TrainingCompletedData(Training):
    """A course is done. `expires` is the first day on which the certificate is no longer valid."""

    certificate: Text | None = None
    expires: Day | None = None


class Content(Told):
    partner: Text
    content: Text
    contract: Text | None = None
    product: Text | None = None


class ContentSubmittedData(Content):
    """A partner delivered a piece of content."""

    on_time: bool | None = None


class ContentReviewedData(Content):
    """A piece of content was approved, or was not."""

    approved: bool


class ContentPublishedData(Content):
    """A piece of content went live."""

    on_time: bool | None = None


class ContentWithdrawnData(Content):
    """A piece of content was taken back."""


class PointsAdjustedData(Told):
    """Points were given by hand, or taken where negative. `program` is the rulebook that keeps the account."""

    partner: Text
    program: Text
    points: Quantity
    reason: Text
    author: Text
    approver: Text


class PointsBurnedData(Told):
    """Points were spent. `reference` names what for."""

    partner: Text
    program: Text
    points: QuantityAboveZero
    reason: Text
    reference: Text | None = None


class Assessment(Told):
    partner: Text
    scorecard: Text
    period: PeriodName
    reason: Text
    author: Text


class AssessmentOverriddenData(Assessment):
    """A person gave a grade instead of the assessed one. `scorecard` is the rulebook that has it."""

    grade: Text
    approver: Text
    score: Quantity | None = None


class AssessmentReassessedData(Assessment):
    """A score that was issued is to be computed again."""


class FxRatePublishedData(Told):
    """One unit of `base` is `rate` of `quote` on the day, as `publisher` says."""

    publisher: Text
    base: CurrencyCode
    quote: CurrencyCode
    day: Day
    rate: Rate


_Type = TypeVar("_Type", bound=str)
_Told = TypeVar("_Told", bound=_Data)


class Message(_Data, Generic[_Type, _Told]):
    """CloudEvents 1.0. `source` and `id` identify an event for ever; `time` is when it happened."""

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: _Type
    time: Time
    datacontenttype: Literal["application/json"] | None = None
    dataschema: Text | None = None
    subject: Text | None = None
    data: _Told


# The discriminator makes an unknown type one sentence, not one for each.
AnyMessage = (
    Message[Literal["billing.charged"], BillingChargedData]
    | Message[Literal["usage.recorded"], UsageRecordedData]
    | Message[Literal["billing.refunded"], BillingRefundedData]
    | Message[Literal["billing.collected"], BillingCollectedData]
    | Message[Literal["billing.written_off"], BillingWrittenOffData]
    | Message[Literal["advance.paid"], AdvancePaidData]
    | Message[Literal["partner.registered"], PartnerRegisteredData]
    | Message[Literal["contract.signed"], ContractSignedData]
    | Message[Literal["contract.terminated"], ContractTerminatedData]
    | Message[Literal["rulebook.published"], RulebookPublishedData]
    | Message[Literal["case.opened"], CaseOpenedData]
    | Message[Literal["case.acknowledged"], CaseAcknowledgedData]
    | Message[Literal["case.answered"], CaseAnsweredData]
    | Message[Literal["case.escalated"], CaseEscalatedData]
    | Message[Literal["case.closed"], CaseClosedData]
    | Message[Literal["case.reopened"], CaseReopenedData]
    | Message[Literal["training.enrolled"], TrainingEnrolledData]
    | Message[Literal["training.completed"], TrainingCompletedData]
    | Message[Literal["content.submitted"], ContentSubmittedData]
    | Message[Literal["content.reviewed"], ContentReviewedData]
    | Message[Literal["content.published"], ContentPublishedData]
    | Message[Literal["content.withdrawn"], ContentWithdrawnData]
    | Message[Literal["points.adjusted"], PointsAdjustedData]
    | Message[Literal["points.burned"], PointsBurnedData]
    | Message[Literal["assessment.overridden"], AssessmentOverriddenData]
    | Message[Literal["assessment.reassessed"], AssessmentReassessedData]
    | Message[Literal["fx.rate_published"], FxRatePublishedData]
)
MESSAGES = get_args(AnyMessage)
READER: TypeAdapter[AnyMessage] = TypeAdapter(Annotated[AnyMessage, Field(discriminator="type")])
