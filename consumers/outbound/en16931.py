"""A settlement note in the business terms of EN 16931: one mapping, from which UBL and CII are written alike.

Keys are the standard's own: BT for a term, BG for a group of terms. docs/tmforum.md shows every field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from consumers.outbound.libraries import library
from consumers.outbound.note import (
    CannotInvoice,
    Kind,
    NoteLine,
    Reference,
    SettlementNote,
    Tax,
    Totals,
    Withheld,
    in_minor_units,
    totals,
)
from consumers.outbound.parties import Party, account, bank, is_country
from consumers.outbound.texts import one_line
from engine.money import minor_digits, plain

SELF_BILLED_INVOICE = "389"
SELF_BILLED_CREDIT_NOTE = "261"
LEVEL = "en16931"

_SEPA_CREDIT_TRANSFER, _CREDIT_TRANSFER = "58", "30"
_ONE_PIECE = "C62"
_DIGITS_MAX = 2  # BR-DEC: amounts of EN 16931
_RATE_DIGITS_MAX = 2
_ADDRESS_LINES = ("addr_l1", "addr_l2", "addr_l3")
_VAT_ID = re.compile(r"([A-Z]{2})[A-Z0-9+*.]{2,13}", re.ASCII)


class Category(NamedTuple):
    """How EN 16931 treats a VAT category: its code, whether tax is charged, and why not where it is not."""

    code: str
    taxed: bool
    reason: str = ""
    reason_code: str = ""


CATEGORIES = {
    each.code: each
    for each in (
        Category("S", taxed=True),
        Category("Z", taxed=False),
        Category("E", taxed=False),
        Category("AE", taxed=False, reason="Reverse charge", reason_code="VATEX-EU-AE"),
        Category("G", taxed=False, reason="Export outside the EU", reason_code="VATEX-EU-G"),
        Category("O", taxed=False, reason="Not subject to VAT", reason_code="VATEX-EU-O"),
    )
}


class Document(NamedTuple):
    """What is written: the note as it is or, where its sum is negative, `turned` round; and its sums, which are not negative then."""

    type_code: str
    note: SettlementNote
    totals: Totals
    turned: bool


def document_of(note: SettlementNote) -> Document:
    """Raises CannotInvoice where EN 16931 cannot say it, or the note does not add up."""
    _check(note)
    come_to = totals(note.currency, note.lines, note.tax, note.withheld)
    if come_to.due != note.payable:
        raise CannotInvoice(
            f"note {note.number} says {note.payable:f} {note.currency}, but its lines, tax and what is withheld come to "
            f"{come_to.due:f}"
        )
    turned = come_to.without_tax < 0
    # What withdraws an invoice is a credit note, and what withdraws a credit note is an invoice.
    type_code = SELF_BILLED_CREDIT_NOTE if turned is (note.withdraws is None) else SELF_BILLED_INVOICE
    if not turned:
        return Document(type_code, note, come_to, turned)
    positive = note._replace(
        lines=tuple(line if line.kind is Kind.working else line._replace(amount=-line.amount) for line in note.lines),
        withheld=tuple(Withheld(each.name, -each.amount) for each in note.withheld),
        payable=-note.payable,
    )
    come_to = totals(positive.currency, positive.lines, positive.tax, positive.withheld)
    return Document(type_code, positive, come_to, turned)


def _check(note: SettlementNote) -> None:
    if minor_digits(note.currency) > _DIGITS_MAX:
        raise CannotInvoice(
            f"amounts of EN 16931 have at most {_DIGITS_MAX} digits after the point, and {note.currency} has "
            f"{minor_digits(note.currency)}; issue the note in another currency"
        )
    if note.tax.category not in CATEGORIES:
        raise CannotInvoice(f"{note.tax.category[:10]!r} is not a VAT category; take one of {', '.join(CATEGORIES)}")
    category = CATEGORIES[note.tax.category]
    if category.taxed != (note.tax.rate > 0) or note.tax.rate != round(note.tax.rate, _RATE_DIGITS_MAX):
        raise CannotInvoice(
            f"a rate of {plain(note.tax.rate)}% does not go with VAT category {category.code}: S has one above 0, with at most "
            f"{_RATE_DIGITS_MAX} digits after the point, every other 0"
        )
    if category.code == "E" and not note.tax.reason:
        raise CannotInvoice("an exemption from VAT (category E) needs its reason; name the article of law")
    for party in (note.partner, note.operator):
        if not is_country(party.country):
            raise CannotInvoice(f"{party.country[:10]!r} is no country of ISO 3166-1; write two letters such as DE")
        if not one_line(party.name) or not one_line(party.id):
            raise CannotInvoice("a party of the note has no name or no id; correct its master data")
    names = (note.number, note.contract, *(line.name for line in note.lines if line.kind is not Kind.working))
    if not all(one_line(text) for text in (*names, *(each.number for each in _corrected(note)))):
        raise CannotInvoice(
            f"note {note.number!r} has an empty number, contract, name of a line or reference; give each a text"
        )
    _check_tax_ids(note)


def _check_tax_ids(note: SettlementNote) -> None:
    """BR-S-02, BR-E-02 and so on: who charges tax, or says why not, is registered; with a reverse charge, both are."""
    if note.tax.category == "O":
        return
    if not _tax_ids(note.partner):
        raise CannotInvoice(
            f"partner {note.partner.id} has no tax id, which VAT category {note.tax.category} needs; register it, or take O"
        )
    if note.tax.category == "AE" and "vat_identifier" not in _tax_ids(note.operator):
        raise CannotInvoice("a reverse charge (category AE) needs the operator's VAT id")


def terms_of(document: Document) -> dict[str, Any]:
    """The note in business terms, new for each call: the library that writes it changes what it is given."""
    note, come_to = document.note, document.totals
    category = CATEGORIES[note.tax.category]
    return {
        "BT-1": one_line(note.number),
        "BT-2": note.issued,
        "BT-3": document.type_code,
        "BT-5": note.currency,
        "BT-12": one_line(note.contract),
        "BT-72": _last(note.end),  # when the supply was completed
        "BT-73": note.first,
        "BT-74": _last(note.end),
        **_payment(document),
        "BG-1": [{"BT-22": _self_billing(note)}, *_withdrawing(note)],
        "BG-3": [{"BT-25": one_line(each.number), "BT-26": each.issued} for each in _corrected(note)],
        "BG-4": _party(note.partner, note.tax, seller=True),
        "BG-7": _party(note.operator, note.tax, seller=False),
        "BG-23": [
            {
                "BT-116": _money(come_to.without_tax),
                "BT-117": _money(come_to.tax),
                "BT-118": category.code,
                **_rate(note.tax, "BT-119"),
                **_given({"BT-120": one_line(note.tax.reason) or category.reason, "BT-121": category.reason_code}),
            }
        ],
        "BG-24": [{"BT-122": one_line(note.digest), "BT-123": "SHA-256 digest of the settlement statement"}],
        "BG-25": [
            _line(note, number, line)
            for number, line in enumerate((each for each in note.lines if each.kind is not Kind.working), start=1)
        ],
        "BT-106": _money(come_to.without_tax),
        "BT-109": _money(come_to.without_tax),
        "BT-110": _money(come_to.tax),
        "BT-112": _money(come_to.with_tax),
        **({"BT-113": _money(come_to.withheld)} if note.withheld else {}),
        "BT-115": _money(come_to.due),
    }


def _corrected(note: SettlementNote) -> Iterable[Reference]:
    """The notes that this one corrects, each once; or that it withdraws."""
    if note.withdraws is not None:
        return [Reference(note.withdraws.number, note.withdraws.issued)]
    return dict.fromkeys(line.corrects for line in note.lines if line.kind is Kind.adjusted and line.corrects)


def _self_billing(note: SettlementNote) -> str:
    said = f"Self-billed: issued by {one_line(note.operator.name)} in the name of {one_line(note.partner.name)}."
    return f"{said} Root of the closing: {one_line(note.root)}." if note.root else said


def withdraws(note: SettlementNote) -> str:
    """Which note it withdraws, in words; empty where it withdraws none."""
    return f"Withdraws note {one_line(note.withdraws.number)} of {note.withdraws.issued}" if note.withdraws else ""


def _withdrawing(note: SettlementNote) -> list[dict[str, str]]:
    return [{"BT-22": f"{withdraws(note)}: {one_line(note.withdraws.reason)}"}] if note.withdraws else []


def _payment(document: Document) -> dict[str, Any]:
    """Where the money goes. What the partner owes is asked for in words: the operator's account is not the note's matter."""
    note = document.note
    if note.withdraws:
        return {"BT-20": f"{withdraws(note)}: nothing is to be paid for either"}
    words = "; ".join(f"{told(document, each)} {_money(abs(each.amount))}" for each in note.withheld)
    if document.turned and note.payable > 0:
        owed = f"Payable by the partner by {note.due}, or set off against its next settlement"
        return {"BT-20": f"{owed}; {words}" if words else owed, "BT-9": note.due}
    given: dict[str, Any] = {"BT-9": note.due} | _given({"BT-20": words})
    if note.partner.iban is None or note.payable <= 0:
        return given
    sepa = note.currency == "EUR"
    return (
        given
        | {
            "BT-81": _SEPA_CREDIT_TRANSFER if sepa else _CREDIT_TRANSFER,
            "BT-83": one_line(note.number),
            "BT-84": account(note.partner.iban, note.partner.id),
            "BT-85": one_line(note.partner.name),
        }
        | ({} if note.partner.bic is None else {"BT-86": bank(note.partner.bic, note.partner.id)})
    )


def told(document: Document, each: Withheld) -> str:
    """What the amount is beside the sum, in words: a note that is turned round has it negated."""
    own = -each.amount if document.turned else each.amount
    return f"{'paid with it' if own < 0 else 'withheld'}: {one_line(each.name)}"


def _party(party: Party, tax: Tax, *, seller: bool) -> dict[str, Any]:
    lines = [one_line(line) for line in party.address if one_line(line)]
    most = len(_ADDRESS_LINES)
    folded = [*lines[: most - 1], ", ".join(lines[most - 1 :])] if len(lines) > most else lines
    ids = {} if tax.category == "O" else _tax_ids(party)  # BR-O-02: no VAT id where there is no VAT
    return {
        "name": one_line(party.name),
        "identifiers": {None: one_line(party.id)},
        "country_code": party.country,
        **dict(zip(_ADDRESS_LINES, folded, strict=False)),
        **{kind: value for kind, value in ids.items() if seller or kind == "vat_identifier"},
    }


def _tax_ids(party: Party) -> dict[str, str]:
    """As a VAT id (BT-31, BT-48) where it begins with the party's country or one of the EU's, else as a local one (BT-32)."""
    said = one_line(party.tax_id or "")
    members = {code.upper() for code in library("stdnum.eu.vat").MEMBER_STATES} | {"EL", "XI", party.country}
    found = _VAT_ID.fullmatch(said.replace(" ", ""))
    if found and found[1] in members:
        return {"vat_identifier": found[0]}
    return {"tax_identifier": said} if said else {}


def _line(note: SettlementNote, number: int, line: NoteLine) -> dict[str, Any]:
    """One piece at its amount: a price is never negative (BR-27), so a negative line is minus one piece."""
    rate = {} if note.tax.category == "O" else _rate(note.tax, "BT-152")
    told = "; ".join(_working(note)) if line.kind is Kind.earned else _corrects(line)
    period = {} if line.first is None or line.end is None else {"BT-134": line.first, "BT-135": _last(line.end)}
    return {
        "BT-126": str(number),
        "BT-127-00": [{"BT-127": told}] if told else [],
        "BT-129": "-1" if line.amount < 0 else "1",
        "BT-130": _ONE_PIECE,
        "BT-131": _money(in_minor_units(line.amount, minor_digits(note.currency))),
        "BT-146": _money(abs(line.amount)),
        "BT-151": note.tax.category,
        **rate,
        "BT-153": one_line(line.name),
        **_given({"BT-154": f"Clause {one_line(line.clause)}" if line.clause else ""}),
        **period,
    }


def _working(note: SettlementNote) -> list[str]:
    return [
        f"{one_line(line.name)} {line.amount:f}"
        + (f" {one_line(line.unit)}" if line.unit else "")
        + (f" ({one_line(line.clause)})" if line.clause else "")
        for line in note.lines
        if line.kind is Kind.working
    ]


def _corrects(line: NoteLine) -> str:
    return f"Corrects note {one_line(line.corrects.number)} of {line.corrects.issued}" if line.corrects else ""


def _rate(tax: Tax, term: str) -> dict[str, str]:
    return {} if tax.category == "O" else {term: plain(tax.rate)}


def _given(terms: dict[str, str]) -> dict[str, str]:
    return {term: value for term, value in terms.items() if value}


def _money(amount: Decimal) -> str:
    return format(amount, "f")


def _last(end: date) -> date:
    return end - timedelta(days=1)
