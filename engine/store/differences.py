"""Two sets of projections compared where they lie: rows, a digest over them, and sums of money and points."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date
from hashlib import sha256
from typing import Any, NamedTuple

from engine.projections.seals import Subject
from engine.store.beside import LIVE, TABLES
from engine.store.database import Rows

NAMED_MAX = 10  # differing rows that are shown, a table

# By which columns a table's rows are named.
KEYS: dict[str, tuple[str, ...]] = {
    "contracts": ("contract",),
    "relations": ("kind", "id"),
    "requirements": ("kind", "id"),
    "standings": ("kind", "id"),
    "relation_groups": ("kind", "id"),
    "authorised_volumes": ("authorisation",),
    "rulebook_versions": ("rulebook", "version"),
    "facts": ("contract", "period", "event", "field", "dimensions"),
    "partner_facts": ("partner", "contract", "day", "event", "field", "dimensions"),
    "rates": ("publisher", "base", "quote", "day"),
    "points_entries": ("position",),
    "overrides": ("position",),
    "reassessments": ("position",),
    "scores": ("scorecard", "period", "partner", "version"),
    "statements": ("contract", "period", "version"),
    "journal": ("position", "line"),
    "resolutions": ("position",),
    "closings": ("period", "number"),
    "chain": (),
    "seals": ("kind", "name", "period"),
}

# The rows that events since a position can have changed, by the columns of `Touched`; every other row is as it was then.
_TOUCHED = {
    "contracts": "contract = ANY(%(contracts)s)",
    "facts": "(contract, period) IN (SELECT * FROM unnest(%(fact_contracts)s::text[], %(fact_periods)s::date[]))",
    "partner_facts": "partner = ANY(%(partners)s)",
    "rates": "position > %(after)s",
    "points_entries": "position > %(after)s",
    "overrides": "position > %(after)s",
    "reassessments": "position > %(after)s",
    "scores": "own_position > %(after)s OR period = ANY(%(closed)s)",
    "journal": "position > %(after)s",
    "statements": "own_position > %(after)s OR contract = ANY(%(issued)s) OR period = ANY(%(closed)s) "
    "OR taken_by = ANY(%(closed)s)",
    "resolutions": "position > %(after)s OR contract = ANY(%(issued)s)",
    "seals": "(kind, name, period) IN "
    "(SELECT * FROM unnest(%(seal_kinds)s::text[], %(seal_names)s::text[], %(seal_periods)s::date[]))",
}

# Sums of a table's numbers, each under its name. Amounts are in units of their currency, points in points.
_MONEY = {
    "facts": "SELECT event || ' ' || field, sum(value_micros) / 1000000 FROM {} GROUP BY 1",
    "partner_facts": "SELECT event || ' ' || field, sum(value_micros) / 1000000 FROM {} GROUP BY 1",
    "points_entries": "SELECT program || ' ' || kind, sum(points_micros)::numeric / 1000000 FROM {} GROUP BY 1",
    "journal": "SELECT account || ' ' || currency, sum(amount) FROM {} GROUP BY 1",
    # Read without taking them for JSON: a live statement can be anything, and that is what is to be found out.
    "statements": "SELECT concat_ws(' ', 'payable', period, substring(statement from '\"currency\":\"(\\w+)\",\"digest\"'), "
    "CASE WHEN version > 1 THEN 'as restated' END), "
    'sum(substring(statement from \'"payable":"(-?[0-9]+(?:[.][0-9]+)?)"\')::numeric) FROM {} GROUP BY 1',
}


class Touched:
    """What events changed since a position: of these, rows are compared again."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.refolded = False  # facts of a grain that grew: all of them
        self.contracts: set[str] = set()
        self.partners: set[str] = set()
        self.facts: set[tuple[str, date]] = set()
        self.issued: set[str] = set()  # contracts of statements
        self.closed: set[str] = set()  # periods
        self.seals: set[Subject] = set()

    @property
    def arguments(self) -> dict[str, Any]:
        facts, seals = list(self.facts), list(self.seals)
        return {
            "after": self.after,
            "contracts": list(self.contracts),
            "partners": list(self.partners),
            "issued": list(self.issued),
            "closed": list(self.closed),
            "fact_contracts": [contract for contract, _ in facts],
            "fact_periods": [period for _, period in facts],
            "seal_kinds": [each.kind for each in seals],
            "seal_names": [each.name for each in seals],
            "seal_periods": [each.period for each in seals],
        }


class Difference(NamedTuple):
    """A row that is not the same on both sides: what of it differs, as texts by column; None where the row is missing."""

    table: str
    key: str
    live: dict[str, str | None] | None
    rebuilt: dict[str, str | None] | None


class Table(NamedTuple):
    """A table on both sides. `digest` is over its rows, whatever their order; `differing` counts rows by their key."""

    table: str
    rows_live: int
    rows_rebuilt: int
    differing: int
    digest_live: str
    digest_rebuilt: str


