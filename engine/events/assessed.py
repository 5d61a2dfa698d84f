"""What becomes of a score that was issued: shown to its partner, appealed against, decided, final."""

from __future__ import annotations

from typing import ClassVar

from engine.events.reported import ReportedEvent


class ProcessEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the processing of an assessment. `scorecard` is the rulebook that has it."""

    KIND: ClassVar[str] = "assessment"
    KEY: ClassVar[tuple[str, ...]] = ("scorecard", "period", "partner")
    scorecard: str
    period: str
    author: str


class AssessmentPublished(ProcessEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`version` is that of the score which the partner sees: found by deciding, never told."""

    NAME: ClassVar[str] = "assessment.published"
    version: int | None = None


class AssessmentAppealed(ProcessEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`author` speaks for the partner."""

    NAME: ClassVar[str] = "assessment.appealed"
    reason: str


class AssessmentDecided(ProcessEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An appeal was granted, and `grade` stands instead of the assessed one; or it was not."""

    NAME: ClassVar[str] = "assessment.decided"
    granted: bool
    reason: str
    approver: str
    grade: str | None = None


class AssessmentFinalised(ProcessEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "assessment.finalised"
