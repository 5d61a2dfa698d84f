"""Statements as issued: each closed one, and its further versions where it was restated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from engine.facts import PRIMARY_FIELD
from engine.period import Calendar, Period
from engine.store.database import Rows


class Issued(NamedTuple):
    """A version of a statement: its canonical JSON text, and where the log ended then. Version 1 is as it was closed.

    `given` is all that it was computed from, `carried` the balances that it leaves to the next period, `seals` the digests of
    the events that it stands on; all are JSON. `adjustment` is what a restated one changed, else empty. `own_position` is
    that of its event in the log. `taken_by` is the period whose statement has the adjustment, `closing` the number of the
    closing of the period (or of that one) that it is part of; both are None as long as there is none.
    """

    contract: str
    period: str
    version: int
    first: date
    end: date
    rulebook: str
    position: int
    events: int
    digest: str
    statement: str
    given: str
    carried: str
    seals: str
    adjustment: str
    own_position: int
    taken_by: str | None = None
    closing: int | None = None


_COLUMNS = (
    'contract, period, version, first, "end", rulebook, position, events, digest, statement, given, carried, seals, '
    "adjustment, own_position, taken_by, closing"
)


def issued(cursor: Rows, contract: str, period: str, version: int = 1) -> Issued | None:
    """The statement as it was closed, or a later version of it."""
    row = cursor.execute(
        f"SELECT {_COLUMNS} FROM statements WHERE contract = %s AND period = %s AND version = %s",  # noqa: S608 - a constant
        (contract, period, version),
    ).fetchone()
    return None if row is None else Issued(*row)


def versions(cursor: Rows, contract: str, period: str) -> list[Issued]:
    """The versions of a statement that were issued, the closed one first; none while it is open."""
    return InOrder(cursor, ()).of(contract, period)


class InOrder:
    """The versions of statements that are asked for one by one, by (contract, period) in about the order in which they are `wanted`:
    those that follow are read with the first of them, a few at a time, since a statement can be long.
    """

    def __init__(self, cursor: Rows, wanted: Iterable[tuple[str, str]]) -> None:
        self._cursor = cursor
        self._wanted = list(dict.fromkeys(wanted))
        self._places = {key: at for at, key in enumerate(self._wanted)}
        self._found: dict[tuple[str, str], list[Issued]] = {}

    def of(self, contract: str, period: str) -> list[Issued]:
        """The versions that were issued, the closed one first; none while it is open."""
        key = (contract, period)
        if key not in self._found:
            at = self._places.get(key, len(self._wanted))
            following = dict.fromkeys([key, *self._wanted[at : at + _AT_ONCE]])
            self._found = {each: [] for each in following}
            rows = self._cursor.execute(
                f"SELECT {_COLUMNS} FROM statements WHERE (contract, period) IN "  # noqa: S608
                "(SELECT * FROM unnest(%s::text[], %s::text[])) ORDER BY version",
                ([each[0] for each in following], [each[1] for each in following]),
            )
            for row in rows:
                self._found[row[0], row[1]].append(Issued(*row))
        return self._found[key]


_AT_ONCE = 500


def latest(cursor: Rows, contracts: Sequence[str], period: str) -> dict[str, Issued]:
    """By contract the latest version of each statement of the period that is closed."""
    rows = cursor.execute(
        f"SELECT DISTINCT ON (contract) {_COLUMNS} FROM statements "  # noqa: S608
        "WHERE contract = ANY(%s) AND period = %s ORDER BY contract, version DESC",
        (list(contracts), period),
    )
    return {row[0]: Issued(*row) for row in rows}


def closed(
    cursor: Rows, contracts: Sequence[str] | None = None, rulebook: str | None = None, since: date | None = None
) -> dict[tuple[str, str], date]:
    """By contract and period of every closed statement the end of its period: of the contracts (or of all) under the rulebook
    (or under any), of periods that end after `since`.
    """
    named = None if contracts is None else list(contracts)
    rows = cursor.execute(
        'SELECT contract, period, "end" FROM statements '
        "WHERE version = 1 AND (%s::text[] IS NULL OR contract = ANY(%s)) AND (%s::text IS NULL OR rulebook = %s) "
        'AND (%s::date IS NULL OR "end" > %s) ORDER BY contract, first',
        (named, named, rulebook, rulebook, since, since),
    )
    return {(contract, period): end for contract, period, end in rows}


def periods_as_of(cursor: Rows, position: int) -> dict[str, tuple[date, date]]:
    """The first day and the end of every period of which a statement was closed up to the position."""
    rows = cursor.execute('SELECT DISTINCT period, first, "end" FROM statements WHERE own_position <= %s', (position,))
    return {period: (first, end) for period, first, end in rows}


def as_of(cursor: Rows, contracts: Sequence[str] | None, period: str, position: int) -> dict[str, Issued]:
    """By contract, of those or of all, the latest version of each closed statement of the period that was issued up to the
    position.
    """
    named = None if contracts is None else list(contracts)
    rows = cursor.execute(
        f"SELECT DISTINCT ON (contract) {_COLUMNS} FROM statements "  # noqa: S608
        "WHERE (%s::text[] IS NULL OR contract = ANY(%s)) AND period = %s AND own_position <= %s "
        "ORDER BY contract, version DESC",
        (named, named, period, position),
    )
    return {row[0]: Issued(*row) for row in rows}


def of_contract(cursor: Rows, contract: str) -> list[Issued]:
    """The closed statements of the contract, each with its further versions, the earliest period first."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM statements WHERE contract = %s ORDER BY first, version",  # noqa: S608
        (contract,),
    )
    return [Issued(*row) for row in rows]


