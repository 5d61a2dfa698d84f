"""Events about a partner: cases, training, content, points and assessments."""

from __future__ import annotations

from datetime import date, datetime
from hashlib import sha256
from typing import ClassVar

from engine.events.base import Event

_NAME_BYTES_MAX = 2_048


def _indexed(name: str) -> str:
    """A name of three parts, or its hash where it is longer than an index holds."""
    return name if len(name.encode()) <= _NAME_BYTES_MAX else sha256(name.encode()).hexdigest()


class ReportedEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event about a partner and perhaps one of its contracts. Numbers are micros."""

    partner: str
    contract: str | None = None


class CaseEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a case: a consultation, a complaint, or a report of a business failure."""

    KIND: ClassVar[str] = "case"
    KEY: ClassVar[tuple[str, ...]] = ("case",)
    case: str
    kind: str
    product: str | None = None
    service: str | None = None
    severity: str | None = None
    author: str | None = None


class CaseOpened(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`start` is when a failure began."""

    NAME: ClassVar[str] = "case.opened"
    start: datetime | None = None


class CaseAcknowledged(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "case.acknowledged"


class CaseAnswered(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`minutes` is how many minutes of working time the answer took."""

    NAME: ClassVar[str] = "case.answered"
    on_time: bool | None = None
    minutes: int | None = None


class CaseEscalated(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "case.escalated"


class CaseClosed(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A failure lasted from `start` up to `end`, `minutes` long, hit `affected` uses, and was reported `late` or not."""

    NAME: ClassVar[str] = "case.closed"
    upheld: bool | None = None
    minutes: int | None = None
    affected: int | None = None
    compensation: int | None = None
    currency: str | None = None
    late: bool | None = None
    start: datetime | None = None
    end: datetime | None = None


class CaseReopened(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the closing had said, and is open again: found by deciding, never told."""

    NAME: ClassVar[str] = "case.reopened"
    upheld: bool | None = None
    minutes: int | None = None
    affected: int | None = None
    compensation: int | None = None
    currency: str | None = None
    late: bool | None = None


class TrainingEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step of a partner's people through a course."""

    KIND: ClassVar[str] = "training"
    KEY: ClassVar[tuple[str, ...]] = ("partner", "course", "participant")
    course: str
    participant: str | None = None
    author: str | None = None

    @property
    def named(self) -> str:
        return _indexed(super().named)


class TrainingEnrolled(TrainingEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "training.enrolled"


class TrainingCompleted(TrainingEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`expires` is the first day on which the certificate is no longer valid."""

    NAME: ClassVar[str] = "training.completed"
    certificate: str | None = None
    expires: date | None = None


class ContentEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a piece of content."""

    KIND: ClassVar[str] = "content"
    KEY: ClassVar[tuple[str, ...]] = ("partner", "content")
    content: str
    product: str | None = None
    author: str | None = None


class ContentSubmitted(ContentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "content.submitted"
    on_time: bool | None = None


class ContentReviewed(ContentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "content.reviewed"
    approved: bool


class ContentPublished(ContentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`day` is the first on which it is published: found by deciding, never told."""

    NAME: ClassVar[str] = "content.published"
    on_time: bool | None = None
    day: date | None = None


class ContentWithdrawn(ContentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`day` is the last on which it is published: found by deciding, never told."""

    NAME: ClassVar[str] = "content.withdrawn"
    day: date | None = None


class PointsEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A change of a points account by hand. `program` is the rulebook that keeps it; `points` are micros."""

    program: str
    points: int
    reason: str


class PointsAdjusted(PointsEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Points given, or taken away where they are negative."""

    NAME: ClassVar[str] = "points.adjusted"
    author: str
    approver: str


class PointsBurned(PointsEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Points spent; above 0. `reference` names what for."""

    NAME: ClassVar[str] = "points.burned"
    reference: str | None = None


class RedemptionEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step of a wish to spend points, which `reference` names among those of the partner in the program."""

    KIND: ClassVar[str] = "redemption"
    KEY: ClassVar[tuple[str, ...]] = ("partner", "program", "reference")
    program: str
    reference: str

    @property
    def named(self) -> str:
        return _indexed(super().named)


class PointsRedemptionRequested(RedemptionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`points` are micros, above 0. `benefit` is what of the grants of its level the partner asks for."""

    NAME: ClassVar[str] = "points.redemption_requested"
    points: int
    author: str
    benefit: str | None = None


class PointsRedemptionApproved(RedemptionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Burns the points that were asked for, which the decision writes into the event with who asked: `points`, `author`."""

    NAME: ClassVar[str] = "points.redemption_approved"
    approver: str
    points: int | None = None
    author: str | None = None


class PointsRedemptionRejected(RedemptionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "points.redemption_rejected"
    author: str
    reason: str


class AssessmentEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a person decides about an assessment. `scorecard` is the rulebook that has it."""

    scorecard: str
    period: str
    reason: str
    author: str


class AssessmentOverridden(AssessmentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The grade that stands instead of the assessed one. `score` is in micros."""

    NAME: ClassVar[str] = "assessment.overridden"
    grade: str
    approver: str
    score: int | None = None


class AssessmentReassessed(AssessmentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Asks that a score that was issued be computed again."""

    NAME: ClassVar[str] = "assessment.reassessed"
