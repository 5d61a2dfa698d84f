"""Periods that leave something to the next, contracts that are settled together, rates, grades and points: in the store."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from console import status
from engine.aggregates.refusal import Refused
from engine.period import Period
from engine.settlement import closing, points, scoring
from engine.settlement.statements import view
from engine.store.database import Store
from tests.histories import charged, message, registered, signed
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]

NOW = datetime(2027, 2, 1, tzinfo=UTC)
OCTOBER, NOVEMBER, DECEMBER = (Period.parse(f"2026-{month}") for month in (10, 11, 12))
HEAD = """\
rulebook: simple
version: 1
valid_from: 2026-01-01
currency: CNY
measures: {sales: {event: billing.charged, sum: amount}%s}
"""


def book(steps: str, *, measures: str = "", more: str = "", version: int = 1, valid_from: str = "2026-01-01") -> bytes:
    text = (HEAD % measures).replace("version: 1", f"version: {version}").replace("2026-01-01", valid_from)
    data = {"rulebook": "simple", "version": version, "text": f"{text}waterfall:\n{steps}{more}"}
    return message("rulebook.published", f"r{version}", data)


def amounts(store: Store, period: Period, contract: str = "C-1") -> dict[str, str]:
    with store.reading() as cursor:
        statement = view(cursor, contract, period).statement
    balances = {f"{b['kind']} {b.get('day', '')}".strip(): b["amount"] for b in statement["balances"]}
    return {line["name"]: line["amount"] for line in statement["lines"]} | balances | {"state": statement["state"]}


def charge(id: str, amount: str, month: int, contract: str = "C-1", **fields: Any) -> bytes:
    return charged(id, contract, amount, time=f"2026-{month}-10T00:00:00Z", **fields)


GUARANTEE = """\
  - {name: royalty, amount: 10% * sales}
  - {name: due, guarantee: {of: royalty, minimum: 75, recoup_within: 2}, round: half_up}
"""


def guaranteed(store: Store) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"), book(GUARANTEE))
    take(store, charge("1", "500", 10), charge("2", "610", 11), charge("3", "1040", 12))


def test_what_a_period_leaves_is_what_the_next_begins_with_open_or_closed(store: Store) -> None:
    guaranteed(store)
    open_ = [amounts(store, period) for period in (OCTOBER, NOVEMBER, DECEMBER)]
    assert [(each["royalty"], each["due"]) for each in open_] == [("50", "75.00"), ("61", "75.00"), ("104", "75.00")]
    assert open_[2]["short-workings 2027-02-01"] == "10"
    for period in (OCTOBER, NOVEMBER, DECEMBER):
        assert closing.close(store, period, NOW).closed == 1
    closed = [amounts(store, period) for period in (OCTOBER, NOVEMBER, DECEMBER)]
    assert [each | {"state": "open"} for each in closed] == open_


def test_a_period_closes_after_the_one_whose_balances_it_takes(store: Store) -> None:
    guaranteed(store)
    (refusal,) = closing.close(store, NOVEMBER, NOW).refused
    assert (refusal.contract, refusal.code) == ("C-1", "earlier-period-open")
    assert "2026-10 is not closed; close it first" in refusal.sentence
    assert closing.close(store, OCTOBER, NOW).closed == closing.close(store, NOVEMBER, NOW).closed == 1


def test_a_balance_whose_step_a_later_version_lacks_is_passed_on(store: Store) -> None:
    guaranteed(store)
    take(store, book("  - {name: due, amount: 10% * sales, round: half_up}\n", version=2, valid_from="2026-11-01"))
    assert amounts(store, NOVEMBER) == {"due": "61.00", "short-workings 2027-01-01": "25", "state": "open"}
    take(store, book("  - {name: paid, amount: 10% * sales, round: half_up}\n", version=3, valid_from="2026-12-01"))
    assert amounts(store, DECEMBER)["short-workings 2027-01-01"] == "25"


POOL = """\
  - {name: pool share, pool: {of: sales, by: uses}}
  - {name: payable, amount: 70% * pool share, round: half_up}
