"""An invoice is withdrawn before it is paid: its VAT goes with it, its number is never used again, and the note is invoiced anew."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from consumers.outgoing import outgoing
from engine.aggregates import note as notes
from engine.aggregates.invoicing import OtherNumber
from engine.aggregates.note import Note, WithdrawnInvoice
from engine.events import StatementInvoiced, StatementInvoiceWithdrawn, Sum, Tax
from engine.settlement.noting import standing_of
from engine.store import journal, log
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.audit.findings import Check
from tests.aggregates.test_settlement_note import DAY, NOTE, after, confirmed, nothing
from tests.aggregates.test_settlement_note import paid as paid_in
from tests.consumers.test_run_day import did, run, waits
from tests.settlement.test_chains import OCTOBER
from tests.settlement.test_journal import balances
from tests.settlement.test_note_taxes import IN_LOG, closed, paid, proved
from tests.settlement.test_notes import CONFIRMED, INVOICED, PUBLISHED, SETTLED, found, refused, state, step
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]

S7 = {"category": "S", "rate": "7"}


def withdrawn(number: str = "SN-C-1-2026-10", on: str = "2026-11-13", author: str = "bob", **said: Any) -> bytes:
    data = {"number": number, "reason": "the rate is 7%", "day": on} | said
    return step("statement.invoice_withdrawn", on, author, **data)


def again(on: str = "2026-11-14", **said: Any) -> bytes:
    return step("statement.invoiced", on, day=on, **({"tax": S7} | said))


def test_an_invoice_with_the_wrong_vat_is_withdrawn_and_made_anew(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED)
    # 50.00 at 19%: 9.50 of VAT, as of 11 November.
    assert balances(store) == {"share expense": "50", "recoverable VAT": "9.5", "shares payable": "-59.5"}
    take(store, withdrawn())
    note: Note = found(store)
    assert (note.state, note.number, note.to_pay) == ("confirmed", None, (Sum("CNY", "50.00"),))
    assert note.withdrawn == (
        WithdrawnInvoice(
            "SN-C-1-2026-10", date(2026, 11, 11), "CN-C-1-2026-10", date(2026, 11, 13), "the rate is 7%", Tax("S", "19"),
            (Sum("CNY", "9.50"),),
        ),
    )  # fmt: skip
    assert balances(store) == {"share expense": "50", "shares payable": "-50"}
    assert balances(store, at=date(2026, 11, 12))["recoverable VAT"] == "9.5", "it stood until the 13th"
    proved(store)
    take(store, again())
    # At 7% it is 3.50.
    assert (found(store).number, found(store).to_pay) == ("SN-C-1-2026-10.2", (Sum("CNY", "53.50"),))
    assert refused(store, paid("59.50")) == "other-amount"
    take(store, paid("53.50"), SETTLED)
    assert state(store) == "settled"
    assert balances(store) == {"share expense": "50", "recoverable VAT": "3.5", "bank": "-53.5"}
    proved(store)


def test_the_entries_name_what_they_are_about(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED, withdrawn())
    with store.reading() as cursor:
        *_, last = journal.entries(cursor)
    assert (last.day, last.reference) == (date(2026, 11, 13), "VAT of SN-C-1-2026-10, withdrawn")
    assert [(each.account, each.party, f"{each.amount.normalize():f}") for each in last.postings] == [
        ("shares payable", "P-1", "9.5"), ("recoverable VAT", "", "-9.5"),
    ]  # fmt: skip


def test_an_invoice_of_a_wrong_day_takes_its_vat_with_it_on_that_day(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, step("statement.invoiced", "2026-11-11", day="2062-11-11"), withdrawn())
    for day in (date(2026, 11, 20), date(2062, 11, 11)):
        assert balances(store, at=day) == {"share expense": "50", "shares payable": "-50"}
    proved(store)


def test_no_number_is_used_again_however_often_it_is_withdrawn(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED)
    numbers = [found(store).number]
    for day in ("13", "14", "15"):
        take(store, withdrawn(numbers[-1], f"2026-11-{day}"), again(f"2026-11-{day}"))
        numbers.append(found(store).number)
    assert numbers == ["SN-C-1-2026-10", "SN-C-1-2026-10.2", "SN-C-1-2026-10.3", "SN-C-1-2026-10.4"]
    credited = [each.credit_note for each in found(store).withdrawn]
    assert credited == ["CN-C-1-2026-10", "CN-C-1-2026-10.2", "CN-C-1-2026-10.3"]
    assert not kept(store)
    proved(store)


REFUSED: list[tuple[list[bytes], bytes, str, str]] = [
    ([], withdrawn(), "wrong-state", "is confirmed, so statement.invoice_withdrawn does not apply"),
    ([INVOICED], withdrawn(author="ann"), "own-invoice", "ann recorded invoice SN-C-1-2026-10"),
    ([INVOICED], withdrawn("SN-C-1-2026-10.2"), "other-invoice-number", "that stands has the number SN-C-1-2026-10, not"),
    ([INVOICED], withdrawn(on="2026-11-10"), "before-last-step", "has been invoiced since 2026-11-11"),
    ([INVOICED, withdrawn()], withdrawn(on="2026-11-14"), "wrong-state", "from there statement.invoiced"),
    # What was sent for the first invoice does not withdraw the second.
    ([INVOICED, withdrawn(), again()], withdrawn(on="2026-11-15"), "other-invoice-number", "SN-C-1-2026-10.2, not"),
    ([INVOICED, withdrawn()], again(number="SN-C-1-2026-10"), "other-invoice-number", "gets the number SN-C-1-2026-10.2"),
    ([INVOICED, withdrawn()], paid("50.00"), "wrong-state", "is confirmed"),
    ([INVOICED, withdrawn()], step("statement.settled", "2026-11-14"), "not-paid", "50.00 CNY is due"),
    ([INVOICED, paid("59.50")], withdrawn(on="2026-12-01"), "invoice-paid", "correct its amounts by events and settle restate"),
    ([INVOICED, paid("59.50"), SETTLED], withdrawn(on="2026-12-02"), "invoice-paid", "so its invoice SN-C-1-2026-10 stands"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "raw", "code", "sentence"), REFUSED, ids=[f"{n}-{case[2]}" for n, case in enumerate(REFUSED)]
)
def test_what_does_not_follow_is_refused(
    store: Store, before: list[bytes], raw: bytes, code: str, sentence: str
) -> None:
    closed(store)
    assert take(store, PUBLISHED, CONFIRMED, *before).recorded == len(before) + 2
    was = found(store)
    assert refused(store, raw) == code
    with store.reading() as cursor:
        (said,) = cursor.execute("SELECT sentence FROM settle.suspense ORDER BY id").fetchall()[-1]
    assert sentence in said
    assert found(store) == was


def test_the_same_message_again_is_a_duplicate_and_takes_nothing_back_twice(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED, withdrawn(), again())
    was = found(store)
    assert take(store, withdrawn()).duplicate == 1
    assert found(store) == was


def test_an_invoice_of_which_one_currency_was_paid_stands() -> None:
    note = after(confirmed(("CNY", "50.00"), ("USD", "8.00")), StatementInvoiced(**NOTE, day=DAY, tax=Tax("S", "19")))
    gone = StatementInvoiceWithdrawn(**NOTE | {"author": "bob"}, day=DAY, number="SN-C-1-2026-10", reason="r")
    event = notes.decide(note, gone, nothing)
    assert isinstance(event, StatementInvoiceWithdrawn)
    assert event.taxes == (Sum("CNY", "9.50"), Sum("USD", "1.52"))
    part = after(note, paid_in(59_500_000, "CNY"))
    with pytest.raises(notes.invoicing.InvoicePaid, match=r"59\.5 CNY was paid on 2026-12-01, reference T"):
        after(part, gone)
    anew = after(note, gone)
    with pytest.raises(OtherNumber):
        after(anew, StatementInvoiced(**NOTE, day=DAY, number="SN-C-1-2026-10"))
    assert after(anew, StatementInvoiced(**NOTE, day=DAY)).number == "SN-C-1-2026-10.2"


def test_the_second_invoice_of_an_agent_above_is_not_that_of_another_agent() -> None:
    def numbers(agent: str) -> list[str | None]:
        said = NOTE | {"agent": agent}
        note = msgspec.structs.replace(confirmed(("CNY", "50.00")), agent=agent)
        first = after(note, StatementInvoiced(**said, day=DAY))
        gone = StatementInvoiceWithdrawn(**said | {"author": "b"}, day=DAY, number=first.number or "", reason="r")
        return [first.number, after(first, gone, StatementInvoiced(**said, day=DAY)).number]

    assert numbers("parent") == ["SN-C-1-2026-10-parent", "SN-C-1-2026-10-parent.2"]
    assert numbers("parent 2") == ["SN-C-1-2026-10-parent-2", "SN-C-1-2026-10-parent-2.2"]


def test_a_day_leaves_it_to_a_person_to_invoice_it_anew_and_takes_the_rest(store: Store) -> None:
    closed(store)
    for day in ("2026-11-05", "2026-11-16"):
        run(store, day)
    take(store, withdrawn(on="2026-11-17"))
    done = run(store, "2026-11-30")
    assert (did(done), done.to_pay) == (({}, []), ())
    assert waits(done) == [("C-1", "2026-10", "invoice-withdrawn")]
    assert "its invoice SN-C-1-2026-10 was withdrawn: the rate is 7%; invoice it again" in done.waits[0].sentence
    take(store, again("2026-11-30"))
    (owed,) = run(store, "2026-11-30").to_pay
    assert (owed.number, owed.amount) == ("SN-C-1-2026-10.2", "53.50")
    take(store, paid("53.50"))
    assert did(run(store, "2026-11-30")) == ({}, [("settled", "2026-10")])


def test_others_are_told_and_a_reader_sees_what_was_withdrawn(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED, withdrawn())
    with store.reading() as cursor:
        names = ["statement.invoice_withdrawn"]
        (entry,) = (entry for page in log.named(cursor, names, to=10**6) for entry in page)
        standing = standing_of(cursor, "C-1", OCTOBER)
    made = outgoing(entry)
    assert made.type == "settlement_note.invoice_withdrawn"
    said = msgspec.json.decode(made.value)["data"]
    assert (said["number"], said["credit_note"], said["invoiced"], said["taxes"], said["partner"]) == (
        "SN-C-1-2026-10", "CN-C-1-2026-10", "2026-11-11", [["CNY", "9.50"]], "P-1",
    )  # fmt: skip
    assert standing is not None
    assert standing["withdrawn"] == [
        {"number": "SN-C-1-2026-10", "invoiced": "2026-11-11", "credit_note": "CN-C-1-2026-10", "day": "2026-11-13",
         "reason": "the rate is 7%", "tax": {"category": "S", "rate": "19"}, "taxes": [{"currency": "CNY", "amount": "9.50"}]},
    ]  # fmt: skip


WITHDRAWN = "statement.invoice_withdrawn"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("DELETE FROM settle.journal WHERE reference LIKE '%, withdrawn'", "the journal does not say what its note means"),
        (IN_LOG.format('"9.50"', '"8.50"', WITHDRAWN), "with VAT of 8.50 CNY was withdrawn, and did not stand"),
        (IN_LOG.format("2026-11-11", "2026-11-12", WITHDRAWN), "of 2026-11-12 with VAT of 9.50 CNY was withdrawn, and did not"),
        (IN_LOG.format('"SN-C-1-2026-10"', '"SN-C-1-2026-11"', WITHDRAWN), "invoice SN-C-1-2026-11 of"),
        (IN_LOG.format("SN-C-1-2026-10.2", "SN-C-1-2026-10", "statement.invoiced"), "under a number that was used before"),
        ("DELETE FROM settle.log WHERE topic = 'statement.invoice_withdrawn'", "invoice SN-C-1-2026-10.2 was made beside another"),
    ],
)  # fmt: skip
def test_an_audit_finds_a_withdrawal_that_was_changed(store: Store, change: str, sentence: str) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED, withdrawn(), again(), paid("53.50"))
    assert audit(store, OCTOBER).ok
    with store.writing() as cursor:
        changed: Any = cursor.execute(change).rowcount
    assert changed
    failed = [each for each in audit(store, OCTOBER).failed if each.check is Check.notes]
    assert sentence in " ".join(each.sentence for each in failed)


def test_an_audit_finds_what_was_withdrawn_after_its_payment(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED, INVOICED, withdrawn(), again(), paid("53.50"))
    # As if the payment had come between the invoice and what withdrew it.
    with store.writing() as cursor:
        rows = cursor.execute(
            "SELECT notification_id, topic, state FROM settle.log WHERE topic IN (%s, 'statement.invoiced', 'statement.paid') "
            "ORDER BY notification_id", (WITHDRAWN,),
        ).fetchall()  # fmt: skip
        moved = [rows[0], rows[3], rows[1], rows[2]]
        for (position, _, _), (_, topic, state_) in zip(rows, moved, strict=True):
            cursor.execute(
                "UPDATE settle.log SET topic = %s, state = %s WHERE notification_id = %s", (topic, state_, position)
            )
    failed = " ".join(each.sentence for each in audit(store, OCTOBER).failed if each.check is Check.notes)
    assert "53.5 CNY was paid for it, and 59.5 is to pay" in failed
    assert "invoice SN-C-1-2026-10 was withdrawn after it was paid" in failed
