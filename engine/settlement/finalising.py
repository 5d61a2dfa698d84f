"""What follows for a partner's services when an assessment becomes final."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from engine.aggregates.refusal import Refused
from engine.period import Period
from engine.settlement.books import Books
from engine.settlement.scoring import follows
from engine.store import assessments, relations
from engine.store.database import Rows

# The states of a service from which it can be suspended.
_RUNNING = frozenset({"trial", "live"})
_ENDING = frozenset({"suspend", "terminate"})


class NotIssued(Refused):
    code = "not-issued"


class Proposed(NamedTuple):
    """A service of the partner that is to be suspended, if a person confirms it; `cause` is what the assessment comes to."""

    service: str
    partner: str
    contract: str | None
    reason: str
    cause: str


def proposed(cursor: Rows, scorecard: str, period: Period, partner: str) -> list[Proposed]:
    """Of the partner's running services all that nobody proposes to suspend yet, where the grade that stands is that of a veto, or its consequence is to suspend or
    to terminate; else none. Raises NotIssued.
    """
    reason = _reason(cursor, scorecard, period, partner)
    if reason is None:
        return []
    cause = f"assessment {scorecard} {period}"
    return [
        Proposed(each.state.service, partner, each.state.contract, reason, cause)
        for each in relations.listed(cursor, "service", partner=partner)
        # What is proposed already waits for a person as it is.
        if each.state.state in _RUNNING and each.state.proposed is None
    ]


def _reason(cursor: Rows, scorecard: str, period: Period, partner: str) -> str | None:
    issued = assessments.issued(cursor, scorecard, str(period), [partner]).get(partner)
    if issued is None:
        raise NotIssued(
            f"no score of partner {partner} by {scorecard} in {period} was issued; settle close {period} issues those of the "
            "period"
        )
    override = assessments.overrides(cursor, scorecard, str(period), [partner]).get(partner)
    grade = override.grade if override else issued.grade
    said = msgspec.json.decode(issued.text)["score"]
    if said["veto"] and grade == said["assessed"]:
        return f"grade {grade} by veto {said['veto']}"
    rulebook = Books(cursor, [scorecard]).version(scorecard, said["rulebook_version"])
    action = follows(rulebook, period, grade).get("action")
    return f"grade {grade}: {action}" if action in _ENDING else None
