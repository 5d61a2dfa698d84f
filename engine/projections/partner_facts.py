"""The fold from events about partners to facts by day: of a partner, and of the contract that the events name.

These events are few. Any period of any calendar is a sum of days, so the facts of one partner serve all its contracts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeGuard

import msgspec
import polars as pl

from engine.events import CaseEvent, ContentEvent, CountedEvent, LeadEvent, ProvisioningEvent, TrainingEvent
from engine.facts import PARTNER_FIELDS
from engine.money import MICROS
from engine.period import located

# One row a fact. `contract` is empty where the event names none; `value` is in micros.
FACTS = pl.Schema(
    [
        ("partner", pl.String),
        ("contract", pl.String),
        ("day", pl.Date),
        ("event", pl.String),
        ("field", pl.String),
        ("dimensions", pl.String),
        ("events", pl.Int64),
        ("value", pl.Int128),
    ]
)
KEY = ["partner", "contract", "day", "event", "field", "dimensions"]

_CASE = ("contract", "kind", "product", "service", "severity")
_ENDED = ("contract", "kind", "late", "product", "service", "severity", "upheld")
_TRAINING = ("contract", "course")
_CONTENT = ("contract", "product")
_PROVISIONING = ("contract", "product", "service")
_LEAD = ("contract", "product")

# The dimensions of each event's facts, in alphabetical order.
DIMENSIONS = {
    "case.opened": _CASE,
    "case.acknowledged": _CASE,
    "case.answered": ("contract", "kind", "on_time", "product", "service", "severity"),
    "case.escalated": _CASE,
    "case.closed": _ENDED,
    "case.reopened": _ENDED,
    "training.enrolled": _TRAINING,
    "training.completed": _TRAINING,
    "content.submitted": ("contract", "on_time", "product"),
    "content.reviewed": ("approved", "contract", "product"),
    "content.published": ("contract", "on_time", "product"),
    "content.withdrawn": _CONTENT,
    "provisioning.ordered": _PROVISIONING,
    "provisioning.done": ("contract", "on_time", "product", "service"),
    "provisioning.failed": _PROVISIONING,
    "lead.registered": _LEAD,
    "lead.accepted": _LEAD,
    "lead.rejected": _LEAD,
    "lead.won": _LEAD,
    "lead.lost": _LEAD,
}


def is_counted(event: object) -> TypeGuard[CountedEvent]:
    """Whether facts are made of the event."""
    return isinstance(event, (CaseEvent, TrainingEvent, ContentEvent, ProvisioningEvent, LeadEvent))


def fold(events: Iterable[CountedEvent], time_zones: Mapping[str, str]) -> pl.DataFrame:
    """Facts of the events: columns FACTS, one row a key, in no order.

    An event belongs to its day in the time zone of the contract that it names, by `time_zones`, else in UTC.
    """
    rows = [
        (
            event.partner,
            event.contract or "",
            event.NAME,
            field,
            _dimensions(event),
            value,
            event.time,
            time_zones[event.contract] if event.contract else "UTC",
        )
        for event in events
        for field, value in _values(event)
    ]
    schema = pl.Schema(
        [(name, kind) for name, kind in FACTS.items() if name not in {"day", "events"}]
        + [("time", pl.Datetime("us", "UTC")), ("time_zone", pl.String())]
    )
    by_day = located(pl.DataFrame(rows, schema=schema, orient="row").with_columns(calendar=pl.lit("monthly")))
    return merged(by_day.with_columns(events=pl.lit(1, dtype=pl.Int64)).select(FACTS.names()))


def merged(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts of the same key added up."""
    return facts.group_by(KEY).agg(pl.col("events").sum(), pl.col("value").sum()).select(FACTS.names())


def _values(event: CountedEvent) -> list[tuple[str, int]]:
    first, *others = PARTNER_FIELDS[event.NAME]
    stated = [(field, getattr(event, field)) for field in others]
    return [(first, MICROS), *((field, value) for field, value in stated if value is not None)]


def _dimensions(event: CountedEvent) -> str:
    return msgspec.json.encode({name: _text(getattr(event, name)) for name in DIMENSIONS[event.NAME]}).decode()


def _text(value: str | bool | None) -> str | None:  # noqa: FBT001 - what an event says
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case _:
            return value
