"""A contract ends with the period in which its last service did: no minimum is owed from then on, nor charged."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from engine.settlement import closing
from engine.settlement.statements import NotInForce
from engine.store import registry, suspense
from engine.store.database import Store
from replay.again import replay
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import message
from tests.replay.test_again_and_compare import compared
from tests.settlement.test_cases import BOOK, MEASURES, case
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_final_statements import (
    ADVANCED,
    GUARANTEE,
    NOW,
    PAYOUT,
    advance,
    close,
    left,
    live,
    proved,
    said,
)
from tests.settlement.test_leads import lead
from tests.settlement.test_leads import step as lead_step
from tests.settlement.test_recording import kept, store, take
from tests.settlement.test_services import applied, step

__all__ = ["store"]

MINIMUM = GUARANTEE.replace(" - penalty", "")
JANUARY = DECEMBER.next()


def contract(store: Store) -> Any:
    with store.reading() as cursor:
        return registry.contracts(cursor, ["C-1"])["C-1"]


def test_the_minimum_of_the_last_period_is_whole_and_none_is_owed_after_it(store: Store) -> None:
    take(store, *live(), book(MINIMUM), charge("1", "500", 10), charge("2", "610", 11), *left())
    assert (contract(store).valid_to, contract(store).left_on) == (date(2026, 12, 1), date(2026, 11, 20))
    close(store, OCTOBER, NOVEMBER)
    # 10% of 500 and of 610 are less than 75, which are owed for all of November although it was left on the 20th.
    assert [said(store, each)["due"][0]["amount"] for each in (OCTOBER, NOVEMBER)] == ["75.00", "75.00"]
    assert closing.close(store, DECEMBER, NOW) == (0, 0, (), None)
    with pytest.raises(
        NotInForce, match="left on 2026-11-20, and its statement of 2026-11 is final; nothing is due for 2026-12"
    ):
        closing.close(store, DECEMBER, NOW, "C-1")
    with pytest.raises(NotInForce, match="nothing is due for 2026-12"):
        said(store, DECEMBER)
    proved(store, OCTOBER, NOVEMBER)
    with store.reading() as cursor:
        again = replay(cursor, first=OCTOBER, last=JANUARY).periods
    assert [(str(each.period), each.statements) for each in again if each.statements] == [
        ("2026-10", 1),
        ("2026-11", 1),
    ]
    assert not restate(store, NOW).restated
    found = compared(store, book(MINIMUM.replace("75", "80"), version=2, valid_from="2026-10-01"))
    assert found.totals["CNY"] == (Decimal(150), Decimal(160))
    moved = found.changed.filter(kind="payable").select("period", "moved").rows()
    assert moved == [("2026-10", Decimal(5)), ("2026-11", Decimal(5))]


def test_what_comes_late_for_the_last_period_is_adjusted_on_a_statement_of_its_own(store: Store) -> None:
    take(store, *live(), book(MINIMUM), charge("1", "500", 11), *left())
    close(store, OCTOBER, NOVEMBER)
    take(store, charge("late", "500", 11))
    (made,) = restate(store, NOW).restated
    # 10% of 1000 are 100; October's 75 of short-workings are recouped of them down to the minimum.
    assert (made.before.period, made.statement["payable"]) == ("2026-11", "75.00")
    take(store, charge("later", "1000", 11))
    (made,) = restate(store, NOW).restated
    # 200 less the 75 that were paid in October.
    assert made.adjustment["payable"] == [{"currency": "CNY", "was": "75.00", "now": "125.00", "amount": "50.00"}]
    close(store, DECEMBER)
    december = said(store, DECEMBER)
    assert (december["lines"], december["payable"], december["due"][0]["amount"]) == ([], "0.00", "50.00")
    proved(store, OCTOBER, DECEMBER)
    close(store, JANUARY)
    with pytest.raises(NotInForce):
        said(store, JANUARY)


def test_a_minimum_that_was_issued_before_the_exit_was_told_is_taken_back(store: Store) -> None:
    take(store, *live(), book(MINIMUM))
    close(store, OCTOBER, NOVEMBER, DECEMBER)
    take(store, *left())
    assert [said(store, each)["payable"] for each in (NOVEMBER, DECEMBER)] == ["75.00", "75.00"]
    made = {each.before.period: each for each in restate(store, NOW).restated}
    assert made["2026-12"].adjustment["payable"] == [
        {"currency": "CNY", "was": "75.00", "now": "0.00", "amount": "-75.00"}
    ]
    assert made["2026-12"].causes == ({"cause": "contract not in force", "valid_to": "2026-12-01"},)
    assert made["2026-11"].adjustment["payable"] == []
    close(store, JANUARY)
    assert said(store, JANUARY)["due"][0]["amount"] == "-75.00"
    proved(store, OCTOBER, JANUARY)
    assert not restate(store, NOW).restated


TOLD = (
    *live(), book(PAYOUT, measures=ADVANCED), charge("1", "1000", 11), *left(),
    advance("within", "10", 11), advance("after", "20", 12), charge("after too", "5", 12),
)  # fmt: skip


@pytest.mark.parametrize("size", [1, 3, len(TOLD)])
def test_an_advance_for_a_day_after_the_last_period_is_refused_however_batches_are_cut(store: Store, size: int) -> None:
    for at in range(0, len(TOLD), size):
        take(store, *TOLD[at : at + size])
    assert kept(store) == [("suspended", "not-in-force")] * 2
    with store.reading() as cursor:
        assert "up to 2026-12-01" in suspense.entries(cursor)[0].sentence
    # 400 less the 10 that were paid within November.
    assert said(store, NOVEMBER)["due"][0]["amount"] == "390.00"
    assert rebuild(store).equal


AFTER = (*live(), book(PAYOUT, measures=ADVANCED), charge("1", "1000", 11), charge("2", "1000", 12), *left())


@pytest.mark.parametrize("size", [1, 2, len(AFTER)])
def test_a_contract_does_not_end_before_usage_that_is_recorded_however_batches_are_cut(store: Store, size: int) -> None:
    for at in range(0, len(AFTER), size):
        take(store, *AFTER[at : at + size])
    assert kept(store) == [("suspended", "usage-afterwards")]
    with store.reading() as cursor:
        assert "end it with a day in 2026-12 or later" in suspense.entries(cursor)[0].sentence
    assert contract(store).valid_to is None
    take(store, step("exited", id="again", day="2026-12-01", author="Wu"))
    assert contract(store).valid_to == date(2027, 1, 1)
    # 40% of 1000 in each of the two months is held, and nothing of it is lost.
    assert said(store, DECEMBER)["due"][0]["amount"] == "800.00"
    assert rebuild(store).equal


CLOSED = case("closed", "2026-12-08T04:00:00Z", upheld=True, compensation="30", currency="CNY")
WON = (
    lead(customer="Co", product="fibre", expires="2027-10-01"),
    lead_step("accepted"),
    lead_step("won", time="2026-12-10T08:15:00Z"),
)


@pytest.mark.parametrize("recorded", [(case("opened", "2026-12-08T02:00:00Z"), CLOSED), WON])
@pytest.mark.parametrize("size", [1, 100])
def test_a_contract_does_not_end_before_a_compensation_or_a_won_lead(
    store: Store, recorded: tuple[bytes, ...], size: int
) -> None:
    told = (*live(), book(BOOK, measures=MEASURES), charge("1", "1000", 11), *recorded, *left())
    for at in range(0, len(told), size):
        take(store, *told[at : at + size])
    assert kept(store) == [("suspended", "usage-afterwards")]
    assert contract(store).valid_to is None
    take(store, step("exited", id="again", day="2026-12-10", author="Wu"))
    assert contract(store).valid_to == date(2027, 1, 1)
    assert said(store, DECEMBER)["final"]
    assert rebuild(store).equal


def test_a_lead_that_was_not_won_does_not_keep_a_contract_from_ending(store: Store) -> None:
    take(store, *live(), lead(time="2026-12-08T02:00:00Z", expires="2027-10-01"), *left())
    assert (kept(store), contract(store).left_on) == ([], date(2026, 11, 20))


def test_a_compensation_that_no_statement_would_have_is_refused(store: Store) -> None:
    before = [case("opened", "2026-11-08T02:00:00Z", id_) for id_ in ("K-1", "K-2", "K-3")]
    charged = case("closed", "2026-11-09T02:00:00Z", "K-2", upheld=True, compensation="20", currency="CNY")
    take(store, *live(), book(BOOK, measures=MEASURES), charge("1", "1000", 11), *before, charged, *left())
    reopened = case("reopened", "2026-12-08T02:00:00Z", "K-2")
    take(store, CLOSED, reopened, case("closed", "2026-12-08T02:00:00Z", "K-3", upheld=True))
    assert kept(store) == [("suspended", "not-in-force")] * 2
    with store.reading() as cursor:
        sentences = [each.sentence for each in suspense.entries(cursor)]
    assert (
        "in force from 2026-10-01 up to 2026-12-01, and case K-1 was closed, with a compensation, on 2026-12-08"
        in sentences[0]
    )
    # Of the last period they are taken, after the day of the exit too: half of 1000, less 20 and 20, and 30 and 20.
    take(store, case("closed", "2026-11-30T10:00:00Z", upheld=True, compensation="30", currency="CNY"))
    assert said(store, NOVEMBER)["payable"] == "410.00"


def test_usage_after_the_contract_was_terminated_does_not_keep_its_service_from_ending(store: Store) -> None:
    take(store, *AFTER[:-1], message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-12-01"}))
    take(store, AFTER[-1])
    assert (kept(store), contract(store).left_on) == ([], date(2026, 11, 20))


def test_a_further_service_under_a_contract_that_was_left_is_refused(store: Store) -> None:
    take(store, *live(), book(MINIMUM), *left(), applied("S-2"))
    assert kept(store) == [("suspended", "contract-left")]


def test_a_rejected_application_leaves_a_contract_whose_other_services_have_ended(store: Store) -> None:
    take(store, *live(), book(MINIMUM), applied("S-2"), *left())
    assert contract(store).left_on is None
    take(store, step("reviewed", service="S-2", approved=False, author="Wu", reason="none"))
    assert kept(store) == []
    assert contract(store).left_on == date(2026, 11, 20)
    assert rebuild(store).equal


@pytest.mark.parametrize(
    ("days", "ends"),
    [
        # The contract's own end, or one that is told later, counts where it comes first.
        ({"valid_to": "2026-11-25"}, date(2026, 11, 25)),
        ({"valid_to": "2027-10-01"}, date(2026, 12, 1)),
        ({"calendar": "quarterly"}, date(2027, 1, 1)),
    ],
)
def test_a_contract_ends_with_the_period_or_before(store: Store, days: dict[str, str], ends: date) -> None:
    take(store, *live(**days), book(MINIMUM), *left())
    assert contract(store).valid_to == ends
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2028-01-01"}))
    assert (kept(store), contract(store).valid_to) == ([], ends)
    assert rebuild(store).equal
