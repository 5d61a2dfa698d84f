"""Points accounts of a partner: everything that moved them, brought together from the store.

What rules earn by events about the partner alone is earned on the day of the event; all else is known when a period ends,
and is earned on its last day. What follows from a grade is granted on the last day of the period that was assessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from engine.aggregates import contract as contracts
from engine.aggregates import redemption
from engine.aggregates import rulebook as rulebooks
from engine.aggregates.contract import Contract
from engine.aggregates.redemption import Redemption, Spendable
from engine.aggregates.refusal import Refused
from engine.facts import Fact
from engine.language.expression import names
from engine.money import AmountTooLarge, decimal_of_micros
from engine.outcomes import Account, EntryKind, How, Reason
from engine.period import Period
from engine.rules.accounts import Activity, RuleUnknown, account, earned_units
from engine.rules.formulas import Unsettleable
from engine.rules.given import PartnerGiven
from engine.rules.measuring import by_field, measured
from engine.rules.model import Contents, Rulebook
from engine.rules.programs import Earn, Program
from engine.settlement.books import Books
from engine.settlement.gathering import Group, beside, gathered, grades_of
from engine.settlement.reopening import reopened_group
from engine.settlement.statements import CannotSettle, concluded
from engine.store import partner_facts, registry, relations
from engine.store import points as point_store
from engine.store import statements as statement_store
from engine.store.database import Rows


class UnknownPartner(Refused):
    code = "unknown-partner"


class NoProgram(Refused):
    code = "no-program"


class InProgram(NamedTuple):
    """A partner's account in one program; `program` is the rulebook's id. `grants` are those of the level that it holds."""

    program: str
    version: int
    account: Account
    grants: tuple[str, ...] = ()


def accounts(cursor: Rows, partner: str, at: date) -> list[InProgram]:
    """The partner's accounts as of the day, one a rulebook with points. Raises UnknownPartner, NoProgram."""
    if partner not in registry.partners(cursor, [partner]):
        raise UnknownPartner(f"partner {partner} is not registered; settle partner list shows those that are")
    signed = registry.all_contracts(cursor, partner=partner)
    by_hand = point_store.programs(cursor, partner)
    found = []
    books = Books(cursor, {*by_hand, *(contract.rulebook for contract in signed)})
    for name in sorted({*by_hand, *(contract.rulebook for contract in signed)}):
        under = [contract for contract in signed if contract.rulebook == name]
        if (held := _held(cursor, books, partner, name, under, at)) is not None:
            found.append(held)
    if not found:
        raise NoProgram(f"no rulebook of partner {partner} has points on {at}; a rulebook states them under points")
    return found


def _held(cursor: Rows, books: Books, partner: str, name: str, under: list[Contract], at: date) -> InProgram | None:
    """The account in one program; None where no version of it has points on the day."""
    rulebook = _in_force(cursor, books, name, at)
    program = rulebook.on(at).points if rulebook else None
    if rulebook is None or program is None:
        return None
    found = account(program, _Activities(cursor, books, partner, name, at).all(under), at)
    bands = program.levels.bands if program.levels else ()
    grants = next((level.grants for level in bands if level.name == found.level), ())
    return InProgram(name, rulebook.version, found, grants)


def spendable(cursor: Rows, partner: str, program: str, day: str) -> Spendable | None:
    """What can be spent of the account on the day, by all that is in the tables; None where there is none in the program.

    Points that were burned on a later day, and are known already, cannot be spent before it.
    """
    at = date.fromisoformat(day)
    books = Books(cursor, [program])
    under = registry.all_contracts(cursor, partner=partner, rulebook=program)
    entries = point_store.entries(cursor, program, [partner]).get(partner, [])
    if not under and not entries:
        return None
    try:
        held = _held(cursor, books, partner, program, under, at)
        if held is None:
            return None
        last = max((entry.day for entry in entries if entry.day > at), default=None)
        later = None if last is None else _held(cursor, books, partner, program, under, last)
    except (AmountTooLarge, Unsettleable, RuleUnknown) as error:
        raise CannotSettle(f"points of {partner} in {program}: {error}; correct the rulebook or the events") from error
    reserved = [each.points for each in open_redemptions(cursor, partner) if each.program == program]
    after = later.account.entries if later else ()
    by_hand = (EntryKind.burned, EntryKind.adjusted)
    left = [entry.balance for entry in after if entry.day > at and entry.kind in by_hand and entry.points < 0]
    balance = min([held.account.balance, *left])
    return Spendable(balance, decimal_of_micros(sum(reserved)), held.account.level, held.grants)


def open_redemptions(cursor: Rows, partner: str) -> list[Redemption]:
    """Those that nobody has approved or rejected yet."""
    known = relations.listed(cursor, redemption.AGGREGATE.kind, partner=partner)
    return [each.state for each in known if each.state.state == "requested"]


def _in_force(cursor: Rows, books: Books, name: str, at: date) -> Rulebook | None:
    published = registry.rulebooks(cursor, [name]).get(name)
    version = rulebooks.in_force(published, at) if published else None
    return books.version(name, version.version) if version else None


