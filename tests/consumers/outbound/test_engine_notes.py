"""Statements that the engine really closed and restated, as notes and documents."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from io import BytesIO

import pypdf
import pytest

from consumers.outbound.invoice import invoice_cii, invoice_facturx, invoice_ubl
from consumers.outbound.note import CannotInvoice, Kind, Reference, SettlementNote, Tax, Withheld, note_of
from engine.aggregates.publication import deposit_to
from engine.events import Sum
from engine.period import Period
from engine.settlement.statements import view
from engine.store.database import Store
from replay.restate import restate
from tests.consumers.outbound.samples import terms
from tests.consumers.outbound.schematron import broken
from tests.histories import message, registered, signed
from tests.replay.test_restate import NOW, close, said, simple
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_final_statements import ADVANCED, PAYOUT, deposit, left, live
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]

CORRECTS = {f"2026-{month}": Reference(f"SN-{month}", date(2027, 1, 5)) for month in (10, 11)}


def noted(store: Store, period: Period, **changed: object) -> SettlementNote:
    given = terms(corrects=CORRECTS, tax=Tax("S", Decimal(6)))._replace(**changed)
    return note_of(said(store, "C-1", period), given)


def test_a_closed_statement_and_its_adjustment_are_a_note(store: Store) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    take(store, charge("late", "7", 10), charge("2", "10", 11))
    restate(store, NOW)
    with pytest.raises(CannotInvoice, match="is open"):
        noted(store, NOVEMBER)
    close(store, NOVEMBER)
    october, november = noted(store, OCTOBER), noted(store, NOVEMBER)
    # Half of 100 is 50, with 6% of tax 53. Half of 10 is 5, half of what came late 3.50: 8.50, and with 0.51 of tax 9.01.
    assert (october.payable, november.payable, november.currency) == (Decimal("53.00"), Decimal("9.01"), "CNY")
    assert [str(line.amount) for line in november.lines if line.kind is not Kind.working] == ["5.00", "3.50"]
    assert november.lines[1].corrects == CORRECTS["2026-10"]
    assert (november.root, november.digest) == tuple(said(store, "C-1", NOVEMBER)[key] for key in ("root", "digest"))
    for note in (october, november):
        assert broken("ubl", invoice_ubl(note)) == []
        assert invoice_facturx(note).startswith(b"%PDF")


def test_what_a_contract_gives_back_after_its_end_is_a_credit_note(store: Store) -> None:
    simple(store, charge("1", "100", 10), charge("2", "60", 11))
    close(store, OCTOBER, NOVEMBER)
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-11-01"}))
    restate(store, NOW)
    close(store, DECEMBER)
    note = noted(store, DECEMBER)
    assert note.payable == Decimal("-31.80")
    assert b"<cbc:CreditNoteTypeCode>261<" in invoice_ubl(note)
    assert broken("ubl", invoice_ubl(note)) == []


def test_a_partys_share_of_a_statement_and_of_its_adjustment_is_its_note(store: Store) -> None:
    split = "split: {of: payable, among: [{party: singer, portion: 1/3}, {party: label, portion: remaining}]}\n"
    steps = "  - {name: payable, amount: sales, round: half_up}\n"
    take(store, registered(), signed(valid_from="2026-10-01"), book(steps, more=split), charge("1", "100", 10))
    close(store, OCTOBER)
    take(store, charge("late", "10", 10), charge("2", "1", 11))
    restate(store, NOW)
    close(store, NOVEMBER)
    # Of 100 the singer has 33.34, of 110 it is 36.67: 3.33 more; and 0.34 of November's 1. The cents that floors leave are its.
    singer, label = (noted(store, NOVEMBER, parties=(party,), tax=Tax("O")) for party in ("singer", "label"))
    assert [str(line.amount) for line in singer.lines[:2]] == ["0.34", "3.33"]
    assert singer.payable + label.payable == Decimal("11.00")


def finally_due(store: Store, *more: bytes, steps: str = PAYOUT, measures: str = ADVANCED) -> None:
    take(
        store, *live(), book(steps, measures=measures), deposit("paid", "100"), charge("1", "1000", 11), *more, *left()
    )
    assert kept(store) == []
    close(store, OCTOBER, NOVEMBER)


def test_a_final_statement_is_a_note_with_what_it_clears_and_the_deposit_beside_its_sum(store: Store) -> None:
    finally_due(store)
    note = noted(store, NOVEMBER)
    # 400.00 were held, and 6% on them are 24.00; with the deposit 524.00.
    assert [str(line.amount) for line in note.lines if line.kind is not Kind.working] == ["0.00", "400.00"]
    assert note.withheld == (Withheld("deposit", Decimal("-100.00")),)
    assert note.payable == Decimal("524.00")
    document = invoice_ubl(note)
    assert b"paid with it: deposit 100.00" in document
    assert broken("ubl", document) == broken("cii", invoice_cii(note)) == []
    assert invoice_facturx(note).startswith(b"%PDF")


def test_a_deposit_that_covers_what_the_partner_owes_is_paid_with_a_credit_note(store: Store) -> None:
    steps = "  - {name: payable, amount: 10% * sales - 170, round: half_up}\n"
    finally_due(store, steps=steps, measures="")
    # It owes 70.00, and 6% on them: of the 100.00 it gets 25.80 back.
    note = noted(store, NOVEMBER)
    assert note.payable == Decimal("25.80")
    for kind, write in (("ubl", invoice_ubl), ("cii", invoice_cii)):
        document = write(note)
        assert broken(kind, document) == []
        assert b"Payable by the partner" not in document
        assert b"paid with it: deposit 100.00" in document
    page = pypdf.PdfReader(BytesIO(invoice_facturx(note))).pages[0].extract_text()
    assert "Due from the operator in CNY 25.80" in " ".join(page.split())


def test_a_deposit_that_is_returned_by_an_adjustment_is_beside_the_sum_too(store: Store) -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED), charge("1", "1000", 11), deposit("paid", "50"))
    close(store, OCTOBER, NOVEMBER)
    take(store, *left())
    restate(store, NOW)
    close(store, DECEMBER)
    note = noted(store, DECEMBER)
    # The exit was told late: 400.00 that were held, 24.00 on them, and the deposit.
    assert [str(line.amount) for line in note.lines if line.kind is not Kind.working] == ["0.00", "400.00"]
    assert note.payable == Decimal("474.00")
    assert broken("ubl", invoice_ubl(note)) == []
    with store.reading() as cursor:
        assert deposit_to(view(cursor, "C-1", DECEMBER).statement, "partner") == (Sum("CNY", "50.00"),)
        assert deposit_to(view(cursor, "C-1", DECEMBER).statement, "broker") == ()