class Sum(NamedTuple):
    """A sum over a table's rows on both sides, as exact decimal texts."""

    table: str
    what: str
    live: str
    rebuilt: str


def tables(cursor: Rows, beside: str, progress: Callable[[int, int], None]) -> tuple[list[Table], list[Difference]]:
    """Every table compared, live and in the other schema; and of each the first rows that differ."""
    found: list[Table] = []
    named: list[Difference] = []
    for table in TABLES:
        progress(len(found), len(TABLES))
        number, examples = _differing(cursor, table, beside, "true", {})
        sides = [_summary(cursor, f"{schema}.{table}") for schema in (LIVE, beside)]
        found.append(Table(table, sides[0][0], sides[1][0], number, sides[0][1], sides[1][1]))
        named += examples
    return found, named


def touched(cursor: Rows, beside: str, since: Touched) -> tuple[dict[str, int], list[Difference]]:
    """By table how many of the rows differ that can have changed since; and the first of them."""
    numbers, named = {}, []
    for table in TABLES:
        rows = "true" if table == "facts" and since.refolded else _TOUCHED.get(table, "true")
        numbers[table], examples = _differing(cursor, table, beside, rows, since.arguments)
        named += examples
    return numbers, named


def money(cursor: Rows, beside: str) -> list[Sum]:
    """The sums on both sides, by table and name."""
    found = []
    for table, query in _MONEY.items():
        live, rebuilt = (_sums(cursor, query.format(f"{schema}.{table}")) for schema in (LIVE, beside))
        found += [
            Sum(table, what, _plain(live.get(what)), _plain(rebuilt.get(what))) for what in sorted(live | rebuilt)
        ]
    return found


def _sums(cursor: Rows, query: str) -> dict[str, Any]:
    return dict(cursor.execute(query).fetchall())


def _plain(number: Any) -> str:  # noqa: ANN401 - a Decimal, or nothing
    if number is None:
        return "0"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _key(table: str) -> str:
    return f"concat_ws(' ', {', '.join(KEYS[table])})" if KEYS[table] else f"'{table}'"


def _differing(cursor: Rows, table: str, beside: str, rows: str, named: dict[str, Any]) -> tuple[int, list[Difference]]:
    side = f"SELECT {_key(table)} AS key, sha256(convert_to(t::text, 'UTF8')) FROM {{}}.{table} t WHERE {rows}"  # noqa: S608
    found = cursor.execute(
        f"WITH live AS MATERIALIZED ({side.format(LIVE)}), rebuilt AS MATERIALIZED ({side.format(beside)}) "  # noqa: S608
        "SELECT key, count(*) OVER () FROM (SELECT DISTINCT key FROM ("
        "(TABLE live EXCEPT ALL TABLE rebuilt) UNION ALL (TABLE rebuilt EXCEPT ALL TABLE live)) d) k "
        f"ORDER BY key LIMIT {NAMED_MAX}",
        named,
    ).fetchall()
    keys = [row[0] for row in found]
    sides = [_rows(cursor, f"{schema}.{table}", table, keys) if keys else {} for schema in (LIVE, beside)]
    examples = [Difference(table, key, *_apart(sides[0].get(key), sides[1].get(key))) for key in keys]
    return (int(found[0][1]) if found else 0), examples


Row = dict[str, str | None]


def _rows(cursor: Rows, name: str, table: str, keys: Sequence[str]) -> dict[str, Row]:
    found = cursor.execute(
        f"SELECT {_key(table)}, to_json(t)::text FROM {name} t WHERE {_key(table)} = ANY(%s)",  # noqa: S608
        (list(keys),),
    )
    # Numbers as the texts that they are: never through floats.
    return {
        key: {column: None if value is None else str(value) for column, value in json.loads(
            text, parse_float=str, parse_int=str
        ).items()}
        for key, text in found
    }  # fmt: skip


def _apart(live: Row | None, rebuilt: Row | None) -> tuple[Row | None, Row | None]:
    """Of two rows the columns that differ."""
    if live is None or rebuilt is None:
        return live, rebuilt
    columns = [name for name in live if live[name] != rebuilt[name]]
    return {name: live[name] for name in columns}, {name: rebuilt[name] for name in columns}


def _summary(cursor: Rows, name: str) -> tuple[int, str]:
    """How many rows there are, and SHA-256 over that and the sums of the quarters of their hashes: in any order the same."""
    quarters = ", ".join(f"sum(('x' || substr(h, {at}, 15))::bit(60)::bigint)::text" for at in (1, 16, 31, 46))
    row = cursor.execute(
        f"SELECT count(*), {quarters} "  # noqa: S608
        f"FROM (SELECT encode(sha256(convert_to(t::text, 'UTF8')), 'hex') AS h FROM {name} t) hashes"
    ).fetchone()
    assert row is not None
    return int(row[0]), sha256(repr(row).encode()).hexdigest()
