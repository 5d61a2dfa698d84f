"""What the rules are given: facts, balances carried in, grades, rates and earlier periods, brought together from the store.

Everything is read for many contracts at once, at one moment: the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import msgspec

from engine.aggregates import contract as contracts
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.aggregates.service import Service
from engine.facts import Fact
from engine.outcomes import Balance
from engine.period import Period
from engine.rules.evaluate import conclude
from engine.rules.given import Cohort, Final, Given, Origin, PartnerGiven, Rate
from engine.rules.model import Rulebook
from engine.rules.steps import Convert
from engine.settlement.books import Books
from engine.settlement.finishing import final_of
from engine.settlement.keeping import balances_of, given_of
from engine.store import assessments, partner_facts, rates, registry, relations
from engine.store import facts as fact_store
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.statements import Issued

_CHARGED_IN = "charged_in"
_DAYS_BACK_MAX = 366


class EarlierPeriodOpen(Refused):
    code = "earlier-period-open"


class Group(NamedTuple):
    """Contracts that one rulebook version settles in one period, and what is given of them."""

    rulebook: Rulebook
    period: Period
    contracts: Mapping[str, Contract]
    cohort: Cohort


def beside(cursor: Rows, books: Books, contract: Contract, period: Period) -> list[Contract]:
    """The contracts that must be settled together with this one: itself, or all of the rulebook's where it looks across."""
    rulebook = books.for_period(contract, period)
    if not rulebook.on(period.first).looks_across:
        return [contract]
    return of_rulebook(cursor, books, rulebook, period)


def of_rulebook(cursor: Rows, books: Books, rulebook: Rulebook, period: Period) -> list[Contract]:
    """The contracts in force in the period that this version settles."""
    every = registry.all_contracts(cursor, calendar=period.calendar, rulebook=rulebook.rulebook)
    return [
        each
        for each in every
        if contracts.in_force(each, period.first, period.end)
        and each.currency == rulebook.currency
        and books.settles(rulebook, each, period)
    ]


def gathered(
    cursor: Rows, books: Books, rulebook: Rulebook, period: Period, chosen: Sequence[Contract], *, closing: bool = False
) -> Group:
    """What is given of the contracts now. Raises EarlierPeriodOpen where `closing` needs what an open period will leave."""
    return _Gathering(cursor, books, closing=closing).group(rulebook, period, chosen)


