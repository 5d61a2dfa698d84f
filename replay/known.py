"""What is known at one point of the three clocks, beside the facts of contracts: pure data, made of events or of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from engine.aggregates import contract as contracts
from engine.aggregates import deposit, service
from engine.aggregates import rulebook as rulebooks
from engine.aggregates.contract import Contract
from engine.aggregates.deposit import Deposit
from engine.aggregates.service import Service
from engine.events import (
    AssessmentDecided,
    AssessmentOverridden,
    ContractSigned,
    ContractTerminated,
    CountedEvent,
    DepositEvent,
    Event,
    FxRatePublished,
    RulebookPublished,
    ServiceEvent,
)
from engine.facts import Grain
from engine.period import Period
from engine.projections import partner_facts
from engine.projections.facts import phases_text
from engine.rules.given import Final, Rate
from engine.rules.model import Rulebook
from engine.settlement.books import read, version_for, version_of
from engine.settlement.finishing import final_of
from engine.store import assessments, rates, registry, relations
from engine.store import partner_facts as partner_fact_store
from engine.store.database import Rows
from engine.store.registry import TERMS, terms_of
from replay.members import Members


class Known(NamedTuple):
    """`texts` are those of the rulebooks' versions, `overrides` the grades that persons gave, by scorecard, period and partner.

    `partner_facts` has the columns of engine.projections.partner_facts.FACTS. `services` are by contract and id, `deposits` by
    contract.
    """

    contracts: Members
    rulebooks: Mapping[str, rulebooks.Rulebook]
    texts: Mapping[tuple[str, int], str]
    overrides: Mapping[tuple[str, str, str], str]
    rates: Mapping[rates.Key, Decimal]
    partner_facts: pl.DataFrame
    services: Mapping[str, Mapping[str, Service]] = {}
    deposits: Mapping[str, Deposit] = {}

    def book(self, rulebook: str, version: int) -> Rulebook:
        return read(self.texts[rulebook, version])

    def grain(self, rulebook: str) -> Grain:
        """The grain of the facts of the rulebook's contracts."""
        found = self.rulebooks.get(rulebook)
        return found.grain if found else Grain()

    def settled_by(self, contract: Contract, period: Period) -> Rulebook:
        """The version that settles the contract in the period. Raises NoRulebook, OtherCurrency."""
        version = version_for(self.rulebooks.get(contract.rulebook), contract, period)
        return self.book(contract.rulebook, version.version)

    def rates_for(self, publishers: Iterable[str], first: date, end: date) -> tuple[Rate, ...]:
        """The rates that the publishers published for the days from `first` up to, and without, `end`."""
        wanted = set(publishers)
        found = [(*key, rate) for key, rate in self.rates.items() if key[0] in wanted and first <= key[3] < end]
        return tuple(Rate(*row) for row in sorted(found))

    def with_candidate(self, book: Rulebook, text: str) -> Known:
        """As if the version had been published now."""
        before = self.rulebooks.get(book.rulebook)
        versions = (*(before.versions if before else ()), version_of(book))
        return self._replace(
            rulebooks={**self.rulebooks, book.rulebook: rulebooks.Rulebook(book.rulebook, versions)},
            texts={**self.texts, (book.rulebook, book.version): text},
        )

    def terms(self, names: Iterable[str] | None = None) -> pl.DataFrame:
        """The terms of the contracts, columns engine.store.registry.TERMS."""
        chosen = self.contracts.values() if names is None else [self.contracts[n] for n in names if n in self.contracts]
        rows = [terms_of(each, self.grain(each.rulebook), -1, self.phases(each)) for each in chosen]
        return pl.DataFrame(rows, schema=TERMS, orient="row")

    def final(self, contract: Contract, period: Period) -> Final | None:
        """What makes the contract's statement of the period the final one."""
        own = self.services.get(contract.contract)
        return None if own is None else final_of(contract, period, own.values(), self.deposits.get(contract.contract))

    def phases(self, contract: Contract) -> str | None:
        """The text of the phases in which the contract's services are; None where its rulebook does not ask for them."""
        own = self.services.get(contract.contract)
        if own is None or "phase" not in self.grain(contract.rulebook).dimensions:
            return None
        return phases_text(service.phases(own.values()))


