"""A note is paid in parts: each is posted as it comes, what is open is asked for, and it is paid when they add up."""

from __future__ import annotations

from typing import Any

import pytest

from engine.aggregates.invoicing import AlreadyPaid, NothingDue, OtherAmount
from engine.aggregates.note import Note
from engine.events import StatementInvoiced, StatementPaid, StatementSettled, Sum, Tax
from engine.settlement.noting import standing_of
from engine.store import journal
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.audit.findings import Check
from tests.aggregates.test_settlement_note import DAY, NOTE, after, confirmed
from tests.consumers.test_run_day import did, run
from tests.settlement.test_chains import OCTOBER
from tests.settlement.test_journal import balances
from tests.settlement.test_note_taxes import IN_LOG, closed, proved
from tests.settlement.test_notes import CONFIRMED, INVOICED, PUBLISHED, SETTLED, found, refused, state, step
from tests.settlement.test_recording import kept, store, take
from tests.settlement.test_withdrawn_invoices import withdrawn

__all__ = ["store"]


def part(amount: str, reference: str, on: str = "2026-11-20", **said: Any) -> bytes:
    said = {"amount": amount, "currency": "CNY", "reference": reference, "day": on, "part": True} | said
    return step("statement.paid", on, "bank", **said)


def test_a_note_is_paid_when_its_parts_add_up_and_each_is_posted_on_its_day(store: Store) -> None:
    # 50.00 and 19% of it are 59.50.
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED, part("20.00", "B-1"), part("30.50", "B-2", "2026-11-25"))
    note: Note = found(store)
    assert (note.state, note.unpaid) == ("invoiced", (Sum("CNY", "9.00"),))
    assert balances(store) == {
        "share expense": "50", "recoverable VAT": "9.5", "shares payable": "-9", "bank": "-50.5",
    }  # fmt: skip
    with store.reading() as cursor:
        posted = [
            (str(each.day), each.reference) for each in journal.entries(cursor) if each.reference.startswith("paid")
        ]
        standing = standing_of(cursor, "C-1", OCTOBER)
    assert posted == [("2026-11-20", "paid B-1"), ("2026-11-25", "paid B-2")]
    assert standing is not None
    assert standing["open"] == [{"currency": "CNY", "amount": "9.00"}]
    assert refused(store, step("statement.settled", "2026-11-26")) == "wrong-state"
    proved(store)
    # The last one is what is open: it needs not be called a part.
    take(store, part("9.00", "B-3", "2026-11-30", part=False), SETTLED)
    assert state(store) == "settled"
    assert balances(store) == {"share expense": "50", "recoverable VAT": "9.5", "bank": "-59.5"}
    proved(store)


REFUSED: list[tuple[list[bytes], bytes, str]] = [
    ([], part("59.51", "B-1"), "other-amount"),
    ([], part("0", "B-1"), "other-amount"),
    ([], part("-1.00", "B-1"), "other-amount"),
    ([], part("0.001", "B-1"), "other-amount"),
    ([], part("20.00", "B-1", part=False), "other-amount"),
    ([], part("20.00", "B-1", currency="USD"), "nothing-due"),
    ([part("20.00", "B-1")], part("39.51", "B-2"), "other-amount"),
    ([part("20.00", "B-1")], part("59.50", "B-2", part=False), "other-amount"),
    # One transfer is told once, under whatever id.
    ([part("20.00", "B-1")], part("20.00", "B-1", "2026-11-21"), "already-paid"),
    ([part("20.00", "B-1")], part("39.50", "B-1", part=False), "already-paid"),
    ([part("20.00", "B-1"), part("39.50", "B-2")], part("0.01", "B-3"), "wrong-state"),
    # Of a note that was paid in part the invoice stands.
    ([part("20.00", "B-1")], withdrawn(on="2026-11-21"), "invoice-paid"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "raw", "code"), REFUSED, ids=[f"{n}-{case[2]}" for n, case in enumerate(REFUSED)])
