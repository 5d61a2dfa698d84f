"""Exit closes with a final statement: what the periods carried is cleared on it, to the last unit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.settlement import closing
from engine.settlement.statements import NotInForce, view
from engine.store import journal
from engine.store.database import Store
from replay.again import replay
from replay.audit.auditing import audit
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import message, registered, signed
from tests.replay.test_restate import _emptied as emptied
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import kept, store, take
from tests.settlement.test_services import applied, approved, step

__all__ = ["store"]

NOW = datetime(2027, 6, 1, tzinfo=UTC)
# 40% is earned and recoups advances; what is left is held for 40 days after the period, and paid from 500 on.
PAYOUT = """\
  - {name: share, amount: 40% * sales}
  - {name: after advances, advance: {of: share, paid: advanced}, round: half_up}
  - {name: payable, payout: {of: after advances, hold: 40, minimum: 500}, round: half_up}
"""
ADVANCED = ", advanced: {event: advance.paid, sum: amount}"
SPLIT = """\
split:
  of: payable
  among: [{party: partner, portion: 2/3}, {party: broker, portion: remaining}]
"""


def live(**terms: Any) -> tuple[bytes, ...]:
    return (
        registered(), signed(valid_from="2026-10-01", **terms), applied(), approved(),
        step("launched", day="2026-10-01"),
    )  # fmt: skip


def left(day: str = "2026-11-20", service: str = "S-1") -> tuple[bytes, ...]:
    return (
        step("exit_requested", service=service, day="2026-11-12", reason="sold"),
        step("clearing_started", service=service, day="2026-11-15"),
        step("exited", service=service, day=day, author="Wu"),
    )


def deposit(what: str, amount: str, id: str = "") -> bytes:
    data = {"partner": "P-1", "contract": "C-1", "amount": amount, "currency": "CNY", "author": "Li"}
    return message(f"deposit.{what}", id or f"{what}-{amount}", data)


def advance(id: str, amount: str, month: int) -> bytes:
    data = {"contract": "C-1", "amount": amount, "currency": "CNY"}
    return message("advance.paid", id, data, f"2026-{month}-11T00:00:00Z")


def said(store: Store, period: Any, version: int = 1) -> dict[str, Any]:
    with store.reading() as cursor:
        return view(cursor, "C-1", period, version).statement


def proved(store: Store, *periods: Any) -> None:
    """Audited without a failure, replayed to the same digest, and rebuilt."""
    for period in periods:
        assert not audit(store, period).failed
        with store.reading() as cursor:
            again = replay(cursor, first=period, last=period).periods[0]
        assert (again.equal, again.differences) == (again.statements, ())
    assert rebuild(store).equal


def close(store: Store, *periods: Any) -> None:
    for period in periods:
        assert not closing.close(store, period, NOW).refused


def test_holds_are_paid_out_and_advances_claimed_back_with_the_deposit(store: Store) -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED), deposit("paid", "300.50"), deposit("returned", "100"))
    # October earns 40% of 1000, which nothing recoups; it is held beyond November. November earns 400 of which 150 are
    # recouped; then 600 are paid in advance.
    take(store, charge("1", "1000", 10), charge("2", "1000", 11), advance("a", "150", 11))
    close(store, OCTOBER)
    take(store, *left())
    take(store, charge("late", "1", 11, "C-1"), advance("b", "600", 11))
    assert kept(store) == []
    final = said(store, NOVEMBER)["final"]
    assert final["left"] == "2026-11-20"
    # 40% of 1001 is 400.40; of the 750 advanced it recoups all of itself: 349.60 stay unrecouped, and nothing more is held.
    assert [(line["name"], line["balance"], line["amount"]) for line in final["lines"]] == [
        ("unrecouped of after advances", "349.6", "-349.60"),
        ("held of payable 2026-12-10", "400", "400.00"),
        ("deposit", "200.5", "200.50"),
    ]
    assert said(store, NOVEMBER)["payable"] == "0.00"
    assert said(store, NOVEMBER)["balances"] == []
    # -349.60 + 400.00 + 200.50
    due = [{"currency": "CNY", "amount": "250.90", "parties": [{"party": "partner", "amount": "250.90"}]}]
    assert said(store, NOVEMBER)["due"] == due
    before = said(store, NOVEMBER)["digest"]
    close(store, NOVEMBER, DECEMBER)
    assert said(store, NOVEMBER)["digest"] == before
    with pytest.raises(NotInForce, match="its statement of 2026-11 is final; nothing is due for 2026-12"):
        said(store, DECEMBER)
    proved(store, OCTOBER, NOVEMBER)
    assert not restate(store, NOW).restated


def test_an_advance_is_taken_in_before_anything_is_launched(store: Store) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"), applied(), book(PAYOUT, measures=ADVANCED))
    take(store, advance("a", "150", 10), charge("1", "1000", 10))
    assert kept(store) == [("suspended", "service-not-live")]
    assert [b["amount"] for b in said(store, OCTOBER)["balances"]] == ["150"]


def test_what_is_cleared_is_shared_as_if_it_had_been_payable(store: Store) -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED, more=SPLIT), charge("1", "250.03", 11), deposit("paid", "10"))
    take(store, *left())
    close(store, OCTOBER, NOVEMBER)
    final = said(store, NOVEMBER)["final"]
    # 40% of 250.03 is 100.01, held; two thirds of it are 66.673..., and the odd unit goes to the first; the deposit is the
    # partner's alone.
    assert final["parties"] == [
        {"party": "partner", "currency": "CNY", "amount": "76.68"},
        {"party": "broker", "currency": "CNY", "amount": "33.33"},
    ]
    assert said(store, NOVEMBER)["due"][0]["amount"] == "110.01"
    proved(store, NOVEMBER)


GUARANTEE = """\
  - {name: royalty, amount: 10% * sales - penalty}
  - {name: payable, guarantee: {of: royalty, minimum: 75, recoup_within: 2}, round: half_up}