"""


def used(id: str, contract: str, quantity: int) -> bytes:
    data = {"contract": contract, "meter": "streams", "quantity": quantity}
    return message("usage.recorded", id, data)


def test_a_pool_is_divided_over_all_contracts_and_closes_at_once(store: Store) -> None:
    uses = ", uses: {event: usage.recorded, sum: quantity}"
    take(store, registered(), signed("C-1"), signed("C-2"), signed("C-3"), book(POOL, measures=uses))
    take(store, charge("1", "1000", 10, "C-3"), used("2", "C-1", 3), used("3", "C-2", 1))
    assert amounts(store, OCTOBER)["pool share"] == "750"
    assert amounts(store, OCTOBER, "C-2")["payable"] == "175.00"
    (refusal,) = closing.close(store, OCTOBER, NOW, "C-1").refused
    assert refusal.code == "closes-together"
    assert closing.close(store, OCTOBER, NOW).closed == 3
    assert amounts(store, OCTOBER, "C-2") == {"pool share": "250", "payable": "175.00", "state": "closed"}
    take(store, signed("C-4"), used("4", "C-4", 100))
    assert [refusal.code for refusal in closing.close(store, OCTOBER, NOW).refused] == ["closes-together"]
    assert amounts(store, OCTOBER)["pool share"] == "750"


def published_rate(id: str, rate: str, day: str) -> bytes:
    data = {"publisher": "ECB", "base": "EUR", "quote": "CNY", "rate": rate, "day": day}
    return message("fx.rate_published", id, data)


CONVERTED = """\
  - {name: from euros, convert: {of: euros, to: CNY, publisher: ECB, on: last_day, within: 3}}
  - {name: payable, amount: sales + from euros, round: half_up}
"""


def test_a_missing_rate_holds_the_statement_and_its_arrival_frees_it(store: Store) -> None:
    euros = ", euros: {event: billing.charged, sum: amount, currency: EUR}"
    text = book(CONVERTED, measures=euros).replace(b"currency: CNY\\n", b"currency: CNY\\ncurrencies: [EUR]\\n", 1)
    take(store, registered(), signed(), text)
    counts = take(
        store, charge("1", "10", 10), charge("2", "100", 10, currency="EUR"), charge("3", "9", 10, currency="USD")
    )
    assert (counts.recorded, counts.suspended) == (2, 1)
    (refusal,) = closing.close(store, OCTOBER, NOW).refused
    assert refusal.code == "rate-missing"
    assert "ECB published no rate of EUR to CNY for 2026-10-31 or up to 3 days before" in refusal.sentence
    take(store, published_rate("fx1", "7.5", "2026-10-27"))
    with pytest.raises(Refused, match="rate"):
        amounts(store, OCTOBER)
    take(store, published_rate("fx2", "7.8", "2026-10-29"), published_rate("fx3", "7.9", "2026-11-01"))
    assert closing.close(store, OCTOBER, NOW).closed == 1
    assert amounts(store, OCTOBER)["payable"] == "790.00"


CLAWBACK = """\
  - name: share
    tiers: {of: sales, mode: graduated, bands: [{upto: 100, rate: %s}, {rate: 50%%}]}
  - {name: clawback, clawback: {of: share, base: sales, returns: refunds}}
  - {name: payable, amount: share + clawback, round: half_up}
"""


def test_a_refund_takes_back_the_share_by_the_rule_of_its_charge(store: Store) -> None:
    refunds = ", refunds: {event: billing.refunded, sum: amount}"
    take(store, registered(), signed(valid_from="2026-10-01"), book(CLAWBACK % "10%", measures=refunds))
    take(store, book(CLAWBACK % "20%", measures=refunds, version=2, valid_from="2026-11-01"))
    take(store, charge("1", "150", 10), charge("2", "80", 11))
    assert closing.close(store, OCTOBER, NOW).closed == 1
    refund = {
        "contract": "C-1",
        "amount": "60",
        "currency": "CNY",
        "refunds": "1",
        "charged_at": "2026-10-10T00:00:00Z",
    }
    take(store, message("billing.refunded", "3", refund, "2026-11-20T00:00:00Z"))
    # October: 10% of 100 and 50% of 50 is 35; of 90 it is 9. November: 20% of 80.
    november = amounts(store, NOVEMBER)
    assert (november["share"], november["clawback"], november["payable"]) == ("16", "-26", "-10.00")
    assert november["returned 2026-10-01"] == "60"
    assert closing.close(store, NOVEMBER, NOW).closed == 1
    assert amounts(store, NOVEMBER) == november | {"state": "closed"}
    take(store, message("billing.refunded", "4", refund | {"amount": "90"}, "2026-12-20T00:00:00Z"))
    assert amounts(store, DECEMBER)["clawback"] == "-9"


ASSESSED = """\
  - {name: net, amount: sales}
  - name: share
    coefficient: {of: net, grade: previous, factors: {A: 110%, B: 100%}, ungraded: 100%}
    round: half_up
