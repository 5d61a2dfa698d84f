"""Closed statements on which something is left to do, each with its settlement note."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

import msgspec

from engine.aggregates.note import Note
from engine.store.database import Rows

_decoder = msgspec.json.Decoder(Note)
_UNSETTLED = (
    'SELECT s.contract, s.period, s."end", c.time_zone, c.cooperation_model, r.state, s.first, r.id '
    "FROM statements s JOIN contracts c USING (contract)"
)
# The state is JSON without spaces, in which a quote within a text has a backslash before it.
_OPEN = (
    """s.version = 1 AND s."end" <= %s AND (r.state IS NULL OR position('"state":"settled"'::bytea IN r.state) = 0)"""
)


class Unsettled(NamedTuple):
    """`note` is None where the statement was not published yet."""

    contract: str
    period: str
    end: date
    time_zone: str
    cooperation_model: str
    note: Note | None


def unsettled(cursor: Rows, day: date) -> list[Unsettled]:
    """Those of periods that end with or before the day, by contract and period; each followed by those of agents above."""
    rows = cursor.execute(
        f"{_UNSETTLED} LEFT JOIN relations r ON r.kind = 'note' AND r.id = s.contract || E'\\x1f' || s.period "
        f"WHERE {_OPEN} UNION ALL "
        f"{_UNSETTLED} JOIN relations r ON r.kind = 'note' AND r.id LIKE E'%%\\x1f%%\\x1f%%' "
        "AND split_part(r.id, E'\\x1f', 1) = s.contract AND split_part(r.id, E'\\x1f', 2) = s.period "
        f"WHERE {_OPEN} ORDER BY contract, first, id NULLS FIRST",
        (day, day),
    ).fetchall()
    return [Unsettled(*row[:6])._replace(note=_note(row[5])) for row in rows]


def _note(state: Any) -> Note | None:  # noqa: ANN401 - bytes, or nothing
    return None if state is None else _decoder.decode(state)


def first_day(cursor: Rows) -> date | None:
    """The first day of the earliest period of which there is a fact or a statement."""
    row = cursor.execute(
        "SELECT least((SELECT min(period) FROM facts), (SELECT min(first) FROM statements))"
    ).fetchone()
    assert row is not None
    found: date | None = row[0]
    return found


def calendars(cursor: Rows) -> list[str]:
    """Those by which contracts settle."""
    return [row[0] for row in cursor.execute("SELECT DISTINCT calendar FROM contracts ORDER BY calendar")]


def without_root(cursor: Rows) -> set[str]:
    """The periods of which a closing has not been completed: it was killed before."""
    return {
        row[0] for row in cursor.execute("SELECT DISTINCT period FROM statements WHERE closing IS NULL AND version = 1")
    }


def lacking(cursor: Rows, calendar: str, period: str, first: date, end: date) -> bool:
    """Whether a contract that is in force in the period has no statement of it yet."""
    row = cursor.execute(
        "SELECT EXISTS (SELECT FROM contracts c WHERE calendar = %s AND valid_from < %s AND (valid_to IS NULL OR valid_to > %s) "
        "AND NOT EXISTS (SELECT FROM statements s WHERE s.contract = c.contract AND s.period = %s))",
        (calendar, end, first, period),
    ).fetchone()
    return row is not None and bool(row[0])
