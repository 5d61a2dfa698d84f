"""A case followed from its events to what it moved: the facts, the measures that count it, the lines, the points and the score.

What it moved is said exactly: the same rules are asked once more, as if the case had never been told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from engine.aggregates import contract as contracts
from engine.aggregates.case import Case
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.events import CaseEvent, decoded
from engine.facts import Fact, label
from engine.money import total
from engine.outcomes import How, Outcome, PointsEntry, Reason, Score
from engine.period import Period, day_in
from engine.projections import partner_facts
from engine.rules.evaluate import conclude
from engine.rules.measuring import by_field, matches, measured
from engine.rules.model import Contents
from engine.settlement import points, scoring
from engine.settlement.books import Books, NoRulebook
from engine.settlement.gathering import Group, beside, gathered
from engine.settlement.reopening import reopened_group
from engine.settlement.statements import concluded
from engine.store import assessments, log, registry, relations
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.facts import pairs


class UnknownCase(Refused):
    code = "unknown-case"


class Told(NamedTuple):
    """One event of the case: where it stands in the log, the day to which it belongs, and the facts that it is part of."""

    position: int
    event: CaseEvent
    day: date
    facts: tuple[Fact, ...]


class Counted(NamedTuple):
    """A measure that counts the case: what it comes to, and what it would without."""

    name: str
    described: str
    value: Decimal
    without: Decimal


class Moved(NamedTuple):
    """A line, a metric or the like: what it comes to, and what it would without the case. `unit` is empty for scores."""

    name: str
    value: Decimal
    without: Decimal
    unit: str = ""


class OnStatement(NamedTuple):
    """What the case does on one statement. `version` is 0 while it is open, 2 or more where it was restated; `taken_by` is the
    period whose statement has the adjustment.
    """

    contract: str
    period: Period
    version: int
    taken_by: str | None
    measures: tuple[Counted, ...]
    lines: tuple[Moved, ...]


class OnScore(NamedTuple):
    """What the case does to its partner's score by one scorecard. `version` is 0 while it is not issued."""

    scorecard: str
    period: Period
    version: int
    measures: tuple[Counted, ...]
    parts: tuple[Moved, ...]
    grade: str
    grade_without: str


class OnPoints(NamedTuple):
    """An entry of a points account that counts the case."""

    program: str
    entry: PointsEntry


class Followed(NamedTuple):
    case: Case
    told: tuple[Told, ...]
    statements: tuple[OnStatement, ...]
    scores: tuple[OnScore, ...]
    points: tuple[OnPoints, ...]


def follow(cursor: Rows, case: str) -> Followed:
    """Raises UnknownCase, and what settling refuses."""
    known = relations.known(cursor, [("case", case)]).get(("case", case))
    if known is None:
        raise UnknownCase(f"there is no case {case}; settle case list shows those that are")
    state: Case = known.state
    told = tuple(_told(cursor, case))
    signed = registry.all_contracts(cursor, partner=state.partner)
    books = Books(cursor, {each.rulebook for each in signed})
    own = [each for each in signed if each.contract == state.contract]
    statements = [
        found
        for contract in own
        for period in _periods(told, contract)
        if (found := _on_statement(cursor, books, contract, period, told)) is not None
    ]
    scores = list(_on_scores(cursor, books, state.partner, signed, told))
    return Followed(state, told, tuple(statements), tuple(scores), tuple(_on_points(cursor, state.partner, told)))


def _told(cursor: Rows, case: str) -> Iterator[Told]:
    for page in log.of_streams(cursor, [log.stream_id("case", case)]):
        for position, name, state in page:
            event = decoded(name, state)
            assert isinstance(event, CaseEvent), event
            contract = registry.contracts(cursor, [event.contract])[event.contract] if event.contract else None
            zone = contract.time_zone if contract else "UTC"
            rows = partner_facts.fold([event], {event.contract: zone} if event.contract else {})
            facts = [
                Fact(row["event"], row["field"], pairs(row["dimensions"]), row["events"], _units(row["value"]))
                for row in rows.sort("field").iter_rows(named=True)
            ]
            yield Told(position, event, day_in(zone, event.time), tuple(facts))


def _units(micros: int) -> Decimal:
    return Decimal(micros).scaleb(-6)


def _periods(told: Sequence[Told], contract: Contract) -> list[Period]:
    every = {Period.containing(each.day, contract.calendar) for each in told}
    return sorted(each for each in every if contracts.in_force(contract, each.first, each.end))


def _within(told: Sequence[Told], period: Period, position: int | None) -> list[Fact]:
    """The facts of the case in the period, of what was known at the position (None: of all)."""
    return [
        fact
        for each in told
        if each.day in period and (position is None or each.position <= position)
        for fact in each.facts
    ]


def _on_statement(
    cursor: Rows, books: Books, contract: Contract, period: Period, told: Sequence[Told]
) -> OnStatement | None:
    issued = statement_store.latest(cursor, [contract.contract], str(period)).get(contract.contract)
    facts = _within(told, period, issued.position if issued else None)
    if issued is not None:
        group = reopened_group(cursor, books, issued)
    else:
        try:
            rulebook = books.for_period(contract, period)
        except NoRulebook:
            return None
        group = gathered(cursor, books, rulebook, period, beside(cursor, books, contract, period))
    if contract.contract not in group.cohort.contracts:
        return None
    now = concluded(group).contracts[contract.contract]
    without = _without(group, facts)
    contents, given = group.rulebook.on(period.first), group.cohort.contracts[contract.contract]
    named = {label(fact.event, fact.field, fact.dimensions) for fact in facts}
    return OnStatement(
        contract.contract,
        period,
        issued.version if issued else 0,
        issued.taken_by if issued else None,
        tuple(_counted(contents, given.facts, without.cohort.contracts[contract.contract].facts, facts)),
        tuple(_moved_lines(now, conclude(without.rulebook, without.cohort).contracts[contract.contract], named)),
    )


