"""The chain over the log, the seals of subjects, and the closings of periods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.projections.seals import Chain, Seal, Subject
from engine.store.database import Rows


class Closing(NamedTuple):
    """A closing of a period: what the log was, how many statements it issued, and the root over all that it issued."""

    period: str
    number: int
    position: int
    statements: int
    head: str
    root: str


def chain(cursor: Rows) -> Chain:
    """The chain as far as it has come; locked until the transaction ends, so that one at a time extends it."""
    row = cursor.execute("SELECT position, head, leaves FROM chain FOR UPDATE").fetchone()
    assert row is not None
    return Chain._make(row)


def kept_chain(cursor: Rows) -> Chain | None:
    """The chain as far as it has come, for those who only look; None where somebody took it away."""
    row = cursor.execute("SELECT position, head, leaves FROM chain").fetchone()
    return None if row is None else Chain._make(row)


def save_chain(cursor: Rows, extended: Chain) -> None:
    cursor.execute("UPDATE chain SET position = %s, head = %s, leaves = %s", extended)


def seals(cursor: Rows, subjects: Iterable[Subject]) -> dict[Subject, Seal]:
    """The seals of those of the subjects that have events."""
    named = list(subjects)
    rows = cursor.execute(
        "SELECT kind, name, period, events, digest FROM seals "
        "JOIN unnest(%s::text[], %s::text[], %s::date[]) AS wanted(kind, name, period) USING (kind, name, period)",
        ([each.kind for each in named], [each.name for each in named], [each.period for each in named]),
    )
    return {Subject(kind, name, period): Seal(events, digest) for kind, name, period, events, digest in rows}


def save_seals(cursor: Rows, found: dict[Subject, Seal]) -> None:
    rows = [(*subject, *seal) for subject, seal in found.items()]
    kinds, names, periods, events, digests = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 5
    cursor.execute(
        "INSERT INTO seals (kind, name, period, events, digest) "
        "SELECT * FROM unnest(%s::text[], %s::text[], %s::date[], %s::bigint[], %s::bytea[]) "
        "ON CONFLICT (kind, name, period) DO UPDATE SET events = excluded.events, digest = excluded.digest",
        (kinds, names, periods, events, digests),
    )


def closings(cursor: Rows, period: str | None = None) -> list[Closing]:
    """The closings of the period, or of all, by period and number."""
    rows = cursor.execute(
        "SELECT period, number, position, statements, head, root FROM closings "
        "WHERE %s::text IS NULL OR period = %s ORDER BY period, number",
        (period, period),
    )
    return [Closing._make(row) for row in rows]


def save_closing(cursor: Rows, closing: Closing) -> None:
    cursor.execute("INSERT INTO closings VALUES (%s, %s, %s, %s, %s, %s)", closing)


def unsealed(cursor: Rows, period: str) -> tuple[list[int], list[int]]:
    """What was issued with the period and is part of no closing yet, as positions in the log: statements, and all else."""
    statements = cursor.execute(
        "SELECT own_position FROM statements WHERE closing IS NULL AND period = %s AND version = 1", (period,)
    ).fetchall()
    others = cursor.execute(
        "SELECT own_position FROM statements WHERE closing IS NULL AND taken_by = %s "
        "UNION ALL SELECT own_position FROM scores WHERE closing IS NULL AND period = %s",
        (period, period),
    ).fetchall()
    return [row[0] for row in statements], [row[0] for row in others]


def mark(cursor: Rows, positions: Sequence[int], number: int) -> None:
    """What the log has at the positions is part of the closing of that number."""
    for table in ("statements", "scores"):
        cursor.execute(
            f"UPDATE {table} SET closing = %s WHERE own_position = ANY(%s)",  # noqa: S608 - one of the two
            (number, list(positions)),
        )
