"""What the aggregates say to a batch of new events, in the order in which they arrived.

Events of partners, contracts, rulebooks and rates are decided one by one; volume events are screened in columns, each by the
terms that its contract had at its place in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple, assert_never

import polars as pl

from engine.aggregates import contract as contracts
from engine.aggregates import fx, reported
from engine.aggregates import partner as partners
from engine.aggregates import rulebook as rulebooks
from engine.aggregates.refusal import Refused
from engine.aggregates.screening import SENTENCES, screened, shut_out
from engine.events import (
    AssessmentOverridden,
    CaseEvent,
    ContractSigned,
    ContractTerminated,
    Event,
    FxRatePublished,
    PartnerRegistered,
    ReportedEvent,
    RulebookPublished,
    StreamedEvent,
)
from engine.facts import Grain
from engine.projections.columns import columns
from engine.projections.derived import MeasureFails
from engine.projections.facts import FACTS, dimensions, fold
from engine.rules.check import check
from engine.settlement.books import Books, version_of
from engine.settlement.folding import publish
from engine.store import log, rates, recorder, registry, statements
from engine.store.database import Rows
from engine.store.registry import TERMS, Published, terms_of


class Refusal(NamedTuple):
    """Why the event at `seq` is not accepted."""

    seq: int
    code: str
    sentence: str
    waits_for: str | None


class Decision(NamedTuple):
    """`accepted` are (stream id, stored name, state) in order of arrival; `facts` are those of the volume among them.

    `told` are the others among them, each with its index.
    """

    accepted: list[tuple[bytes, str, bytes]]
    told: list[tuple[int, Event]]
    refusals: list[Refusal]
    facts: pl.DataFrame
    arrived: tuple[str, ...]


def runs(fresh: list[tuple[int, Event, bytes]]) -> list[list[tuple[int, Event, bytes]]]:
    """(seq, event, state) cut before every rulebook: what arrived before it must be in the log when it is decided.

    A rulebook folds its contracts again, and is refused where it cannot: so the end of a history does not depend on how
    it was cut into batches.
    """
    books = [index for index, (_, event, _) in enumerate(fresh) if isinstance(event, RulebookPublished)]
    return [fresh[start:end] for start, end in pairwise(sorted({0, *books, len(fresh)}))]


def decide(cursor: Rows, fresh: Sequence[tuple[int, Event, bytes]]) -> Decision:
    """Decides one run of (seq, event, state) in order. Saves what changed in the registry.

    The caller holds the writers' lock.
    """
    streamed = [(seq, event) for seq, event, _ in fresh if isinstance(event, StreamedEvent)]
    told = (
        [(seq, event) for seq, event, _ in fresh if not isinstance(event, StreamedEvent)]
        if len(streamed) < len(fresh)
        else []
    )
    desk = _Desk(cursor, told)
    for seq, event in told:
        desk.decide(seq, event)
    desk.save()
    refused = {refusal.seq: refusal for refusal in desk.refusals}
    facts = FACTS.to_frame()
    if streamed:
        refused_volume, facts = _screen(streamed, desk)
        refused |= refused_volume
    stream_id = log.stream_id
    accepted = [
        (
            stream_id("contract", event.contract) if isinstance(event, StreamedEvent) else _stream(event),
            event.NAME,
            state,
        )
        for seq, event, state in fresh
        if seq not in refused
    ]
    told_accepted = [
        (index, event)
        for index, event in enumerate(event for seq, event, _ in fresh if told and seq not in refused)
        if not isinstance(event, StreamedEvent)
    ]
    return Decision(accepted, told_accepted, list(refused.values()), facts, tuple(desk.arrived))


def _stream(event: Event) -> bytes:
    match event:
        case ContractSigned() | ContractTerminated():
            return log.stream_id("contract", event.contract)
        case PartnerRegistered():
            return log.stream_id("partner", event.partner)
        case RulebookPublished():
            return log.stream_id("rulebook", event.rulebook)
        case CaseEvent():
            return log.stream_id("case", event.case)
        case ReportedEvent():
            return log.stream_id("partner", event.partner)
        case FxRatePublished():
            return log.stream_id("fx", f"{event.publisher}/{event.base}/{event.quote}")
        case _:
            raise AssertionError(event)


class _Desk:
    """The partners, contracts, rulebooks and rates that a run is about, as they stand after each of its events."""

    def __init__(self, cursor: Rows, told: Sequence[tuple[int, Event]]) -> None:
        self._cursor = cursor
        signed = [event for _, event in told if isinstance(event, ContractSigned)]
        ended = [event for _, event in told if isinstance(event, ContractTerminated)]
        registered = [event for _, event in told if isinstance(event, PartnerRegistered)]
        published = [event for _, event in told if isinstance(event, RulebookPublished)]
        about = [event for _, event in told if isinstance(event, ReportedEvent)]
        partner_ids = {event.partner for event in signed} | {event.partner for event in registered}
        partner_ids |= {event.partner for event in about}
        contract_ids = {event.contract for event in signed} | {event.contract for event in ended}
        contract_ids |= {event.contract for event in about if event.contract is not None}
        self._partners = registry.partners(cursor, partner_ids) if partner_ids else {}
        self._contracts = registry.contracts(cursor, contract_ids) if contract_ids else {}
        rulebook_ids = {event.rulebook for event in signed} | {event.rulebook for event in published}
        rulebook_ids |= {contract.rulebook for contract in self._contracts.values()}
        self._rulebooks = registry.rulebooks(cursor, rulebook_ids) if rulebook_ids else {}
        rate_keys = {rates.key_of(event) for _, event in told if isinstance(event, FxRatePublished)}
        self._rates = rates.known(cursor, rate_keys) if rate_keys else {}
        self._new_partners: list[partners.Partner] = []
        self.refusals: list[Refusal] = []
        self.arrived: list[str] = []
        # Each contract's terms through the batch: (since, terms), the first as they stood before it.
        self.history: dict[str, list[tuple[int, contracts.Contract]]] = {}

    def decide(self, seq: int, event: Event) -> None:
        try:
            match event:
                case PartnerRegistered():
                    self._partner(event)
                case ContractSigned() | ContractTerminated():
                    self._contract(seq, event)
                case RulebookPublished():
                    self._rulebook(event)
                case ReportedEvent():
                    self._reported(event)
                case FxRatePublished():
                    self._rate(event)
                case _:
                    raise AssertionError(event)
        except Refused as refused:
            self.refusals.append(Refusal(seq, refused.code, str(refused), refused.waits_for))

    def _partner(self, command: PartnerRegistered) -> None:
        for event in partners.decide(self._partners.get(command.partner), command):
            partner = partners.evolve(self._partners.get(command.partner), event)
            self._partners[command.partner] = partner
            self._new_partners.append(partner)
            self.arrived.append(f"partner:{command.partner}")

    def _contract(self, seq: int, command: ContractSigned | ContractTerminated) -> None:
        before = self._contracts.get(command.contract)
        match command:
            case ContractSigned():
                book = self._rulebooks.get(command.rulebook)
                surroundings = contracts.Surroundings(
                    partner_known=command.partner in self._partners,
                    rulebook_currency=book.versions[-1].currency if book else None,
                )
            case ContractTerminated():
                surroundings = contracts.Surroundings(partner_known=True, rulebook_currency=None)
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

    def _reported(self, command: ReportedEvent) -> None:
        contract = None if command.contract is None else self._contracts.get(command.contract)
        grades = self._grades(command.scorecard) if isinstance(command, AssessmentOverridden) else frozenset()
        reported.decide(command, reported.Surroundings(command.partner in self._partners, contract, grades))

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
        registry.save_partners(self._cursor, self._new_partners)
        registry.save_contracts(self._cursor, [steps[-1][1] for steps in self.history.values()])

    def shut(self, ids: Sequence[str]) -> list[tuple[str, date]]:
        """The closed periods of those of the contracts that suspend what comes late."""
        return statements.shut(self._cursor, ids)

    def terms(self, ids: Sequence[str]) -> pl.DataFrame:
        """The terms of the contracts, and of those that changed in this batch at every point of it."""
        unchanged = registry.terms(self._cursor, [name for name in ids if name not in self.history])
        changed = [
            terms_of(contract, book.grain if (book := self._rulebooks.get(contract.rulebook)) else Grain(), since)
            for name in ids
            for since, contract in self.history.get(name, ())
        ]
        return pl.concat([unchanged, pl.DataFrame(changed, schema=TERMS, orient="row")]) if changed else unchanged


def _screen(streamed: Sequence[tuple[int, StreamedEvent]], desk: _Desk) -> tuple[dict[int, Refusal], pl.DataFrame]:
    named = list({event.contract for _, event in streamed})
    terms = desk.terms(named).sort("since")
    events, further = columns(
        [seq for seq, _ in streamed], [event for _, event in streamed], dimensions(terms["grain"].unique())
    )
    judged = shut_out(screened(events, terms), desk.shut(named))
    refused = judged.filter(pl.col("refusal").is_not_null())
    refusals = {row["seq"]: _refusal(row) for row in refused.iter_rows(named=True)}
    accepted = judged.filter(pl.col("refusal").is_null())
    try:
        return refusals, fold(accepted, further)
    except MeasureFails as failure:
        fails = pl.col("seq").is_in(list(failure.failures))
        for row in accepted.filter(fails).iter_rows(named=True):
            field, why = failure.failures[row["seq"]]
            refusals[row["seq"]] = _refusal(row | {"refusal": "measure-fails", "field": field, "why": why})
        return refusals, fold(accepted.filter(~fails), further)


def _refusal(row: dict[str, Any]) -> Refusal:
    code = row["refusal"]
    said = row | {"valid_to": row["valid_to"] or "further notice"}
    waits_for = f"contract:{row['contract']}" if code == "unknown-contract" else None
    return Refusal(row["seq"], code, SENTENCES[code].format_map(said), waits_for)
