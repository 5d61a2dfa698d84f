"""Assessments: scores as they stand, as they were issued at closing, and computed again where somebody asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from engine import events
from engine.aggregates import contract as contracts
from engine.aggregates.refusal import Refused
from engine.money import plain
from engine.outcomes import Score
from engine.period import Period
from engine.rules.model import Rulebook
from engine.rules.scorecards import Consequence
from engine.settlement import sealing
from engine.settlement.books import Books
from engine.settlement.gathering import Group, gathered, of_rulebook, settled_by
from engine.settlement.keeping import canonical, facts_rows
from engine.settlement.reopening import is_earned, reopened_group
from engine.settlement.statements import concluded
from engine.store import assessments, intake, log, recorder, registry, suspense
from engine.store import statements as statement_store
from engine.store.assessments import Issued, Override
from engine.store.database import Rows, Store

SOURCE = "tantieme/assess"


class NotAssessed(Refused):
    code = "not-assessed"


class Standing(NamedTuple):
    """How a partner stands by one scorecard in one period.

    `state` is open, or issued with a version. `grade` is the one that stands: a person's `override` where there is one. The
    score and its reasons are those of what was known when the period was closed; or of now, where it is open or was computed
    again since. `moved` says that this is not what the issued version says.
    """

    scorecard: str
    partner: str
    state: str
    issued: Issued | None
    score: Score
    grade: str
    override: Override | None
    consequence: dict[str, Any]
    moved: bool

    @property
    def version(self) -> int | None:
        return None if self.issued is None else self.issued.version

    @property
    def follows(self) -> str:
        """What follows from the grade, in a few words."""
        return ", ".join(f"{name} {value}" for name, value in self.consequence.items())


def of_partner(cursor: Rows, partner: str, period: Period) -> list[Standing]:
    """The partner by every scorecard that assesses it in the period. Raises NotAssessed and what settling refuses."""
    found = [each for each in _standings(cursor, period, partner=partner) if each.partner == partner]
    if not found:
        raise NotAssessed(
            f"no contract of partner {partner} in force in {period} has a rulebook with an assessment; "
            "settle scoreboard shows who is assessed"
        )
    return found


def board(cursor: Rows, period: Period, scorecard: str | None = None) -> list[Standing]:
    """Everybody who is assessed in the period: by scorecard, the best score first."""
    found = _standings(cursor, period, scorecard=scorecard)
    return sorted(found, key=lambda each: (each.scorecard, -(each.score.total or 0), each.partner))


def _standings(
    cursor: Rows, period: Period, *, partner: str | None = None, scorecard: str | None = None
) -> Iterator[Standing]:
    under = registry.all_contracts(cursor, calendar=period.calendar, partner=partner, rulebook=scorecard)
    names = sorted({each.rulebook for each in under if contracts.in_force(each, period.first, period.end)})
    books = Books(cursor, names)
    for name in names:
        for rulebook in assessing(cursor, books, name, period):
            yield from _of_rulebook(cursor, books, rulebook, period)


def assessing(cursor: Rows, books: Books, name: str, period: Period) -> list[Rulebook]:
    """The versions with an assessment that settle contracts in the period."""
    return [
        version
        for version in books.versions(name)
        if version.assessment is not None and of_rulebook(cursor, books, version, period)
    ]


def _of_rulebook(cursor: Rows, books: Books, rulebook: Rulebook, period: Period) -> Iterator[Standing]:
    issued = assessments.issued(cursor, rulebook.rulebook, str(period))
    given = assessments.overrides(cursor, rulebook.rulebook, str(period))
    group = group_of(cursor, books, rulebook, period, again=any(each.version > 1 for each in issued.values()))
    for partner, score in concluded(group).scores.items():
        kept = issued.get(partner)
        override = given.get(partner)
        grade = override.grade if override else kept.grade if kept else score.grade
        yield Standing(
            rulebook.rulebook, partner, "issued" if kept else "open", kept, score, grade, override,
            follows(rulebook, period, grade), kept is not None and kept.digest != _digest(score_of(group, partner, score)),
        )  # fmt: skip


def group_of(cursor: Rows, books: Books, rulebook: Rulebook, period: Period, *, again: bool) -> Group:
    """What the scores stand on: what was given at closing, unless they were computed again since, or never issued."""
    closed = statement_store.of_rulebook(cursor, rulebook.rulebook, str(period))
    earned = [each for each in closed if is_earned(each)]
    if earned and not again:
        own = [each for each in earned if settled_by(books, each).version == rulebook.version]
        return reopened_group(cursor, books, (own or earned)[0], whole=True)
    return gathered(cursor, books, rulebook, period, of_rulebook(cursor, books, rulebook, period))


def follows(rulebook: Rulebook, period: Period, grade: str) -> dict[str, Any]:
    """What the scorecard states for the grade: coefficient, points, action."""
    card = rulebook.on(period.first).assessment
    stated = card.consequences.get(grade, Consequence()) if card else Consequence()
    said = {
        "coefficient": None if stated.coefficient is None else plain(stated.coefficient),
        "points": None if stated.points is None else plain(stated.points),
        "action": stated.action,
    }
    return {name: value for name, value in said.items() if value is not None}


Row = tuple[bytes, events.AssessmentCompleted]


def score_rows(
    group: Group, scores: Mapping[str, Score], position: int, now: datetime, before: Mapping[str, Issued] = {}
) -> list[Row]:
    """An `assessment.completed` for each of the scores, the version after the one issued before."""
    return [
        _row(group, partner, score, position, now, before[partner].version + 1 if partner in before else 1)
        for partner, score in scores.items()
    ]


def _row(group: Group, partner: str, score: Score, position: int, now: datetime, version: int) -> Row:
    name, period = group.rulebook.rulebook, str(group.period)
    given = group.cohort.partners.get(partner)
    said = score_of(group, partner, score)
    event = events.AssessmentCompleted(
        source=SOURCE,
        id=f"{name}/{period}/{partner}/{version}",
        time=now,
        partner=partner,
        scorecard=name,
        period=period,
        version=version,
        position=position,
        digest=_digest(said),
        score=canonical({"score": said, "facts": facts_rows(given.facts) if given else []}).decode(),
    )
    return log.stream_id("assessment", f"{name}\0{period}\0{partner}"), event


def _digest(said: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(said)).hexdigest()


def score_of(group: Group, partner: str, score: Score) -> dict[str, Any]:
    """The score as a JSON object: what its digest covers."""
    return {
        "scorecard": group.rulebook.rulebook,
        "rulebook_version": group.rulebook.version,
        "period": str(group.period),
        "partner": partner,
        "score": None if score.total is None else plain(score.total),
        "assessed": score.assessed,
        "grade": score.grade,
        "veto": score.veto,
        "override": score.override,
        "metrics": [
            {"name": each.name, "value": each.value if each.value is None else plain(each.value),
             "score": plain(each.score), "weight": plain(each.weight)}
            for each in score.metrics
        ],
        "items": [{"name": each.name, "added": plain(each.added)} for each in score.items],
    }  # fmt: skip


def issue(cursor: Rows, rows: Sequence[Row], now: datetime) -> None:
    """Appends the scores to the log and keeps them."""
    if rows:
        first = recorder.append(cursor, [(stream, e.version, e.NAME, events.encoded(e)) for stream, e in rows])
        intake.note_batch(cursor, first, first + len(rows) - 1, now)
        assessments.save(cursor, [issued_of(event, position) for position, (_, event) in enumerate(rows, first)])
        waited = [f"assessment:{events.joined(e.scorecard, e.period, e.partner)}" for _, e in rows]
        suspense.note_arrivals(cursor, waited, first + len(rows) - 1)


def issued_of(event: events.AssessmentCompleted, position: int) -> Issued:
    """The score that the event at the position issued."""
    said = msgspec.json.decode(event.score)["score"]
    total = said["score"] or ""
    return Issued(
        event.scorecard, event.period, event.partner, event.version, said["grade"], total, event.digest, event.score,
        position,
    )  # fmt: skip


def reassess(store: Store, period: Period, now: datetime) -> dict[str, int]:
    """Computes again, from all that is known now, the issued scores of which somebody asked it since; by scorecard, how many
    new versions were issued. The whole cohort is computed, and whose score comes out as before keeps its version.
    """
    with store.writing() as cursor:
        recorder.lock(cursor)
        asked = assessments.asked(cursor, str(period))
        books = Books(cursor, asked)
        found = {name: _reassess(cursor, books, name, period, now) for name in sorted(asked)}
    if any(found.values()):
        sealing.complete(store, period, now)
    return found


def _reassess(cursor: Rows, books: Books, name: str, period: Period, now: datetime) -> int:
    position = recorder.last_position(cursor)
    before = assessments.issued(cursor, name, str(period))
    number = 0
    for rulebook in assessing(cursor, books, name, period):
        group = group_of(cursor, books, rulebook, period, again=True)
        scores = concluded(group).scores
        rows = [
            row for row in score_rows(group, scores, position, now, before)
            if row[1].partner not in before or row[1].digest != before[row[1].partner].digest
        ]  # fmt: skip
        issue(cursor, rows, now)
        number += len(rows)
    return number
