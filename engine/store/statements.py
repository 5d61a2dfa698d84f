"""Closed statements, as issued."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from engine.facts import PRIMARY_FIELD
from engine.period import Calendar, Period
from engine.store.database import Rows


class Issued(NamedTuple):
    """A closed statement: its canonical JSON text, and where the log ended then.

    `given` is all that it was computed from, `carried` the balances that it leaves to the next period; both are JSON.
    """

    contract: str
    period: str
    first: date
    end: date
    rulebook: str
    position: int
    events: int
    digest: str
    statement: str
    given: str
    carried: str


_COLUMNS = 'contract, period, first, "end", rulebook, position, events, digest, statement, given, carried'


def issued(cursor: Rows, contract: str, period: str) -> Issued | None:
    row = cursor.execute(
        f"SELECT {_COLUMNS} FROM settle.statements WHERE contract = %s AND period = %s",  # noqa: S608 - a constant
        (contract, period),
    ).fetchone()
    return None if row is None else Issued(*row)


def of_contract(cursor: Rows, contract: str) -> list[Issued]:
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM settle.statements WHERE contract = %s ORDER BY first",  # noqa: S608
        (contract,),
    )
    return [Issued(*row) for row in rows]


def of_rulebook(cursor: Rows, rulebook: str, period: str) -> list[Issued]:
    """The closed statements of the period under any version of the rulebook, by contract."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM settle.statements WHERE rulebook = %s AND period = %s ORDER BY contract",  # noqa: S608
        (rulebook, period),
    )
    return [Issued(*row) for row in rows]


def carried(cursor: Rows, contracts: Sequence[str], period: str) -> dict[str, str]:
    """What the closed statements of the period carry on, as JSON, by contract."""
    rows = cursor.execute(
        "SELECT contract, carried FROM settle.statements WHERE contract = ANY(%s) AND period = %s",
        (list(contracts), period),
    )
    return dict(rows.fetchall())


def closed_contracts(cursor: Rows, contracts: Sequence[str], period: str) -> set[str]:
    rows = cursor.execute(
        "SELECT contract FROM settle.statements WHERE contract = ANY(%s) AND period = %s", (list(contracts), period)
    )
    return {row[0] for row in rows}


def save(cursor: Rows, statements: Sequence[Issued]) -> None:
    with cursor.copy(f"COPY settle.statements ({_COLUMNS}) FROM STDIN") as copy:
        for statement in statements:
            copy.write_row(statement)


def late_events(cursor: Rows, contract: str | None = None) -> dict[str, int]:
    """By period, the events recorded for closed statements after they were closed; of one contract, or of all.

    An event's type has one field that each of its events carries (engine.facts.PRIMARY_FIELD); those facts count it.
    """
    rows = cursor.execute(
        "SELECT s.period, sum(f.events - s.events)::bigint FROM settle.statements s JOIN LATERAL ("
        "  SELECT coalesce(sum(events), 0) AS events FROM settle.facts "
        "  WHERE contract = s.contract AND period = s.first AND (event, field) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
        ") f ON true WHERE (%s::text IS NULL OR s.contract = %s) GROUP BY s.period HAVING sum(f.events - s.events) <> 0",
        (list(PRIMARY_FIELD), list(PRIMARY_FIELD.values()), contract, contract),
    )
    return dict(rows.fetchall())


def count(cursor: Rows) -> int:
    row = cursor.execute("SELECT count(*) FROM settle.statements").fetchone()
    assert row is not None
    return int(row[0])


def periods(cursor: Rows) -> list[tuple[str, int, int]]:
    """(period, closed statements, contracts with facts but none): every period that has either, by its first day."""
    rows = cursor.execute(
        "WITH live AS (SELECT DISTINCT f.contract, f.period, c.calendar FROM settle.facts f "
        "JOIN settle.contracts c USING (contract)), "
        "standing AS (SELECT coalesce(s.first, live.period) AS first, coalesce(live.calendar, k.calendar) AS calendar, "
        "s.contract IS NOT NULL AS closed FROM live FULL JOIN settle.statements s "
        "ON s.contract = live.contract AND s.first = live.period LEFT JOIN settle.contracts k ON k.contract = s.contract) "
        "SELECT first, calendar, count(*) FILTER (WHERE closed), count(*) FILTER (WHERE NOT closed) "
        "FROM standing GROUP BY first, calendar ORDER BY first, calendar"
    )
    return [
        (str(Period.containing(first, Calendar(calendar))), closed, open_) for first, calendar, closed, open_ in rows
    ]


def texts(cursor: Rows, period: str) -> list[str]:
    """The statements of the period that are closed, as JSON texts, by contract."""
    rows = cursor.execute("SELECT statement FROM settle.statements WHERE period = %s ORDER BY contract", (period,))
    return [row[0] for row in rows]
