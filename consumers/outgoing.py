"""What is told to others of what was issued: CloudEvents made of the log's events. Pure.

Names follow TM Forum: a statement is a settlement note, what restating changes an adjustment of it, a points account a loyalty
balance (docs/tmforum.md).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from engine.events import (
    AssessmentCompleted,
    DiscrepancyResolved,
    Event,
    PointsEvent,
    PointsRedemptionApproved,
    StatementClosed,
    StatementRestated,
    decoded,
)
from engine.money import MICROS
from engine.projections.seals import Entry
from engine.settlement.adjusting import resolution

SOURCE = "tantieme"
STATEMENTS, ADJUSTMENTS, SCORES, POINTS = "statements", "adjustments", "scores", "points"
TOPICS = (STATEMENTS, ADJUSTMENTS, SCORES, POINTS)


class Outgoing(NamedTuple):
    """One message. `topic` is one of TOPICS; `id` is the same however often it is made."""

    topic: str
    key: bytes
    id: str
    type: str
    time: datetime
    data: Any

    @property
    def value(self) -> bytes:
        """CloudEvents 1.0, structured JSON."""
        return msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": self.id,
                "source": SOURCE,
                "type": self.type,
                "time": self.time,
                "datacontenttype": "application/json",
                "data": self.data,
            }
        )


def outgoing(entry: Entry) -> Outgoing:
    """The message of an event that is told to others. Its id is the event's position in the log."""
    event = decoded(entry.name, entry.state)
    topic, key, type_, data = _told(event)
    said = data | {"position": entry.position}
    return Outgoing(topic, key.encode(), str(entry.position), type_, event.time, said)


def _told(event: Event) -> tuple[str, str, str, dict[str, Any]]:
    match event:
        case StatementClosed():
            said = {"version": 1, "statement": msgspec.Raw(event.statement.encode())}
            return STATEMENTS, event.contract, "settlement_note.issued", _named(event) | said
        case StatementRestated():
            said = {
                "version": event.version,
                "adjustment": msgspec.Raw(event.adjustment.encode()),
                "statement": msgspec.Raw(event.statement.encode()),
            }
            return ADJUSTMENTS, event.contract, "settlement_note.adjusted", _named(event) | said
        case AssessmentCompleted():
            said = {
                "partner": event.partner, "scorecard": event.scorecard, "period": event.period, "version": event.version,
                "digest": event.digest, "score": msgspec.Raw(event.score.encode()),
            }  # fmt: skip
            return SCORES, event.partner, "assessment.completed", said
        case DiscrepancyResolved():
            said = _plain(event) | {"adjustment": resolution(event)}
            return ADJUSTMENTS, event.contract, "settlement_note.discrepancy_resolved", said
        case PointsEvent() | PointsRedemptionApproved():
            return POINTS, event.partner, f"loyalty_{event.NAME}", _plain(event)
        case _:
            # A step in the life of a statement.
            contract = getattr(event, "contract", None)
            assert contract is not None, event
            return STATEMENTS, contract, event.NAME.replace("statement.", "settlement_note."), _plain(event)


def _named(event: StatementClosed | StatementRestated) -> dict[str, Any]:
    return {"contract": event.contract, "period": event.period, "digest": event.digest}


_MICROS = frozenset({"amount", "points"})


def _plain(event: Event) -> dict[str, Any]:
    """The event's own fields, numbers as decimal texts."""
    said = msgspec.to_builtins(event)
    own = {name: value for name, value in said.items() if name not in {"source", "id", "time"}}
    return {name: _text(value) if name in _MICROS and value is not None else value for name, value in own.items()}


def _text(micros: int) -> str:
    whole, rest = divmod(abs(micros), MICROS)
    digits = f"{rest:06d}".rstrip("0")
    return f"{'-' if micros < 0 else ''}{whole}{'.' if digits else ''}{digits}"
