"""What is reported about a partner: cases, training, content, points and assessments.

What they refer to must be there; whether one fits the life of its case or content is judged by that.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.aggregates.contract import Contract, OtherCurrency, UnknownContract, UnknownPartner
from engine.aggregates.persons import same_person
from engine.aggregates.refusal import Refused
from engine.events import (
    AssessmentDecided,
    AssessmentOverridden,
    CaseClosed,
    PartnerMerged,
    PointsAdjusted,
    ReportedEvent,
)


class OtherPartner(Refused):
    code = "other-partner"


class ApproverIsAuthor(Refused):
    code = "approver-is-author"


class NoSuchGrade(Refused):
    code = "no-such-grade"


class Surroundings(NamedTuple):
    """What the events refer to. `contract` is the one that the event names, where it is signed; `grades` are those of the
    scorecard that it names, empty where the rulebook does not assess by itself.
    """

    partner_known: bool
    contract: Contract | None
    grades: frozenset[str] = frozenset()


def decide(command: ReportedEvent, surroundings: Surroundings) -> tuple[ReportedEvent, ...]:
    """Raises UnknownPartner, UnknownContract, OtherPartner, OtherCurrency, ApproverIsAuthor, NoSuchGrade."""
    if not surroundings.partner_known:
        raise UnknownPartner(
            f"partner {command.partner} of this {command.NAME} is not registered; send its partner.registered, and this "
            "message is recycled by itself",
            waits_for=f"partner:{command.partner}",
        )
    if command.contract is not None:
        _check_contract(command, command.contract, surroundings.contract)
    approved = (PointsAdjusted, AssessmentOverridden, AssessmentDecided, PartnerMerged)
    if isinstance(command, approved) and same_person(command.author, command.approver):
        raise ApproverIsAuthor(
            f"{command.author} cannot approve what {command.author} wrote; have somebody else approve it, send it under a "
            "new id, and write this message off"
        )
    if isinstance(command, (AssessmentOverridden, AssessmentDecided)):
        _check_grade(command, surroundings.grades)
    return (command,)


def _check_grade(command: AssessmentOverridden | AssessmentDecided, grades: frozenset[str]) -> None:
    if command.grade is not None and grades and command.grade not in grades:
        raise NoSuchGrade(
            f"scorecard {command.scorecard} has no grade {command.grade}; its grades are {', '.join(sorted(grades))}; send one "
            "of them under a new id, and write this message off"
        )


def _check_contract(command: ReportedEvent, named: str, contract: Contract | None) -> None:
    if contract is None:
        raise UnknownContract(
            f"contract {named} of this {command.NAME} is not signed; send its contract.signed, and this message is "
            "recycled by itself",
            waits_for=f"contract:{named}",
        )
    if contract.partner != command.partner:
        raise OtherPartner(
            f"contract {named} is with partner {contract.partner}, not with {command.partner}; send it with the right "
            "one under a new id, and write this message off"
        )
    if isinstance(command, CaseClosed) and command.currency not in {None, contract.currency}:
        raise OtherCurrency(
            f"contract {named} settles in {contract.currency}, and this compensation is in {command.currency}; send it "
            "in that currency under a new id, and write this message off"
        )
