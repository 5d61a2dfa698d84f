"""A payment is returned: it is open again and nothing is paid twice, the journal takes it back on its day, and the bank is asked anew."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.outbound.notes import end_to_end
from consumers.outgoing import outgoing
from engine.aggregates.invoicing import AlreadyPaid, AlreadyReturned
from engine.aggregates.note import AGGREGATE, Note, Payment, ReturnedPayment
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import NotThere
from engine.events import (
    StatementInvoiced,
    StatementInvoiceWithdrawn,
    StatementPaid,
    StatementPaymentReturned,
    StatementSettled,
    Sum,
    Tax,
)
from engine.money import MICROS
from engine.settlement.noting import standing_of
from engine.store import journal, log, suspense
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.audit.findings import Check
from replay.rebuild.running import rebuild
from tests.aggregates.test_settlement_note import DAY, NOTE, after, confirmed
from tests.consumers.test_agents_notes import NOTES, accounts, chain
from tests.consumers.test_agents_notes import paid as agent_paid
from tests.consumers.test_agents_notes import step as agent_step
from tests.consumers.test_erased_accounts import erased, key, partner
from tests.consumers.test_personal import approved, bank
from tests.consumers.test_personal import take as take_sealed
from tests.consumers.test_run_day import did, position, run
from tests.replay.test_restate import _emptied as emptied
from tests.settlement.test_chains import OCTOBER
from tests.settlement.test_journal import balances
from tests.settlement.test_note_taxes import IN_LOG, closed, paid, proved
from tests.settlement.test_notes import CONFIRMED, INVOICED, PUBLISHED, SETTLED, found, refused, state, step
from tests.settlement.test_payments_in_parts import part
from tests.settlement.test_recording import kept, store, take
from tests.settlement.test_withdrawn_invoices import again, withdrawn

__all__ = ["chain", "key", "store"]

TO_INVOICE = (PUBLISHED, CONFIRMED, INVOICED)
PAID = paid("59.50")


def returned(reference: str = "B-1", on: str = "2026-12-03", author: str = "bob", **said: Any) -> bytes:
    data = {"currency": "CNY", "reference": reference, "reason": "AC04: account closed", "day": on} | said
    return step("statement.payment_returned", on, author, **data)


def anew(amount: str, reference: str, on: str = "2026-12-10", **said: Any) -> bytes:
    """Paid after that."""
    return part(amount, reference, on, **{"part": False} | said)


def test_what_was_paid_and_settled_is_open_again_and_is_paid_by_another_transfer(store: Store) -> None:
    closed(store)
    # 50.00 and 19% of it are 59.50.
    take(store, *TO_INVOICE, PAID, SETTLED)
    assert state(store) == "settled"
    known = position(store)
    take(store, returned())
    note: Note = found(store)
    assert (note.state, note.unpaid, note.payments) == ("invoiced", (Sum("CNY", "59.50"),), ())
    assert note.returned == (
        ReturnedPayment("CNY", 59_500_000, "B-1", date(2026, 11, 30), date(2026, 12, 3), "AC04: account closed", "SN-C-1-2026-10"),
    )  # fmt: skip
    owed = {"share expense": "50", "recoverable VAT": "9.5", "shares payable": "-59.5"}
    gone = {"share expense": "50", "recoverable VAT": "9.5", "bank": "-59.5"}
    assert balances(store) == owed
    for day, expected in (("2026-11-29", owed), ("2026-11-30", gone), ("2026-12-02", gone), ("2026-12-03", owed)):
        assert balances(store, at=date.fromisoformat(day)) == expected, day
    assert balances(store, at=date(2026, 12, 3), position=known) == gone, "as it was known before"
    proved(store)
    take(store, anew("59.50", "B-2"), step("statement.settled", "2026-12-11"))
    assert (state(store), balances(store)) == ("settled", gone)
    # A second time, from another transfer.
    take(store, returned("B-2", "2026-12-15"), anew("59.50", "B-3", "2026-12-16"))
    assert (state(store), balances(store), kept(store)) == ("paid", gone, [])
    proved(store)


def test_the_entry_is_that_of_the_payment_the_other_way_round(store: Store) -> None:
    closed(store)
    take(store, *TO_INVOICE, PAID, returned())
    with store.reading() as cursor:
        *_, there, back = journal.entries(cursor)
    assert (back.day, back.reference, back.contract, back.period) == (
        date(2026, 12, 3), "paid B-1, returned", "C-1", "2026-10",
    )  # fmt: skip
    assert [(each.account, each.party, f"{each.amount.normalize():f}") for each in back.postings] == [
        ("bank", "", "59.5"), ("shares payable", "P-1", "-59.5"),
    ]  # fmt: skip
    assert sorted(each._replace(amount=-each.amount) for each in back.postings) == sorted(there.postings)


def test_of_a_payment_with_a_wrong_day_nothing_stays_on_any_day(store: Store) -> None:
    closed(store)
    take(
        store,
        *TO_INVOICE,
        step("statement.paid", "2026-11-30", amount="59.50", currency="CNY", reference="B-1", day="2062-11-30"),
    )
    take(store, returned(reason="recorded with a wrong day"))
    for day in (date(2026, 12, 3), date(2062, 11, 29), date(2062, 11, 30)):
        assert balances(store, at=day) == {"share expense": "50", "recoverable VAT": "9.5", "shares payable": "-59.5"}
    proved(store)


def test_a_wrong_vat_of_a_paid_invoice_is_mended_once_its_payments_came_back(store: Store) -> None:
    closed(store)
    take(store, *TO_INVOICE, part("20.00", "B-1"), anew("39.50", "B-2", "2026-11-30"), SETTLED)
    take(store, returned("B-1"))
    assert (state(store), found(store).unpaid) == ("invoiced", (Sum("CNY", "20.00"),))
    assert refused(store, withdrawn(on="2026-12-03")) == "invoice-paid"
    take(store, returned("B-2", "2026-12-04"), withdrawn(on="2026-12-04", reason="it is 7%"), again("2026-12-05"))
    # At 7% it is 3.50.
    note: Note = found(store)
    assert (note.number, note.unpaid) == ("SN-C-1-2026-10.2", (Sum("CNY", "53.50"),))
    # A bank's reference names one transfer, whichever invoice that was for.
    assert refused(store, anew("53.50", "B-1")) == "already-paid"
    take(store, anew("53.50", "B-3"), step("statement.settled", "2026-12-11"))
    assert state(store) == "settled"
    assert balances(store) == {"share expense": "50", "recoverable VAT": "3.5", "bank": "-53.5"}
    proved(store)


REFUSED: list[tuple[list[bytes], bytes, str, str]] = [
    ([], returned(), "not-there", "no payment in CNY with reference B-1 is recorded"),
    ([PAID], returned("B-2"), "not-there", "send its statement.paid"),
    ([PAID], returned(currency="USD"), "not-there", "no payment in USD"),
    ([PAID], returned(author="ann"), "own-payment", "ann recorded the payment with reference B-1"),
    ([PAID], returned(on="2026-11-29"), "before-last-step", "has been paid since 2026-11-30"),
    ([PAID, SETTLED], returned(on="2026-11-30"), "before-last-step", "has been settled since 2026-12-01"),
    ([PAID, returned()], returned(on="2026-12-04"), "already-returned", "was returned on 2026-12-03 already: AC04"),
    ([PAID, returned(), anew("59.50", "B-2")], returned(on="2026-12-11"), "already-returned", "reference B-1"),
    ([PAID, returned()], anew("59.50", "B-1"), "already-paid", "reference B-1, which was returned on 2026-12-03; a further"),
    ([PAID, returned()], anew("59.51", "B-2"), "other-amount", "59.5 CNY is to pay"),
    ([PAID, returned()], step("statement.settled", "2026-12-04"), "wrong-state", "is invoiced"),
    ([PAID, returned(), withdrawn(on="2026-12-04")], returned(on="2026-12-05"), "wrong-state", "is confirmed"),
    ([PAID, returned()], withdrawn(on="2026-12-04", author="ann"), "own-invoice", "ann recorded"),
    ([part("20.00", "B-1"), part("9.50", "B-2"), returned()], withdrawn(on="2026-12-04"), "invoice-paid", "reference B-2, so its"),
    ([part("20.00", "B-1"), part("9.50", "B-2"), returned()], anew("50.01", "B-3"), "other-amount", "50 CNY is to pay"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "raw", "code", "sentence"), REFUSED, ids=[f"{n}-{case[2]}" for n, case in enumerate(REFUSED)]
)
def test_what_does_not_follow_is_refused(
    store: Store, before: list[bytes], raw: bytes, code: str, sentence: str
) -> None:
    closed(store)
    assert take(store, *TO_INVOICE, *before).recorded == len(before) + 3
    was = found(store)
    assert refused(store, raw) == code
    with store.reading() as cursor:
        assert sentence in suspense.entries(cursor)[-1].sentence
    assert found(store) == was


def test_the_same_message_again_is_a_duplicate_and_takes_nothing_back_twice(store: Store) -> None:
    closed(store)
    take(store, *TO_INVOICE, PAID, returned(), anew("59.50", "B-2"))
    was, accounted = found(store), balances(store)
    assert take(store, returned(), PAID).duplicate == 2
    assert (found(store), balances(store)) == (was, accounted)


@pytest.mark.parametrize("size", [1, 3])
def test_in_whatever_order_it_arrives_it_is_taken_after_its_payment(store: Store, size: int) -> None:
    """So is what overtook the return: another payment, which was too much before it."""
    steps = (PAID, returned(), anew("59.50", "B-2"))
    for order in itertools.permutations(steps):
        # Paid by B-2, it needs no B-1: what was overtaken is not taken later.
        if order.index(steps[2]) < order.index(steps[0]):
            continue
        emptied(store)
        closed(store)
        take(store, *TO_INVOICE)
        for at in range(0, len(order), size):
            take(store, *order[at : at + size])
        assert (state(store), kept(store)) == ("paid", []), order
        assert balances(store)["bank"] == "-59.5"
    assert rebuild(store).equal


def test_what_was_overtaken_by_another_payment_is_not_paid_as_well(store: Store) -> None:
    closed(store)
    take(store, *TO_INVOICE, returned(), anew("59.50", "B-2"), PAID)
    assert (state(store), balances(store)["bank"]) == ("paid", "-59.5")
    assert kept(store) == [("suspended", "before-last-step"), ("suspended", "wrong-state")]


def test_the_return_of_a_note_that_is_not_invoiced_yet_waits_for_that_as_well(store: Store) -> None:
    closed(store)
    take(store, returned())
    assert kept(store) == [("suspended", "not-there")]
    take(store, PUBLISHED)
    assert kept(store) == [("suspended", "wrong-state")]
    take(store, CONFIRMED, INVOICED)
    assert kept(store) == [("suspended", "not-there")]
    take(store, PAID)
    assert (kept(store), state(store), balances(store)["shares payable"]) == ([], "invoiced", "-59.5")


def test_a_withdrawal_of_the_invoice_that_overtook_the_return_is_taken_after_it(store: Store) -> None:
    closed(store)
    take(store, *TO_INVOICE, PAID, withdrawn(on="2026-12-04"))
    assert kept(store) == [("suspended", "invoice-paid")]
    take(store, returned())
    assert (kept(store), state(store)) == ([], "confirmed")
    # What was asked for before the payment came back is not taken then.
    take(
        store,
        again("2026-12-04"),
        anew("53.50", "B-2"),
        withdrawn("SN-C-1-2026-10.2", "2026-12-11"),
        returned("B-2", "2026-12-12"),
    )
    assert (kept(store), state(store)) == ([("suspended", "before-last-step")], "invoiced")


def returning(currency: str, reference: str) -> StatementPaymentReturned:
    said = NOTE | {"author": "bob"}
    return StatementPaymentReturned(**said, currency=currency, reference=reference, day=DAY, reason="r")


def paying(amount: int, currency: str, reference: str, *, part: bool = False) -> StatementPaid:
    return StatementPaid(**NOTE, amount=amount, currency=currency, reference=reference, day=DAY, part=part)


def test_what_the_partner_gave_back_is_returned_too_and_each_currency_is_by_itself() -> None:
    note = after(confirmed(("CNY", "-10.00"), ("JPY", "100")), StatementInvoiced(**NOTE, day=DAY, tax=Tax("S", "10")))
    # -10.00 and 10% are -11.00, 100 yen and 10% are 110. One transfer is for both, and set off against each other.
    note = after(note, paying(-11_000_000, "CNY", "T-1"), paying(110_000_000, "JPY", "T-1"), StatementSettled(**NOTE))
    note = after(note, returning("CNY", "T-1"))
    assert (note.state, note.unpaid) == ("invoiced", (Sum("CNY", "-11.00"),))
    assert [(each.currency, each.reference, each.author) for each in note.payments] == [("JPY", "T-1", "ann")]
    with pytest.raises(AlreadyReturned):
        after(note, returning("CNY", "T-1"))
    with pytest.raises(NotThere):
        after(note, returning("EUR", "T-1"))
    with pytest.raises(AlreadyPaid, match=r"was paid in JPY on 2026-12-01, reference T-1; write"):
        after(note, paying(110_000_000, "JPY", "T-2"))
    note = after(note, returning("JPY", "T-1"), paying(110_000_000, "JPY", "T-2"), paying(-11_000_000, "CNY", "T-2"))
    assert note.state == "paid"


REFERENCES = [f"T-{number}" for number in range(6)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.sampled_from(REFERENCES), st.sampled_from(["1", "9.99", "10", "59.5", "60"])),
        st.tuples(st.just("return"), st.sampled_from(REFERENCES), st.just("0")),
        st.tuples(st.sampled_from(["settle", "withdraw", "invoice"]), st.just(""), st.just("0")),
    ),
    max_size=30,
)


@given(STEPS, st.booleans())
def test_no_two_sums_that_were_ever_open_are_asked_for_as_one_transfer_and_none_is_paid_twice(
    steps: list[tuple[str, str, str]], negative: bool
) -> None:
    """A bank drops what it has by its end-to-end id. Same state, same id: so the same file is the same."""
    sign = -1 if negative else 1
    note = after(confirmed(("EUR", f"{sign * 50}.00")), StatementInvoiced(**NOTE, day=DAY, tax=Tax("S", "19")))
    asked: dict[str, Decimal] = {}
    net: dict[str, Decimal] = {}  # by transfer, of what stands
    made: set[str] = set()
    for name, reference, amount in steps:
        micros = sign * int(Decimal(amount) * MICROS)
        said = NOTE | {"author": "bob"}
        commands: dict[str, Any] = {
            "pay": lambda r=reference, m=micros: paying(m, "EUR", r, part=True),
            "return": lambda r=reference: returning("EUR", r),
            "settle": lambda: StatementSettled(**NOTE),
            "withdraw": lambda n=note.number, s=said: StatementInvoiceWithdrawn(**s, day=DAY, number=n or "SN", reason="r"),
            "invoice": lambda: StatementInvoiced(**NOTE, day=DAY, tax=Tax("S", "20")),
        }  # fmt: skip
        try:
            note = after(note, commands[name]())
        except Refused:
            continue
        if name == "pay":
            assert reference not in made
            made.add(reference)
            net[reference] = sign * Decimal(amount)
        elif name == "return":
            del net[reference]
        elif name == "withdraw":
            assert not net
        (to_pay,) = (Decimal(each.amount) for each in note.to_pay)
        left = to_pay - sum(net.values())
        assert 0 <= left * sign <= to_pay * sign
        assert sum(Decimal(each.amount) for each in note.unpaid) == left
        assert (note.state in {"paid", "settled"}) is (left == 0)
        assert tuple(AGGREGATE.groups(note)) == (("P-1",) if left > 0 else ())
        if note.state == "invoiced" and note.number is not None:
            assert asked.setdefault(end_to_end(note.number, note, "EUR"), left) == left


def test_a_day_asks_for_it_again_says_what_came_back_and_settles_it_when_it_is_paid_again(store: Store) -> None:
    closed(store)
    for day in ("2026-11-05", "2026-11-16"):
        run(store, day)
    take(store, PAID)
    assert did(run(store, "2026-11-30")) == ({}, [("settled", "2026-10")])
    take(store, returned())
    assert run(store, "2026-12-02").to_pay == (), "that day it was paid still"
    done = run(store, "2026-12-03")
    (owed,) = done.to_pay
    assert (did(done), owed.number, owed.amount, owed.overdue) == (
        ({}, []),
        "SN-C-1-2026-10",
        "59.50",
        True,
    )
    assert owed.returned == "B-1 was returned on 2026-12-03: AC04: account closed"
    take(store, anew("59.50", "B-2", "2026-12-04"))
    assert ("settled", "2026-10") in did(run(store, "2026-12-04"))[1]
    assert kept(store) == []


def test_an_agents_payment_comes_back_to_its_own_note(chain: Store) -> None:
    for day in ("2026-11-01", "2026-11-05", "2026-11-16"):
        run(chain, day)
    take(chain, *(agent_paid(agent) for agent in NOTES))
    run(chain, "2026-11-30")
    said = {"author": "bob", "currency": "CNY", "reference": "T parent", "day": "2026-12-02", "reason": "AC04"}
    take(chain, agent_step("payment_returned", "parent 2", "2026-12-02", **said))
    assert kept(chain) == [("suspended", "not-there")], "parent 2 was paid by another transfer"
    take(chain, agent_step("payment_returned", "parent", "2026-12-02", **said))
    # Of 333.34 the agent above has 66.67, which is owed to P-2 again.
    assert accounts(chain) == {
        ("share expense", ""): "333.34", ("bank", ""): "-266.67", ("shares payable", "P-2"): "-66.67",
    }  # fmt: skip
    (owed,) = run(chain, "2026-12-02").to_pay
    assert (owed.number, owed.partner, owed.amount) == ("SN-C-3-2026-10-parent", "P-2", "66.67")
    take(
        chain,
        agent_step("paid", "parent", "2026-12-03", amount="66.67", currency="CNY", reference="T 2", day="2026-12-03"),
    )
    assert accounts(chain) == {("share expense", ""): "333.34", ("bank", ""): "-333.34"}
    assert ("settled", "2026-10") in did(run(chain, "2026-12-03"))[1]
    assert rebuild(chain).equal
    assert audit(chain, OCTOBER).failed == []


def test_an_account_is_kept_while_what_came_back_is_to_be_paid_to_it(store: Store) -> None:
    closed(store)
    take_sealed(store, bank(), approved(), *TO_INVOICE, erased(), PAID)
    # Asked for before the payment, it was erased with it. What comes back then needs another account.
    assert (kept(store), partner(store).account) == ([], None)
    take_sealed(store, returned(), bank("b2", iban="GB82WEST12345698765432"), approved("a2"), erased("z2", 2))
    assert kept(store) == [("suspended", "account-in-use")]
    take_sealed(store, anew("59.50", "B-2"))
    assert (kept(store), partner(store).account) == ([], None)


def test_others_are_told_and_a_reader_sees_what_came_back(store: Store) -> None:
    closed(store)
    take(store, *TO_INVOICE, PAID, returned())
    with store.reading() as cursor:
        (entry,) = (entry for page in log.named(cursor, ["statement.payment_returned"], to=10**6) for entry in page)
        standing = standing_of(cursor, "C-1", OCTOBER)
    made = outgoing(entry)
    assert (made.topic, made.type) == ("statements", "settlement_note.payment_returned")
    said = msgspec.json.decode(made.value)["data"]
    del said["position"]
    assert said == {
        "contract": "C-1", "period": "2026-10", "author": "bob", "currency": "CNY", "reference": "B-1", "day": "2026-12-03",
        "reason": "AC04: account closed", "amount": "59.5", "paid": "2026-11-30", "partner": "P-1", "party": "partner",
        "number": "SN-C-1-2026-10",
    }  # fmt: skip
    assert standing is not None
    assert standing["open"] == [{"currency": "CNY", "amount": "59.50"}]
    assert list(standing["returned"]) == [
        {"currency": "CNY", "amount": "59.5", "reference": "B-1", "paid": "2026-11-30", "day": "2026-12-03",
         "reason": "AC04: account closed", "number": "SN-C-1-2026-10"},
    ]  # fmt: skip


RETURNED = "statement.payment_returned"
DID_NOT_STAND = "was returned, and did not stand"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("DELETE FROM settle.journal WHERE reference LIKE '%, returned'", "the journal does not say what its note means"),
        ("UPDATE settle.journal SET day = '2026-12-04' WHERE reference LIKE '%, returned'", "the journal does not say what"),
        (IN_LOG.format("59500000", "58500000", RETURNED), f"58.5 CNY paid on 2026-11-30 by B-1 for SN-C-1-2026-10 {DID_NOT_STAND}"),
        (IN_LOG.format("2026-11-30", "2026-11-29", RETURNED), f"paid on 2026-11-29 by B-1 for SN-C-1-2026-10 {DID_NOT_STAND}"),
        (IN_LOG.format("SN-C-1", "SN-C-2", RETURNED), f"for SN-C-2-2026-10 {DID_NOT_STAND}"),
        (IN_LOG.format('"B-1"', '"B-2"', RETURNED), f"by B-2 for SN-C-1-2026-10 {DID_NOT_STAND}"),
        (IN_LOG.format('"B-2"', '"B-1"', "statement.paid"), "it was paid by B-1, by which it had been paid before"),
        ("DELETE FROM settle.log WHERE topic = 'statement.payment_returned'", "59.5 CNY was paid for it, and 0 is to pay"),
        ("DELETE FROM settle.log WHERE topic = 'statement.paid' AND position('B-2'::bytea IN state) > 0",
         "it was settled, and 59.5 CNY is open"),
    ],
)  # fmt: skip
def test_an_audit_finds_a_return_that_was_changed(store: Store, change: str, sentence: str) -> None:
    closed(store)
    take(store, *TO_INVOICE, PAID, returned(), anew("59.50", "B-2"), step("statement.settled", "2026-12-11"))
    assert audit(store, OCTOBER).ok
    with store.writing() as cursor:
        changed: Any = cursor.execute(change).rowcount
    assert changed
    failed = [each for each in audit(store, OCTOBER).failed if each.check is Check.notes]
    assert sentence in " ".join(each.sentence for each in failed)


def test_payments_that_were_recorded_before_their_authors_were_kept_are_returned_by_anybody() -> None:
    note = after(confirmed(("CNY", "50.00")), StatementInvoiced(**NOTE, day=DAY), paying(50_000_000, "CNY", "T"))
    kept_before = msgspec.structs.replace(note, payments=(Payment("CNY", 50_000_000, "T", DAY),))
    assert after(kept_before, StatementPaymentReturned(
        **NOTE, currency="CNY", reference="T", day=DAY, reason="r")).state == "invoiced"  # fmt: skip