def live(cursor: Rows) -> Known:
    """What is known now, from the projections."""
    published = registry.rulebooks(cursor)
    texts = registry.texts(cursor)
    far = date.max
    services: dict[str, dict[str, Service]] = {}
    for each in relations.listed(cursor, "service"):
        services.setdefault(each.state.contract, {})[each.id] = each.state
    return Known(
        Members(registry.signed(cursor)),
        published,
        texts,
        assessments.all_overrides(cursor),
        {row[:4]: row[4] for row in rates.between(cursor, date.min, far)},
        partner_fact_store.all_live(cursor),
        services,
        {each.state.contract: each.state for each in relations.listed(cursor, "deposit")},
    )


def nothing() -> Known:
    """What is known before the first event."""
    return Known(Members({}), {}, {}, {}, {}, partner_facts.FACTS.to_frame())


def of(told: Iterable[tuple[int, Event]], *, position: int, rules_position: int, before: Known | None = None) -> Known:
    """What the events (position, event) tell, in the order of the log: rulebooks as published up to `rules_position`, and all
    else as recorded up to `position`. They may follow on what was known `before` them.
    """
    before = before or nothing()
    known_contracts = dict(before.contracts)
    books = dict(before.rulebooks)
    texts = dict(before.texts)
    overrides = dict(before.overrides)
    published = dict(before.rates)
    services = {name: dict(own) for name, own in before.services.items()}
    deposits = dict(before.deposits)
    counted: list[CountedEvent] = []
    stepped: set[str] = set()
    for at, event in told:
        match event:
            case RulebookPublished() if at <= rules_position:
                texts[event.rulebook, event.version] = event.text
                version = version_of(read(event.text))
                books[event.rulebook] = rulebooks.evolve(books.get(event.rulebook), event, version)
            case _ if at > position:
                pass
            case ContractSigned() | ContractTerminated():
                known_contracts[event.contract] = contracts.evolve(known_contracts.get(event.contract), event)
            case AssessmentOverridden(grade=str() as grade) | AssessmentDecided(grade=str() as grade):
                overrides[event.scorecard, event.period, event.partner] = grade
            case ServiceEvent() if event.contract is not None:
                own = services.setdefault(event.contract, {})
                own[event.service] = service.AGGREGATE.evolve(own.get(event.service), event)
                stepped.add(event.contract)
            case DepositEvent() if event.contract is not None:
                deposits[event.contract] = deposit.AGGREGATE.evolve(deposits.get(event.contract), event)
            case FxRatePublished():
                published.setdefault(rates.key_of(event), Decimal(event.rate))
            case _ if partner_facts.is_counted(event):
                counted.append(event)
            case _:
                pass
    known_contracts |= _left(known_contracts, services, stepped)
    zones = {name: each.time_zone for name, each in known_contracts.items()}
    facts = partner_facts.merged(pl.concat([before.partner_facts, partner_facts.fold(counted, zones)]))
    return Known(Members(known_contracts), books, texts, overrides, published, facts, services, deposits)


def _left(
    known_contracts: Mapping[str, Contract], services: Mapping[str, Mapping[str, Service]], stepped: set[str]
) -> dict[str, Contract]:
    """The contracts whose services took steps, each ended with the last of them where that has ended."""
    return {
        name: contracts.leave(known_contracts[name], service.left_on(services[name].values()))
        for name in stepped & known_contracts.keys()
    }


def together(known: Known, members: Members) -> set[str]:
    """The rulebooks among those of the contracts under which contracts have to be settled together, in any version."""
    return {
        name
        for name in members.rows["rulebook"].unique()
        if (found := known.rulebooks.get(name))
        and any(
            contents.looks_across or contents.assessment is not None
            for version in found.versions
            for book in [known.book(name, version.version)]
            for contents in (book, *(era.contents for era in book.eras))
        )
    }


# So far back a conversion may look for a rate.
RATE_DAYS_MAX = timedelta(days=366)
