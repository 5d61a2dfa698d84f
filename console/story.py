"""What the story that `settle demo partner` tells is made of: its parties, its rules, and the kinds of its steps.

What persons decide are commands with an author and a time; usage comes as CloudEvents lines; the calendar is run on its days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import msgspec

from consumers.commands import Asked

PARTNER, CONTRACT, SERVICE, RULEBOOK, MODEL = "P-story", "C-story", "S-story", "story", "cp"
NAME, CURRENCY, LINE = "Aurora Music", "EUR", "live share"

TEXT = """\
rulebook: story
version: 1
valid_from: 2025-01-01
currency: EUR
measures:
  trial sales:   {event: billing.charged, sum: amount, where: {phase: trial}}
  live sales:    {event: billing.charged, sum: amount, where: {phase: live}}
  advances:      {event: advance.paid, sum: amount}
  compensation:  {event: case.closed, sum: compensation}
  complaints:    {event: case.closed, count: events, where: {kind: complaint, upheld: "yes"}}
  late failures: {event: case.closed, count: events, where: {kind: failure, late: "yes"}}
waterfall:
  - {name: trial share, clause: "3.1", amount: 40% * trial sales}
  - {name: live share, clause: "3.2", amount: 60% * live sales}
  - {name: gross, clause: "3.3", amount: trial share + live share}
  - name: weighted
    clause: "3.4"
    coefficient: {of: gross, grade: this}
  - {name: penalties, clause: "4.1", amount: compensation + 50 * late failures}
  - {name: earned, clause: "4.2", amount: weighted - penalties}
  - {name: payable, clause: "5.1", advance: {of: earned, paid: advances}, round: half_up}
assessment:
  metrics:
    - name: service
      clause: "6.1"
      weight: 100%
      value: 20 * complaints + 10 * late failures
      linear: [{at: 0, score: 100}, {at: 100, score: 0}]
  grades: [{grade: C, below: 75}, {grade: B, below: 80}, {grade: A, upto: 100}]
  consequences: {A: {coefficient: 110%}, B: {coefficient: 100%}, C: {coefficient: 90%}}
"""
COOPERATION = {
    "model": MODEL, "version": 1, "kind": "revenue_share", "valid_from": "2025-01-01", "author": "ann",
    "partner_kinds": ["content_provider"], "qualifications": ["licence"], "rulebooks": [RULEBOOK],
    "deposit": "500", "currency": CURRENCY, "calendar": "monthly",
    "days": {"publish_by": 5, "dispute_until": 15, "pay_by": 30},
    "service_times": [{"kind": "complaint", "minutes": 480}, {"kind": "failure", "minutes": 240, "report_within": 30}],
}  # fmt: skip


class Persons(NamedTuple):
    """Events that persons ask for, all or none. `sealed` ones need the key that seals personal fields."""

    asked: tuple[Asked, ...]
    sealed: bool = False


class Streamed(NamedTuple):
    """Messages that stream in, CloudEvents as they are; `name` is that of the file where they come in one."""

    name: str
    lines: tuple[bytes, ...]


class Days(NamedTuple):
    """The calendar is run on the days."""

    days: tuple[date, ...]


class Figures(NamedTuple):
    """The partner's own figures for a period's statement, as CSV."""

    period: str
    csv: str
    time: datetime


class Restate(NamedTuple):
    """Closed periods are computed again, and adjusted."""


Act = Persons | Streamed | Days | Figures | Restate


class Step(NamedTuple):
    said: str
    act: Act


class Chapter(NamedTuple):
    """`shown` are the periods whose statements, with their versions, show what came of it."""

    title: str
    steps: tuple[Step, ...]
    shown: tuple[tuple[str, int], ...] = ()


def at(day: str, hour: int = 9, minute: int = 0) -> datetime:
    return datetime.fromisoformat(f"2025-{day}").replace(hour=hour, minute=minute, tzinfo=UTC)


def asked(type_: str, day: str, data: Mapping[str, object], hour: int = 9, minute: int = 0) -> Asked:
    return Asked(type_, data, at(day, hour, minute))


def service(step: str, on: str, **said: object) -> Asked:
    """A step of the service, told on a day; `on` is the month and the day."""
    return asked(f"service.{step}", on, {"service": SERVICE, "partner": PARTNER, "contract": CONTRACT} | said)


def licence(step: str, on: str, **said: object) -> Asked:
    return asked(f"qualification.{step}", on, {"partner": PARTNER, "qualification": "L-1"} | said)


def case(step: str, case: str, kind: str, day: str, hour: int, **said: object) -> Asked:
    return asked(
        f"case.{step}", day, {"case": case, "partner": PARTNER, "kind": kind, "contract": CONTRACT} | said, hour
    )


def assessed(step: str, day: str, **said: object) -> Asked:
    return asked(f"assessment.{step}", day, {"partner": PARTNER, "scorecard": RULEBOOK, "period": "2025-02"} | said)


def paid(month: str, day: str, amount: str) -> Persons:
    named = {"contract": CONTRACT, "period": f"2025-{month}", "author": "bank", "amount": amount, "currency": CURRENCY}
    return persons(
        asked("statement.paid", day, named | {"reference": f"T-2025-{month}", "day": f"2025-{day}"}, hour=16)
    )


def persons(*asked: Asked, sealed: bool = False) -> Persons:
    return Persons(asked, sealed)


def days(*days: str) -> Days:
    return Days(tuple(date.fromisoformat(f"2025-{day}") for day in days))


def charged(day: str, *amounts: str, twice: int = 0) -> Streamed:
    """Charges of the day; of the first `twice` a second message comes, as after a broken connection."""
    return streamed("billing.charged", day, amounts, twice)


def streamed(type_: str, day: str, amounts: Sequence[str], twice: int = 0) -> Streamed:
    messages = [
        {
            "specversion": "1.0", "id": f"{type_}-{day}-{number}", "source": "story", "type": type_,
            "time": at(day, hour=12, minute=number).isoformat(),
            "data": {"contract": CONTRACT, "amount": amount, "currency": CURRENCY},
        }
        for number, amount in enumerate(amounts, 1)
    ]  # fmt: skip
    lines = [msgspec.json.encode(each) for each in messages]
    return Streamed(f"{type_}-{day}", (*lines, *lines[:twice]))