class _Activities:
    """What moved one partner's account in one program, up to a day."""

    def __init__(self, cursor: Rows, books: Books, partner: str, program: str, at: date) -> None:
        self._cursor = cursor
        self._books = books
        self._partner = partner
        self._program = program
        self._at = at

    def all(self, under: list[Contract]) -> Iterator[Activity]:
        yield from self._by_hand()
        for period in sorted({period for contract in under for period in _periods(contract, self._at)}):
            in_force = [each for each in under if contracts.in_force(each, period.first, period.end)]
            chosen = [each for each in in_force if each.calendar is period.calendar]
            if chosen:
                yield from self._of_period(period, chosen)

    def _by_hand(self) -> Iterator[Activity]:
        end = self._at + timedelta(days=1)
        for entry in point_store.entries(self._cursor, self._program, [self._partner], end=end).get(self._partner, ()):
            yield Activity(
                entry.day,
                EntryKind(entry.kind),
                entry.points,
                name=entry.reference or "",
                text=entry.reason,
                author=entry.author or "",
                approver=entry.approver or "",
                identity=f"{entry.source} {entry.id}",
            )

    def _of_period(self, period: Period, chosen: list[Contract]) -> Iterator[Activity]:
        last = period.end - timedelta(days=1)
        group = self._group(period, chosen)
        contents = group.rulebook.on(period.first)
        yield from self._by_day(contents, period)
        if last > self._at or contents.points is None:
            return
        for earn, units in concluded(group).units[self._partner]:
            if not _by_partner_events(contents, earn) and units.value:
                yield _earned(last, earn, units, period)
        yield from self._granted(contents, period, last)

    def _group(self, period: Period, chosen: list[Contract]) -> Group:
        """The contracts as they were settled, where all are; else as they stand now."""
        closed = [statement_store.issued(self._cursor, each.contract, str(period)) for each in chosen]
        issued = [each for each in closed if each is not None]
        rulebook = self._books.for_period(chosen[0], period)
        if len(issued) == len(chosen):
            group = _merged([reopened_group(self._cursor, self._books, each) for each in issued])
            own = partner_facts.of_partners(self._cursor, [self._partner], period.first, period.end)
            partners = {self._partner: PartnerGiven(tuple(own.get(self._partner, ())))}
            return group._replace(cohort=group.cohort._replace(partners={**partners, **group.cohort.partners}))
        together = beside(self._cursor, self._books, chosen[0], period)
        return gathered(self._cursor, self._books, rulebook, period, together if len(together) > 1 else chosen)

    def _by_day(self, contents: Contents, period: Period) -> Iterator[Activity]:
        rules = [
            earn for earn in (contents.points.earn if contents.points else ()) if _by_partner_events(contents, earn)
        ]
        if not rules:
            return
        by_day: dict[date, list[Fact]] = {}
        for day, fact in partner_facts.days(self._cursor, self._partner, period.first, period.end):
            by_day.setdefault(day, []).append(fact)
        for day, facts in sorted(by_day.items()):
            found = by_field(facts)
            known = {name: Reason(name, How.value, value) for name, value in contents.values.items()}
            for name, measure in contents.measures.items():
                known[name] = measured(name, measure, contents, found)
            for earn, units in earned_units(Program(earn=tuple(rules)), known):
                if units.value:
                    yield _earned(day, earn, units, period)

    def _granted(self, contents: Contents, period: Period, last: date) -> Iterator[Activity]:
        card = contents.assessment
        grade = grades_of(self._cursor, self._program, str(period), [self._partner]).get(self._partner)
        points = card.consequences[grade].points if card and grade in card.consequences else None
        if points:
            text = f"follows from grade {grade} of {period}"
            yield Activity(last, EntryKind.granted, points, name=f"grade {grade}", period=str(period), text=text)


def _earned(day: date, earn: Earn, units: Reason, period: Period) -> Activity:
    return Activity(day, EntryKind.earned, units.value, earn.name, str(period), rule=earn, of=units)


def _by_partner_events(contents: Contents, earn: Earn) -> bool:
    """Whether the rule looks at events about the partner alone, whose days are known."""
    used = {name.text for name in names(earn.of)} - set(contents.values)
    return bool(used) and all(name in contents.measures and contents.measures[name].of_partner for name in used)


def _periods(contract: Contract, at: date) -> Iterator[Period]:
    period = Period.containing(contract.valid_from, contract.calendar)
    while period.first <= at and contracts.in_force(contract, period.first, period.end):
        yield period
        period = period.next()


def _merged(groups: list[Group]) -> Group:
    """Statements that were closed one by one, as one group; those that look across are whole already."""
    first = groups[0]
    for group in groups[1:]:
        first = first._replace(
            contracts={**first.contracts, **group.contracts},
            cohort=first.cohort._replace(
                contracts={**first.cohort.contracts, **group.cohort.contracts},
                partners={**first.cohort.partners, **group.cohort.partners},
            ),
        )
    return first