points:
  earn:
    - {name: sales points, of: net, rate: 10%}
    - {name: training, of: courses, rate: 50}
    - {name: complaint, of: complaints, rate: -20}
  expiry: {after: P12M, to: end_of_month}
  levels: {of: balance, bands: [{name: basic, from: 0}, {name: gold, from: 100}]}
assessment:
  metrics:
    - {name: complaint rate, weight: 100%, value: 100 * complaints / net, linear: [{at: 0, score: 100}, {at: 1, score: 0}], otherwise: 50}
  grades: [{below: 60, grade: B}, {upto: 100, grade: A}]
  consequences: {A: {points: 25}, B: {action: warning}}
"""
MEASURES = (
    ", complaints: {event: case.closed, count: events, where: {kind: complaint, upheld: 'yes'}}"
    ", courses: {event: training.completed, count: events}"
)


def assessed(store: Store) -> None:
    take(store, registered(), registered("P-2"), signed(valid_from="2026-10-01"))
    take(store, signed("C-2", partner="P-2", valid_from="2026-10-01"))
    take(store, book(ASSESSED, measures=MEASURES), charge("1", "1000", 10), charge("2", "1000", 10, "C-2"))
    complaint = {"case": "X", "partner": "P-2", "kind": "complaint", "upheld": True, "author": "Wu"}
    take(
        store,
        *(message("case.closed", f"c{i}", complaint | {"case": f"X-{i}"}, "2026-10-05T00:00:00Z") for i in range(8)),
    )
    course = {"partner": "P-1", "course": "safety"}
    take(store, message("training.completed", "t1", course, "2026-10-20T10:00:00Z"))


def standing(store: Store, partner: str, period: Period = OCTOBER) -> scoring.Standing:
    with store.reading() as cursor:
        (found,) = scoring.of_partner(cursor, partner, period)
        return found


def test_scores_are_open_then_issued_and_count_in_the_next_period(store: Store) -> None:
    assessed(store)
    first, second = standing(store, "P-1"), standing(store, "P-2")
    assert (first.state, first.grade, first.score.total) == ("open", "A", 100)
    assert (second.grade, second.score.total, second.consequence) == ("B", 20, {"action": "warning"})
    take(store, charge("3", "100", 11), charge("4", "100", 11, "C-2"))
    assert amounts(store, NOVEMBER)["share"] == "110.00"
    assert closing.close(store, NOVEMBER, NOW).refused[0].code == "earlier-period-open"
    assert closing.close(store, OCTOBER, NOW).closed == 2
    assert (standing(store, "P-2").state, standing(store, "P-2").version) == ("issued", 1)
    assert closing.close(store, NOVEMBER, NOW).closed == 2
    assert [amounts(store, NOVEMBER, name)["share"] for name in ("C-1", "C-2")] == ["110.00", "100.00"]
    with store.reading() as cursor:
        assert [each.partner for each in scoring.board(cursor, OCTOBER)] == ["P-1", "P-2"]


def overridden(author: str = "ann", approver: str = "bob", id: str = "o1", grade: str = "A") -> bytes:
    data = {
        "partner": "P-2",
        "scorecard": "simple",
        "period": "2026-10",
        "grade": grade,
        "reason": "appeal",
        "author": author,
    }
    return message("assessment.overridden", id, data | {"approver": approver})


def test_a_grade_given_by_hand_needs_two_persons_and_replaces_the_assessed_one(store: Store) -> None:
    assessed(store)
    closing.close(store, OCTOBER, NOW)
    assert take(store, overridden(approver="ann", id="o0")).suspended == 1
    assert take(store, overridden()).recorded == 1
    seen = standing(store, "P-2")
    assert (seen.grade, seen.score.grade, seen.override and seen.override.approver) == ("A", "B", "bob")
    take(store, charge("4", "100", 11, "C-2"))
    assert amounts(store, NOVEMBER, "C-2")["share"] == "110.00"


def test_a_grade_that_the_scorecard_does_not_have_is_refused_when_it_arrives(store: Store) -> None:
    assessed(store)
    assert take(store, overridden(grade="Z")).suspended == 1
    assert kept(store) == [("suspended", "no-such-grade")]


def test_scores_and_closings_are_in_the_log_and_in_the_balance_of_the_status(store: Store) -> None:
    assessed(store)
    closing.close(store, OCTOBER, NOW)
    with store.reading() as cursor:
        told = status._told(cursor)
    assert told["balanced"]
    assert told["issued"] == 2 + 2 + 1


def test_a_score_is_computed_again_where_somebody_asks(store: Store) -> None:
    assessed(store)
    closing.close(store, OCTOBER, NOW)
    complaint = {"case": "Y", "partner": "P-1", "kind": "complaint", "upheld": True, "author": "Wu"}
    take(
        store,
        *(message("case.closed", f"y{i}", complaint | {"case": f"Y-{i}"}, "2026-10-30T00:00:00Z") for i in range(9)),
    )
    assert (standing(store, "P-1").grade, standing(store, "P-1").moved) == ("A", False)
    assert scoring.reassess(store, OCTOBER, NOW) == {}
    asked = {"partner": "P-1", "scorecard": "simple", "period": "2026-10", "reason": "late complaints", "author": "ann"}
    take(store, message("assessment.reassessed", "again", asked))
    assert scoring.reassess(store, OCTOBER, NOW) == {"simple": 1}
    seen = standing(store, "P-1")
    assert (seen.grade, seen.version, seen.score.total, seen.moved) == ("B", 2, 10, False)
    assert scoring.reassess(store, OCTOBER, NOW) == {"simple": 0}
    # What comes later still is in no version, and that is said.
    take(store, message("case.reopened", "z", complaint | {"case": "Y-0"}, "2026-10-31T00:00:00Z"))
    take(store, message("case.closed", "z2", complaint | {"case": "Y-9"}, "2026-10-31T00:00:00Z"))
    seen = standing(store, "P-1")
    assert (seen.grade, seen.version, seen.score.total, seen.moved) == ("B", 2, 0, True)


def balance(store: Store, partner: str, at: date) -> tuple[Decimal, str | None]:
    with store.reading() as cursor:
        (found,) = points.accounts(cursor, partner, at)
    return found.account.balance, found.account.level


def test_points_come_by_event_by_settled_amount_and_by_grade_on_their_days(store: Store) -> None:
    assessed(store)
    assert balance(store, "P-1", date(2026, 10, 19)) == (0, "basic")
    assert balance(store, "P-1", date(2026, 10, 20)) == (50, "basic")
    assert balance(store, "P-1", date(2026, 10, 31)) == (150, "gold")
    assert balance(store, "P-2", date(2026, 10, 31)) == (100 - 8 * 20, "basic")
    closing.close(store, OCTOBER, NOW)
    assert balance(store, "P-1", date(2026, 10, 31)) == (175, "gold")  # 25 follow from grade A
    burned = {"partner": "P-1", "program": "simple", "points": "120", "reason": "gift"}
    take(store, message("points.burned", "b1", burned, "2026-12-01T00:00:00Z"))
    assert balance(store, "P-1", date(2026, 12, 1)) == (55, "basic")
    with store.reading() as cursor:
        (found,) = points.accounts(cursor, "P-1", date(2026, 12, 31))
    assert [(lot.earned, lot.points) for lot in found.account.lots] == [(date(2026, 10, 31), 55)]
    assert balance(store, "P-1", date(2027, 11, 1)) == (0, "basic")  # 12 months, to the end of the month


def test_unknown_partners_and_partners_without_points_are_refused(store: Store) -> None:
    guaranteed(store)
    for partner, code in (("P-9", "unknown-partner"), ("P-1", "no-program")):
        with pytest.raises(Refused) as refused, store.reading() as cursor:
            points.accounts(cursor, partner, date(2026, 12, 1))
        assert refused.value.code == code
    with pytest.raises(scoring.NotAssessed):
        standing(store, "P-1")


def test_an_open_period_whose_earlier_one_cannot_be_settled_is_refused(store: Store) -> None:
    charges = ", charges: {event: billing.charged, count: events}"
    steps = "  - {name: base, amount: sales / (charges - 1)}\n" + GUARANTEE.replace("10% * sales", "base")
    take(store, registered(), signed(valid_from="2026-10-01"), book(steps, measures=charges), charge("1", "5", 10))
    with pytest.raises(Refused, match="divides by zero") as refused:
        amounts(store, NOVEMBER)
    assert refused.value.code == "cannot-settle"
