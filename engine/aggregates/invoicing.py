"""From a confirmed settlement note to the bank: its invoice, which can be withdrawn while no payment of it stands, its payments and
their returns, and its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, assert_never

import msgspec

from engine.aggregates.partner import Partner, holder
from engine.aggregates.persons import same_person
from engine.aggregates.publication import deposit_to
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Look, NotThere
from engine.aggregates.taxing import taxes_on
from engine.events import (
    Event,
    StatementInvoiced,
    StatementInvoiceWithdrawn,
    StatementPaid,
    StatementPaymentReturned,
    StatementSettled,
    Sum,
    joined,
)
from engine.money import MICRO_DIGITS, decimal_of_micros, minor_digits, plain

if TYPE_CHECKING:
    from engine.aggregates.note import Note, ReturnedPayment


class OtherNumber(Refused):
    code = "other-invoice-number"


class OwnInvoice(Refused):
    code = "own-invoice"


class InvoicePaid(Refused):
    """Of the invoice that is to be withdrawn a payment stands."""

    code = "invoice-paid"


class AgentsNotPublished(Refused):
    """Agents above get a share of the statement, and were not told yet."""

    code = "agents-not-published"


class NothingDue(Refused):
    code = "nothing-due"


class AlreadyPaid(Refused):
    code = "already-paid"


class AlreadyReturned(Refused):
    code = "already-returned"


class OwnPayment(Refused):
    """Whoever recorded a payment returns it."""

    code = "own-payment"


class NotPaid(Refused):
    code = "not-paid"


class OtherAmount(Refused):
    code = "other-amount"


class PayoutHeld(Refused):
    code = "payout-held"


# How the numbers of invoices and of the credit notes that withdraw them begin.
_INVOICE, _CREDIT_NOTE = "SN", "CN"


def number_of(note: Note) -> str:
    """The number of the note's next self-billed invoice: no invoice that was withdrawn had it."""
    agent = "" if note.agent is None else f"-{note.agent.replace(' ', '-')}"
    again = f".{len(note.withdrawn) + 1}" if note.withdrawn else ""
    return f"{_INVOICE}-{note.contract}-{note.period}{agent}{again}"


InvoicingCommand = (
    StatementInvoiced | StatementInvoiceWithdrawn | StatementPaid | StatementPaymentReturned | StatementSettled
)


def decide(what: str, known: Note, command: InvoicingCommand, look: Look) -> InvoicingCommand:
    """Of a step that the note's state allows. Raises NotThere and the refusals above, but for InvoicePaid."""
    match command:
        case StatementInvoiced():
            return _invoiced(what, known, command, look)
        case StatementInvoiceWithdrawn():
            return _withdrawn(what, known, command)
        case StatementPaid():
            return _paid(what, known, command, look)
        case StatementPaymentReturned():
            return _returned(what, known, command)
        case StatementSettled():
            return _settled(what, known, command, look)
        case _:
            assert_never(command)


def check_unpaid(what: str, known: Note, command: Event) -> None:
    """Whether an invoice that is to be withdrawn may be, as far as payments go. Raises InvoicePaid.

    The return of what was paid may be on its way still. Steps are not taken of a day before the last one's, so what waits here is
    taken only where it comes after that.
    """
    if isinstance(command, StatementInvoiceWithdrawn) and known.payments:
        first = known.payments[0]
        raise InvoicePaid(
            f"of {what} {plain(decimal_of_micros(first.amount))} {first.currency} was paid on {first.day}, reference "
            f"{first.reference}, so its invoice {known.number} stands; where that came back, record its return "
            "(statement.payment_returned), and this message is recycled by itself; else correct its amounts by events and settle "
            "restate, which come with the next statement and its invoice, agree anything else with the partner, and write this "
            "message off",
            waits_for=f"note:{command.named}",
        )


def _invoiced(what: str, known: Note, command: StatementInvoiced, look: Look) -> StatementInvoiced:
    if not known.unpaid:
        raise NothingDue(f"nothing is due by {what}, so there is no invoice; settle it (statement.settled) instead")
    number = number_of(known)
    if command.number not in {None, number}:
        raise OtherNumber(
            f"the invoice of {what} gets the number {number}, not {command.number}; send it with that or with none under a new "
            "id, and write this message off"
        )
    partner: Partner | None = look("partner", known.partner)
    tax = command.tax or (partner.tax if partner else None)
    closed = look("statement", joined(known.contract, known.period))[0]
    deposit = deposit_to(msgspec.json.decode(closed.statement), known.party) if tax else ()
    return msgspec.structs.replace(
        command, number=number, tax=tax, due=known.due, deposit=deposit, taxes=taxes_on(known.due, deposit, tax),
        partner=known.partner, party=known.party, pay_by=known.pay_by,
    )  # fmt: skip


def _withdrawn(what: str, known: Note, command: StatementInvoiceWithdrawn) -> StatementInvoiceWithdrawn:
    """Of an invoice of which nothing was paid."""
    assert known.number is not None, known
    if command.number != known.number:
        raise OtherNumber(
            f"the invoice of {what} that stands has the number {known.number}, not {command.number}; if that one is meant, "
            "withdraw it under a new id, and write this message off"
        )
    if same_person(command.author, known.invoiced_by):
        raise OwnInvoice(
            f"{command.author} recorded invoice {known.number} of {what} and cannot withdraw it; have somebody else do it under "
            "a new id, and write this message off"
        )
    return msgspec.structs.replace(
        command, credit_note=_CREDIT_NOTE + known.number.removeprefix(_INVOICE), invoiced=known.invoiced, taxes=known.taxes,
        partner=known.partner, party=known.party,
    )  # fmt: skip


