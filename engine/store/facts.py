"""The live facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import msgspec
import polars as pl

from engine.facts import Dimensions, Fact
from engine.money import decimal_of_micros
from engine.projections.facts import FACTS
from engine.store import lines
from engine.store.database import Rows


def add(cursor: Rows, facts: pl.DataFrame) -> None:
    """Merges the facts into the live ones. The caller holds the writers' lock."""
    cursor.execute(
        "CREATE TEMP TABLE IF NOT EXISTS facts_to_add (contract text, period date, event text, field text, "
        "dimensions text, events bigint, value_micros numeric(38, 0), at bigint) ON COMMIT DELETE ROWS"
    )
    with cursor.copy("COPY facts_to_add FROM STDIN (FORMAT csv)") as copy:
        copy.write(facts.select(FACTS.names()).write_csv(include_header=False, quote_style="non_numeric"))
    cursor.execute(_MERGE)
    cursor.execute(_BEHIND)
    cursor.execute("DELETE FROM facts_to_add")


# As engine.facts.merging says; `at` is 0 but for last values.
_MERGE = """
INSERT INTO facts AS f (contract, period, event, field, dimensions, events, value_micros, at, key)
SELECT *, sha256(convert_to(field || E'\\n' || dimensions, 'UTF8')) AS key FROM facts_to_add
ORDER BY contract, period, event, key
ON CONFLICT (contract, period, event, key) DO UPDATE SET
    events = f.events + excluded.events,
    value_micros = CASE
        WHEN f.field LIKE 'max %' THEN greatest(f.value_micros, excluded.value_micros)
        WHEN f.field LIKE 'min %' THEN least(f.value_micros, excluded.value_micros)
        WHEN f.field LIKE 'last %' THEN
            CASE WHEN (excluded.at, excluded.value_micros) > (f.at, f.value_micros)
                THEN excluded.value_micros ELSE f.value_micros END
        ELSE f.value_micros + excluded.value_micros
    END,
    at = greatest(f.at, excluded.at)
"""
_BEHIND = """
INSERT INTO fact_copies_behind SELECT DISTINCT period, contract FROM facts_to_add JOIN fact_copies USING (period)
ON CONFLICT DO NOTHING
"""


def replace(cursor: Rows, contracts: Sequence[str], facts: pl.DataFrame) -> None:
    """The contracts' facts are these from now on: they were folded again, at another grain. As `add`."""
    cursor.execute("DELETE FROM facts WHERE contract = ANY(%s)", (list(contracts),))
    cursor.execute(
        "INSERT INTO fact_copies_behind SELECT period, unnest(%s::text[]) FROM fact_copies ON CONFLICT DO NOTHING",
        (list(contracts),),
    )
    add(cursor, facts)


def of_period(cursor: Rows, contracts: Sequence[str], first: date) -> dict[str, list[Fact]]:
    """The facts of each of the contracts that has any in the period that begins on the day."""
    rows = cursor.execute(
        "SELECT contract, event, field, dimensions, events, value_micros::text, at FROM facts "
        "WHERE contract = ANY(%s) AND period = %s ORDER BY contract, event, field, dimensions",
        (list(contracts), first),
    )
    found: dict[str, list[Fact]] = {}
    for contract, *row in rows:
        found.setdefault(contract, []).append(_fact(row))
    return found


def latest(cursor: Rows, contracts: Iterable[str]) -> dict[str, date]:
    """The first day of the last period of which each of the contracts has facts."""
    rows = cursor.execute(
        "SELECT contract, max(period) FROM facts WHERE contract = ANY(%s) GROUP BY contract", (list(contracts),)
    )
    return dict(rows.fetchall())


def all_live(cursor: Rows, contracts: Sequence[str] | None = None, since: date | None = None) -> pl.DataFrame:
    """Every live fact of the contracts (or of all), in periods from `since` on: columns FACTS."""
    if contracts is not None and len(contracts) <= FEW:
        return between(cursor, contracts, since or _FIRST, _LAST)
    # So the server never holds the texts of many contracts and more than one period.
    found = [between(cursor, contracts, day, day) for day in periods(cursor, since)]
    return pl.concat([FACTS.to_frame(), *found])


def periods(cursor: Rows, since: date | None = None) -> list[date]:
    """The first days of the periods that have facts, from `since` on."""
    return [day for (day,) in cursor.execute(_PERIODS, {"since": since or _FIRST})]


def between(cursor: Rows, contracts: Sequence[str] | None, first: date, last: date) -> pl.DataFrame:
    """The facts of the contracts (or of all) in periods whose first day is one of these: columns FACTS.

    A period's facts of one event and field come as one text (engine.store.lines).
    """
    query = _LINES.format("" if contracts is None else "AND contract = ANY(%(contracts)s)")
    named = {"contracts": None if contracts is None else list(contracts), "first": first, "last": last}
    # Not prepared: how best to read depends on the span and the contracts.
    return _read(cursor.execute(query, named, prepare=False, binary=True).fetchall())


def _read(groups: Sequence[tuple[date, str, str, int, bytes]]) -> pl.DataFrame:
    if not groups:
        return FACTS.to_frame()
    facts = lines.read(b"\n".join(text for *_, text in groups), _LINE)
    keys = pl.DataFrame([group[:-1] for group in groups], schema=_GROUP, orient="row")
    group_of = keys.select(pl.int_range(pl.len(), dtype=pl.UInt32).repeat_by("lines").explode()).to_series()
    return facts.hstack(keys.drop("lines")[group_of]).select(FACTS.names())


_GROUP = pl.Schema({name: FACTS[name] for name in ("period", "event", "field")} | {"lines": pl.Int64()})
_LINE = pl.Schema({name: FACTS[name] for name in ("contract", "dimensions", "events", "value", "at")})
_LINES = (
    "SELECT period, event, field, count(*), "
    "convert_to(string_agg(concat_ws(E'\\t', contract, dimensions, events, value_micros, at), E'\\n'), 'UTF8') "
    "FROM facts WHERE period BETWEEN %(first)s AND %(last)s {} GROUP BY period, event, field"
)
_FIRST, _LAST = date(1, 1, 1), date(9999, 12, 31)
# Of so few contracts, looking each up takes less than reading all.
FEW = 1_000
# One look into the index a period, not one a fact.
_PERIODS = """
WITH RECURSIVE periods (period) AS (
    SELECT min(period) FROM facts WHERE period >= %(since)s
    UNION ALL
    SELECT (SELECT min(period) FROM facts WHERE period > periods.period) FROM periods WHERE period IS NOT NULL
)
SELECT period FROM periods WHERE period IS NOT NULL
"""


def _fact(row: list[Any]) -> Fact:
    event, field, dimensions, events, value, at = row
    return Fact(event, field, pairs(dimensions), events, decimal_of_micros(int(value)), at)


def pairs(text: str) -> Dimensions:
    """The dimensions that a fact's JSON object states, sorted by name."""
    return tuple(sorted(msgspec.json.decode(text, type=dict[str, str | None]).items()))
