"""The payout file: credit transfers to partners as ISO 20022 pain.001.001.09, for SEPA in euros."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from consumers.outbound.libraries import Element, checked, library, parsed, written
from consumers.outbound.note import SettlementNote
from consumers.outbound.parties import Party, account, bank
from consumers.outbound.texts import masked, one_line
from engine.aggregates.refusal import Refused
from engine.money import in_units, of_units, plain

_SCHEMA = "pain.001.001.09"
_CURRENCY = "EUR"
_DIGITS = 2
_CENTS_MAX = 99_999_999_999  # 999,999,999.99: the most that a SEPA credit transfer carries
_ID_MAX, _NAME_MAX, _REMITTANCE_MAX = 35, 70, 140

# The characters that every bank of SEPA has to take (EPC217-08).
_ID = re.compile(r"(?!/)(?!.*//)[A-Za-z0-9/\-?:().,'+ ]{1,35}(?<![/ ])", re.ASCII)
_OTHER = re.compile(r"[^A-Za-z0-9/\-?:().,'+ ]", re.ASCII)


class CannotPayOut(Refused):
    code = "cannot-pay-out"


class CreditTransfer(NamedTuple):
    """`end_to_end` comes back with the bank's answer, so it stands in the file as it is, and only once."""

    end_to_end: str
    creditor: str
    iban: str
    amount: Decimal
    currency: str
    remittance: str
    bic: str | None = None

    def __repr__(self) -> str:
        return (
            f"CreditTransfer(end_to_end={self.end_to_end!r}, iban={masked(self.iban)}, "
            f"amount={plain(self.amount)} {self.currency})"
        )


class Payout(NamedTuple):
    """One message to the debtor's bank. `message` is an id that no other message of the debtor has."""

    message: str
    created: date
    debtor: Party
    execution: date
    transfers: tuple[CreditTransfer, ...]


def payout_xml(payout: Payout) -> bytes:
    """One batch of credit transfers. Same payout, same bytes. Bank data stand in it in full, and nowhere else.

    Raises CannotPayOut, BadAccount, NotValid, NotInstalled. Euros only: the library that writes the file writes every amount
    with two digits and asks for SEPA's charges, which is wrong for others.
    """
    _check(payout)
    if payout.debtor.iban is None:
        raise CannotPayOut(f"{payout.debtor.id[:40]!r} has no account to pay from; give its IBAN")
    bic = {} if payout.debtor.bic is None else {"BIC": bank(payout.debtor.bic, payout.debtor.id)}
    config = {
        "name": _sepa(payout.debtor.name, _NAME_MAX, "the debtor's name"),
        "IBAN": account(payout.debtor.iban, payout.debtor.id),
        "batch": True,
        "currency": _CURRENCY,
        **bic,
    }
    transfer = library("sepaxml").SepaTransfer(config, schema=_SCHEMA, clean=False)
    for each in payout.transfers:
        transfer.add_payment(_payment(each, payout.execution))
    root = parsed(transfer.export(validate=False))
    _settle(root, payout)
    _assert_sums(root, payout.transfers)
    return checked(written(root), "sepaxml", f"schemas/{_SCHEMA}.xsd", "payout file")


def transfer_of(note: SettlementNote) -> CreditTransfer:
    """What a note pays its partner; its number comes back with the bank's answer. Raises CannotPayOut."""
    if note.payable <= 0:
        raise CannotPayOut(f"note {note.number[:40]!r} comes to {note.payable:f}; nothing is paid out for it")
    if note.partner.iban is None:
        raise CannotPayOut(f"partner {note.partner.id[:40]!r} has no bank account; register one")
    return CreditTransfer(
        note.number,
        note.partner.name,
        note.partner.iban,
        note.payable,
        note.currency,
        f"Settlement note {note.number}",
        note.partner.bic,
    )


def _check(payout: Payout) -> None:
    if not payout.transfers:
        raise CannotPayOut("there is nothing to pay out: the payout has no credit transfer")
    _check_id(payout.message, "message")
    if payout.execution < payout.created:
        raise CannotPayOut(
            f"the payout is to be executed on {payout.execution}, before it is created, on {payout.created}"
        )
    seen: set[str] = set()
    for each in payout.transfers:
        _check_id(each.end_to_end, "end-to-end")
        if each.end_to_end in seen:
            raise CannotPayOut(f"{each.end_to_end} is paid twice in one payout; an end-to-end id names one transfer")
        seen.add(each.end_to_end)
        _check_amount(each)


