"""From the store to the documents: which note a statement is, and what is to be paid out on a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from consumers.outbound.note import CannotInvoice, Reference, SettlementNote, Tax, Terms, Withdrawal, note_of
from consumers.outbound.parties import Party, account, bank, is_country
from consumers.outbound.payout import CannotPayOut, CreditTransfer
from consumers.secrets import BankAccount, NoBankAccount, bank_account
from engine.aggregates import partner as partners
from engine.aggregates.note import Note
from engine.aggregates.partner import Partner
from engine.aggregates.refusal import Refused
from engine.aggregates.taxing import to_pay
from engine.events import Event, PartnerChanged, PartnerRegistered, StatementInvoiced, Sum, decoded, joined
from engine.events import Tax as Stated
from engine.period import Period
from engine.settlement.paying import payment
from engine.settlement.statements import view
from engine.store import log, registry, relations
from engine.store.database import Rows, Store


class BadOperator(Refused):
    """The file about the operator lacks something, or has something wrong."""

    code = "bad-operator"


def operator_of(said: object) -> Party:
    """Who issues the notes and pays them, from the fields of a file: id, name, country, address, tax_id, iban, bic.

    Raises BadOperator.
    """
    if not isinstance(said, dict):
        raise BadOperator("the file about the operator is no YAML object; give it id, name, country and tax_id")
    unknown = sorted(set(said) - {"id", "name", "country", "address", "tax_id", "iban", "bic"})
    if unknown:
        raise BadOperator(f"the file about the operator has an unknown field {unknown[0][:40]!r}; take it out")
    for field in ("id", "name", "country"):
        if not said.get(field):
            raise BadOperator(f"the file about the operator lacks {field}; give it")
    address = said.get("address") or []
    if not isinstance(address, list) or not is_country(str(said["country"])):
        raise BadOperator("the operator's address is a list of lines, and its country two letters such as DE; mend it")
    iban, bic = (None if said.get(name) is None else str(said[name]) for name in ("iban", "bic"))
    return Party(
        str(said["id"]),
        str(said["name"]),
        str(said["country"]),
        tuple(map(str, address)),
        None if said.get("tax_id") is None else str(said["tax_id"]),
        None if iban is None else account(iban, "the operator"),
        None if bic is None else bank(bic, "the operator"),
    )


def note_for(
    store: Store, cursor: Rows, contract: str, period: Period, operator: Party, currency: str | None = None,
    agent: str | None = None, number: str | None = None,
) -> SettlementNote:  # fmt: skip
    """The settlement note of an invoiced statement, or of the share of an agent above, with the VAT that was recorded then and the
    partner as it was known then: what it asks for is what is to pay.

    Of several invoices, and of the credit notes by which they were withdrawn, `number` says which. Without it that is the invoice
    which stands; where none does, the credit note of the last. Raises CannotInvoice, and what reading a bank account raises.
    """
    note, made_as = _invoiced(cursor, contract, str(period), agent, number)
    statement = view(cursor, contract, period).statement
    corrects = {
        each["period"]: found
        for each in statement["adjustments"]
        if (found := _corrected(_note(cursor, contract, each["period"], agent), made_as.invoiced))
    }
    wanted = currency or statement["currency"]
    shared = any(each["parties"] for each in statement["due"] if each["currency"] == wanted)
    parties = (note.party,) if shared else ()
    terms = Terms(
        made_as.number, made_as.issued, made_as.due, _party(store, cursor, note, made_as), operator, _tax(made_as.tax), parties,
        (), corrects, wanted, made_as.withdraws,
    )  # fmt: skip
    made = note_of(statement, terms)
    asked = [Decimal(each.amount) for each in to_pay(note.due, made_as.taxes) if each.currency == wanted]
    assert [made.payable] == asked, note
    return made


class _MadeAs(NamedTuple):
    """One document of a note: an invoice, or what withdraws it. `invoiced` is the invoice's day, `issued` the document's."""

    number: str
    invoiced: date
    issued: date
    due: date
    tax: Stated | None
    taxes: tuple[Sum, ...]
    withdraws: Withdrawal | None = None


def _documents(note: Note) -> dict[str, _MadeAs]:
    """All of the note by their numbers, in their order: of each invoice that was withdrawn two, and the one that stands."""
    found = []
    for gone in note.withdrawn:
        taxed = gone.tax, gone.taxes
        found.append(_MadeAs(gone.number, gone.invoiced, gone.invoiced, note.pay_by or gone.invoiced, *taxed))
        why = Withdrawal(gone.number, gone.invoiced, gone.reason)
        found.append(_MadeAs(gone.credit_note, gone.invoiced, gone.day, gone.day, *taxed, why))
    if note.number is not None and note.invoiced is not None:
        due = note.pay_by or note.invoiced
        found.append(_MadeAs(note.number, note.invoiced, note.invoiced, due, note.tax, note.taxes))
    return {each.number: each for each in found}


def _tax(stated: Stated | None) -> Tax:
    """As it was recorded; where none was, the note is not subject to VAT."""
    return Tax(stated.category, Decimal(stated.rate), stated.reason or "") if stated else Tax("O")


def _invoiced(cursor: Rows, contract: str, period: str, agent: str | None, number: str | None) -> tuple[Note, _MadeAs]:
    note = _note(cursor, contract, period, agent)
    made = {} if note is None else _documents(note)
    if note is None or not made:
        state = "was not published" if note is None else f"is {note.state}"
        raise CannotInvoice(
            f"the statement of {contract} for {period} {state}; settle statement invoice gives it a number and a day first"
        )
    if number is not None and number not in made:
        raise CannotInvoice(
            f"the statement of {contract} for {period} has no invoice or credit note {number[:60]}, but {', '.join(made)}; take "
            "one of those"
        )
    return note, made[number or [*made][-1]]


def _corrected(note: Note | None, day: date) -> Reference | None:
    """The invoice of the note that stood, or was the last, on the day; where all are later, the first of them."""
    made = [each for each in _documents(note).values() if each.withdraws is None] if note else []
    known = [each for each in made if each.invoiced <= day][-1:] or made[:1]
    return Reference(known[0].number, known[0].invoiced) if known else None


def _note(cursor: Rows, contract: str, period: str, agent: str | None) -> Note | None:
    key = ("note", joined(contract, period, *([] if agent is None else [agent])))
    found = relations.known(cursor, [key]).get(key)
    return None if found is None else found.state


def _party(store: Store, cursor: Rows, note: Note, made_as: _MadeAs) -> Party:
    """The partner as the supplier on its note, as it was known when that was invoiced; what was not known of it then, as it is now.
    With the account of whoever is paid, where there is one.
    """
    partner = note.partner
    then, now = _known_then(cursor, note, made_as), registry.partners(cursor, [partner])[partner]
    country = then.country or now.country
    if country is None:
        raise CannotInvoice(f"partner {partner} has no country; settle partner change gives it one")
    opened = _account(store, payment(cursor, partner).payee)
    iban, bic = (None, None) if opened is None else (opened.iban, opened.bic)
    return Party(partner, then.name, country, then.address or now.address, then.tax_id or now.tax_id, iban, bic)


def _known_then(cursor: Rows, note: Note, made_as: _MadeAs) -> Partner:
    """The partner at the invoice's place in the log; of a credit note, at that of the invoice which it withdraws."""
    number = made_as.withdraws.number if made_as.withdraws else made_as.number
    named = joined(note.contract, note.period, *([] if note.agent is None else [note.agent]))
    (position,) = (
        position
        for position, event in _told(cursor, log.stream_id("note", named), {StatementInvoiced.NAME})
        if isinstance(event, StatementInvoiced) and event.number == number
    )
    known: Partner | None = None
    steps = {PartnerRegistered.NAME, PartnerChanged.NAME}
    for _, event in _told(cursor, log.stream_id("partner", note.partner), steps, to=position):
        assert isinstance(event, PartnerRegistered | PartnerChanged), event
        known = partners.evolve(known, event)
    assert known is not None, note
    return known


