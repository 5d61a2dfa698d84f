"""Changes of points accounts by hand: adjusted, burned and redeemed points."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date
from decimal import Decimal
from typing import Literal, NamedTuple

from engine.events import PointsAdjusted, PointsBurned, PointsRedemptionApproved
from engine.money import decimal_of_micros
from engine.store.database import Rows


class Entry(NamedTuple):
    """One change, on its day in UTC. `points` are signed where adjusted, and positive where burned."""

    partner: str
    program: str
    day: date
    kind: Literal["adjusted", "burned"]
    points: Decimal
    reason: str
    reference: str | None
    author: str | None
    approver: str | None
    source: str
    id: str
    position: int


ByHand = PointsAdjusted | PointsBurned | PointsRedemptionApproved


def save(cursor: Rows, told: Iterable[tuple[int, ByHand]]) -> None:
    """Keeps the changes that (position, event) tell."""
    cursor.executemany(
        "INSERT INTO points_entries (position, partner, program, day, points_micros, reason, source, id, kind, "
        "reference, author, approver) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (
                position,
                e.partner,
                e.program,
                e.time.astimezone(UTC).date(),
                e.points,
                "redeemed" if isinstance(e, PointsRedemptionApproved) else e.reason,
                e.source,
                e.id,
                *_own(e),
            )
            for position, e in told
        ],
    )


def _own(event: ByHand) -> tuple[str, str | None, str | None, str | None]:
    match event:
        case PointsAdjusted(author=author, approver=approver):
            return "adjusted", None, author, approver
        case PointsBurned(reference=reference):
            return "burned", reference, None, None
        case PointsRedemptionApproved(reference=reference, author=author, approver=approver):
            return "burned", reference, author, approver


def entries(
    cursor: Rows, program: str, partners: Iterable[str], first: date | None = None, end: date | None = None
) -> dict[str, list[Entry]]:
    """Each partner's changes in the program, on the days from `first` up to, and without, `end`, by day and position."""
    rows = cursor.execute(
        "SELECT partner, program, day, kind, points_micros, reason, reference, author, approver, source, id, position "
        "FROM points_entries WHERE program = %s AND partner = ANY(%s) "
        "AND (%s::date IS NULL OR day >= %s) AND (%s::date IS NULL OR day < %s) ORDER BY partner, day, position",
        (program, list(partners), first, first, end, end),
    )
    found: dict[str, list[Entry]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Entry._make([*row[:4], decimal_of_micros(row[4]), *row[5:]]))
    return found


def programs(cursor: Rows, partner: str) -> list[str]:
    """The programs in which the partner's account was changed by hand."""
    rows = cursor.execute("SELECT DISTINCT program FROM points_entries WHERE partner = %s ORDER BY 1", (partner,))
    return [row[0] for row in rows]