class _Gathering:
    def __init__(self, cursor: Rows, books: Books, *, closing: bool) -> None:
        self._cursor = cursor
        self._books = books
        self._closing = closing

    def group(self, rulebook: Rulebook, period: Period, chosen: Sequence[Contract]) -> Group:
        ids = [contract.contract for contract in chosen]
        facts = fact_store.of_period(self._cursor, ids, period.first)
        for name, own in partner_facts.of_contracts(self._cursor, ids, period.first, period.end).items():
            facts.setdefault(name, []).extend(own)
        before, grades = self._before(rulebook, period, chosen), self._grades(rulebook, period, chosen)
        given = assessments.overrides(self._cursor, rulebook.rulebook, str(period), {c.partner for c in chosen})
        now = {name: override.grade for name, override in given.items()}
        published = self._rates(rulebook, period)
        finals = self._finals(period, chosen)
        givens = {
            each.contract: Given(
                period=period,
                facts=tuple(facts.get(each.contract, ())),
                carried=before.get(each.contract, ()),
                begins=each.valid_from,
                partner=each.partner,
                grade=now.get(each.partner),
                grade_before=grades.get(each.partner),
                rates=published,
                final=finals.get(each.contract),
            )
            for each in chosen
        }
        givens |= self._with_origins(rulebook, givens)
        partners = self._partners(rulebook, period, {each.partner for each in chosen}, now)
        return Group(rulebook, period, {each.contract: each for each in chosen}, Cohort(givens, partners))

    def _finals(self, period: Period, chosen: Sequence[Contract]) -> dict[str, Final]:
        """Of those contracts whose final statement is that of the period."""
        services: dict[str, list[Service]] = {}
        for each in relations.listed(self._cursor, "service", contracts=[one.contract for one in chosen]):
            services.setdefault(each.state.contract, []).append(each.state)
        deposits = relations.known(self._cursor, [("deposit", name) for name in services]) if services else {}
        held = {name: relation.state for (_, name), relation in deposits.items()}
        found = {
            each.contract: final_of(each, period, services[each.contract], held.get(each.contract))
            for each in chosen
            if each.contract in services
        }
        return {name: final for name, final in found.items() if final is not None}

    def _partners(
        self, rulebook: Rulebook, period: Period, partners: set[str], overrides: Mapping[str, str]
    ) -> dict[str, PartnerGiven]:
        if rulebook.assessment is None and rulebook.points is None:
            return {}
        own = partner_facts.of_partners(self._cursor, sorted(partners), period.first, period.end)
        return {name: PartnerGiven(tuple(own.get(name, ())), overrides.get(name)) for name in sorted(partners)}

    def _before(self, rulebook: Rulebook, period: Period, chosen: Sequence[Contract]) -> dict[str, tuple[Balance, ...]]:
        """What the period before left, of those contracts that were in force in it."""
        if not self._books.carry(rulebook.rulebook):
            return {}
        previous = period.previous()
        earlier = [each for each in chosen if contracts.in_force(each, previous.first, previous.end)]
        closed = statement_store.carried(self._cursor, [each.contract for each in earlier], str(previous))
        left = {name: balances_of(text) for name, text in closed.items()}
        still_open = [each for each in earlier if each.contract not in closed]
        if still_open and self._closing:
            first = still_open[0].contract
            raise EarlierPeriodOpen(
                f"contract {first} carries balances from period to period, and {previous} is not closed; close it first"
            )
        for version, part in self._by_version(still_open, previous):
            group = self.group(version, previous, part)
            for name, outcome in conclude(version, group.cohort).contracts.items():
                given = group.cohort.contracts[name]
                left[name] = () if given.final else (*outcome.carried, *passed_on(version, previous, given))
        return left

    def _by_version(self, chosen: Iterable[Contract], period: Period) -> list[tuple[Rulebook, list[Contract]]]:
        found: dict[int, tuple[Rulebook, list[Contract]]] = {}
        for each in chosen:
            rulebook = self._books.for_period(each, period)
            if rulebook.on(period.first).looks_across and rulebook.version not in found:
                found[rulebook.version] = (rulebook, of_rulebook(self._cursor, self._books, rulebook, period))
            elif not rulebook.on(period.first).looks_across:
                found.setdefault(rulebook.version, (rulebook, []))[1].append(each)
        return list(found.values())

    def _grades(self, rulebook: Rulebook, period: Period, chosen: Sequence[Contract]) -> dict[str, str]:
        """The partners' grades of the period before: as issued or overridden; where it is open, as it stands."""
        previous = period.previous()
        partners = {each.partner for each in chosen}
        found = grades_of(self._cursor, rulebook.rulebook, str(previous), partners)
        if rulebook.assessment is None or not rulebook.on(period.first).carries:
            return found
        earlier = [
            each
            for each in chosen
            if contracts.in_force(each, previous.first, previous.end)
            and each.partner not in found
            # A version that assesses nobody gave no grade, and never will.
            and self._books.for_period(each, previous).on(previous.first).assessment is not None
        ]
        if earlier and self._closing and _takes_grade_before(rulebook, period):
            raise EarlierPeriodOpen(
                f"partner {earlier[0].partner} is assessed by {rulebook.rulebook}, and its grade of {previous} counts; "
                f"close {previous} first"
            )
        if earlier and _takes_grade_before(rulebook, period):
            version = self._books.for_period(earlier[0], previous)
            group = self.group(version, previous, of_rulebook(self._cursor, self._books, version, previous))
            scores = conclude(version, group.cohort).scores
            found |= {name: score.grade for name, score in scores.items() if name not in found}
        return found

    def _rates(self, rulebook: Rulebook, period: Period) -> tuple[Rate, ...]:
        publishers = sorted(
            {s.rule.publisher for s in rulebook.on(period.first).waterfall if isinstance(s.rule, Convert)}
        )
        if not publishers:
            return ()
        first = period.first - timedelta(days=_DAYS_BACK_MAX)
        return tuple(Rate(*row) for row in rates.between(self._cursor, first, period.end, publishers))

    def _with_origins(self, rulebook: Rulebook, givens: Mapping[str, Given]) -> dict[str, Given]:
        """Of the contracts whose charges of earlier periods are returned: with those periods, as they were settled."""
        wanted = {
            name: days for name, given in givens.items() if (days := _charged_before(given.facts, given.period))
        }  # fmt: skip
        if not wanted or not any(step.clawback for step in rulebook.waterfall):
            return {}
        found = {}
        for name, days in wanted.items():
            periods = [Period.containing(day, givens[name].period.calendar) for day in sorted(days)]
            origins = [self._origin(name, period) for period in periods]
            found[name] = givens[name]._replace(origins=tuple(each for each in origins if each is not None))
        return found

    def _origin(self, name: str, period: Period) -> Origin | None:
        issued = statement_store.latest(self._cursor, [name], str(period)).get(name)
        if issued is not None:
            return Origin(settled_by(self._books, issued), given_of(issued.given, period)[0])
        contract = registry.contracts(self._cursor, [name])[name]
        if not contracts.in_force(contract, period.first, period.end):
            return None
        rulebook = self._books.for_period(contract, period)
        return Origin(rulebook, self.group(rulebook, period, [contract]).cohort.contracts[name])


def grades_of(cursor: Rows, scorecard: str, period: str, partners: Iterable[str]) -> dict[str, str]:
    """The grades that stand: those that persons gave, else those that were issued."""
    named = list(partners)
    issued = assessments.issued(cursor, scorecard, period, named)
    given = assessments.overrides(cursor, scorecard, period, named)
    return {name: score.grade for name, score in issued.items()} | {name: each.grade for name, each in given.items()}


def settled_by(books: Books, issued: Issued) -> Rulebook:
    """The rulebook version that settled a closed statement."""
    settled = msgspec.json.decode(issued.statement)["rulebook"]
    return books.version(settled["id"], settled["version"])


def passed_on(rulebook: Rulebook, period: Period, given: Given) -> tuple[Balance, ...]:
    """Balances that no step of this version takes up: nobody may use them, and nobody may lose them."""
    steps = rulebook.on(period.first).steps
    return tuple(each for each in given.carried if each.step not in steps or each.kind not in steps[each.step].carries)


def _takes_grade_before(rulebook: Rulebook, period: Period) -> bool:
    steps = rulebook.on(period.first).waterfall
    return any(step.coefficient is not None and step.coefficient.grade == "previous" for step in steps)


def _charged_before(facts: Iterable[Fact], period: Period) -> set[date]:
    texts = {dict(fact.dimensions).get(_CHARGED_IN) for fact in facts}
    return {day for text in texts if text is not None and (day := date.fromisoformat(text)) < period.first}
