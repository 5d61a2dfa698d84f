"""What the calendar asks for on a day: which periods are to be closed, and which step of which statement is due.

The days are those of the cooperation model in force on the period's last day. A step is due from its day on until it is taken;
so whoever asks for the same day again, or for an earlier one, finds nothing left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from engine.aggregates import cooperation_model
from engine.aggregates.note import Note
from engine.events import StatementDays, joined
from engine.period import Calendar, Period, noon
from engine.settlement import taking_up
from engine.settlement.paying import payment
from engine.store import notes, registry, relations, statements
from engine.store.database import Rows
from engine.store.notes import Unsettled


class Step(NamedTuple):
    """A step that is due: the event's type and data, and an instant of the day in the contract's time zone."""

    type: str
    data: dict[str, Any]
    time: datetime


class Waits(NamedTuple):
    """What waits for a person, and why."""

    contract: str
    period: str
    code: str
    sentence: str


class ToPay(NamedTuple):
    """What is to be paid to the partner by `pay_by`; by the partner, where the amount is below 0. `held` says why not now, `returned`
    which payment of it came back last.
    """

    contract: str
    period: str
    partner: str
    number: str
    amount: str
    currency: str
    pay_by: date | None
    overdue: bool
    held: str | None
    returned: str | None


class Plan(NamedTuple):
    steps: list[Step]
    waits: list[Waits]
    to_pay: list[ToPay]


def over(cursor: Rows, day: date) -> list[Period]:
    """The periods that are over on the day and in which a contract lacks its statement, in order within each calendar.

    Also those whose closing was killed before it gave the statements their root. The first that counts is that of the first day
    of which anything was recorded or issued.
    """
    begin = notes.first_day(cursor)
    if begin is None:
        return []
    incomplete = notes.without_root(cursor)
    found = []
    for calendar in notes.calendars(cursor):
        period = Period.containing(begin, Calendar(calendar))
        while period.end <= day:
            if (
                str(period) in incomplete
                or notes.lacking(cursor, calendar, str(period), period.first, period.end)
                or (period.next().end > day and _adjusted(cursor, period))
            ):
                found.append(period)
            period = period.next()
    return found


def _adjusted(cursor: Rows, period: Period) -> bool:
    """Whether adjustments wait for a statement of adjustments alone, of a contract that is no longer in force."""
    waiting = list(taking_up.waiting(cursor, period))
    known = registry.contracts(cursor, waiting) if waiting else {}
    named = [name for name, each in known.items() if each.calendar is period.calendar]
    return bool(set(named) - statements.closed_contracts(cursor, named, str(period))) if named else False


def planned(cursor: Rows, day: date, author: str) -> Plan:
    """The next step of every statement that has one on the day; what waits for a person; and what is to be paid by then."""
    rows = notes.unsettled(cursor, day)
    models = _models(cursor, rows)
    undecided = _undecided(cursor, rows)
    untold = _untold(cursor, rows)
    plan = Plan([], [], [])
    for row in rows:
        note = row.note
        if note is not None and day < note.day:
            continue
        own: dict[str, Any] = {"contract": row.contract, "period": row.period, "author": author}
        time = noon(row.time_zone, day)
        agents = untold.get(joined(row.contract, row.period), ()) if note is not None and note.agent is None else ()
        plan.steps.extend(Step("statement.published", own | {"agent": agent}, time) for agent in agents)
        if note is not None and note.state == "invoiced":
            plan.to_pay.extend(_to_pay(note, day, payment(cursor, note.partner).held))
            continue
        found = _next(row, day, models.get(row.cooperation_model), undecided)
        if isinstance(found, Waits):
            plan.waits.append(found)
        elif found is not None:
            type_, further = found
            agent = {"agent": note.agent} if note is not None and note.agent is not None else {}
            plan.steps.append(Step(type_, own | agent | further, time))
    return plan


def _next(
    row: Unsettled, day: date, model: cooperation_model.CooperationModel | None, undecided: Mapping[str, list[str]]
) -> tuple[str, dict[str, Any]] | Waits | None:
    """The step that is due on the day, with what it says beside the statement and the author; or what it waits for."""
    note = row.note
    if note is None:
        return _publication(row, day, model)
    match note.state:
        case "published" if note.dispute_until is None:
            sentence = (
                "it has no day up to which it may be disputed; the partner confirms it (settle statement confirm)"
            )
            return Waits(row.contract, row.period, "no-calendar", sentence)
        case "published":
            assert note.dispute_until is not None
            return ("statement.confirmed", {"by_default": True}) if day > note.dispute_until else None
        case "disputed":
            return _dispute(row, undecided.get(joined(row.contract, row.period), []))
        case "confirmed" if note.unpaid:
            return _invoicing(row, note, day)
        case _:
            assert note.state in {"confirmed", "paid"}, note
            return "statement.settled", {}


def _publication(
    row: Unsettled, day: date, model: cooperation_model.CooperationModel | None
) -> tuple[str, dict[str, Any]] | Waits | None:
    last = row.end - timedelta(days=1)
    days = _days(model, last)
    if days is None:
        sentence = f"cooperation model {row.cooperation_model} sets no days on {last}; publish it by hand (settle statement publish)"
        return Waits(row.contract, row.period, "no-calendar", sentence)
    return ("statement.published", {}) if day >= last + timedelta(days=days.publish_by) else None


def _days(model: cooperation_model.CooperationModel | None, on: date) -> StatementDays | None:
    version = cooperation_model.on(model, on) if model else None
    return version.days if version else None


def _dispute(row: Unsettled, lines: list[str]) -> Waits:
    if lines:
        sentence = f"lines {', '.join(lines[:5])} are disputed and not decided (settle discrepancy list)"
        return Waits(row.contract, row.period, "open-discrepancies", sentence)
    sentence = "what was disputed is decided; the partner confirms it (settle statement confirm)"
    return Waits(row.contract, row.period, "disputed", sentence)


def _invoicing(row: Unsettled, note: Note, day: date) -> tuple[str, dict[str, Any]] | Waits:
    """What a person has withdrawn, a person invoices again: only that one knows whether what was wrong is mended."""
    if not note.withdrawn:
        return "statement.invoiced", {"day": day.isoformat()}
    last = note.withdrawn[-1]
    sentence = f"its invoice {last.number} was withdrawn: {last.reason}; invoice it again (settle statement invoice)"
    return Waits(row.contract, row.period, "invoice-withdrawn", sentence)


def _to_pay(note: Note, day: date, held: str | None) -> Iterator[ToPay]:
    if note.pay_by is not None and day < note.pay_by:
        return
    overdue = note.pay_by is not None and note.pay_by < day
    for each in note.unpaid:
        yield ToPay(
            note.contract, note.period, note.partner, note.number or "", each.amount, each.currency, note.pay_by, overdue,
            None if each.amount.startswith("-") else held, _returned(note, each.currency),
        )  # fmt: skip


def _returned(note: Note, currency: str) -> str | None:
    """In words, so that whoever pays again sees first why it was not paid with that."""
    gone = [each for each in note.returned if (each.currency, each.number) == (currency, note.number)]
    return f"{gone[-1].reference} was returned on {gone[-1].day}: {gone[-1].reason}" if gone else None


def _models(cursor: Rows, rows: Iterable[Unsettled]) -> dict[str, cooperation_model.CooperationModel]:
    keys = {("cooperation_model", row.cooperation_model) for row in rows}
    return {id_: relation.state for (_, id_), relation in relations.known(cursor, keys).items()}


def _untold(cursor: Rows, rows: Iterable[Unsettled]) -> dict[str, list[str]]:
    """By contract and period the agents above, by their parties, to whom their share was not published yet."""
    ids = [
        (joined(row.contract, row.period), each.party)
        for row in rows
        if row.note is not None
        for each in row.note.agents
    ]
    known = relations.known(cursor, [("note", joined(*id_)) for id_ in ids])
    found: dict[str, list[str]] = {}
    for id_, party in ids:
        if ("note", joined(id_, party)) not in known:
            found.setdefault(id_, []).append(party)
    return found


def _undecided(cursor: Rows, rows: Iterable[Unsettled]) -> dict[str, list[str]]:
    """By contract and period the disputed lines that nobody has decided yet."""
    lines = [
        (joined(row.contract, row.period), line)
        for row in rows
        if row.note is not None and row.note.state == "disputed"
        for line in row.note.lines
    ]
    known = relations.known(cursor, [("discrepancy", joined(id_, line)) for id_, line in lines])
    found: dict[str, list[str]] = {}
    for id_, line in lines:
        relation = known.get(("discrepancy", joined(id_, line)))
        if relation is None or relation.state.state in {"open", "assigned"}:
            found.setdefault(id_, []).append(line)
    return found
