"""The log read again into projections beside the live ones: by the code that keeps the live ones, and without deciding anything.

A stretch of the log is one transaction, which also moves the bookmark: killed anywhere, the next run goes on exactly there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.aggregates import contract as contracts
from engine.aggregates import rulebook as rulebooks
from engine.aggregates.contract import Contract
from engine.aggregates.service import Service, left_on
from engine.events import (
    VOLUME,
    AdvancePaid,
    ContractEvent,
    Event,
    PartnerRegistered,
    PeriodClosed,
    ReportedEvent,
    RulebookPublished,
    ServiceEvent,
    ServiceStep,
    StatementEvent,
    decoded,
)
from engine.facts import Grain
from engine.projections.seals import Entry
from engine.rules.check import check
from engine.settlement import allotting, folding, issuing, journaling, sealing
from engine.settlement.books import version_of
from engine.store import beside, facts, log, registry, relations, seals
from engine.store.database import Rows
from engine.store.differences import Touched
from engine.store.registry import Published

# Facts are merged in memory over so many events before they go to the table; a page is what is read at once.
EVENTS_A_STRETCH = 200_000
EVENTS_A_PAGE = 20_000

Page = list[tuple[int, str, bytes]]


def read_ahead(cursor: Rows, end: int) -> None:
    """Keeps the rulebook versions up to the end, so that facts are folded at their final grain from the start.

    Those of rulebooks that no live table names are found on the way.
    """
    streams = [log.stream_id("rulebook", name) for name in sorted(beside.live_rulebooks(cursor))]
    for page in log.of_streams(cursor, streams, to=end):
        for position, name, state in page:
            event = decoded(name, state)
            assert isinstance(event, RulebookPublished), event
            registry.save_version(cursor, _published(position, event))


def _published(position: int, event: RulebookPublished) -> Published:
    book = check(event.text, event.rulebook).rulebook
    assert book is not None, (event.rulebook, event.version)
    return Published(event.rulebook, version_of(book), event.text, position, event.author, event.approver)


def stretch(cursor: Rows, schema: str, end: int, sealed_to: int, touched: Touched) -> int:
    """One stretch more of the log, up to `end` at most; returns up to where the schema's projections are then.

    The chain and the seals go up to `sealed_to` at most, and are left as they are where they lag behind the bookmark.
    """
    begin = beside.bookmark(cursor, schema)
    assert begin is not None, schema
    reading = _Reading(cursor, begin, min(end, begin + EVENTS_A_STRETCH), sealed_to, touched)
    folded = folding.fold_pages(reading.pages(), lambda names: registry.terms(cursor, names))
    if folded.height:
        facts.add(cursor, folded)
        touched.facts |= set(folded.select("contract", "period").unique().iter_rows())
    if folding.refold_phases(cursor, reading.stepped, reading.position):
        touched.refolded = True
    beside.move(cursor, schema, reading.position)
    return reading.position


class _Reading:
    """The pages of a stretch; what they tell beside the volume is kept on the way, before the volume is folded."""

    def __init__(self, cursor: Rows, begin: int, end: int, sealed_to: int, touched: Touched) -> None:
        self._cursor = cursor
        self._begin = begin
        self._end = end
        self._sealed_to = sealed_to
        self._touched = touched
        self._rulebooks = registry.rulebooks(cursor)
        self.position = begin
        # They may change the facts of events that were read before them.
        self.stepped: list[ServiceStep] = []

    def pages(self) -> Iterator[Page]:
        while self.position < self._end:
            page = log.entries(self._cursor, after=self.position, to=self._end, limit=EVENTS_A_PAGE)
            cut = self._before_a_new_version(page)
            if cut == 0:
                return
            page = page[:cut]
            told = [(each.position, decoded(each.name, each.state)) for each in page if each.name not in VOLUME]
            authorised = allotting.before(self._cursor, told)
            if told:
                self._keep(told)
            paid = [(each.position, decoded(each.name, each.state)) for each in page if each.name == AdvancePaid.NAME]
            journaling.keep_advances(
                self._cursor, [(at, event) for at, event in paid if isinstance(event, AdvancePaid)]
            )
            allotting.count(self._cursor, page, authorised)
            self._seal(page)
            yield [(each.position, each.name, each.state) for each in page if each.name in VOLUME]
            self.position = page[-1].position

    def _before_a_new_version(self, page: Sequence[Entry]) -> int:
        """How much of the page comes before a rulebook version that is not kept yet. As the first of a stretch it is kept now.

        It may fold its contracts again, so what came before it has to be in the tables by then.
        """
        for index, entry in enumerate(page):
            if entry.name != RulebookPublished.NAME:
                continue
            event = decoded(entry.name, entry.state)
            assert isinstance(event, RulebookPublished), event
            before = self._rulebooks.get(event.rulebook)
            if before is not None and event.version <= before.versions[-1].version:
                continue
            if entry.position != self._begin + 1:
                return index
            published = _published(entry.position, event)
            after = rulebooks.evolve(before, event, published.version)
            folding.publish(self._cursor, published, before.grain if before else Grain(), after.grain)
            self._touched.refolded = True
            self._rulebooks[event.rulebook] = after
        return len(page)

    def _keep(self, told: Sequence[tuple[int, Event]]) -> None:
        self._keep_terms([event for _, event in told if isinstance(event, ContractEvent)])
        folding.keep(self._cursor, told)
        self._keep_left({event.contract for _, event in told if isinstance(event, ServiceEvent) and event.contract})
        self.stepped += [event for _, event in told if isinstance(event, ServiceStep)]
        issuing.keep_issued(self._cursor, told)
        journaling.keep_told(self._cursor, told)
        touched = self._touched
        touched.partners |= {e.partner for _, e in told if isinstance(e, (PartnerRegistered, ReportedEvent))}
        touched.issued |= {event.contract for _, event in told if isinstance(event, StatementEvent)}
        touched.closed |= {event.period for _, event in told if isinstance(event, PeriodClosed)}

    def _keep_terms(self, events: Sequence[ContractEvent]) -> None:
        known: dict[str, Contract] = {}
        if events:
            known = registry.contracts(self._cursor, {event.contract for event in events})
        changed = {event.contract for event in events}
        for event in events:
            known[event.contract] = contracts.evolve(known.get(event.contract), event)
        registry.save_contracts(self._cursor, [known[name] for name in sorted(changed)])
        self._touched.contracts |= changed

    def _keep_left(self, named: set[str]) -> None:
        """Those of the contracts that end with the last of their services."""
        services: dict[str, list[Service]] = {}
        for each in relations.of_contracts(self._cursor, "service", named) if named else ():
            services.setdefault(each.state.contract, []).append(each.state)
        before = registry.contracts(self._cursor, services) if services else {}
        after = [contracts.leave(before[name], left_on(own)) for name, own in services.items()]
        changed = [each for each in after if each != before[each.contract]]
        registry.save_contracts(self._cursor, changed)
        self._touched.contracts |= {each.contract for each in changed}

    def _seal(self, page: Sequence[Entry]) -> None:
        within = [each for each in page if each.position <= self._sealed_to]
        if within:
            chain = seals.chain(self._cursor)
            if chain.position == self.position:
                self._touched.seals |= sealing.extend(self._cursor, chain, within)