def _paid(what: str, known: Note, command: StatementPaid, look: Look) -> StatementPaid:
    amount = decimal_of_micros(command.amount)
    _check_amount(what, known, command, amount)
    holds = holder(look, known.partner)
    if holds is not None and amount > 0:
        raise PayoutHeld(
            f"payouts to partner {known.partner} are held: {holds.payout_held}; see to that first, and this message is recycled "
            "by itself",
            waits_for=f"partner:{holds.partner}",
        )
    return msgspec.structs.replace(command, partner=known.partner, party=known.party, number=known.number)


def _check_amount(what: str, known: Note, command: StatementPaid, amount: Decimal) -> None:
    """That it is what is open in the currency or, where it says that it is a part, a part of that, by a transfer of its own."""
    currency = command.currency
    if (gone := _gone(known, command)) is not None:
        raise AlreadyPaid(
            f"{what} was paid in {currency} on {gone.paid}, reference {gone.reference}, which was returned on {gone.day}; a further "
            "transfer has a reference of its own; write this message off"
        )
    before = [each for each in known.payments if each.currency == currency]
    found = [Decimal(each.amount) for each in known.unpaid if each.currency == currency]
    again = [each for each in before if each.reference == command.reference] if found else before[-1:]
    if again:
        raise AlreadyPaid(
            f"{what} was paid {'' if not found else 'in part '}in {currency} on {again[0].day}, reference {again[0].reference}"
            f"{'; a further transfer has a reference of its own' if found else ''}; write this message off"
        )
    if not found:
        raise NothingDue(f"nothing is due in {currency} by {what}; {_sums(known.unpaid)} is")
    (asked,) = found
    whole = command.amount % 10 ** (MICRO_DIGITS - minor_digits(currency)) == 0
    if command.part and not (whole and (0 < amount <= asked or asked <= amount < 0)):
        raise OtherAmount(
            f"{plain(amount)} {currency} was paid as a part, and {plain(asked)} {currency} is open for {what}; a part is of that, no "
            "more, and in whole minor units: give such an amount under a new id, and write this message off"
        )
    if not command.part and amount != asked:
        rest = " by now" if before else _of_vat(known, currency)
        raise OtherAmount(
            f"{plain(amount)} {currency} was paid, and {plain(asked)} {currency} is to pay for {what}{rest}; give that amount or say "
            "that it is a part of it under a new id, and write this message off"
        )


def _of_vat(known: Note, currency: str) -> str:
    """In words, what of the sum is VAT."""
    return "".join(f", {plain(Decimal(each.amount))} of it VAT" for each in known.taxes if each.currency == currency)


def _returned(what: str, known: Note, command: StatementPaymentReturned) -> StatementPaymentReturned:
    """Of the payment that it names: whole, and once."""
    named = (command.currency, command.reference)
    payment = next((each for each in known.payments if (each.currency, each.reference) == named), None)
    if payment is None:
        if (gone := _gone(known, command)) is not None:
            raise AlreadyReturned(
                f"the payment with reference {gone.reference} of {what} was returned on {gone.day} already: {gone.reason}; write this "
                "message off"
            )
        raise NotThere(
            f"no payment in {command.currency} with reference {command.reference} is recorded of {what}; send its statement.paid, and "
            "this message is recycled by itself; or, where another one is meant, name that under a new id, and write this message off",
            waits_for=f"note:{command.named}",
        )
    if same_person(command.author, payment.author):
        raise OwnPayment(
            f"{command.author} recorded the payment with reference {command.reference} of {what} and cannot return it; have somebody "
            "else do it under a new id, and write this message off"
        )
    return msgspec.structs.replace(
        command, amount=payment.amount, paid=payment.day, partner=known.partner, party=known.party, number=known.number
    )


def _gone(known: Note, command: StatementPaid | StatementPaymentReturned) -> ReturnedPayment | None:
    """The payment with this reference that was returned, whichever invoice it was for."""
    named = (command.currency, command.reference)
    return next((each for each in known.returned if (each.currency, each.reference) == named), None)


def _settled(what: str, known: Note, command: StatementSettled, look: Look) -> StatementSettled:
    if known.unpaid:
        raise NotPaid(
            f"{what} is {known.state}, and {_sums(known.unpaid)} is due; have it invoiced and paid first, and write this message off"
        )
    untold = [each for each in known.agents if look("note", joined(known.contract, known.period, each.party)) is None]
    if untold:
        raise AgentsNotPublished(
            f"{what} has a share of {untold[0].party} ({untold[0].partner}), to whom it was not published; publish it "
            f"(settle statement publish --agent '{untold[0].party}'), and this message is recycled by itself",
            waits_for=f"note:{joined(known.contract, known.period, untold[0].party)}",
        )
    return command


def _sums(sums: Iterable[Sum]) -> str:
    return ", ".join(f"{each.amount} {each.currency}" for each in sums) or "nothing"