def test_what_is_no_part_of_what_is_open_is_refused(store: Store, before: list[bytes], raw: bytes, code: str) -> None:
    closed(store)
    assert take(store, PUBLISHED, CONFIRMED, INVOICED, *before).recorded == 3 + len(before)
    was = found(store)
    assert refused(store, raw) == code
    assert found(store) == was


def test_the_partner_gives_back_in_parts_too_and_each_currency_is_by_itself() -> None:
    def paid(amount: int, currency: str, reference: str, *, part: bool = True) -> StatementPaid:
        return StatementPaid(**NOTE, amount=amount, currency=currency, reference=reference, day=DAY, part=part)

    note = after(confirmed(("CNY", "-10.00"), ("JPY", "100")), StatementInvoiced(**NOTE, day=DAY, tax=Tax("S", "10")))
    # -10.00 and 10% are -11.00, 100 yen and 10% are 110. One transfer may be for both.
    note = after(note, paid(-4_000_000, "CNY", "T-1"), paid(60_000_000, "JPY", "T-1"))
    assert note.unpaid == (Sum("CNY", "-7.00"), Sum("JPY", "50"))
    for wrong in (paid(-7_010_000, "CNY", "T-2"), paid(4_000_000, "CNY", "T-2"), paid(500_000, "JPY", "T-2")):
        with pytest.raises(OtherAmount, match="is open for"):
            after(note, wrong)
    with pytest.raises(
        OtherAmount, match=r"-11 CNY was paid, and -7 CNY is to pay for .* by now; give that amount or say"
    ):
        after(note, paid(-11_000_000, "CNY", "T-2", part=False))
    with pytest.raises(NothingDue):
        after(note, paid(1_000_000, "EUR", "T-2"))
    note = after(note, paid(-7_000_000, "CNY", "T-2"))
    with pytest.raises(AlreadyPaid, match=r"was paid in CNY on 2026-12-01, reference T-2; write"):
        after(note, paid(-1_000_000, "CNY", "T-3"))
    assert note.state == "invoiced"
    note = after(note, paid(50_000_000, "JPY", "T-3", part=False))
    assert after(note, StatementSettled(**NOTE)).state == "settled"


def test_a_day_asks_for_what_is_open(store: Store) -> None:
    closed(store)
    for day in ("2026-11-05", "2026-11-16"):
        run(store, day)
    take(store, part("20.00", "B-1"))
    assert kept(store) == []
    (owed,) = run(store, "2026-11-30").to_pay
    assert (owed.number, owed.amount) == ("SN-C-1-2026-10", "39.50")
    take(store, part("39.50", "B-2", "2026-11-30"))
    assert did(run(store, "2026-11-30")) == ({}, [("settled", "2026-10")])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (IN_LOG.format("39500000", "38500000", "statement.paid"), "38.5 CNY was paid for it, and 39.5 is to pay"),
        (IN_LOG.format("39500000", "40500000", "statement.paid"), "40.5 CNY was paid for it, and 39.5 is to pay"),
        (IN_LOG.format("20000000", "-20000000", "statement.paid"), "-20 CNY was paid for it, and 59.5 is to pay"),
        (IN_LOG.format(',"part":true', "", "statement.paid"), "20 CNY was paid for it, and 59.5 is to pay"),
        ("DELETE FROM settle.log WHERE topic = 'statement.paid' AND position('B-2'::bytea IN state) > 0",
         "it was settled, and 39.5 CNY is open"),
        ("DELETE FROM settle.journal WHERE reference = 'paid B-1'", "the journal does not say what its note means"),
    ],
)  # fmt: skip
def test_an_audit_finds_a_part_that_was_changed(store: Store, change: str, sentence: str) -> None:
    closed(store)
    take(
        store,
        PUBLISHED,
        CONFIRMED,
        INVOICED,
        part("20.00", "B-1"),
        part("39.50", "B-2", "2026-11-30", part=False),
        SETTLED,
    )
    assert state(store) == "settled"
    assert audit(store, OCTOBER).ok
    with store.writing() as cursor:
        changed: Any = cursor.execute(change).rowcount
    assert changed
    failed = [each for each in audit(store, OCTOBER).failed if each.check is Check.notes]
    assert sentence in " ".join(each.sentence for each in failed)
