"""What becomes of a score that was issued: shown to its partner, appealed against, decided, final."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from consumers.fields import PeriodName, Text
from consumers.wire.base import Data, Told


class Process(Told):
    """`scorecard` is the rulebook that has the assessment."""

    partner: Text
    scorecard: Text
    period: PeriodName
    author: Text


class AssessmentPublishedData(Process):
    """A score that was issued is shown to its partner."""


class AssessmentAppealedData(Process):
    """The partner, for whom `author` speaks, does not agree with its score."""

    reason: Text


class AssessmentDecidedData(Process):
    """An appeal is granted, and `grade` stands instead of the assessed one; or it is not."""

    granted: bool
    reason: Text
    approver: Text
    grade: Text | None = None

    @model_validator(mode="after")
    def _a_grade_where_granted(self) -> Self:
        if self.granted != (self.grade is not None):
            raise ValueError("granted and grade go together; give a grade where the appeal is granted, else none")
        return self


class AssessmentFinalisedData(Process):
    """Nothing more is decided about the score."""


TYPES: dict[str, type[Data]] = {
    "assessment.published": AssessmentPublishedData,
    "assessment.appealed": AssessmentAppealedData,
    "assessment.decided": AssessmentDecidedData,
    "assessment.finalised": AssessmentFinalisedData,
}
