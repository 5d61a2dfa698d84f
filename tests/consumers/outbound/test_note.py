from __future__ import annotations

import doctest
from datetime import date
from decimal import Decimal
from types import ModuleType

import pytest

from consumers.outbound import beancount, texts
from consumers.outbound.note import CannotInvoice, Kind, Reference, Withheld, note_of
from consumers.outbound.parties import BadAccount, Party, account, bank
from tests.consumers.outbound.samples import BIC, IBAN, IBANS, PARTNER, adjustment, example, statement, terms


def test_a_statement_becomes_a_note_with_its_lines_and_what_it_rests_on() -> None:
    note = example()
    assert [(line.name, str(line.amount), line.kind) for line in note.lines] == [
        ("Settlement 2017-03-01 to 2017-03-31", "600.00", Kind.earned),
        ("Adjustment of 2017-02, version 2", "-4.50", Kind.adjusted),
        ("sales", "1500", Kind.working),
        ("downloads", "170", Kind.working),
        ("payable", "600.00", Kind.working),
    ]
    assert note.lines[0].clause == "2.2"
    assert note.lines[1].corrects == Reference("SN-2017-02", date(2017, 3, 5))
    assert (note.payable, note.digest, note.root) == (Decimal("698.65"), "a" * 64, "b" * 64)


def test_only_the_shares_of_the_named_parties_are_the_notes() -> None:
    said = statement("100.00")
    shares = [{"party": "label", "amount": "70.00"}, {"party": "singer", "amount": "30.00"}]
    said |= {"parties": shares, "due": [{"currency": "EUR", "amount": "100.00", "parties": shares}]}
    assert note_of(said, terms(parties=("singer",))).lines[0].amount == Decimal("30.00")
    assert note_of(said, terms(parties=("singer", "label"))).lines[0].amount == Decimal("100.00")
    with pytest.raises(CannotInvoice, match="shared by label, singer"):
        note_of(said, terms())
    with pytest.raises(CannotInvoice, match="no share of 'drummer'"):
        note_of(said, terms(parties=("drummer",)))


def test_an_adjustment_in_another_currency_has_a_note_of_its_own() -> None:
    said = statement("600.00", adjustment("2017-02", "7.00", "USD"))
    said["due"].append({"currency": "USD", "amount": "7.00", "parties": [{"party": "partner", "amount": "7.00"}]})
    assert note_of(said, terms()).payable == Decimal("714.00")
    dollars = note_of(said, terms(currency="USD"))
    assert [str(line.amount) for line in dollars.lines if line.kind is not Kind.working] == ["0.00", "7.00"]
    assert dollars.payable == Decimal("8.33")
    with pytest.raises(CannotInvoice, match="nothing due in JPY, but in EUR, USD"):
        note_of(said, terms(currency="JPY"))


def test_what_cannot_be_a_note_is_refused() -> None:
    with pytest.raises(CannotInvoice, match="is open"):
        note_of(statement() | {"state": "open"}, terms())
    with pytest.raises(CannotInvoice, match="adjusts 2017-02; name the note"):
        note_of(statement("1.00", adjustment("2017-02", "1.00"), due="2.00"), terms(corrects={}))
    with pytest.raises(CannotInvoice, match="more than 2 digits"):
        note_of(statement("1.005"), terms())
    with pytest.raises(CannotInvoice, match="more than 2 digits"):
        note_of(statement("1.00"), terms(withheld=(Withheld("half a cent", Decimal("0.005")),) * 2))


def test_a_statement_whose_due_is_not_its_parts_stops_us() -> None:
    with pytest.raises(AssertionError):
        note_of(statement("1.00", due="2.00"), terms())


@pytest.mark.parametrize("iban", IBANS)
def test_an_iban_is_known_by_its_check_digits(iban: str) -> None:
    assert account(f" {iban[:4]} {iban[4:]}", "P-1") == iban
    for i in range(len(iban)):
        changed = iban[:i] + ("1" if iban[i] == "0" else "0") + iban[i + 1 :]
        if changed != iban:
            with pytest.raises(BadAccount) as refused:
                account(changed, "P-1")
            assert changed not in str(refused.value)
            assert f"****{changed[-4:]}" in str(refused.value)


@pytest.mark.parametrize("iban", ["", "DE89", "XX89370400440532013000", "DE٨٩370400440532013000", "<iban/>"])
def test_what_is_no_iban_is_refused(iban: str) -> None:
    with pytest.raises(BadAccount):
        account(iban, "P-1")


def test_a_bic_has_eight_or_eleven_characters() -> None:
    assert bank("cobadeff", "P-1") == "COBADEFF"
    assert bank(BIC, "P-1") == BIC
    with pytest.raises(BadAccount):
        bank("COBADEF", "P-1")


def test_a_party_shows_only_the_end_of_its_account() -> None:
    assert "****3000" in repr(PARTNER)
    assert IBAN not in repr(PARTNER)
    assert "DE89" not in repr(Party("P", "N", "DE", iban="DE893000"))
    assert IBAN not in repr(example())


@pytest.mark.parametrize("module", [texts, beancount], ids=lambda module: module.__name__)
def test_the_examples_in_the_code_are_so(module: ModuleType) -> None:
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 1) == (0, True)