def of_period(cursor: Rows, period: str) -> list[Issued]:
    """All versions of the statements of the period, by contract and version."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM statements WHERE period = %s ORDER BY contract, version",  # noqa: S608
        (period,),
    )
    return [Issued(*row) for row in rows]


def of_rulebook(cursor: Rows, rulebook: str, period: str) -> list[Issued]:
    """The closed statements of the period, as closed under any version of the rulebook, by contract."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM statements WHERE rulebook = %s AND period = %s AND version = 1 ORDER BY contract",  # noqa: S608
        (rulebook, period),
    )
    return [Issued(*row) for row in rows]


def standing_with(cursor: Rows, issued: Issued) -> list[Issued]:
    """The statements of the period that were closed by then under any version of the rulebook, each in the version that stood
    when this one was issued; in the order in which those were issued. What is issued at once has one position.
    """
    rows = cursor.execute(
        f"SELECT * FROM (SELECT DISTINCT ON (contract) {_COLUMNS} FROM statements "  # noqa: S608
        "WHERE rulebook = %s AND period = %s AND position <= %s ORDER BY contract, version DESC) AS standing "
        "ORDER BY own_position",
        (issued.rulebook, issued.period, issued.position),
    )
    return [Issued(*row) for row in rows]


def waiting(cursor: Rows, contracts: Sequence[str] | None = None) -> dict[str, list[Issued]]:
    """By contract the restated statements whose adjustment no statement has taken up yet, the earliest period first."""
    named = None if contracts is None else list(contracts)
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM statements WHERE version > 1 AND taken_by IS NULL "  # noqa: S608
        "AND (%s::text[] IS NULL OR contract = ANY(%s)) ORDER BY contract, first, version",
        (named, named),
    )
    found: dict[str, list[Issued]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Issued(*row))
    return found


def taken(cursor: Rows, period: Period, contracts: Sequence[str]) -> None:
    """What waited of earlier periods for the contracts has been taken up by their statements of the period."""
    cursor.execute(
        "UPDATE statements SET taken_by = %s "
        'WHERE version > 1 AND taken_by IS NULL AND contract = ANY(%s) AND "end" <= %s',
        (str(period), list(contracts), period.first),
    )


def carried(cursor: Rows, contracts: Sequence[str], period: str) -> dict[str, str]:
    """What the closed statements of the period carry on, in their latest versions, as JSON, by contract."""
    rows = cursor.execute(
        "SELECT DISTINCT ON (contract) contract, carried FROM statements WHERE contract = ANY(%s) AND period = %s "
        "ORDER BY contract, version DESC",
        (list(contracts), period),
    )
    return dict(rows.fetchall())


