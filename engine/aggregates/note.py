"""A settlement note: the life of an issued statement towards its partner, from its publication until nothing is left to do.

What it is over is the statement as it was closed (version 1): restated versions become adjustments of later ones. Before it is
published the statement is open, or calculated once the engine has closed it; these two have no note.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, assert_never

import msgspec

from engine.aggregates import invoicing
from engine.aggregates.persons import same_person
from engine.aggregates.publication import BeforeLastStep, published
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, Look, NotThere, fits
from engine.aggregates.taxing import open_of, to_pay
from engine.events import (
    Agent,
    StatementConfirmed,
    StatementDisputed,
    StatementInvoiced,
    StatementInvoiceWithdrawn,
    StatementPaid,
    StatementPaymentReturned,
    StatementPublished,
    StatementSettled,
    Sum,
    Tax,
    joined,
)
from engine.money import decimal_of_micros
from engine.period import day_in

NoteCommand = (
    StatementPublished
    | StatementDisputed
    | StatementConfirmed
    | StatementInvoiced
    | StatementInvoiceWithdrawn
    | StatementPaid
    | StatementPaymentReturned
    | StatementSettled
)


class Payment(msgspec.Struct, frozen=True, omit_defaults=True):
    """`amount` is in micros of the currency; `author` recorded it."""

    currency: str
    amount: int
    reference: str
    day: date
    author: str | None = None


class ReturnedPayment(msgspec.Struct, frozen=True):
    """A payment that was returned: `paid` is its day, `day` that of its return, `number` that of the invoice that it was for."""

    currency: str
    amount: int
    reference: str
    paid: date
    day: date
    reason: str
    number: str


class WithdrawnInvoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """An invoice that was withdrawn: `invoiced` is its day, `day` that of its credit note."""

    number: str
    invoiced: date
    credit_note: str
    day: date
    reason: str
    tax: Tax | None = None
    taxes: tuple[Sum, ...] = ()


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is published, disputed, confirmed, invoiced, paid or settled; `day` is that of the last step.

    `lines` are those that were disputed. `due` is what the partner gets, by currency; `taxes` the VAT on it, from its invoice on.
    `number`, `invoiced`, `invoiced_by`, `tax` and `taxes` are of the invoice that stands; `withdrawn` are those before it.
    `payments` are those that stand; `returned` are the others.
    `agents` have notes of their own; `agent` is the party of the one whose note this is.
    """

    contract: str
    period: str
    partner: str
    time_zone: str
    state: str
    day: date
    publisher: str
    party: str
    due: tuple[Sum, ...]
    published: date
    digest: str
    dispute_until: date | None = None
    pay_by: date | None = None
    lines: tuple[str, ...] = ()
    reason: str | None = None
    confirmed_by: str | None = None
    by_default: bool = False
    number: str | None = None
    invoiced: date | None = None
    invoiced_by: str | None = None
    agent: str | None = None
    agents: tuple[Agent, ...] = ()
    tax: Tax | None = None
    taxes: tuple[Sum, ...] = ()
    withdrawn: tuple[WithdrawnInvoice, ...] = ()
    payments: tuple[Payment, ...] = ()
    returned: tuple[ReturnedPayment, ...] = ()

    @property
    def to_pay(self) -> tuple[Sum, ...]:
        """What is due, with its VAT."""
        return to_pay(self.due, self.taxes)

    @property
    def unpaid(self) -> tuple[Sum, ...]:
        """What is to pay and was not paid yet."""
        return open_of(self.to_pay, ((each.currency, decimal_of_micros(each.amount)) for each in self.payments))


class DisputeTooLate(Refused):
    code = "dispute-too-late"


class OwnConfirmation(Refused):
    code = "own-confirmation"


class NotByDefault(Refused):
    code = "not-by-default"


class OpenDiscrepancies(Refused):
    code = "open-discrepancies"


# By step: the states from which it can be taken. `calculated` is that of a closed statement without a note.
_STEPS = {
    "statement.published": ("calculated",),
    "statement.disputed": ("published", "disputed"),
    "statement.confirmed": ("published", "disputed"),
    "statement.invoiced": ("confirmed",),
    "statement.invoice_withdrawn": ("invoiced",),
    "statement.paid": ("invoiced",),
    "statement.payment_returned": ("invoiced", "paid", "settled"),
    "statement.settled": ("confirmed", "paid"),
}


def decide(known: Note | None, command: NoteCommand, look: Look) -> NoteCommand:
    """Raises the refusals above and those of publication and invoicing, UnknownContract, NotThere and WrongState."""
    what = f"the statement of {command.contract} for {command.period}"
    if command.agent is not None:
        what = f"{command.agent}'s share of {what}"
    if known is None:
        if not isinstance(command, StatementPublished):
            raise NotThere(
                f"{what} is not published; send its statement.published, and this message is recycled by itself",
                waits_for=f"note:{command.named}",
            )
        return published(what, command, look)
    invoicing.check_unpaid(what, known, command)
    fits(what, known.state, command.NAME, _STEPS)
    if (day := day_in(known.time_zone, command.time)) < known.day:
        raise BeforeLastStep(
            f"{what} has been {known.state} since {known.day}, and {command.NAME} would be of {day}; steps follow one another: "
            "give it that day or a later one under a new id, and write this message off"
        )
    match command:
        case StatementPublished() | StatementDisputed():
            # A note is past its publication: `fits` has refused a further one.
            assert isinstance(command, StatementDisputed), command
            return _disputed(what, known, command, day)
        case StatementConfirmed():
            return _confirmed(what, known, command, day, look)
        case (
            StatementInvoiced()
            | StatementInvoiceWithdrawn()
            | StatementPaid()
            | StatementPaymentReturned()
            | StatementSettled()
        ):
            return invoicing.decide(what, known, command, look)
        case _:
            assert_never(command)


