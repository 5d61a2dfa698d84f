"""Assessments: scores as issued, the grades that persons gave instead, and who asked for a score anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from engine.events import AssessmentDecided, AssessmentOverridden, AssessmentReassessed
from engine.money import decimal_of_micros
from engine.store.database import Rows


class Issued(NamedTuple):
    """A score as issued: `text` is its canonical JSON text. Versions of one score count from 1.

    `own_position` is that of its event in the log.
    """

    scorecard: str
    period: str
    partner: str
    version: int
    grade: str
    score: str
    digest: str
    text: str
    own_position: int


class Override(NamedTuple):
    """The grade that a person gave, and another approved, instead of the assessed one."""

    partner: str
    grade: str
    score: Decimal | None
    reason: str
    author: str
    approver: str
    source: str
    id: str
    position: int


class Reassessment(NamedTuple):
    """The wish that a score that was issued be computed again."""

    partner: str
    reason: str
    author: str
    source: str
    id: str
    position: int


_ISSUED = "scorecard, period, partner, version, grade, score, digest, text, own_position"


def closings(cursor: Rows, period: str) -> dict[int, int | None]:
    """By the positions of the period's scores the number of the closing that each is part of; None where there is none yet."""
    return dict(cursor.execute("SELECT own_position, closing FROM scores WHERE period = %s", (period,)).fetchall())


def save(cursor: Rows, rows: Sequence[Issued]) -> None:
    with cursor.copy(f"COPY scores ({_ISSUED}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def issued(cursor: Rows, scorecard: str, period: str, partners: Iterable[str] | None = None) -> dict[str, Issued]:
    """By partner the latest version of its score in the period; of the given partners, or of all."""
    named = None if partners is None else list(partners)
    rows = cursor.execute(
        f"SELECT DISTINCT ON (partner) {_ISSUED} FROM scores "  # noqa: S608 - a constant
        "WHERE scorecard = %s AND period = %s AND (%s::text[] IS NULL OR partner = ANY(%s)) "
        "ORDER BY partner, version DESC",
        (scorecard, period, named, named),
    )
    return {row[2]: Issued._make(row) for row in rows}


def of_period(cursor: Rows, period: str) -> list[Issued]:
    """All versions of the scores of the period, in the order of the log."""
    rows = cursor.execute(
        f"SELECT {_ISSUED} FROM scores WHERE period = %s ORDER BY own_position",  # noqa: S608 - a constant
        (period,),
    )
    return [Issued._make(row) for row in rows]


def first_issued(cursor: Rows, scorecard: str, period: str) -> dict[str, str]:
    """By partner the text of the first version of its score in the period."""
    rows = cursor.execute(
        "SELECT partner, text FROM scores WHERE scorecard = %s AND period = %s AND version = 1",
        (scorecard, period),
    )
    return dict(rows.fetchall())


def save_overrides(cursor: Rows, told: Iterable[tuple[int, AssessmentOverridden | AssessmentDecided]]) -> None:
    """Keeps the grades that (position, event) tell: those given by hand, and those of granted appeals."""
    cursor.executemany(
        "INSERT INTO overrides (position, scorecard, period, partner, grade, score_micros, reason, author, "
        "approver, source, id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (
                position,
                e.scorecard,
                e.period,
                e.partner,
                e.grade,
                e.score if isinstance(e, AssessmentOverridden) else None,
                e.reason,
                e.author,
                e.approver,
                e.source,
                e.id,
            )
            for position, e in told
        ],
    )


def overrides(cursor: Rows, scorecard: str, period: str, partners: Iterable[str] | None = None) -> dict[str, Override]:
    """By partner the grade given last; of the given partners, or of all."""
    named = None if partners is None else list(partners)
    rows = cursor.execute(
        "SELECT DISTINCT ON (partner) partner, grade, score_micros, reason, author, approver, source, id, position "
        "FROM overrides WHERE scorecard = %s AND period = %s AND (%s::text[] IS NULL OR partner = ANY(%s)) "
        "ORDER BY partner, position DESC",
        (scorecard, period, named, named),
    )
    return {
        row[0]: Override._make([*row[:2], None if row[2] is None else decimal_of_micros(row[2]), *row[3:]])
        for row in rows
    }


def all_overrides(cursor: Rows) -> dict[tuple[str, str, str], str]:
    """By scorecard, period and partner the grade given last."""
    rows = cursor.execute("SELECT scorecard, period, partner, grade FROM overrides ORDER BY position")
    return {(scorecard, period, partner): grade for scorecard, period, partner, grade in rows}


def save_reassessments(cursor: Rows, told: Iterable[tuple[int, AssessmentReassessed]]) -> None:
    """Keeps the wishes that (position, event) tell."""
    cursor.executemany(
        "INSERT INTO reassessments (position, scorecard, period, partner, reason, author, source, id) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (position, e.scorecard, e.period, e.partner, e.reason, e.author, e.source, e.id)
            for position, e in told
        ],
    )  # fmt: skip


def reassessments(cursor: Rows, scorecard: str, period: str) -> dict[str, list[Reassessment]]:
    """By partner the wishes for its score in the period, in the order of the log."""
    rows = cursor.execute(
        "SELECT partner, reason, author, source, id, position FROM reassessments "
        "WHERE scorecard = %s AND period = %s ORDER BY position",
        (scorecard, period),
    )
    found: dict[str, list[Reassessment]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Reassessment._make(row))
    return found


def asked(cursor: Rows, period: str) -> set[str]:
    """The scorecards of whose issued scores in the period somebody asked one to be computed again."""
    rows = cursor.execute(
        "SELECT DISTINCT scorecard FROM reassessments r JOIN scores s USING (scorecard, period, partner) "
        "WHERE period = %s",
        (period,),
    )
    return {row[0] for row in rows}
