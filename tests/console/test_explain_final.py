"""Every amount of a final statement says where it comes from: the earlier periods, the deposit's events, the steps."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.store.database import Store
from replay.restate import restate
from tests.console.test_commands import Settle, settle
from tests.histories import message
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_final_statements import (
    ADVANCED,
    GUARANTEE,
    NOW,
    PAYOUT,
    SPLIT,
    advance,
    close,
    deposit,
    left,
    live,
)
from tests.settlement.test_recording import store, take

__all__ = ["settle", "store"]


def explained(settle: Settle, line: str, *more: str, period: str = "2026-11") -> dict[str, Any]:
    (reason,) = settle("explain", "C-1", period, line, "--json", *more).json["reasons"]
    return reason


def parts(reason: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    assert sum(Decimal(part["value"]) for part in reason["parts"]) == Decimal(reason["value"])
    return [(part["name"], part["value"], part.get("note")) for part in reason["parts"]]


def event_ids(reason: dict[str, Any]) -> set[str]:
    below = [event_ids(part) for part in reason.get("parts", ())]
    return {event["id"] for event in reason.get("events", ())}.union(*below)


def filled(store: Store, *first: bytes, more: str = "") -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED, more=more), *first)
    take(store, charge("1", "1000", 10), charge("2", "1000", 11), advance("a", "150", 10), advance("b", "1000.006", 11))


def test_a_balance_comes_from_the_periods_that_changed_it_and_those_from_their_events(
    settle: Settle, store: Store
) -> None:
    filled(store)
    close(store, OCTOBER)
    take(store, *left())
    # October earns 400, recoups the 150 and holds 250; November recoups its 400 of the 1000.006.
    held = explained(settle, "final: held of payable 2026-12-10")
    assert (held["value"], held["note"]) == ("250.00", "250 paid out")
    assert parts(held) == [("2026-10", "250", "0 before, 250 after, by its statement, closed")]
    assert event_ids(held) == {"1", "a"}
    claimed = explained(settle, "final: unrecouped of after advances")
    assert (claimed["value"], claimed["note"]) == ("-600.01", "600.006 claimed back")
    assert parts(claimed) == [
        ("2026-11", "-600.006", "0 before, 600.006 after, by its statement, open"),
        ("rounding", "-0.004", "as the step is rounded"),
    ]
    assert event_ids(claimed) == {"2", "b"}
    close(store, NOVEMBER)
    after = explained(settle, "final: unrecouped of after advances")
    assert after["parts"][0]["statement"]["state"] == "closed"
    assert (parts(after)[1:], event_ids(after)) == (parts(claimed)[1:], {"2", "b"})


def test_a_balance_of_three_periods_stands_on_each_of_them(settle: Settle, store: Store) -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED), charge("1", "100", 10), charge("2", "50", 11))
    take(store, advance("a", "300", 10), advance("b", "30", 11))
    take(store, *left("2026-12-04"))
    close(store, OCTOBER)
    # 300 less 40% of 100 is 260; with 30 less 40% of 50 it is 270; December leaves it so, and November is still open.
    claimed = explained(settle, "final: unrecouped of after advances", period="2026-12")
    assert claimed["value"] == "-270.00"
    assert parts(claimed) == [
        ("2026-10", "-260", "0 before, 260 after, by its statement, closed"),
        ("2026-11", "-10", "260 before, 270 after, by its statement, open"),
    ]


def test_the_deposit_comes_from_what_was_paid_and_given_back(settle: Settle, store: Store) -> None:
    filled(store, deposit("paid", "300.50"), deposit("returned", "100"), deposit("paid", "9.5"))
    take(store, *left())
    close(store, OCTOBER, NOVEMBER)
    found = explained(settle, "final: deposit")
    assert (found["value"], found["note"]) == ("210.00", "210 given back")
    assert parts(found) == [("deposit.paid", "310", None), ("deposit.returned", "-100", None)]
    told = [[(event["id"], event["value"]) for event in part["events"]] for part in found["parts"]]
    assert told == [[("paid-300.50", "300.5"), ("paid-9.5", "9.5")], [("returned-100", "-100")]]


def test_what_lapses_says_what_it_was_and_comes_to_nothing(settle: Settle, store: Store) -> None:
    steps = GUARANTEE.replace(" - penalty", "")
    take(store, *live(), book(steps), charge("1", "500", 10), *left())
    found = explained(settle, "final: short-workings of payable 2027-01-01")
    # 10% of 500 is 25 short of 75.
    assert (found["value"], found["note"]) == ("0.00", "25 lapses")
    assert [row[:2] for row in parts(found)] == [("2026-10", "25"), ("lapses", "-25")]


def test_a_penalty_is_found_in_what_is_due_by_its_step(settle: Settle, store: Store) -> None:
    penal = "  - {name: payable, amount: 10% * sales - 40 * complaints, round: half_up}\n"
    take(store, *live(), book(penal, measures=", complaints: {event: case.closed, count: events}"))
    take(store, deposit("paid", "100"), charge("1", "500", 11), *left())
    case = {"partner": "P-1", "contract": "C-1", "kind": "complaint", "author": "Wu"}
    take(store, *(message("case.closed", f"k{i}", case | {"case": f"K-{i}"}, "2026-11-14T00:00:00Z") for i in range(3)))
    # 50 are earned, 3 complaints cost 120: 30 of the deposit go back.
    due = explained(settle, "due CNY")
    assert due["value"] == "30.00"
    assert [row[:2] for row in parts(due)] == [("payable", "-70.00"), ("final: deposit", "100.00")]
    assert event_ids(due) == {"1", "paid-100"}
    assert [row[:2] for row in parts(explained(settle, "due CNY to partner"))] == [
        ("partner", "-70.00"), ("final: deposit", "100.00"),
    ]  # fmt: skip


def test_each_party_gets_its_share_of_what_is_cleared(settle: Settle, store: Store) -> None:
    take(store, *live(), book(PAYOUT, measures=ADVANCED, more=SPLIT), charge("1", "250.03", 11), deposit("paid", "10"))
    take(store, *left())
    # 100.01 are held; two thirds of them, and the odd unit, are 66.68; the deposit is the partner's alone.
    assert [row[:2] for row in parts(explained(settle, "due CNY to partner"))] == [
        ("partner", "0.00"), ("share", "66.68"), ("final: deposit", "10.00"),
    ]  # fmt: skip
    assert [row[:2] for row in parts(explained(settle, "due CNY to broker"))] == [
        ("broker", "0.00"), ("share", "33.33"),
    ]  # fmt: skip


def test_a_final_statement_told_late_is_explained_in_its_version_and_on_the_next(settle: Settle, store: Store) -> None:
    filled(store)
    close(store, OCTOBER, NOVEMBER)
    refused = settle("explain", "C-1", "2026-11", "final: held of payable 2026-12-10")
    assert (refused.status, "it has share, after advances, payable, partner" in refused.err) == (1, True)
    take(store, *left(), charge("late", "10", 10))
    restate(store, NOW)
    # 40% of 10 more in October.
    found = explained(settle, "final: held of payable 2026-12-10", "--version", "2")
    assert parts(found) == [("2026-10", "254", "0 before, 254 after, by its statement, version 2, restated")]
    assert event_ids(found) == {"1", "late", "a"}
    close(store, DECEMBER)
    due = explained(settle, "due CNY", period="2026-12")
    # 254.00 paid out and 600.01 claimed back in November; the payable amounts of both were 0.00 and stay so.
    assert due["value"] == "-346.01"
    assert [row[:2] for row in parts(due)] == [("payable", "0.00"), ("adjustment of 2026-11", "-346.01")]


def test_every_amount_stands_once_where_none_is_named_and_fits_a_terminal(settle: Settle, store: Store) -> None:
    filled(store, deposit("paid", "100"), more=SPLIT)
    take(store, *left())
    close(store, OCTOBER, NOVEMBER)
    all_ = settle("explain", "C-1", "2026-11", "--json").json["reasons"]
    assert [reason["name"] for reason in all_] == [
        "share", "after advances", "payable", "partner", "broker", "final: unrecouped of after advances",
        "final: held of payable 2026-12-10", "final: deposit", "due CNY", "due CNY to partner", "due CNY to broker",
    ]  # fmt: skip
    assert not any("parts" in part for reason in all_ if "final" in reason["name"] for part in reason["parts"])
    shown = settle("explain", "C-1", "2026-11", "due CNY").out
    assert "250  2026-10: 0 before, 250 after, by its statement, closed" in shown
    assert "paid-100 100" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
