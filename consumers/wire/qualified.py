"""Qualifications of partners, and the catalogue of cooperation models."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import msgspec
from pydantic import Field, model_validator

from consumers.fields import Amount, CurrencyCode, Day, Text
from consumers.wire.base import Data, Part, Told
from consumers.wire.partners import PartnerKind
from engine import events
from engine.period import Calendar

MODELS_PARTS_MAX = 1_000
_Texts = Annotated[tuple[Text, ...], Field(max_length=MODELS_PARTS_MAX)]
_Days = Annotated[int, Field(ge=0, le=3_660)]


class Qualification(Told):
    """A licence, certificate or registration that a partner holds; `qualification` is its number."""

    partner: Text
    qualification: Text


class QualificationSubmittedData(Qualification):
    """A partner shows a qualification, valid from `valid_from` up to, and without, `valid_to`."""

    type: Text
    issuer: Text
    valid_from: Day
    valid_to: Day | None = None
    evidence: Text | None = None
    author: Text | None = None


class QualificationApprovedData(Qualification):
    """A person other than who submitted it has seen the evidence, and it holds."""

    author: Text


class QualificationRejectedData(Qualification):
    """A person has seen the evidence, and it does not hold."""

    author: Text
    reason: Text


class QualificationRenewedData(Qualification):
    """An approved qualification holds for further days, from `valid_from` up to, and without, `valid_to`."""

    author: Text
    valid_from: Day
    valid_to: Day | None = None
    evidence: Text | None = None


class QualificationRevokedData(Qualification):
    """A qualification is taken away: `valid_to` is the first day on which it no longer holds."""

    author: Text
    reason: Text
    valid_to: Day


class StatementDaysPart(Part):
    """By how many days after a period's last day its statement is published, disputed at the latest, and paid."""

    STORED: ClassVar[type[msgspec.Struct]] = events.StatementDays
    publish_by: _Days
    dispute_until: _Days
    pay_by: _Days


class ServiceTimePart(Part):
    """Within how many working minutes a case of the kind and severity is to be answered, and a failure reported."""

    STORED: ClassVar[type[msgspec.Struct]] = events.ServiceTime
    kind: Literal["consultation", "complaint", "failure"]
    minutes: Annotated[int, Field(ge=1, le=1_000_000)]
    severity: Literal["low", "medium", "high", "critical"] | None = None
    report_within: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _failures_are_reported(self) -> Self:
        if self.report_within is not None and self.kind != "failure":
            raise ValueError("only failures are reported within a time; leave report_within out")
        return self


class WorkingTimePart(Part):
    """When minutes of service count, in the contract's time zone: minutes of the day, weekdays (1 is Monday), no holidays."""

    STORED: ClassVar[type[msgspec.Struct]] = events.WorkingTime
    begins: Annotated[int, Field(ge=0, le=1_439)] = 0
    ends: Annotated[int, Field(ge=1, le=1_440)] = 1_440
    weekdays: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1, max_length=7)] = (
        1, 2, 3, 4, 5, 6, 7,
    )  # fmt: skip
    holidays: Annotated[tuple[Day, ...], Field(max_length=MODELS_PARTS_MAX)] = ()

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.begins >= self.ends:
            raise ValueError("working time ends after it begins; give ends above begins")
        return self


class CooperationModelPublishedData(Told):
    """A version of a cooperation model: which partners and rulebooks it allows, what it needs of them, and its days."""

    model: Text
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    kind: Literal["revenue_share", "wholesale", "agency_commission", "fixed_fee", "white_label"]
    valid_from: Day
    author: Text
    partner_kinds: Annotated[tuple[PartnerKind, ...], Field(max_length=MODELS_PARTS_MAX)] = ()
    qualifications: _Texts = ()
    courses: _Texts = ()
    rulebooks: _Texts = ()
    authorisation: bool = False
    published_content: bool = False
    deposit: Amount | None = None
    currency: CurrencyCode | None = None
    calendar: Calendar | None = None
    days: StatementDaysPart | None = None
    service_times: Annotated[tuple[ServiceTimePart, ...], Field(max_length=MODELS_PARTS_MAX)] = ()
    working_time: WorkingTimePart = WorkingTimePart()

    @model_validator(mode="after")
    def _deposit_is_whole(self) -> Self:
        if (self.deposit is None) != (self.currency is None):
            raise ValueError("deposit and currency go together; give both or neither")
        return self


TYPES: dict[str, type[Data]] = {
    "cooperation_model.published": CooperationModelPublishedData,
    "qualification.submitted": QualificationSubmittedData,
    "qualification.approved": QualificationApprovedData,
    "qualification.rejected": QualificationRejectedData,
    "qualification.renewed": QualificationRenewedData,
    "qualification.revoked": QualificationRevokedData,
}
