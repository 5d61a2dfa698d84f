"""What resolved discrepancies add to the next statements of their contracts, and which statement took each up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from engine.period import Period
from engine.store.database import Rows


class Resolution(NamedTuple):
    """The event at the `position` resolved it; `end` is that of the disputed period, `adjustment` JSON.

    `taken_by` is the period whose statement has the adjustment; None while it waits for one.
    """

    position: int
    contract: str
    period: str
    end: date
    adjustment: str
    taken_by: str | None = None


_COLUMNS = 'position, contract, period, "end", adjustment, taken_by'


def save(cursor: Rows, resolved: Iterable[Resolution]) -> None:
    cursor.executemany(
        f"INSERT INTO resolutions ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)",  # noqa: S608 - a constant
        list(resolved),
    )


def waiting(cursor: Rows, contracts: Sequence[str] | None = None) -> dict[str, list[Resolution]]:
    """By contract the resolutions that no statement has taken up yet, in the order of the log."""
    named = None if contracts is None else list(contracts)
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM resolutions WHERE taken_by IS NULL "  # noqa: S608
        "AND (%s::text[] IS NULL OR contract = ANY(%s)) ORDER BY contract, position",
        (named, named),
    )
    found: dict[str, list[Resolution]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(Resolution(*row))
    return found


def taken(cursor: Rows, period: Period, closed: Sequence[tuple[str, int]]) -> None:
    """What waited for the contracts has been taken up by their statements of the period: (contract, what it knew of the log)."""
    cursor.execute(
        "UPDATE resolutions r SET taken_by = %s FROM unnest(%s::text[], %s::bigint[]) AS s(contract, position) "
        'WHERE r.taken_by IS NULL AND r.contract = s.contract AND r.position <= s.position AND r."end" <= %s',
        (str(period), [contract for contract, _ in closed], [position for _, position in closed], period.first),
    )


def every(cursor: Rows) -> list[Resolution]:
    """All of it, in the order of the log."""
    rows = cursor.execute(f"SELECT {_COLUMNS} FROM resolutions ORDER BY position")  # noqa: S608
    return [Resolution(*row) for row in rows]


def of_contracts(cursor: Rows, contracts: Sequence[str]) -> dict[str, list[Resolution]]:
    """By contract all of it, in the order of the log."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM resolutions WHERE contract = ANY(%s) ORDER BY contract, position",  # noqa: S608
        (list(contracts),),
    )
    found: dict[str, list[Resolution]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(Resolution(*row))
    return found