def _told(cursor: Rows, stream: bytes, names: set[str], to: int | None = None) -> Iterator[tuple[int, Event]]:
    """(position, event) of the stream up to the position, of these names alone."""
    for page in log.of_streams(cursor, [stream], to=to):
        yield from ((position, decoded(name, state)) for position, name, state in page if name in names)


def _account(store: Store, partner: str) -> BankAccount | None:
    try:
        return bank_account(store, partner)
    except NoBankAccount:
        return None


class Due(NamedTuple):
    """What is to be paid out on a day, and what is not, with why."""

    transfers: tuple[CreditTransfer, ...]
    left: tuple[tuple[str, str], ...]


def due_on(store: Store, cursor: Rows, day: date, currency: str) -> Due:
    """Every invoiced note that is to be paid by the day, in the currency: what is open to the partner, with its VAT.

    Raises CannotPayOut where there is nothing to pay.
    """
    transfers, left = [], []
    for relation in relations.listed(cursor, "note"):
        note: Note = relation.state
        amount = next((Decimal(each.amount) for each in note.unpaid if each.currency == currency), Decimal(0))
        if note.state != "invoiced" or note.number is None or amount <= 0 or (note.pay_by or day) > day:
            continue
        payee, held = payment(cursor, note.partner)
        opened = _account(store, payee)
        if held is not None:
            left.append((note.number, held))
        elif opened is None or opened.iban is None:
            left.append((note.number, f"partner {payee} has no approved account with an IBAN"))
        else:
            said = f"Settlement note {note.number}"
            named = end_to_end(note.number, note, currency)
            transfers.append(CreditTransfer(named, opened.holder, opened.iban, amount, currency, said, opened.bic))
    if not transfers:
        why = f"; {left[0][0]} is not: {left[0][1]}" if left else "; settle statement list shows what is invoiced"
        raise CannotPayOut(f"nothing is to be paid in {currency} by {day}{why}")
    return Due(tuple(transfers), tuple(left))


def end_to_end(number: str, note: Note, currency: str) -> str:
    """What names the transfer: the invoice, and after payments of it how many they and their returns are. No other sum that ever was
    open of the invoice has it, so no bank takes this transfer for one that it has.
    """
    paid = sum(each.currency == currency for each in note.payments)
    returned = sum((each.currency, each.number) == (currency, number) for each in note.returned)
    before = paid + 2 * returned  # each that was returned had been paid
    return f"{number}/{before + 1}" if before else number
