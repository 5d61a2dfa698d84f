"""What an issued statement was computed from, so that it can be computed again, to the digit, and explained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from engine.events import decoded
from engine.facts import Fact
from engine.money import decimal_of_micros, total
from engine.period import Period
from engine.projections.partner_facts import DIMENSIONS, is_counted
from engine.rules.given import Cohort, Given, Origin, PartnerGiven
from engine.settlement.books import Books
from engine.settlement.folding import fold_counted
from engine.settlement.gathering import Group, settled_by
from engine.settlement.keeping import facts_of, given_of
from engine.store import assessments, log, partner_facts, recorder, registry
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.facts import pairs
from engine.store.statements import Issued


def reopened_group(cursor: Rows, books: Books, issued: Issued, *, whole: bool = False) -> Group:
    """What was given when the version was issued: of its contract, or of all that its rulebook looks across, or `whole`."""
    rulebook, period = settled_by(books, issued), Period.parse(issued.period)
    together = [issued]
    if whole or rulebook.on(period.first).looks_across:
        standing = statement_store.standing_with(cursor, issued)
        together = [
            each for each in standing if is_earned(each) and settled_by(books, each).version == rulebook.version
        ]
    givens = {each.contract: regiven(books, each.given, period) for each in together}
    known = registry.contracts(cursor, list(givens))
    own = _facts_of_partners(cursor, issued, period, givens) if rulebook.assessment else {}
    return Group(rulebook, period, known, Cohort(givens, _partners(own, givens)))


def is_earned(issued: Issued) -> bool:
    """Whether its contract was in force, so that a rulebook settled it: else it holds nothing but adjustments."""
    return bool(msgspec.json.decode(issued.statement)["lines"])


def _facts_of_partners(
    cursor: Rows, issued: Issued, period: Period, givens: Mapping[str, Given]
) -> dict[str, tuple[Fact, ...]]:
    """By partner the facts that its score was computed from when the version was issued."""
    scores = assessments.first_issued(cursor, issued.rulebook, issued.period)
    if issued.version == 1:
        return {name: facts_of(msgspec.json.decode(text)["facts"]) for name, text in scores.items()}
    names = scores.keys() | {given.partner for given in givens.values()}
    live = partner_facts.of_partners(cursor, names, period.first, period.end)
    later = _told_later(cursor, issued.position, period)
    return {name: _less(live.get(name, ()), later.get(name, ())) for name in sorted(names)}


def _told_later(cursor: Rows, position: int, period: Period) -> dict[str, list[Fact]]:
    """By partner the facts of the period that were told after the position."""
    found: dict[str, list[Fact]] = {}
    for page in log.named(cursor, DIMENSIONS, after=position, to=recorder.last_position(cursor)):
        told = [event for event in (decoded(each.name, each.state) for each in page) if is_counted(event)]
        for row in fold_counted(cursor, told).iter_rows(named=True):
            if row["day"] in period:
                fact = Fact(
                    row["event"], row["field"], pairs(row["dimensions"]), row["events"], decimal_of_micros(row["value"])
                )
                found.setdefault(row["partner"], []).append(fact)
    return found


def _less(live: Iterable[Fact], later: Iterable[Fact]) -> tuple[Fact, ...]:
    """The facts without the later ones, which are among them."""
    left = {fact[:3]: fact for fact in live}
    for each in later:
        before = left[each[:3]]
        left[each[:3]] = before._replace(events=before.events - each.events, value=total(before.value, -each.value))
    return tuple(fact for fact in left.values() if fact.events)


def _partners(own: Mapping[str, tuple[Fact, ...]], givens: Mapping[str, Given]) -> dict[str, PartnerGiven]:
    # Of a partner's statements the one that was issued last says which grade a person had given by then.
    grades = {given.partner: given.grade for given in givens.values()}
    return {name: PartnerGiven(facts, grades.get(name)) for name, facts in own.items()}


def regiven(books: Books, text: str, period: Period) -> Given:
    """What was given, by its kept text."""
    given, origins = given_of(text, period)
    return given._replace(
        origins=tuple(Origin(books.version(each.rulebook, each.version), each.given) for each in origins)
    )
