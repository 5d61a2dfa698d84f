"""Contracts that one rulebook version settled at once, with what each was given: what the evaluators are asked about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.aggregates.contract import Contract
from engine.facts import Fact
from engine.period import Period
from engine.rules.given import Cohort as Givens
from engine.rules.given import Given, Origin, PartnerGiven
from engine.rules.model import Rulebook
from engine.settlement.concluding import belong_together
from replay.audit import world
from replay.audit.basis import Basis, facts_by_key, key_of, named_facts
from replay.audit.inputs import is_ended
from replay.audit.issued import Issued, Score, Statement
from replay.audit.scope import Scope
from replay.audit.volume import Asked
from replay.known import Known


class Cohort(NamedTuple):
    """`statements` and `scores` are those that were issued at once and are to be proved; `beside` the other contracts settled
    with them, for which none was issued or is proved elsewhere. `left_out` are those of them that should be here.
    """

    book: Rulebook
    period: Period
    position: int
    statements: tuple[Statement, ...]
    scores: tuple[Score, ...]
    beside: tuple[Contract, ...]
    left_out: tuple[str, ...]

    @property
    def together(self) -> bool:
        return belong_together(self.book.on(self.period.first))

    @property
    def is_again(self) -> bool:
        return any(each.is_again for each in self.statements) or not self.statements


class _Key(NamedTuple):
    rulebook: str
    version: int
    period: Period
    position: int


def _grouped(issued: Issued, known: dict[int, Known]) -> dict[_Key, tuple[list[Statement], list[Score]]]:
    found: dict[_Key, tuple[list[Statement], list[Score]]] = {}
    for each in issued.statements:
        contract = known[each.position].contracts.get(each.contract)
        if contract is not None and not is_ended(each, contract):
            found.setdefault(_Key(*each.rulebook, each.period, each.position), ([], []))[0].append(each)
    for score in issued.scores:
        key = _Key(score.event.scorecard, int(score.said["rulebook_version"]), issued.period, score.event.position)
        found.setdefault(key, ([], []))[1].append(score)
    return found


def cohorts_of(issued: Issued, known: dict[int, Known]) -> Iterator[Cohort]:
    """Those whose rulebook version is among what was known then."""
    for key, (statements, scores) in _grouped(issued, known).items():
        then = known[key.position]
        if (key.rulebook, key.version) not in then.texts:
            continue
        book = then.book(key.rulebook, key.version)
        cohort = Cohort(book, key.period, key.position, tuple(statements), tuple(scores), (), ())
        if cohort.together:
            own = {each.contract for each in statements}
            others = [each for each in world.settled_with(then, book, key.period) if each.contract not in own]
            again = cohort.is_again
            cohort = cohort._replace(
                beside=tuple(others) if again else (), left_out=() if again else tuple(o.contract for o in others)
            )
        yield cohort


def asked(cohorts: Iterable[Cohort], known: dict[int, Known], scope: Scope) -> Iterator[Asked]:
    """The facts that the checks need: of every statement, and of whoever was settled with them."""
    for cohort in cohorts:
        then = known[cohort.position]
        grain = then.grain(cohort.book.rulebook).text
        names = [*(each.contract for each in cohort.statements), *(each.contract for each in cohort.beside)]
        for name in names:
            if (name, cohort.period.first) in scope.events:
                key = key_of(name, cohort.period, cohort.position)
                phases = then.phases(then.contracts[name]) if name in then.contracts else None
                yield Asked(key, name, cohort.period, cohort.position, grain, phases)


def givens_of(basis: Basis, cohort: Cohort) -> tuple[Givens, list[str]]:
    """What was given of each contract and partner; and the contracts beside whose balances the evidence does not have."""
    then = basis.known[cohort.position]
    givens = {each.contract: regiven(then, each) for each in cohort.statements}
    unknown: list[str] = []
    if cohort.beside:
        beside, unknown = _beside(basis, cohort)
        givens |= beside
    contents = cohort.book.on(cohort.period.first)
    partners: dict[str, PartnerGiven] = {}
    if contents.assessment is not None or contents.points is not None:
        names = sorted({given.partner for given in givens.values()})
        own = named_facts(then, names, cohort.period, "partner")
        grade = {name: then.overrides.get((cohort.book.rulebook, str(cohort.period), name)) for name in names}
        partners = {name: PartnerGiven(tuple(own.get(name, ())), grade[name]) for name in names}
    return Givens(givens, partners), unknown


def regiven(then: Known, each: Statement) -> Given:
    """What the statement was given, with the rulebook versions that its origins name."""
    origins = [Origin(then.book(origin.rulebook, origin.version), origin.given) for origin in each.origins]
    return each.given._replace(origins=tuple(origins))


def _beside(basis: Basis, cohort: Cohort) -> tuple[dict[str, Given], list[str]]:
    """What the contracts beside were given: made of the events, and of what their versions that stood then say."""
    then, period = basis.known[cohort.position], cohort.period
    issued = [each.entry.position for each in cohort.statements] + [each.entry.position for each in cohort.scores]
    before = min(issued)
    names = [each.contract for each in cohort.beside]
    folded = facts_by_key(basis.facts, [key_of(name, period, cohort.position) for name in names])
    named = named_facts(then, names, period, "contract")
    rates = basis.rates(cohort.book, period, cohort.position)
    givens, unknown = {}, []
    for each in cohort.beside:
        left = basis.left(each, period, cohort.position, before)
        if left is None:
            unknown.append(each.contract)
        facts: list[Fact] = [
            *folded.get(key_of(each.contract, period, cohort.position), ()), *named.get(each.contract, ())
        ]  # fmt: skip
        stated = basis.standing(each.contract, period, cohort.position)
        givens[each.contract] = Given(
            period,
            tuple(facts),
            left or (),
            each.valid_from,
            each.partner,
            then.overrides.get((each.rulebook, str(period), each.partner)),
            _grade_before(basis, cohort, each, stated),
            rates,
            regiven(then, stated).origins if stated else (),
        )
    return givens, unknown


def _grade_before(basis: Basis, cohort: Cohort, contract: Contract, stated: Statement | None) -> str | None:
    if cohort.statements and stated is not None:
        # Statements are computed again as if nothing had been closed: from grades that no score may say.
        return stated.given.grade_before
    return basis.grade_before(contract.rulebook, cohort.period, contract.partner, cohort.position)
