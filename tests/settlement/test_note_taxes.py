"""The VAT of a note: said once, when it is invoiced; paid with what is due; and an account of its own in the journal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import run_day as running
from consumers.outbound.invoice import invoice_cii, invoice_ubl
from consumers.outbound.note import CannotInvoice, Tax
from consumers.outbound.notes import note_for
from consumers.outbound.parties import Party
from consumers.outgoing import outgoing
from engine.events import StatementInvoiced, Sum, decoded
from engine.settlement import journaling
from engine.settlement.noting import told
from engine.store import journal, log, relations
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.audit.findings import Check
from replay.audit.packing import pack
from replay.audit.verifying import verify
from replay.rebuild.running import rebuild
from tests.consumers.outbound.schematron import broken
from tests.histories import message, registered, signed
from tests.settlement.test_chains import NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_final_statements import ADVANCED, PAYOUT, deposit, left, live
from tests.settlement.test_journal import balances
from tests.settlement.test_notes import (
    CONFIRMED,
    HALF,
    INVOICED,
    PUBLISHED,
    SETTLED,
    close,
    found,
    model,
    opened,
    refused,
    resolved,
    state,
    step,
)
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]

NOW = datetime(2027, 6, 1, tzinfo=UTC)
S19 = {"category": "S", "rate": "19"}


def taxed(tax: dict[str, str], id: str = "taxed") -> bytes:
    return message("partner.changed", id, {"partner": "P-1", "author": "Li", "tax": tax}, "2026-10-02T00:00:00Z")


def paid(amount: str) -> bytes:
    said = {"amount": amount, "currency": "CNY", "reference": "B-1", "day": "2026-11-30"}
    return step("statement.paid", "2026-11-30", **said)


def closed(store: Store, *more: bytes) -> None:
    """October comes to 50.00 for C-1, whose partner charges VAT of 19%."""
    take(store, registered(), taxed(S19), model(), signed(valid_from="2026-10-01", cooperation_model="sp"), book(HALF))
    take(store, charge("1", "100", 10), *more)
    close(store, OCTOBER)


def proved(store: Store) -> None:
    proof = audit(store, OCTOBER)
    assert proof.ok, proof.failed
    assert str(Check.notes) in proof.checked()
    assert rebuild(store).equal


def test_what_is_invoiced_with_vat_is_paid_with_it_and_the_journal_comes_out_even(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED)
    assert balances(store) == {"share expense": "50", "shares payable": "-50"}
    take(store, INVOICED)
    # 19% of 50.00 are 9.50, as of the day of the invoice.
    invoiced = {"share expense": "50", "recoverable VAT": "9.5", "shares payable": "-59.5"}
    assert balances(store) == balances(store, at=date(2026, 11, 11)) == invoiced
    assert balances(store, at=date(2026, 11, 10)) == {"share expense": "50", "shares payable": "-50"}
    assert refused(store, paid("50.00")) == "other-amount"
    take(store, paid("59.50"), SETTLED)
    assert state(store) == "settled"
    assert balances(store) == {"share expense": "50", "recoverable VAT": "9.5", "bank": "-59.5"}
    proved(store)


def test_the_entry_of_the_vat_names_the_invoice_and_whose_it_is(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED)
    with store.reading() as cursor:
        *_, last = journal.entries(cursor)
    assert (last.day, last.reference, last.contract, last.period) == (
        date(2026, 11, 11), "VAT of SN-C-1-2026-10", "C-1", "2026-10",
    )  # fmt: skip
    assert [(each.account, each.party, f"{each.amount.normalize():f}") for each in last.postings] == [
        ("recoverable VAT", "", "9.5"), ("shares payable", "P-1", "-9.5"),
    ]  # fmt: skip


def test_what_the_partner_gives_back_it_gives_back_with_the_vat_on_it(store: Store) -> None:
    closed(store)
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-11-01"}))
    take(store, PUBLISHED, step("statement.disputed", "2026-11-07", "partner", reason="r", lines=["net"]))
    take(store, opened("net", theirs="47.35"), resolved(amount="-2.65"))
    close(store, NOVEMBER)
    note = {"contract": "C-1", "period": "2026-11"}
    time = "2026-12-20T00:00:00Z"
    take(store, message("statement.published", "p", note | {"author": "ann"}, time))
    take(store, message("statement.confirmed", "c", note | {"author": "partner"}, time))
    take(store, message("statement.invoiced", "i", note | {"author": "ann", "day": "2026-12-20"}, time))
    with store.reading() as cursor:
        (row,) = (told(each.state) for each in relations.listed(cursor, "note") if each.state.period == "2026-11")
    # 19% of 2.65 are 0.5035.
    assert (row["due"], row["taxes"], row["to_pay"]) == tuple(
        [{"currency": "CNY", "amount": amount}] for amount in ("-2.65", "-0.50", "-3.15")
    )
    paid = note | {"author": "ann", "currency": "CNY", "reference": "B-1", "day": "2026-12-20"}
    assert refused(store, message("statement.paid", "p1", paid | {"amount": "-2.65"}, time)) == "other-amount"
    take(store, message("statement.paid", "p2", paid | {"amount": "-3.15"}, time))
    # October's 50.00 are not paid.
    assert balances(store) == {
        "share expense": "47.35", "shares payable": "-50", "recoverable VAT": "-0.5", "bank": "3.15",
    }  # fmt: skip
    assert audit(store, NOVEMBER).ok
    assert rebuild(store).equal


@pytest.mark.parametrize("tax", [{"category": "AE"}, {"category": "O"}, {"category": "Z"}, None])
def test_a_note_without_vat_is_paid_what_is_due_and_posts_none(store: Store, tax: dict[str, str] | None) -> None:
    take(store, registered(), model(), signed(valid_from="2026-10-01", cooperation_model="sp"), book(HALF))
    take(store, charge("1", "100", 10))
    close(store, OCTOBER)
    invoiced = step("statement.invoiced", "2026-11-11", day="2026-11-11", **({"tax": tax} if tax else {}))
    take(store, PUBLISHED, CONFIRMED, invoiced)
    assert balances(store) == {"share expense": "50", "shares payable": "-50"}
    take(store, paid("50.00"))
    assert state(store) == "paid"
    proved(store)


def test_the_vat_is_that_of_its_invoice_whatever_the_partners_is_before_and_after(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED)
    # In one batch, each at its place.
    take(store, taxed({"category": "S", "rate": "7.5"}, "t2"), INVOICED, taxed({"category": "O"}, "t3"))
    assert (found(store).tax.rate, found(store).to_pay) == ("7.5", (Sum("CNY", "53.75"),))
    take(store, paid("53.75"))
    assert state(store) == "paid"
    assert not kept(store)
    proved(store)


def test_an_invoice_states_another_vat_than_its_partners(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED)
    take(store, step("statement.invoiced", "2026-11-11", day="2026-11-11", tax={"category": "AE"}))
    assert (found(store).tax.category, found(store).to_pay) == ("AE", (Sum("CNY", "50.00"),))


def test_a_day_invoices_with_the_partners_vat_and_says_what_is_to_pay_with_it(store: Store) -> None:
    closed(store)
    for day in ("2026-11-05", "2026-11-16"):
        running.run_day(store, date.fromisoformat(day), "ann", lambda: NOW)
    (owed,) = running.run_day(store, date(2026, 11, 30), "ann", lambda: NOW).to_pay
    assert (owed.amount, owed.currency) == ("59.50", "CNY")


def test_the_vat_of_several_currencies_is_one_entry_that_balances_in_each() -> None:
    event = StatementInvoiced(
        source="test", id="1", time=NOW, contract="C-1", period="2026-10", author="ann", day=date(2026, 11, 11), number="SN",
        taxes=(Sum("CNY", "9.50"), Sum("USD", "-1.25")), partner="P-1", party="artist",
    )  # fmt: skip
    (entry,) = journaling.entries_told([(7, event)], lambda *_: {})
    assert [(each.account, each.party, str(each.amount), each.currency) for each in entry.postings] == [
        ("recoverable VAT", "", "9.50", "CNY"), ("shares payable", "artist", "-9.50", "CNY"),
        ("recoverable VAT", "", "-1.25", "USD"), ("shares payable", "artist", "1.25", "USD"),
    ]  # fmt: skip


def test_a_deposit_that_the_final_statement_returns_is_no_supply(store: Store) -> None:
    take(store, *live(), taxed(S19), book(PAYOUT, measures=ADVANCED), deposit("paid", "100"))
    take(store, charge("1", "1000", 11), *left())
    close(store, OCTOBER)
    close(store, NOVEMBER)
    time = "2026-12-20T00:00:00Z"
    note = {"contract": "C-1", "period": "2026-11", "author": "ann"}
    take(store, message("statement.published", "p", note, time))
    take(store, message("statement.confirmed", "c", note | {"author": "partner"}, time))
    take(store, message("statement.invoiced", "i", note | {"day": "2026-12-20"}, time))
    # 40% of 1,000.00 were held, and 100.00 are the deposit: 19% of 400.00 are 76.00.
    with store.reading() as cursor:
        (row,) = (each.state for each in relations.listed(cursor, "note"))
        assert (row.due, row.taxes, row.to_pay) == tuple((Sum("CNY", each),) for each in ("500.00", "76.00", "576.00"))
        (event,) = (
            decoded(each.name, each.state)
            for page in log.named(cursor, ["statement.invoiced"], to=10**6)
            for each in page
        )
    assert isinstance(event, StatementInvoiced)
    assert event.deposit == (Sum("CNY", "100.00"),)
    take(store, message("statement.paid", "x", note | {
        "amount": "576", "currency": "CNY", "reference": "B", "day": "2026-12-21"}, time))  # fmt: skip
    assert not kept(store)
    # The bank had the deposit of 100.00.
    assert balances(store) == {"share expense": "400", "recoverable VAT": "76", "bank": "-476"}
    assert audit(store, NOVEMBER).ok
    assert rebuild(store).equal
    with store.writing() as cursor:
        cursor.execute(
            IN_LOG.format('"deposit":[["CNY","100.00"]]', '"deposit":[["CNY","10.00"]]', "statement.invoiced")
        )
    failed = " ".join(each.sentence for each in audit(store, NOVEMBER).failed if each.check is Check.notes)
    assert "10.00 CNY of deposit, which is not what is returned" in failed


def test_a_final_note_of_which_no_vat_is_stated_is_as_ever_over_what_is_due(store: Store) -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED), deposit("paid", "100"), charge("1", "1000", 11), *left())
    close(store, OCTOBER)
    close(store, NOVEMBER)
    time = "2026-12-20T00:00:00Z"
    note = {"contract": "C-1", "period": "2026-11", "author": "ann"}
    take(store, message("statement.published", "p", note, time))
    take(store, message("statement.confirmed", "c", note | {"author": "partner"}, time))
    take(store, message("statement.invoiced", "i", note | {"day": "2026-12-20"}, time))
    with store.reading() as cursor:
        (entry,) = (each for page in log.named(cursor, ["statement.invoiced"], to=10**6) for each in page)
        (row,) = (each.state for each in relations.listed(cursor, "note"))
    assert not {"tax", "taxes", "deposit"} & set(msgspec.json.decode(entry.state))
    assert row.to_pay == row.due == (Sum("CNY", "500.00"),)
    assert audit(store, NOVEMBER).ok


OPERATOR = Party("OP-1", "Operator", "DE", ("Weg 1",), "DE987654321")


def test_what_the_exported_note_asks_for_is_what_is_to_pay(store: Store, tmp_path: Path) -> None:
    address = {"country": "DE", "tax_id": "DE123456789", "address": ["Weg 2"]}
    take(store, *live(), taxed(S19), book(PAYOUT, measures=ADVANCED), deposit("paid", "100.05"))
    take(store, message("partner.changed", "address", {"partner": "P-1", "author": "Li"} | address))
    take(store, charge("1", "1000.03", 11), *left())
    close(store, OCTOBER)
    close(store, NOVEMBER)
    time = "2026-12-20T00:00:00Z"
    note = {"contract": "C-1", "period": "2026-11", "author": "ann"}
    take(store, message("statement.published", "p", note, time))
    take(store, message("statement.confirmed", "c", note | {"author": "partner"}, time))
    with store.reading() as cursor, pytest.raises(CannotInvoice, match="gives it a number and a day first"):
        note_for(store, cursor, "C-1", NOVEMBER, OPERATOR)
    take(store, message("statement.invoiced", "i", note | {"day": "2026-12-20"}, time))
    # The partner charges otherwise by the time at which the note is exported.
    take(store, taxed({"category": "O"}, "later"))
    with store.reading() as cursor:
        made = note_for(store, cursor, "C-1", NOVEMBER, OPERATOR)
        (row,) = (each.state for each in relations.listed(cursor, "note"))
    # 40% of 1,000.03 are 400.01; 19% of them 76.00; and the deposit.
    assert row.to_pay == (Sum("CNY", "576.06"),)
    assert (made.tax, made.payable) == (Tax("S", Decimal(19)), Decimal("576.06"))
    assert broken("ubl", invoice_ubl(made)) == broken("cii", invoice_cii(made)) == []
    packed = pack(store, NOVEMBER, tmp_path / "pack")
    assert verify(tmp_path / "pack", packed.root).proof.ok


def test_what_was_not_known_of_the_partner_when_it_was_invoiced_is_written_as_it_is_now(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED)
    with store.reading() as cursor, pytest.raises(CannotInvoice, match="has no country"):
        note_for(store, cursor, "C-1", OCTOBER, OPERATOR)
    address = {"country": "DE", "tax_id": "DE123456789", "address": ["Weg 2"]}
    take(store, message("partner.changed", "later", {"partner": "P-1", "author": "Li"} | address))
    with store.reading() as cursor:
        made = note_for(store, cursor, "C-1", OCTOBER, OPERATOR)
    assert (made.partner.country, made.partner.tax_id, made.partner.address) == ("DE", "DE123456789", ("Weg 2",))


def test_others_are_told_of_the_vat_with_the_invoice(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED)
    with store.reading() as cursor:
        (invoiced,) = (entry for page in log.named(cursor, ["statement.invoiced"], to=10**6) for entry in page)
    made = outgoing(invoiced)
    assert made.type == "settlement_note.invoiced"
    said = msgspec.json.decode(made.value)["data"]
    assert (said["tax"], said["due"], said["taxes"]) == (
        {"category": "S", "rate": "19"}, [["CNY", "50.00"]], [["CNY", "9.50"]],
    )  # fmt: skip


IN_LOG = "UPDATE settle.log SET state = convert_to(replace(convert_from(state, 'UTF8'), '{}', '{}'), 'UTF8') WHERE topic = '{}'"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("UPDATE settle.journal SET amount = amount * 2 WHERE account = 'recoverable VAT' OR amount = -9.5",
         "the journal does not say what its note means"),
        ("DELETE FROM settle.journal WHERE reference LIKE 'VAT of%'", "the journal does not say what its note means"),
        (IN_LOG.format('"9.50"', '"8.50"', "statement.invoiced"), "invoiced with VAT of 8.50 CNY, which is not its rate"),
        (IN_LOG.format('"50.00"', '"60.00"', "statement.invoiced"), "invoiced over 60.00 CNY, which is not what is due"),
        (IN_LOG.format('"50.00"', '"60.00"', "statement.published"), "published over 60.00 CNY, which is not what is due"),
        (IN_LOG.format("59500000", "50000000", "statement.paid"), "50 CNY was paid for it, and 59.5 is to pay"),
        (IN_LOG.format('"rate":"19"', '"rate":"x"', "statement.invoiced"), "its note cannot be read"),
    ],
)  # fmt: skip
def test_an_audit_finds_a_note_whose_vat_or_payment_was_changed(store: Store, change: str, sentence: str) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED, paid("59.50"))
    assert audit(store, OCTOBER).ok
    with store.writing() as cursor:
        changed: Any = cursor.execute(change).rowcount
    assert changed
    failed = [each for each in audit(store, OCTOBER).failed if each.check is Check.notes]
    assert sentence in " ".join(each.sentence for each in failed)