def shut(cursor: Rows, contracts: Sequence[str]) -> list[tuple[str, date]]:
    """(contract, first day) of the closed periods of those of the contracts that suspend late events."""
    rows = cursor.execute(
        "SELECT contract, s.first FROM contracts c JOIN statements s USING (contract) "
        "WHERE c.contract = ANY(%s) AND c.late_events = 'suspend' AND s.version = 1",
        (list(contracts),),
    )
    return rows.fetchall()


def closed_contracts(cursor: Rows, contracts: Sequence[str], period: str) -> set[str]:
    rows = cursor.execute(
        "SELECT contract FROM statements WHERE contract = ANY(%s) AND period = %s AND version = 1",
        (list(contracts), period),
    )
    return {row[0] for row in rows}


def save(cursor: Rows, statements: Sequence[Issued]) -> None:
    with cursor.copy(f"COPY statements ({_COLUMNS}) FROM STDIN") as copy:
        for statement in statements:
            copy.write_row(statement)


def late_events(cursor: Rows, contract: str | None = None) -> dict[str, int]:
    """By period, the events recorded for closed statements after they were issued last; of one contract, or of all.

    An event's type has one field that each of its events carries (engine.facts.PRIMARY_FIELD); those facts count it.
    """
    rows = cursor.execute(
        "SELECT s.period, sum(f.events - s.events)::bigint FROM ("
        "  SELECT DISTINCT ON (contract, period) contract, period, first, events FROM statements "
        "  WHERE %s::text IS NULL OR contract = %s ORDER BY contract, period, version DESC"
        ") s JOIN LATERAL ("
        "  SELECT coalesce(sum(events), 0) AS events FROM facts "
        "  WHERE contract = s.contract AND period = s.first AND (event, field) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
        ") f ON true GROUP BY s.period HAVING sum(f.events - s.events) <> 0",
        (contract, contract, list(PRIMARY_FIELD), list(PRIMARY_FIELD.values())),
    )
    return dict(rows.fetchall())


def count(cursor: Rows) -> int:
    """How many statements are closed."""
    row = cursor.execute("SELECT count(*) FROM statements WHERE version = 1").fetchone()
    assert row is not None
    return int(row[0])


def issued_events(cursor: Rows) -> int:
    """How many events of the log the engine issued itself: versions of statements, scores, closings of periods."""
    row = cursor.execute(
        "SELECT (SELECT count(*) FROM statements) + (SELECT count(*) FROM scores) + (SELECT count(*) FROM closings)"
    ).fetchone()
    assert row is not None
    return int(row[0])


def periods(cursor: Rows) -> list[tuple[str, int, int]]:
    """(period, closed statements, contracts with facts but none): every period that has either, by its first day."""
    rows = cursor.execute(
        "WITH live AS (SELECT DISTINCT f.contract, f.period, c.calendar FROM facts f "
        "JOIN contracts c USING (contract)), "
        "standing AS (SELECT coalesce(s.first, live.period) AS first, coalesce(live.calendar, k.calendar) AS calendar, "
        "s.contract IS NOT NULL AS closed FROM live FULL JOIN (SELECT * FROM statements WHERE version = 1) s "
        "ON s.contract = live.contract AND s.first = live.period LEFT JOIN contracts k ON k.contract = s.contract) "
        "SELECT first, calendar, count(*) FILTER (WHERE closed), count(*) FILTER (WHERE NOT closed) "
        "FROM standing GROUP BY first, calendar ORDER BY first, calendar"
    )
    return [
        (str(Period.containing(first, Calendar(calendar))), closed, open_) for first, calendar, closed, open_ in rows
    ]


def texts(cursor: Rows, period: str) -> list[str]:
    """The statements of the period that are closed, as JSON texts, by contract."""
    rows = cursor.execute(
        "SELECT statement FROM statements WHERE period = %s AND version = 1 ORDER BY contract", (period,)
    )
    return [row[0] for row in rows]
