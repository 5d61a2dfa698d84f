"""Relations as their events leave them, with the requirements and standings that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any, LiteralString, NamedTuple

import msgspec
import polars as pl

from engine.aggregates.relation import Requirement, Standing
from engine.aggregates.relations import AGGREGATES
from engine.aggregates.standing import FOREVER, REQUIREMENTS, STANDINGS
from engine.store.database import Rows

Key = tuple[str, str]  # kind and id
_encoder = msgspec.json.Encoder(order="deterministic")


class Relation(NamedTuple):
    """One relation's state, how many events it has had, and when the latest of them happened."""

    kind: str
    id: str
    version: int
    state: Any
    time: datetime


@cache
def _decoder(kind: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(AGGREGATES[kind].state)


def known(cursor: Rows, keys: Iterable[Key]) -> dict[Key, Relation]:
    wanted = list(keys)
    rows = cursor.execute(
        "SELECT kind, id, version, state, time FROM relations "
        "WHERE (kind, id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        ([kind for kind, _ in wanted], [id_ for _, id_ in wanted]),
    )
    return {(row[0], row[1]): _relation(row) for row in rows}


def _relation(row: tuple[str, str, int, bytes, datetime]) -> Relation:
    kind, id_, version, state, time = row
    return Relation(kind, id_, version, _decoder(kind).decode(state), time)


def listed(
    cursor: Rows, kind: str, *, partner: str | None = None, contracts: Sequence[str] | None = None
) -> list[Relation]:
    """All relations of a kind by their ids, or those of a partner or of contracts."""
    rows = cursor.execute(
        "SELECT kind, id, version, state, time FROM relations WHERE kind = %s AND (%s::text IS NULL OR partner = %s) "
        "AND (%s::text[] IS NULL OR contract = ANY(%s)) ORDER BY id",
        (kind, partner, partner, contracts, contracts),
    )
    return [_relation(row) for row in rows]


def of_contracts(cursor: Rows, kind: str, contracts: Iterable[str]) -> list[Relation]:
    """The relations of a kind that belong to any of the contracts, by their ids."""
    rows = cursor.execute(
        "SELECT kind, id, version, state, time FROM relations WHERE kind = %s AND contract = ANY(%s) ORDER BY id",
        (kind, list(contracts)),
    )
    return [_relation(row) for row in rows]


def contracts_in(cursor: Rows, kind: str, name: str, among: Iterable[str] | None = None) -> set[str]:
    """The contracts (`among` these) to which a relation of the kind in the group of that name belongs."""
    chosen = None if among is None else list(among)
    rows = cursor.execute(
        "SELECT DISTINCT contract FROM relations JOIN relation_groups USING (kind, id) "
        "WHERE kind = %s AND name = %s AND contract IS NOT NULL AND (%s::text[] IS NULL OR contract = ANY(%s))",
        (kind, _hashed(name), chosen, chosen),
    )
    return {row[0] for row in rows}


def grouped(cursor: Rows, kind: str, names: Iterable[str]) -> list[Relation]:
    """The relations of a kind in any of the groups of those names, by their ids."""
    rows = cursor.execute(
        "SELECT kind, id, version, state, time FROM relations WHERE (kind, id) IN "
        "(SELECT kind, id FROM relation_groups WHERE kind = %s AND name = ANY(%s)) ORDER BY id",
        (kind, [_hashed(name) for name in names]),
    )
    return [_relation(row) for row in rows]


def _hashed(name: str) -> bytes:
    """Names can be longer than an index holds."""
    return sha256(name.encode()).digest()


def save(cursor: Rows, changed: Sequence[Relation]) -> None:
    """Keeps the relations with what follows from them. The caller holds the writers' lock."""
    if not changed:
        return
    names = ([r.kind for r in changed], [r.id for r in changed])
    cursor.execute(
        "INSERT INTO relations SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bytea[], "
        "%s::timestamptz[]) ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, state = excluded.state, "
        "partner = excluded.partner, contract = excluded.contract, time = excluded.time",
        (
            *names, [getattr(r.state, "partner", None) for r in changed], [getattr(r.state, "contract", None) for r in changed],
            [r.version for r in changed], [_encoder.encode(r.state) for r in changed], [r.time for r in changed],
        ),
    )  # fmt: skip
    for table in ("requirements", "standings", "relation_groups"):
        cursor.execute(
            f"DELETE FROM {table} WHERE (kind, id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",  # noqa: S608
            names,
        )
    _copy(
        cursor,
        "COPY requirements FROM STDIN",
        [
            (r.kind, r.id, q.scope, q.subject, q.gate, q.key, q.first, q.end)
            for r in changed
            for q in AGGREGATES[r.kind].requirements(r.state)
        ],
    )
    _copy(
        cursor,
        "COPY standings FROM STDIN",
        [
            (r.kind, r.id, s.gate, s.subject, s.key, s.product, s.region, s.first, s.end)
            for r in changed
            for s in AGGREGATES[r.kind].standings(r.state)
        ],
    )
    _copy(
        cursor,
        "COPY relation_groups FROM STDIN",
        [(r.kind, r.id, _hashed(name)) for r in changed for name in AGGREGATES[r.kind].groups(r.state)],
    )


def _copy(cursor: Rows, statement: LiteralString, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)


def any_required(cursor: Rows) -> bool:
    """Whether events of any contract have to pass a gate."""
    row = cursor.execute("SELECT EXISTS (SELECT FROM requirements)").fetchone()
    return row is not None and bool(row[0])


def gated(
    cursor: Rows, contracts: Sequence[str], models: Sequence[str] = (), also: Sequence[str] = ()
) -> list[tuple[str, str, str]]:
    """(contract, partner, cooperation model) of those of the contracts whose events may have to pass a gate.

    So may those under `models`, and the contracts `also`, whose requirements are not kept yet.
    """
    return cursor.execute(
        "SELECT contract, partner, cooperation_model FROM contracts c WHERE contract = ANY(%s) AND ("
        "cooperation_model = ANY(%s) OR contract = ANY(%s) "
        "OR EXISTS (SELECT FROM requirements WHERE scope = 'model' AND subject = c.cooperation_model) "
        "OR EXISTS (SELECT FROM requirements WHERE scope = 'contract' AND subject = c.contract))",
        (list(contracts), list(models), list(also)),
    ).fetchall()


def required(cursor: Rows, contracts: Sequence[str], models: Sequence[str], but: Iterable[Key] = ()) -> pl.DataFrame:
    """What events of the contracts, and under the models, require: columns REQUIREMENTS. Without those of the relations `but`."""
    rows = cursor.execute(
        'SELECT kind, id, scope, subject, gate, key, first, "end" FROM requirements '
        "WHERE (scope = 'contract' AND subject = ANY(%s)) OR (scope = 'model' AND subject = ANY(%s))",
        (list(contracts), list(models)),
    ).fetchall()
    without = set(but)
    kept = [(*row[2:], -1, FOREVER) for row in rows if row[:2] not in without]
    return pl.DataFrame(kept, schema=REQUIREMENTS, orient="row")


def standings(cursor: Rows, subjects: Iterable[tuple[str, str]], but: Iterable[Key] = ()) -> pl.DataFrame:
    """The standings of the (gate, subject) pairs: columns STANDINGS. Without those of the relations `but`."""
    wanted = list(subjects)
    rows = cursor.execute(
        'SELECT kind, id, gate, subject, key, product, region, first, "end" FROM standings '
        "WHERE (gate, subject) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        ([gate for gate, _ in wanted], [subject for _, subject in wanted]),
    ).fetchall()
    without = set(but)
    kept = [(*row[2:], -1, FOREVER) for row in rows if row[:2] not in without]
    return pl.DataFrame(kept, schema=STANDINGS, orient="row")


def rows_of(requirement: Requirement, since: int, until: int) -> tuple[Any, ...]:
    """One row of REQUIREMENTS that counts within a batch."""
    return (*requirement[:3], requirement.key, requirement.first, requirement.end, since, until)


def standing_row(standing: Standing, since: int, until: int) -> tuple[Any, ...]:
    """One row of STANDINGS that counts within a batch."""
    s = standing
    return (s.gate, s.subject, s.key, s.product, s.region, s.first, s.end, since, until)
