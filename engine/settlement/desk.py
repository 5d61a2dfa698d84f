"""What a run of events is about, aggregate by aggregate, as it stands after each of them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, assert_never

import polars as pl

from engine.aggregates import assessment, cooperation_model, fx, redemption, reported
from engine.aggregates import contract as contracts
from engine.aggregates import rulebook as rulebooks
from engine.aggregates.refusal import Refused, check_time
from engine.aggregates.relation import those
from engine.aggregates.relations import AGGREGATES
from engine.aggregates.service import left_on
from engine.events import (
    AssessmentDecided,
    AssessmentFinalised,
    AssessmentOverridden,
    AssessmentReassessed,
    ContractSigned,
    ContractTerminated,
    DiscrepancyEvent,
    Event,
    FxRatePublished,
    NoteEvent,
    PointsBurned,
    ReportedEvent,
    RulebookPublished,
    ServiceEvent,
    joined,
)
from engine.facts import Grain
from engine.projections.derived import MeasureFails
from engine.rules.check import check
from engine.settlement import allotting, points
from engine.settlement.books import Books, version_of
from engine.settlement.folding import publish
from engine.settlement.relating import Relations
from engine.store import assessments, facts, partner_facts, rates, recorder, registry, statements, suspense
from engine.store.database import Rows
from engine.store.registry import PARTNER, TERMS, Published, terms_of
from engine.store.relations import Relation


class Refusal(NamedTuple):
    """Why the event at `seq` is not accepted. `needs` are as in engine.aggregates.allotment.Full."""

    seq: int
    code: str
    sentence: str
    waits_for: str | None
    needs: tuple[tuple[str, int], ...] = ()


class Desk:
    """The partners, contracts, rulebooks and rates that a run is about, as they stand after each of its events."""

    def __init__(
        self,
        cursor: Rows,
        told: Sequence[tuple[int, Event]],
        streamed: Sequence[int],
        waited: Container[int],
        now: datetime,
    ) -> None:
        """`streamed` are the places of the run's volume, `waited` of those that waited for the step before theirs; `now` is when they
        are recorded.
        """
        self._cursor = cursor
        self._now = now
        self._waited = waited
        signed = [event for _, event in told if isinstance(event, ContractSigned)]
        ended = [event for _, event in told if isinstance(event, ContractTerminated)]
        published = [event for _, event in told if isinstance(event, RulebookPublished)]
        about = [event for _, event in told if isinstance(event, ReportedEvent)]
        partner_ids = {event.partner for event in signed} | {event.partner for event in about}
        contract_ids = {event.contract for event in signed} | {event.contract for event in ended}
        contract_ids |= {event.contract for event in about if event.contract is not None}
        self._contracts = registry.contracts(cursor, contract_ids) if contract_ids else {}
        rulebook_ids = {event.rulebook for event in signed} | {event.rulebook for event in published}
        rulebook_ids |= {contract.rulebook for contract in self._contracts.values()}
        self._rulebooks = registry.rulebooks(cursor, rulebook_ids) if rulebook_ids else {}
        about_notes = [event for _, event in told if isinstance(event, (NoteEvent, DiscrepancyEvent))]
        self._statements = statements.InOrder(cursor, [(event.contract, event.period) for event in about_notes])
        rate_keys = {rates.key_of(event) for _, event in told if isinstance(event, FxRatePublished)}
        self._rates = rates.known(cursor, rate_keys) if rate_keys else {}
        self.refusals: list[Refusal] = []
        self.arrived: list[str] = []
        # Whether anything gave volume of an authorisation back.
        self.gave_back = False
        self._relations = Relations(
            cursor, [event for _, event in told], streamed, self._other, {(PARTNER, id_) for id_ in partner_ids}
        )
        further = {id_ for kind, id_ in self._relations.looked_at if kind == "contract"}
        further |= {event.contract for event in about_notes}
        if further := further - self._contracts.keys():
            self._contracts |= registry.contracts(cursor, further)
        partners = {
            self._contracts[event.contract].partner for event in about_notes if event.contract in self._contracts
        }
        self._relations.read([(PARTNER, id_) for id_ in partners])
        # Those that a decision made of commands, where they differ from what was sent.
        self.decided: dict[int, Event] = {}
        # Each contract's terms through the batch: (since, terms), the first as they stood before it.
        self.history: dict[str, list[tuple[int, contracts.Contract]]] = {}

    def decide(self, seq: int, event: Event) -> None:
        try:
            check_time(event, self._now)
            match event:
                case ContractSigned() | ContractTerminated():
                    self._contract(seq, event)
                case RulebookPublished():
                    self._rulebook(event)
                case ReportedEvent():
                    self._reported(seq, event)
                case FxRatePublished():
                    self._rate(event)
                case _:
                    self._relation(seq, event)
        except Refused as refused:
            self.refusals.append(Refusal(seq, refused.code, str(refused), refused.waits_for))

    def _contract(self, seq: int, command: ContractSigned | ContractTerminated) -> None:
        before = self._contracts.get(command.contract)
        match command:
            case ContractSigned():
                book = self._rulebooks.get(command.rulebook)
                model = self._relations.look("cooperation_model", command.cooperation_model)
                surroundings = contracts.Surroundings(
                    partner=self._relations.look(PARTNER, command.partner),
                    rulebook_currency=book.versions[-1].currency if book else None,
                    model=cooperation_model.on(model, command.valid_from) if model else None,
                )
            case ContractTerminated():
                surroundings = contracts.Surroundings(partner=None, rulebook_currency=None)
            case _:
                assert_never(command)
        for event in contracts.decide(before, command, surroundings):
            after = contracts.evolve(before, event)
            self._contracts[command.contract] = after
            self.history.setdefault(command.contract, [(-1, before)] if before else []).append((seq, after))
            self.arrived.append(f"contract:{command.contract}")

    def _rulebook(self, command: RulebookPublished) -> None:
        checked = check(command.text, command.rulebook)
        errors = [problem for problem in checked.problems if problem.severity == "error"]
        if checked.rulebook is None or errors:
            raise rulebooks.InvalidRulebook(
                f"rulebook {command.rulebook} version {command.version} has {len(errors)} errors: {errors[0]}; "
                "see settle rulebook check"
            )
        book = checked.rulebook
        if book.rulebook != command.rulebook:
            raise rulebooks.NotTheRulebookNamed(
                f"the message says rulebook {command.rulebook}, its text {book.rulebook}; make them agree"
            )
        version = version_of(book)
        before = self._rulebooks.get(command.rulebook)
        for event in rulebooks.decide(before, command, version, registry.closed_to(self._cursor, command.rulebook)):
            after = rulebooks.evolve(before, event, version)
            # The first of its run, so that its place in the log is the next one.
            position = recorder.last_position(self._cursor) + 1
            self._publish(
                Published(command.rulebook, version, command.text, position, command.author, command.approver),
                before,
                after,
            )
            self._rulebooks[command.rulebook] = after

    def _publish(self, published: Published, before: rulebooks.Rulebook | None, after: rulebooks.Rulebook) -> None:
        """Saves the version, and folds its contracts again where it needs more of them; or leaves nothing behind."""
        assert not self.history, "a rulebook is the first of its run"
        try:
            with self._cursor.connection.transaction():
                publish(self._cursor, published, before.grain if before else Grain(), after.grain)
        except MeasureFails as failure:
            position, (field, why) = min(failure.failures.items())
            raise rulebooks.MeasureFails(
                f"version {published.version.version} of {published.rulebook} measures {field}, and for the event at "
                f"position {position} of the log there is no such number: {why}; change the measure, and publish it under "
                "a new id"
            ) from None

    def _other(self, kind: str, id_: str) -> Any:  # noqa: ANN401 - what Look says
        """What relations may look at beside one another: engine.aggregates.relation.Look."""
        if kind == "score":
            scorecard, period, partner = id_.split("\x1f")
            return assessments.issued(self._cursor, scorecard, period, [partner]).get(partner)
        if kind == "statement":
            return self._statements.of(*id_.split("\x1f"))
        if kind == "usage":
            days = (facts.latest(self._cursor, [id_]).get(id_), partner_facts.latest_money(self._cursor, id_))
            return max((day for day in days if day is not None), default=None)
        if kind == "points":
            return points.spendable(self._cursor, *id_.split("\x1f"))
        assert kind == "contract", kind
        if id_ not in self._contracts:
            self._contracts |= registry.contracts(self._cursor, [id_])
        return self._contracts.get(id_)

    def _relation(self, seq: int, command: Event) -> None:
        event = self._relations.decide(seq, command, waited=seq in self._waited)
        if event is not command:
            self.decided[seq] = event
        if isinstance(event, ServiceEvent):
            self._leave(seq, event)
        if isinstance(event, AssessmentFinalised):
            self.arrived.append(suspense.final_of(event.named))

    def _leave(self, seq: int, event: ServiceEvent) -> None:
        """With the last of its services the contract ends, for what comes after it in the run too."""
        before = self._contracts[event.contract or ""]
        after = contracts.leave(before, left_on(self._relations.look(those("service"), before.contract)))
        if after != before:
            self._contracts[before.contract] = after
            self.history.setdefault(before.contract, [(-1, before)]).append((seq, after))

    def _reported(self, seq: int, command: ReportedEvent) -> None:
        known = self._relations.look(PARTNER, command.partner) is not None
        contract = None if command.contract is None else self._contracts.get(command.contract)
        graded = command if isinstance(command, (AssessmentOverridden, AssessmentDecided)) else None
        grades = self._grades(graded.scorecard) if graded else frozenset()
        reported.decide(command, reported.Surroundings(known, contract, grades))
        if isinstance(command, (AssessmentOverridden, AssessmentReassessed)):
            named = joined(command.scorecard, command.period, command.partner)
            assessment.check_open(self._relations.look("assessment", named), command)
        if isinstance(command, PointsBurned):
            redemption.check_burned(command, self._relations.look)
        if command.KIND in AGGREGATES:
            self._relation(seq, command)

    def _grades(self, scorecard: str) -> frozenset[str]:
        """All grades that any version of the rulebook's assessment has."""
        books = Books(self._cursor, [scorecard])
        contents = [each for book in books.versions(scorecard) for each in (book, *(era.contents for era in book.eras))]
        cards = [each.assessment for each in contents if each.assessment is not None]
        return frozenset(
            {band.grade for card in cards for band in card.grades}
            | {veto.grade for card in cards for veto in card.vetoes}
        )

    def _rate(self, command: FxRatePublished) -> None:
        key = rates.key_of(command)
        for event in fx.decide(self._rates.get(key), command):
            self._rates[key] = fx.evolve(self._rates.get(key), event)

    def save(self) -> None:
        self.arrived += self._relations.arrivals()
        registry.save_contracts(self._cursor, [steps[-1][1] for steps in self.history.values()])

    @property
    def changed(self) -> list[Relation]:
        """The relations that changed in the run, as its last step left them."""
        return self._relations.changed

    def gates(self) -> bool:
        """Whether any event may have to pass a gate (engine.aggregates.standing)."""
        return self._relations.gates()

    def stopped(self, accepted: pl.DataFrame) -> pl.DataFrame:
        """Those of accepted events that a gate stops (Relations.stopped)."""
        return self._relations.stopped(accepted, {name: steps[-1][1] for name, steps in self.history.items()})

    def beyond(self, accepted: pl.DataFrame) -> list[Refusal]:
        """Those of events that pass all else for which their authorisations have no room. Counts the others."""
        found = allotting.beyond(self._cursor, accepted, self._relations.history)
        self.gave_back = found.gave_back
        return [Refusal(*each) for each in found.refused]

    def shut(self, ids: Sequence[str]) -> list[tuple[str, date]]:
        """The closed periods of those of the contracts that suspend what comes late."""
        return statements.shut(self._cursor, ids)

    def terms(self, ids: Sequence[str]) -> pl.DataFrame:
        """The terms of the contracts, and of those that changed in this batch at every point of it."""
        unchanged = registry.terms(self._cursor, [name for name in ids if name not in self.history])
        phases = registry.phases(self._cursor, [name for name in ids if name in self.history])
        changed = [
            terms_of(
                contract,
                book.grain if (book := self._rulebooks.get(contract.rulebook)) else Grain(),
                since,
                phases.get(name),
            )
            for name in ids
            for since, contract in self.history.get(name, ())
        ]
        return pl.concat([unchanged, pl.DataFrame(changed, schema=TERMS, orient="row")]) if changed else unchanged
