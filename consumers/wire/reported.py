"""What is reported about partners: cases, training, content, points and assessments."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from consumers.fields import (
    COMPENSATION_IS_WHOLE,
    Amount,
    CurrencyCode,
    Day,
    PeriodName,
    Quantity,
    QuantityAboveZero,
    Text,
    Time,
)
from consumers.wire.base import Data, Told


class Case(Told):
    """A consultation, a complaint, or a report of a business failure."""

    case: Text
    partner: Text
    kind: Literal["consultation", "complaint", "failure"]
    contract: Text | None = None
    product: Text | None = None
    service: Text | None = None
    severity: Literal["low", "medium", "high", "critical"] | None = None
    author: Text | None = None


class CaseOpenedData(Case):
    """A partner, or a customer about a partner, has raised a case. `start` is when a failure began."""

    start: Time | None = None


class CaseAcknowledgedData(Case):
    """Somebody has taken the case up."""


class CaseAnsweredData(Case):
    """The case was answered. Its working `minutes`, and whether it was on time, follow from its cooperation model."""

    on_time: bool | None = None
    minutes: Amount | None = None


class CaseEscalatedData(Case):
    """The case was handed upwards."""


class CaseClosedData(Case, json_schema_extra=COMPENSATION_IS_WHOLE):
    """The case ended. Of a failure: from when up to when it lasted, how many uses it affected, whether it was reported late.

    Its `minutes`, and whether it was `late`, follow from that and its cooperation model where they are not said.
    A compensation is in the currency of the contract, which must then be named. `author` is who decided all this.
    """

    author: Text
    upheld: bool | None = None
    minutes: Amount | None = None
    affected: Amount | None = None
    compensation: Amount | None = None
    currency: CurrencyCode | None = None
    late: bool | None = None
    start: Time | None = None
    end: Time | None = None

    @model_validator(mode="after")
    def _compensation_is_whole(self) -> Self:
        if (self.compensation is None) != (self.currency is None):
            raise ValueError("compensation and currency go together; give both or neither")
        if self.compensation is not None and self.contract is None:
            raise ValueError("a compensation is settled under a contract; name it")
        return self

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError("a failure ends after it starts; give end at or after start")
        return self


class CaseReopenedData(Case):
    """A closed case goes on: what its closing said is taken back."""

    author: Text


class Training(Told):
    partner: Text
    course: Text
    participant: Text | None = None
    author: Text | None = None


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
    author: Text | None = None


class ContentSubmittedData(Content):
    """A partner delivered a piece of content."""

    on_time: bool | None = None


class ContentReviewedData(Content):
    """A piece of content was approved, or was not; approved by somebody other than who submitted it."""

    approved: bool
    author: Text


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


class Redemption(Told):
    """A wish to spend points; `reference` names it among those of the partner in the program."""

    partner: Text
    program: Text
    reference: Text


class PointsRedemptionRequestedData(Redemption):
    """A partner wants to spend points that it has; for a `benefit`, where it is one that its level grants."""

    points: QuantityAboveZero
    author: Text
    benefit: Text | None = None


class PointsRedemptionApprovedData(Redemption):
    """Somebody other than who asked agrees: the points are burned."""

    approver: Text


class PointsRedemptionRejectedData(Redemption):
    """The points stay."""

    author: Text
    reason: Text


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


TYPES: dict[str, type[Data]] = {
    "case.opened": CaseOpenedData,
    "case.acknowledged": CaseAcknowledgedData,
    "case.answered": CaseAnsweredData,
    "case.escalated": CaseEscalatedData,
    "case.closed": CaseClosedData,
    "case.reopened": CaseReopenedData,
    "training.enrolled": TrainingEnrolledData,
    "training.completed": TrainingCompletedData,
    "content.submitted": ContentSubmittedData,
    "content.reviewed": ContentReviewedData,
    "content.published": ContentPublishedData,
    "content.withdrawn": ContentWithdrawnData,
    "points.adjusted": PointsAdjustedData,
    "points.burned": PointsBurnedData,
    "points.redemption_requested": PointsRedemptionRequestedData,
    "points.redemption_approved": PointsRedemptionApprovedData,
    "points.redemption_rejected": PointsRedemptionRejectedData,
    "assessment.overridden": AssessmentOverriddenData,
    "assessment.reassessed": AssessmentReassessedData,
}
