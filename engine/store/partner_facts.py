"""The live facts of events about partners, by day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import polars as pl

from engine.events import LeadRegistered
from engine.facts import PARTNER_MONEY, Fact
from engine.money import decimal_of_micros
from engine.projections.partner_facts import FACTS, KEY
from engine.store.database import Rows
from engine.store.facts import pairs

_FEW = 500
_SAME = " AND ".join(f"f.{name} = a.{name}" for name in KEY)


def add(cursor: Rows, facts: pl.DataFrame) -> None:
    """Merges the facts, one row a key, into the live ones. The caller holds the writers' lock."""
    cursor.execute("CREATE TEMP TABLE IF NOT EXISTS partner_facts_to_add (LIKE partner_facts) ON COMMIT DELETE ROWS")
    with cursor.copy("COPY partner_facts_to_add FROM STDIN") as copy:
        for row in facts.select(FACTS.names()).iter_rows():
            copy.write_row(row)
    if facts.height > _FEW:
        # Else PostgreSQL takes them for few, and goes through a partner's day once for each of them.
        cursor.execute("ANALYZE partner_facts_to_add")
    cursor.execute(
        "UPDATE partner_facts f SET events = f.events + a.events, value_micros = f.value_micros + a.value_micros "  # noqa: S608
        f"FROM partner_facts_to_add a WHERE {_SAME}"
    )
    # Apart, since whoever looks for a fact while others are added goes through those, too.
    cursor.execute(f"DELETE FROM partner_facts_to_add a USING partner_facts f WHERE {_SAME}")  # noqa: S608 - constants
    cursor.execute("INSERT INTO partner_facts SELECT * FROM partner_facts_to_add")
    cursor.execute("DELETE FROM partner_facts_to_add")


def of_partners(cursor: Rows, partners: Iterable[str], first: date, end: date) -> dict[str, list[Fact]]:
    """The facts of each of the partners that has any on the days from `first` up to, and without, `end`."""
    return _summed(cursor, "partner", partners, first, end)


def of_contracts(cursor: Rows, contracts: Iterable[str], first: date, end: date) -> dict[str, list[Fact]]:
    """The facts of the events that name each of the contracts, on the days from `first` up to, and without, `end`."""
    return _summed(cursor, "contract", contracts, first, end)


def _summed(cursor: Rows, whose: str, ids: Iterable[str], first: date, end: date) -> dict[str, list[Fact]]:
    rows = cursor.execute(
        f"SELECT {whose}, event, field, dimensions, sum(events)::bigint, sum(value_micros)::text "  # noqa: S608
        f"FROM partner_facts WHERE {whose} = ANY(%s) AND {whose} <> '' AND day >= %s AND day < %s "
        "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        (list(ids), first, end),
    )
    found: dict[str, list[Fact]] = {}
    for name, event, field, dimensions, events, value in rows:
        fact = Fact(event, field, pairs(dimensions), events, decimal_of_micros(int(value)))
        found.setdefault(name, []).append(fact)
    return found


def latest_money(cursor: Rows, contract: str) -> date | None:
    """The last day on which events that name the contract told what is charged or paid under it."""
    row = cursor.execute(
        "SELECT max(day) FROM partner_facts WHERE contract = %s AND field = ANY(%s) AND event <> %s AND value_micros <> 0",
        (contract, sorted(PARTNER_MONEY), LeadRegistered.NAME),
    ).fetchone()
    return None if row is None else row[0]


def days(cursor: Rows, partner: str, first: date | None = None, end: date | None = None) -> list[tuple[date, Fact]]:
    """The partner's facts day by day, from `first` up to, and without, `end`, or all of them."""
    rows = cursor.execute(
        "SELECT day, event, field, dimensions, sum(events)::bigint, sum(value_micros)::text FROM partner_facts "
        "WHERE partner = %s AND (%s::date IS NULL OR day >= %s) AND (%s::date IS NULL OR day < %s) "
        "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        (partner, first, first, end, end),
    )
    return [
        (day, Fact(event, field, pairs(dimensions), events, decimal_of_micros(int(value))))
        for day, event, field, dimensions, events, value in rows
    ]


def all_live(cursor: Rows) -> pl.DataFrame:
    """Every live fact, columns FACTS."""
    rows: Sequence[tuple[object, ...]] = cursor.execute(
        "SELECT partner, contract, day, event, field, dimensions, events, value_micros::text FROM partner_facts"
    ).fetchall()
    frame = pl.DataFrame(rows, schema={**FACTS, "value": pl.String}, orient="row")
    return frame.with_columns(pl.col("value").cast(pl.Int128))