def _disputed(what: str, known: Note, command: StatementDisputed, day: date) -> StatementDisputed:
    if known.dispute_until is not None and day > known.dispute_until:
        raise DisputeTooLate(
            f"{what} could be disputed up to {known.dispute_until}, and this is of {day}; what is wrong with it can be "
            "corrected by events and settle restate; write this message off"
        )
    return command


def _confirmed(what: str, known: Note, command: StatementConfirmed, day: date, look: Look) -> StatementConfirmed:
    if command.by_default:
        if known.state == "disputed":
            raise NotByDefault(f"{what} is disputed, so it is not confirmed by default; have the partner confirm it")
        if known.dispute_until is None or day <= known.dispute_until:
            until = f"up to {known.dispute_until}" if known.dispute_until else "without end: no calendar sets one"
            raise NotByDefault(f"{what} may be disputed {until}, so it is not confirmed by default on {day}")
    elif same_person(command.author, known.publisher):
        raise OwnConfirmation(
            f"{command.author} published {what} and cannot confirm it for the partner; have somebody else do it under a new id, "
            "and write this message off"
        )
    unsettled = [
        line for line in known.lines if _is_open(look("discrepancy", joined(known.contract, known.period, line)))
    ]
    if unsettled:
        # One after the other: tried again when the first is decided, it waits for the next.
        raise OpenDiscrepancies(
            f"{what} has open discrepancies: {', '.join(unsettled[:5])}{' and more' if unsettled[5:] else ''}; resolve or reject "
            "them (settle discrepancy list), and this message is recycled by itself",
            waits_for=f"discrepancy:{joined(known.contract, known.period, unsettled[0])}",
        )
    return command


def _is_open(discrepancy: Any) -> bool:  # noqa: ANN401 - engine.aggregates.discrepancy looks at notes
    return discrepancy is None or discrepancy.state in {"open", "assigned"}


def evolve(known: Note | None, event: NoteCommand) -> Note:
    if isinstance(event, StatementPublished):
        return _begun(event)
    assert known is not None, event
    replace = msgspec.structs.replace
    after = replace(known, day=day_in(known.time_zone, event.time))
    match event:
        case StatementDisputed():
            lines = tuple(dict.fromkeys((*known.lines, *event.lines)))
            return replace(after, state="disputed", lines=lines, reason=event.reason)
        case StatementConfirmed():
            return replace(after, state="confirmed", confirmed_by=event.author, by_default=event.by_default)
        case StatementInvoiced() | StatementInvoiceWithdrawn():
            return _invoiced(after, event)
        case StatementPaid() | StatementPaymentReturned():
            return _paid(after, event)
        case StatementSettled():
            return replace(after, state="settled")
        case _:
            assert_never(event)


def _begun(event: StatementPublished) -> Note:
    assert event.partner is not None, event
    assert event.time_zone is not None, event
    assert event.party is not None, event
    assert event.digest is not None, event
    day = day_in(event.time_zone, event.time)
    return Note(
        contract=event.contract, period=event.period, partner=event.partner, time_zone=event.time_zone,
        state="published", day=day, publisher=event.author, party=event.party, due=event.due, published=day,
        digest=event.digest, dispute_until=event.dispute_until, pay_by=event.pay_by, agent=event.agent,
        agents=event.agents,
    )  # fmt: skip


def _invoiced(known: Note, event: StatementInvoiced | StatementInvoiceWithdrawn) -> Note:
    """With the invoice that stands from now on, or without the one that is withdrawn."""
    replace = msgspec.structs.replace
    if isinstance(event, StatementInvoiced):
        return replace(
            known, state="invoiced", number=event.number, invoiced=event.day, invoiced_by=event.author, tax=event.tax,
            taxes=event.taxes,
        )  # fmt: skip
    assert known.invoiced is not None, event
    assert event.credit_note is not None, event
    gone = WithdrawnInvoice(
        event.number, known.invoiced, event.credit_note, event.day, event.reason, known.tax, known.taxes
    )
    return replace(
        known, state="confirmed", number=None, invoiced=None, invoiced_by=None, tax=None, taxes=(),
        withdrawn=(*known.withdrawn, gone),
    )  # fmt: skip


def _paid(known: Note, event: StatementPaid | StatementPaymentReturned) -> Note:
    """With one more payment, or without the one that is returned: then the note is invoiced again, whatever came of it since."""
    replace = msgspec.structs.replace
    if isinstance(event, StatementPaid):
        paid = Payment(event.currency, event.amount, event.reference, event.day, event.author)
        after = replace(known, payments=(*known.payments, paid))
        return after if after.unpaid else replace(after, state="paid")
    assert event.amount is not None, event
    assert event.paid is not None, event
    assert event.number is not None, event
    gone = ReturnedPayment(
        event.currency, event.amount, event.reference, event.paid, event.day, event.reason, event.number
    )
    named = (event.currency, event.reference)
    left = tuple(each for each in known.payments if (each.currency, each.reference) != named)
    return replace(known, state="invoiced", payments=left, returned=(*known.returned, gone))


def _awaited_by(note: Note) -> tuple[str, ...]:
    """Notes by which a partner is still to be paid are found together by its id (engine.aggregates.partner)."""
    return (note.partner,) if any(Decimal(each.amount) > 0 for each in note.unpaid) else ()


AGGREGATE = Aggregate("note", Note, decide, evolve, groups=_awaited_by)