"""


def test_short_workings_lapse_since_nothing_is_left_to_recoup_them_from(store: Store) -> None:
    take(store, *live(), book(GUARANTEE.replace(" - penalty", "")), charge("1", "500", 10), *left("2026-10-31"))
    assert kept(store) == [("suspended", "day-too-early")], "it left before it asked to"
    take(store, step("exited", id="right", day="2026-11-16", author="Wu"))
    final = said(store, NOVEMBER)["final"]
    assert {(line["balance"], line["amount"]) for line in final["lines"]} == {("25", "0.00"), ("75", "0.00")}
    assert said(store, NOVEMBER)["due"][0]["amount"] == "75.00"


def test_penalties_that_remain_are_taken_out_of_the_deposit(store: Store) -> None:
    penal = "  - {name: payable, amount: 10% * sales - 40 * complaints, round: half_up}\n"
    complaints = ", complaints: {event: case.closed, count: events}"
    take(store, *live(), book(penal, measures=complaints), deposit("paid", "100"), charge("1", "500", 11), *left())
    case = {"partner": "P-1", "contract": "C-1", "kind": "complaint", "author": "Wu"}
    take(store, *(message("case.closed", f"k{i}", case | {"case": f"K-{i}"}, "2026-11-14T00:00:00Z") for i in range(3)))
    # 50 are earned, 3 complaints cost 120: 70 remain, and 30 of the deposit go back.
    assert said(store, NOVEMBER)["payable"] == "-70.00"
    assert said(store, NOVEMBER)["due"][0]["amount"] == "30.00"
    close(store, OCTOBER, NOVEMBER)
    proved(store, NOVEMBER)


def test_an_exit_that_is_told_late_becomes_an_adjustment(store: Store) -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED), charge("1", "1000", 11), deposit("paid", "50"))
    close(store, OCTOBER, NOVEMBER)
    assert said(store, NOVEMBER)["balances"] == [
        {"step": "payable", "kind": "held", "day": "2027-01-09", "amount": "400"}
    ]
    take(store, *left())
    (made,) = [each for each in restate(store, NOW).restated if each.adjustment["payable"]]
    assert made.before.period == "2026-11"
    (cause,) = made.causes
    assert [each["type"] for each in cause["named"]] == [
        "service.exit_requested", "service.clearing_started", "service.exited",
    ]  # fmt: skip
    assert [(line["name"], line["amount"]) for line in made.adjustment["lines"]] == [
        ("final: held of payable 2027-01-09", "400.00"), ("final: deposit", "50.00"),
    ]  # fmt: skip
    close(store, DECEMBER)
    december = said(store, DECEMBER)
    assert december["due"][0]["amount"] == "450.00"
    assert december["balances"] == []
    assert "final" not in december
    proved(store, OCTOBER, DECEMBER)
    with store.reading() as cursor:
        again = replay(cursor, first=NOVEMBER, last=NOVEMBER).periods[0]
    assert (again.equal, again.differences) == (1, ())
    assert not restate(store, NOW).restated


def test_what_comes_late_for_a_final_statement_goes_on_the_next(store: Store) -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED), charge("1", "1000", 11), *left())
    close(store, OCTOBER, NOVEMBER)
    assert said(store, NOVEMBER)["due"][0]["amount"] == "400.00"
    take(store, charge("late", "10", 11))
    (made,) = restate(store, NOW).restated
    assert made.adjustment["payable"] == [{"currency": "CNY", "was": "400.00", "now": "404.00", "amount": "4.00"}]
    close(store, DECEMBER)
    assert said(store, DECEMBER)["due"][0]["amount"] == "4.00"
    proved(store, DECEMBER)


def test_a_contract_is_left_when_its_last_service_is(store: Store) -> None:
    second = (applied("S-2"), approved("S-2"), step("launched", service="S-2", day="2026-10-01"))
    take(store, *live(), *second, book(PAYOUT, measures=ADVANCED), charge("1", "1000", 11), *left())
    assert "final" not in said(store, NOVEMBER)
    take(store, *left("2026-12-03", "S-2"))
    assert "final" not in said(store, NOVEMBER)
    assert said(store, DECEMBER)["final"]["left"] == "2026-12-03"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (deposit("returned", "100.01"), "deposit-too-small"),
        (deposit("paid", "0.001"), "not-whole"),
        (message("deposit.paid", "d", {"partner": "P-1", "contract": "C-1", "amount": "1", "currency": "USD"}),
         "currency-mismatch"),
    ],
)  # fmt: skip
def test_a_deposit_that_cannot_be_is_refused(store: Store, asked: bytes, code: str) -> None:
    take(store, *live(), deposit("paid", "100"), asked)
    assert kept(store) == [("suspended", code)]


def test_the_final_statement_alone_returns_what_is_held_after_the_exit(store: Store) -> None:
    take(store, *live(), deposit("paid", "100"), *left())
    take(store, deposit("returned", "100"), deposit("paid", "1"))
    assert kept(store) == [("suspended", "contract-left")] * 2


AMOUNTS = st.integers(1, 300_000).map(lambda cents: f"{cents // 100}.{cents % 100:02}")


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["charge", "advance"]), AMOUNTS, st.sampled_from([10, 11])), max_size=8),
    st.sampled_from(["", SPLIT]),
    st.none() | AMOUNTS,
)
def test_nothing_is_lost_on_the_way_out(
    store: Store, happened: list[tuple[str, str, int]], split: str, paid: str | None
) -> None:
    emptied(store)
    take(store, *live(), book(PAYOUT, measures=ADVANCED, more=split))
    take(store, *([deposit("paid", paid)] if paid else []))
    for number, (what, amount, month) in enumerate(happened):
        take(store, (charge if what == "charge" else advance)(f"e{number}", amount, month))
    take(store, *left())
    assert kept(store) == []
    close(store, OCTOBER, NOVEMBER)
    due = [said(store, period)["due"][0] for period in (OCTOBER, NOVEMBER)]
    assert all(Decimal(each["amount"]) == sum(Decimal(p["amount"]) for p in each["parties"]) for each in due)
    # All that was earned, less all that was advanced, and the deposit: within a cent for each rounding of two periods.
    earned = Decimal("0.4") * sum(Decimal(amount) for what, amount, _ in happened if what == "charge")
    advanced = sum(Decimal(amount) for what, amount, _ in happened if what == "advance")
    together = sum(Decimal(each["amount"]) for each in due)
    assert abs(together - (earned - advanced + Decimal(paid or 0))) <= Decimal("0.04")
    proved(store, OCTOBER, NOVEMBER)


def test_the_journal_of_a_contract_that_was_left_owes_all_and_holds_nothing(store: Store) -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED), deposit("paid", "100"))
    take(store, charge("1", "1000", 10), charge("2", "500", 11))
    closing.close(store, OCTOBER, NOW)
    with store.reading() as cursor:
        held = {each.account: each.amount for each in journal.balances(cursor)}
    # 40% of 1,000.00 waits for 40 days after October; the deposit of 100.00 lies in the bank.
    assert held == {"share expense": 400, "held shares": -400, "bank": 100, "deposits": -100}
    take(store, *left("2026-11-30"))
    closing.close(store, NOVEMBER, NOW)
    with store.reading() as cursor:
        found = {each.account: each.amount for each in journal.balances(cursor)}
    # 400.00 of October and 200.00 of November are owed with the deposit.
    assert found == {"share expense": 600, "accrued shares": -700, "bank": 100}
    assert audit(store, NOVEMBER).ok
    assert rebuild(store).equal
