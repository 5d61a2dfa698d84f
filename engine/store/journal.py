"""The journal's postings, and what its accounts come to on any day as known at any position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from engine.projections.journal import Entry, Posting
from engine.store.database import Rows

_COLUMNS = "position, line, entry, day, contract, period, reference, account, party, amount, currency"


class Balance(NamedTuple):
    """What an account comes to: a debit where positive."""

    account: str
    party: str
    currency: str
    amount: Decimal


def save(cursor: Rows, entries: Sequence[Entry]) -> None:
    """Keeps the entries; those of one event one after the other. The caller holds the writers' lock."""
    if not entries:
        return
    lines: dict[int, int] = {}
    numbers: dict[int, int] = {}
    with cursor.copy(f"COPY journal ({_COLUMNS}) FROM STDIN") as copy:
        for each in entries:
            numbers[each.position] = numbers.get(each.position, 0) + 1
            for posting in each.postings:
                line = lines[each.position] = lines.get(each.position, 0) + 1
                copy.write_row(
                    (each.position, line, numbers[each.position], each.day, each.contract, each.period, each.reference, *posting[:3],
                     posting.currency)
                )  # fmt: skip


def balances(
    cursor: Rows,
    *,
    at: date | None = None,
    position: int | None = None,
    contract: str | None = None,
    party: str | None = None,
) -> list[Balance]:
    """The accounts that are not 0 with the end of the day `at`, as known at the position; by default all that is known."""
    rows = cursor.execute(
        "SELECT account, party, currency, sum(amount) FROM journal WHERE (%s::date IS NULL OR day <= %s) "
        "AND (%s::bigint IS NULL OR position <= %s) AND (%s::text IS NULL OR contract = %s) "
        "AND (%s::text IS NULL OR party = %s) GROUP BY account, party, currency HAVING sum(amount) <> 0 "
        "ORDER BY account, party, currency",
        (at, at, position, position, contract, contract, party, party),
    )
    return [Balance(*row) for row in rows]


def unbalanced(cursor: Rows) -> list[tuple[int, str, Decimal]]:
    """(position, currency, sum) of entries that do not balance: none, or somebody has changed them."""
    return cursor.execute(
        "SELECT position, currency, sum(amount) FROM journal GROUP BY position, entry, currency HAVING sum(amount) <> 0 "
        "ORDER BY position LIMIT 100"
    ).fetchall()


def of_no_event(cursor: Rows, names: Iterable[str]) -> list[int]:
    """The positions of entries that follow from no event of these names in the log: none, or somebody has added them."""
    rows = cursor.execute(
        "SELECT DISTINCT j.position FROM journal j WHERE NOT EXISTS ("
        "SELECT FROM settle.log WHERE notification_id = j.position AND topic = ANY(%s)) ORDER BY j.position LIMIT 100",
        (list(names),),
    )
    return [position for (position,) in rows]


def entries(
    cursor: Rows, *, first: date | None = None, end: date | None = None, contract: str | None = None, to: int | None = None,
    page: int = 20_000,
) -> Iterator[Entry]:  # fmt: skip
    """The entries that take effect from `first` up to, and without, `end`, in the order of the log, up to the position `to`."""
    after = 0
    while True:
        rows = cursor.execute(
            f"SELECT {_COLUMNS} FROM journal WHERE position IN ("  # noqa: S608 - a constant
            "SELECT DISTINCT position FROM journal WHERE position > %s AND (%s::bigint IS NULL OR position <= %s) "
            "AND (%s::date IS NULL OR day >= %s) AND (%s::date IS NULL OR day < %s) "
            "AND (%s::text IS NULL OR contract = %s) ORDER BY position LIMIT %s) ORDER BY position, line",
            (after, to, to, first, first, end, end, contract, contract, page),
        ).fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield from _entries(rows)


def entries_at(cursor: Rows, positions: Sequence[int]) -> list[Entry]:
    """The entries that follow from the events at the positions."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM journal WHERE position = ANY(%s) ORDER BY position, line",  # noqa: S608
        (list(positions),),
    ).fetchall()
    return list(_entries(rows))


def _entries(rows: Sequence[tuple[int, int, int, date, str, str, str, str, str, Decimal, str]]) -> Iterator[Entry]:
    # Also by what all postings of an entry say alike, so that none of them can say it otherwise unseen.
    for (position, _, day, contract, period, reference), own in groupby(rows, key=lambda row: (row[0], *row[2:7])):
        yield Entry(position, day, contract, period, reference, tuple(Posting(*row[7:]) for row in own))