def _check_id(text: str, what: str) -> None:
    if _ID.fullmatch(text) is None:
        raise CannotPayOut(
            f"{text[: _ID_MAX + 5]!r} is no {what} id; it has 1 to {_ID_MAX} of A-Z a-z 0-9 / - ? : ( ) . , ' + and inner spaces, "
            "with no / at an end and no //"
        )


def _check_amount(transfer: CreditTransfer) -> None:
    if transfer.currency != _CURRENCY:
        raise CannotPayOut(
            f"{transfer.end_to_end} pays {transfer.currency[:10]}, and a SEPA payout file is in {_CURRENCY}; pay it by your bank's "
            "channel for foreign payments"
        )
    if not transfer.amount.is_finite() or not 0 < transfer.amount <= of_units(_CENTS_MAX, _DIGITS):
        raise CannotPayOut(
            f"{transfer.end_to_end} pays {transfer.amount:f}, and a credit transfer carries 0.01 to 999999999.99"
        )
    if transfer.amount != round(transfer.amount, _DIGITS):
        raise CannotPayOut(f"{transfer.end_to_end} pays a part of a cent; round what is due first")


def _payment(transfer: CreditTransfer, execution: date) -> dict[str, Any]:
    bic = {} if transfer.bic is None else {"BIC": bank(transfer.bic, transfer.end_to_end)}
    if len(one_line(transfer.remittance)) > _REMITTANCE_MAX:
        raise CannotPayOut(
            f"the remittance of {transfer.end_to_end} has more than {_REMITTANCE_MAX} characters; shorten it"
        )
    return {
        "name": _sepa(transfer.creditor, _NAME_MAX, f"the creditor of {transfer.end_to_end}"),
        "IBAN": account(transfer.iban, transfer.end_to_end),
        "amount": in_units(transfer.amount, _DIGITS),
        "execution_date": execution,
        "description": _sepa(transfer.remittance, _REMITTANCE_MAX, f"the remittance of {transfer.end_to_end}"),
        "endtoend_id": transfer.end_to_end,
        **bic,
    }


def _sepa(text: str, most: int, what: str) -> str:
    """The text in the characters of SEPA, at most so many: letters without their accents, `+` for `&`, spaces for others."""
    plain_text = str(library("text_unidecode").unidecode(one_line(text).replace("&", "+")))
    fit = " ".join(_OTHER.sub(" ", plain_text).split())[:most].strip()
    if not fit:
        raise CannotPayOut(
            f"{what} has no character that a bank must take (A-Z, a-z, 0-9 ...); write it in Latin letters"
        )
    return fit


def _settle(root: Element, payout: Payout) -> None:
    """Puts our ids and our day where the library wrote random ones and its clock's, and the bank that is not named."""
    space = f"{{urn:iso:std:iso:20022:tech:xsd:{_SCHEMA}}}"
    for tag, text in (
        ("MsgId", payout.message),
        ("PmtInfId", payout.message),
        ("CreDtTm", f"{payout.created.isoformat()}T00:00:00Z"),
    ):
        for element in root.iter(space + tag):
            element.text = text
    etree = library("lxml.etree")
    for agent in root.iter(space + "DbtrAgt"):
        institution = agent.find(space + "FinInstnId")
        if institution is not None and len(institution) == 0:  # SEPA's rule for a bank known by the account alone
            other = etree.SubElement(institution, space + "Othr")
            etree.SubElement(other, space + "Id").text = "NOTPROVIDED"


def _assert_sums(root: Element, transfers: Iterable[CreditTransfer]) -> None:
    """That the file's control sums, and its count, are what is paid."""
    cents = [in_units(each.amount, _DIGITS) for each in transfers]
    sums = {element.text for element in root.iter("{*}CtrlSum")}
    counts = {element.text for element in root.iter("{*}NbOfTxs")}
    paid = [in_units(Decimal(element.text or 0), _DIGITS) for element in root.iter("{*}InstdAmt")]
    assert (sums, counts, paid) == ({f"{of_units(sum(cents), _DIGITS):f}"}, {str(len(cents))}, cents)
