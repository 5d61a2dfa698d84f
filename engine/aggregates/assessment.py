"""The processing of a score that was issued: published to its partner, appealed, decided, final."""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_never

import msgspec

from engine.aggregates.persons import same_person
from engine.aggregates.relation import Aggregate, Look, NotThere, OwnApproval, WrongState, fits
from engine.events import (
    AssessmentAppealed,
    AssessmentDecided,
    AssessmentFinalised,
    AssessmentOverridden,
    AssessmentPublished,
    AssessmentReassessed,
)

ProcessCommand = AssessmentPublished | AssessmentAppealed | AssessmentDecided | AssessmentFinalised


class Assessment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is published, appealed, decided or final; while there is none, an issued score is computed.

    `published` is the version of the score that the partner saw last. `grade` is that of a granted appeal. `finalised` is when it
    became final.
    """

    scorecard: str
    period: str
    partner: str
    state: str
    published: int
    appealed_by: str | None = None
    appeal: str | None = None
    granted: bool | None = None
    grade: str | None = None
    decision: str | None = None
    author: str | None = None
    approver: str | None = None
    finalised: datetime | None = None


COMPUTED = "computed"
# By step: the states from which it can be taken. A score that was computed again can be published again.
_STEPS = {
    "assessment.published": (COMPUTED,),
    "assessment.appealed": ("published",),
    "assessment.decided": ("appealed",),
    "assessment.finalised": ("published", "decided"),
}
_AGAIN = ("published", "decided")


def decide(known: Assessment | None, command: ProcessCommand, look: Look) -> ProcessCommand:
    """Raises NotThere, WrongState, OwnApproval."""
    what = _called(command)
    score = look("score", command.named)
    if score is None:
        raise NotThere(
            f"{what} has no score that was issued; close the period, and this message can be tried again",
            waits_for=f"assessment:{command.named}",
        )
    if isinstance(command, AssessmentPublished):
        if known is None or not (known.state in _AGAIN and score.version > known.published):
            fits(what, known.state if known else COMPUTED, command.NAME, _STEPS)
        return msgspec.structs.replace(command, version=score.version)
    fits(what, known.state if known else COMPUTED, command.NAME, _STEPS)
    if isinstance(command, AssessmentDecided) and known is not None:
        _check_persons(what, known, command)
    return command


def _check_persons(what: str, known: Assessment, command: AssessmentDecided) -> None:
    if any(same_person(known.appealed_by, each) for each in (command.author, command.approver)):
        raise OwnApproval(
            f"{known.appealed_by} appealed against {what}, and cannot decide or approve that; have somebody else do it, under a "
            "new id, and write this message off"
        )


def check_open(known: Assessment | None, command: AssessmentOverridden | AssessmentReassessed) -> None:
    """Raises WrongState where the assessment is final: it is neither overridden nor computed again."""
    if known is not None and known.state == "final":
        raise WrongState(
            f"{_called(command)} is final, so {command.NAME} does not apply; nothing can follow from there; write this message off"
        )


def _called(command: ProcessCommand | AssessmentOverridden | AssessmentReassessed) -> str:
    return f"the assessment of partner {command.partner} by {command.scorecard} in {command.period}"


def evolve(known: Assessment | None, event: ProcessCommand) -> Assessment:
    match event:
        case AssessmentPublished():
            return Assessment(
                scorecard=event.scorecard, period=event.period, partner=event.partner, state="published",
                published=event.version or 1, **_standing_grade(known),
            )  # fmt: skip
        case AssessmentAppealed():
            assert known is not None, event
            return msgspec.structs.replace(known, state="appealed", appealed_by=event.author, appeal=event.reason)
        case AssessmentDecided():
            assert known is not None, event
            return msgspec.structs.replace(
                known, state="decided", granted=event.granted, grade=event.grade or known.grade, decision=event.reason,
                author=event.author, approver=event.approver,
            )  # fmt: skip
        case AssessmentFinalised():
            assert known is not None, event
            return msgspec.structs.replace(known, state="final", author=event.author, finalised=event.time)
        case _:
            assert_never(event)


def _standing_grade(known: Assessment | None) -> dict[str, Any]:
    """A grade that a person gave stands, also where the score is computed and published again."""
    return {} if known is None else {"grade": known.grade}


AGGREGATE = Aggregate("assessment", Assessment, decide, evolve)