def _without(group: Group, facts: Sequence[Fact]) -> Group:
    """The group as if the case had never been told."""
    cohort = group.cohort
    of_contracts = {
        name: given._replace(facts=_less(given.facts, [f for f in facts if dict(f.dimensions)["contract"] == name]))
        for name, given in cohort.contracts.items()
    }
    of_partners = {name: given._replace(facts=_less(given.facts, facts)) for name, given in cohort.partners.items()}
    return group._replace(cohort=cohort._replace(contracts=of_contracts, partners=of_partners))


def _less(facts: Sequence[Fact], taken: Sequence[Fact]) -> tuple[Fact, ...]:
    left = {fact[:3]: fact for fact in facts}
    for each in taken:
        if (found := left.get(each[:3])) is not None:
            rest = found._replace(events=found.events - each.events, value=total(found.value, -each.value))
            left[each[:3]] = rest
    return tuple(fact for fact in left.values() if fact.events > 0)


def _counted(
    contents: Contents, now: Sequence[Fact], without: Sequence[Fact], facts: Sequence[Fact]
) -> Iterator[Counted]:
    found, left = by_field(now), by_field(without)
    for name, measure in contents.measures.items():
        own = [fact for fact in facts if fact[:2] == (measure.event, measure.field)]
        if any(matches(measure, contents, dict(fact.dimensions)) for fact in own):
            value = measured(name, measure, contents, found).value
            yield Counted(name, measure.described, value, measured(name, measure, contents, left).value)


def _moved_lines(now: Outcome, without: Outcome, named: set[str]) -> Iterator[Moved]:
    before = {line.name: line.amount for line in without.lines}
    for line in now.lines:
        if line.amount != before[line.name] or _names(line.reason, named):
            yield Moved(line.name, line.amount, before[line.name], line.unit)
    if now.payable != without.payable and all(line.name != "payable" for line in now.lines):
        yield Moved("payable", now.payable, without.payable, now.currency)


def _names(reason: Reason, named: set[str]) -> bool:
    """Whether the reason goes back to one of the facts, not by way of another line."""
    return (reason.how is How.fact and reason.name in named) or any(_names(part, named) for part in reason.parts)


def _on_scores(
    cursor: Rows, books: Books, partner: str, signed: Sequence[Contract], told: Sequence[Told]
) -> Iterator[OnScore]:
    seen = set()
    for contract in signed:
        for period in _periods(told, contract):
            if (contract.rulebook, period) in seen:
                continue
            seen.add((contract.rulebook, period))
            for standing in _assessed(cursor, partner, period, contract.rulebook):
                yield from _on_score(cursor, books, standing, period, told)


def _assessed(cursor: Rows, partner: str, period: Period, scorecard: str) -> list[scoring.Standing]:
    try:
        return [each for each in scoring.of_partner(cursor, partner, period) if each.scorecard == scorecard]
    except (scoring.NotAssessed, NoRulebook):
        return []


def _on_score(
    cursor: Rows, books: Books, standing: scoring.Standing, period: Period, told: Sequence[Told]
) -> Iterator[OnScore]:
    partner, scorecard = standing.partner, standing.scorecard
    issued = assessments.issued(cursor, scorecard, str(period), [partner]).get(partner)
    facts = _within(told, period, issued.own_position if issued else None)
    for rulebook in scoring.assessing(cursor, books, scorecard, period):
        group = scoring.group_of(cursor, books, rulebook, period, again=standing.version not in {None, 1})
        if partner not in group.cohort.partners:
            continue
        without = _without(group, facts)
        left = conclude(without.rulebook, without.cohort).scores[partner]
        contents = rulebook.on(period.first)
        own, rest = group.cohort.partners[partner].facts, without.cohort.partners[partner].facts
        measures = tuple(_counted(contents, own, rest, facts))
        parts = tuple(_moved_parts(standing.score, left))
        if measures or parts:
            version = issued.version if issued else 0
            yield OnScore(scorecard, period, version, measures, parts, standing.score.assessed, left.assessed)


def _moved_parts(now: Score, without: Score) -> Iterator[Moved]:
    """Metrics, items and the total, as far as they differ."""
    zero = Decimal(0)
    metrics = {each.name: each.score for each in without.metrics}
    items = {each.name: each.added for each in without.items}
    pairs_ = [(each.name, each.score, metrics.get(each.name, zero)) for each in now.metrics]
    pairs_ += [(each.name, each.added, items.get(each.name, zero)) for each in now.items]
    pairs_.append(("score", now.total or zero, without.total or zero))
    for name, value, left in pairs_:
        if value != left:
            yield Moved(name, value, left)


def _on_points(cursor: Rows, partner: str, told: Sequence[Told]) -> Iterator[OnPoints]:
    days = {each.day for each in told}
    named = {label(fact.event, fact.field, fact.dimensions) for each in told for fact in each.facts}
    try:
        accounts = points.accounts(cursor, partner, max(days))
    except points.NoProgram:
        return
    for held in accounts:
        for entry in held.account.entries:
            if entry.day in days and _names(entry.reason, named):
                yield OnPoints(held.program, entry)
