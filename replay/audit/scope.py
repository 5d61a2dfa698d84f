"""Which events an audit of what was issued needs: those that its statements' seals cover, and those that explain them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from engine.events import (
    ContractSigned,
    ContractTerminated,
    DiscrepancyEvent,
    Event,
    FxRatePublished,
    PartnerRegistered,
    ReportedEvent,
    RulebookPublished,
)
from engine.period import Period
from engine.projections.seals import Entry
from engine.rules.check import check
from engine.settlement.concluding import belong_together
from replay.audit.issued import Issued, Statement, is_disputed

Told = tuple[Entry, Event]
TERMS = (ContractSigned.NAME, ContractTerminated.NAME, RulebookPublished.NAME)


class Scope(NamedTuple):
    """`contracts` are those whose terms are needed, `whole` the rulebooks of whose contracts all are.

    `events` gives by contract and first day of a period up to which position its events are needed, `disputed` the contracts
    whose discrepancies are.
    """

    contracts: frozenset[str]
    partners: frozenset[str]
    rulebooks: frozenset[str]
    whole: frozenset[str]
    rates: bool
    events: Mapping[tuple[str, date], int]
    end: int
    disputed: frozenset[str] = frozenset()

    def chosen(self, told: Iterable[Told]) -> list[Told]:
        """Those of the events that are needed, with the terms of every contract that they name."""
        every = [each for each in told if each[0].position <= self.end]
        wanted = [each for each in every if self.wants(each[1])]
        named = {event.contract for _, event in wanted if isinstance(event, ReportedEvent) and event.contract}
        further = named - self.contracts
        if not further:
            return wanted
        return [each for each in every if self.wants(each[1]) or _is_terms_of(each[1], further)]

    def wants(self, event: Event) -> bool:
        """Whether the event is needed by itself, not only because another one names its contract."""
        match event:
            case ContractSigned() | ContractTerminated():
                return event.contract in self.contracts
            case RulebookPublished():
                return event.rulebook in self.rulebooks
            case PartnerRegistered() | ReportedEvent():
                return event.partner in self.partners
            case FxRatePublished():
                return self.rates
            case DiscrepancyEvent():
                return event.contract in self.disputed
            case _:
                return False


def _is_terms_of(event: Event, contracts: set[str]) -> bool:
    return isinstance(event, (ContractSigned, ContractTerminated)) and event.contract in contracts


def scope_of(issued: Issued, terms: Sequence[Told]) -> Scope:
    """`terms` are events of contracts and rulebooks: all of the log, or those that came with the issued ones."""
    signed = {event.contract: event for _, event in terms if isinstance(event, ContractSigned)}
    under: dict[str, list[str]] = {}
    for name, event in signed.items():
        under.setdefault(event.rulebook, []).append(name)
    own = {each.contract for each in issued.statements}
    books = {signed[name].rulebook for name in own if name in signed}
    books |= {each.rulebook[0] for each in issued.statements} | {each.event.scorecard for each in issued.scores}
    whole = _whole(terms) & books
    needed: dict[tuple[str, date], int] = {}
    for each in issued.statements:
        _need(needed, [each.contract], each.period, each.position)
    for rulebook, period, position in again(issued):
        if rulebook in whole:
            _need(needed, under.get(rulebook, ()), period, position)
    contracts = own | {name for rulebook in whole for name in under.get(rulebook, ())}
    return Scope(
        frozenset(contracts),
        frozenset(signed[name].partner for name in contracts if name in signed)
        | frozenset(each.event.partner for each in issued.scores),
        frozenset(books),
        frozenset(whole),
        any("rates" in each.seals for each in issued.statements),
        needed,
        max([issued.end, *(each.position for each in issued.statements), *(e.event.position for e in issued.scores)]),
        frozenset(each.contract for each in issued.statements if is_disputed(each)),
    )


def _need(needed: dict[tuple[str, date], int], names: Iterable[str], period: Period, position: int) -> None:
    for name in names:
        needed[name, period.first] = max(position, needed.get((name, period.first), 0))


def again(issued: Issued) -> set[tuple[str, Period, int]]:
    """Rulebook, period and position of whatever was computed again: with it all that is settled together with it."""
    restated = {(each.rulebook[0], each.period, each.position) for each in issued.statements if each.is_again}
    return restated | {
        (each.event.scorecard, issued.period, each.event.position) for each in issued.scores if each.event.version > 1
    }


def _whole(terms: Iterable[Told]) -> set[str]:
    """The rulebooks under which contracts have to be settled together, in any version."""
    found = set()
    for _, event in terms:
        if isinstance(event, RulebookPublished) and event.rulebook not in found:
            book = check(event.text, "rulebook").rulebook
            if book and any(belong_together(each) for each in (book, *(era.contents for era in book.eras))):
                found.add(event.rulebook)
    return found


class Cited(NamedTuple):
    """Earlier issues that stand behind the statements: (contract, period) and (scorecard, period, partner)."""

    statements: frozenset[tuple[str, str]]
    scores: frozenset[tuple[str, str, str]]


def cited(issued: Issued, scope: Scope, terms: Sequence[Told]) -> Cited:
    """What the statements take over from earlier ones: balances, grades, origins, and the versions they replace."""
    statements: set[tuple[str, str]] = set()
    scores: set[tuple[str, str, str]] = set()
    for each in issued.statements:
        statements |= _behind(each)
        scores.add((each.rulebook[0], str(each.period.previous()), each.given.partner))
    signed = [event for _, event in terms if isinstance(event, ContractSigned)]
    for rulebook, period, _ in again(issued):
        if rulebook in scope.whole:
            names = [(event.contract, event.partner) for event in signed if event.rulebook == rulebook]
            before = str(period.previous())
            statements |= {(name, text) for name, _ in names for text in (str(period), before)}
            scores |= {(rulebook, before, partner) for _, partner in names}
    return Cited(frozenset(statements), frozenset(scores))


def _behind(each: Statement) -> set[tuple[str, str]]:
    found = {(each.contract, str(each.period.previous()))}
    found |= {(each.contract, str(origin.given.period)) for origin in each.origins}
    return found | ({(each.contract, each.event.period)} if each.is_again else set())
