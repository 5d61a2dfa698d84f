"""That notes are over what their statements say is due, with its VAT; that it was paid, and no more; and that the journal says all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from engine.aggregates.publication import deposit_to, due_to
from engine.aggregates.taxing import taxes_on, to_pay
from engine.events import (
    NoteEvent,
    StatementInvoiced,
    StatementInvoiceWithdrawn,
    StatementPaid,
    StatementPaymentReturned,
    StatementPublished,
    StatementSettled,
    Sum,
    decoded,
    joined,
)
from engine.money import decimal_of_micros, difference, plain, total
from engine.projections.journal import Entry as Booked
from engine.projections.seals import Entry
from engine.settlement.journaling import entries_told
from engine.store import journal, log
from engine.store.database import Rows
from replay.audit.findings import Check, Finding, fails, holds
from replay.audit.issued import UNREADABLE, Issued, Statement

_A_READ = 1_000


def check_notes(cursor: Rows, issued: Issued) -> Iterator[Finding]:
    """The notes of the statements that were closed in the period, as far as each has come."""
    closed = [each for each in issued.statements if each.version == 1 and each.event.period == str(issued.period)]
    number = wrong = 0
    for at in range(0, len(closed), _A_READ):
        streams = {
            log.stream_id("note", joined(each.contract, each.event.period)): each for each in closed[at : at + _A_READ]
        }
        notes = _notes(cursor, streams)
        above = {
            log.stream_id("note", joined(streams[stream].contract, streams[stream].event.period, agent)): streams[
                stream
            ]
            for stream, entries in notes.items()
            for agent in _agents(entries)
        }
        if above:
            streams |= above
            notes |= _notes(cursor, above)
        number += len(notes)
        booked = _booked(cursor, [entry.position for entries in notes.values() for entry in entries])
        for stream, entries in notes.items():
            for sentence in _wrong(streams[stream], entries, booked):
                wrong += 1
                yield fails(streams[stream].contract, streams[stream].name, Check.notes, sentence)
    if number and not wrong:
        sentence = (
            f"{number:,} notes are over what is due with its VAT, were paid no other amount, and the journal says so"
        )
        yield holds("", "", Check.notes, sentence)


def _notes(cursor: Rows, streams: Mapping[bytes, Statement]) -> dict[bytes, list[Entry]]:
    found: dict[bytes, list[Entry]] = {}
    for entry in log.entries_of(cursor, streams):
        found.setdefault(entry.stream, []).append(entry)
    return found


def _agents(entries: Sequence[Entry]) -> list[str]:
    """The parties of those above the partner who have notes of their own, as its note says; none where that cannot be read."""
    try:
        events = [decoded(each.name, each.state) for each in entries]
    except UNREADABLE:
        return []
    return [each.party for event in events if isinstance(event, StatementPublished) for each in event.agents]


def _booked(cursor: Rows, positions: Sequence[int]) -> dict[int, list[Booked]]:
    """By position the entries of the journal."""
    found: dict[int, list[Booked]] = {}
    for each in journal.entries_at(cursor, positions):
        found.setdefault(each.position, []).append(each)
    return found


def _wrong(statement: Statement, entries: Sequence[Entry], booked: Mapping[int, list[Booked]]) -> Iterator[str]:
    try:
        events = [(each.position, decoded(each.name, each.state)) for each in entries]
        expected = entries_told(events, lambda *_: statement.said)
        steps = [event for _, event in events if isinstance(event, NoteEvent)]
        yield from _amounts(statement.said, steps)
        yield from _steps(steps)
    except UNREADABLE as error:
        yield f"its note cannot be read: {str(error)[:120] or type(error).__name__}"
        return
    if expected != [each for at, _ in events for each in booked.get(at, ())]:
        yield "the journal does not say what its note means; settle rebuild makes it anew"


def _amounts(said: dict[str, Any], notes: Sequence[NoteEvent]) -> Iterator[str]:
    """Where what it was published and invoiced over is not what the statement says is due, with its VAT."""
    for event in notes:
        match event:
            case StatementPublished() if event.due != due_to(said, event.party or ""):
                yield f"it was published over {_sums(event.due)}, which is not what is due"
            case StatementInvoiced():
                if event.due != due_to(said, event.party or ""):
                    yield f"it was invoiced over {_sums(event.due)}, which is not what is due"
                if event.deposit != (deposit_to(said, event.party or "") if event.tax else ()):
                    yield f"it was invoiced with {_sums(event.deposit)} of deposit, which is not what is returned"
                if event.taxes != taxes_on(event.due, event.deposit, event.tax):
                    yield f"it was invoiced with VAT of {_sums(event.taxes)}, which is not its rate of what is due"
            case _:
                pass


def _steps(notes: Sequence[NoteEvent]) -> Iterator[str]:
    """Where an invoice was made beside another, withdrawn though it did not stand or was paid, paid another amount, or not wholly; or
    a payment was made twice, or returned though it did not stand.
    """
    stands: StatementInvoiced | None = None
    numbers: set[str | None] = set()
    payments = _Payments()
    for event in notes:
        match event:
            case StatementInvoiced():
                if stands is not None or event.number in numbers:
                    yield f"invoice {event.number} was made beside another, or under a number that was used before"
                numbers.add(event.number)
                stands, payments.owed = event, _owed(event)
            case StatementInvoiceWithdrawn():
                if stands is None or _named(event) != (stands.number, stands.day, stands.taxes):
                    yield f"invoice {event.number} of {event.invoiced} with VAT of {_sums(event.taxes)} was withdrawn, and did not stand"
                elif payments.owed != _owed(stands):
                    yield f"invoice {event.number} was withdrawn after it was paid"
                stands, payments.owed = None, {}
            case StatementPaid():
                yield from payments.add(event)
            case StatementPaymentReturned():
                yield from payments.take_back(event, stands.number if stands else None)
            case StatementSettled() if any(payments.owed.values()):
                yield f"it was settled, and {', '.join(f'{plain(v)} {k}' for k, v in payments.owed.items() if v)} is open"
            case _:
                pass


class _Payments:
    """The payments of a note that stand, by their currency and reference; `owed` is what is to pay beside them."""

    def __init__(self) -> None:
        self.owed: dict[str, Decimal] = {}
        self._stand: dict[tuple[str, str], StatementPaid] = {}
        self._made: set[tuple[str, str]] = set()

    def add(self, event: StatementPaid) -> Iterator[str]:
        """Where it is neither all nor, as it says, a part of what is owed, or by a transfer that was told before."""
        if (named := (event.currency, event.reference)) in self._made:
            yield f"it was paid by {event.reference}, by which it had been paid before"
        self._made.add(named)
        self._stand[named] = event
        amount, asked = decimal_of_micros(event.amount), self.owed.pop(event.currency, Decimal(0))
        part = event.part and (0 < amount < asked or asked < amount < 0)
        if part:
            self.owed[event.currency] = difference(asked, amount)
        elif amount != asked:
            yield f"{plain(amount)} {event.currency} was paid for it, and {plain(asked)} is to pay"

    def take_back(self, event: StatementPaymentReturned, number: str | None) -> Iterator[str]:
        """Where it is of no payment that stands, or says otherwise of it; `number` is that of the invoice that does."""
        paid = self._stand.pop((event.currency, event.reference), None)
        if paid is None or (event.amount, event.paid, event.number) != (paid.amount, paid.day, number):
            said = f"{plain(decimal_of_micros(event.amount or 0))} {event.currency} paid on {event.paid} by {event.reference}"
            yield f"{said} for {event.number} was returned, and did not stand"
        if paid is not None:
            before = self.owed.get(paid.currency, Decimal(0))
            self.owed[paid.currency] = total(before, decimal_of_micros(paid.amount))


def _named(event: StatementInvoiceWithdrawn) -> tuple[str, date | None, tuple[Sum, ...]]:
    """The invoice that it withdraws."""
    return event.number, event.invoiced, event.taxes


def _owed(event: StatementInvoiced) -> dict[str, Decimal]:
    return {each.currency: Decimal(each.amount) for each in to_pay(event.due, event.taxes)}


def _sums(sums: Sequence[Sum]) -> str:
    return ", ".join(f"{each.amount} {each.currency}" for each in sums) or "nothing"
