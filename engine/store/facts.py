"""The live facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import msgspec
import polars as pl
from psycopg.sql import SQL, Composable, Literal

from engine.facts import Dimensions, Fact
from engine.money import decimal_of_micros
from engine.projections.facts import FACTS
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


def replace(cursor: Rows, contracts: Sequence[str], facts: pl.DataFrame) -> None:
    """The contracts' facts are these from now on: they were folded again, at another grain."""
    cursor.execute("DELETE FROM facts WHERE contract = ANY(%s)", (list(contracts),))
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


def all_live(
    cursor: Rows, contracts: Sequence[str] | None = None, since: date | None = None, rulebook: str | None = None
) -> pl.DataFrame:
    """Every live fact of the contracts (or of all) under the rulebook (or under any), in periods from `since` on: columns FACTS."""
    data = bytearray()
    wanted: list[Composable] = [SQL("true")]
    if contracts is not None:
        wanted.append(SQL("contract = ANY({}::text[])").format(Literal(list(contracts))))
    if rulebook is not None:
        wanted.append(SQL("contract IN (SELECT contract FROM contracts WHERE rulebook = {})").format(Literal(rulebook)))
    if since is not None:
        wanted.append(SQL("period >= {}").format(Literal(since)))
    query = SQL(
        "COPY (SELECT contract, period, event, field, dimensions, events, value_micros, at FROM facts WHERE {}) "
        "TO STDOUT (FORMAT csv, FORCE_QUOTE (contract, event, field, dimensions))"
    )
    with cursor.copy(query.format(SQL(" AND ").join(wanted))) as copy:
        for part in copy:
            data += part
    return pl.read_csv(bytes(data), has_header=False, schema=FACTS)


def _fact(row: list[Any]) -> Fact:
    event, field, dimensions, events, value, at = row
    return Fact(event, field, pairs(dimensions), events, decimal_of_micros(int(value)), at)


def pairs(text: str) -> Dimensions:
    """The dimensions that a fact's JSON object states, sorted by name."""
    return tuple(sorted(msgspec.json.decode(text, type=dict[str, str | None]).items()))
