"""Statements: on demand while open, frozen once closed, explained always."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.aggregates.refusal import Refused
from engine.outcomes import How, Reason
from engine.period import Period
from engine.settlement import closing
from engine.settlement.evidence import witnesses
from engine.settlement.statements import digest, view
from engine.store.database import Store
from tests.histories import charged, message, registered, signed
from tests.settlement.test_recording import NOW, published, store, take

__all__ = ["store"]

OCTOBER = Period.parse("2026-10")
GD = {"province": "GD"}


def settled(store: Store, *more: bytes) -> None:
    take(store, registered(), signed(), published(dimensions="province"), *more)


def statement(store: Store, contract: str = "C-1", period: Period = OCTOBER) -> dict:
    with store.reading() as cursor:
        return view(cursor, contract, period).statement


def test_an_open_statement_follows_the_events(store: Store) -> None:
    settled(store, charged("1", amount="2.01"))
    assert statement(store) == {
        "contract": "C-1", "partner": "P-1", "period": {"from": "2026-10-01", "to": "2026-11-01"}, "currency": "CNY",
        "state": "open", "rulebook": statement(store)["rulebook"],
        "lines": [{"name": "payable", "amount": "1.01", "clause": None}], "payable": "1.01",
        "parties": [{"party": "partner", "amount": "1.01"}], "evidence": {"events": 1, "positions": [1, 4]},
        "adjustments": [],
        "due": [{"currency": "CNY", "amount": "1.01", "parties": [{"party": "partner", "amount": "1.01"}]}],
        "balances": [], "late": 0, "version": 0, "digest": digest(statement(store)),
    }  # fmt: skip
    take(store, charged("2", amount="2.00"))
    assert statement(store)["payable"] == "2.01"


def test_closing_freezes_and_closing_again_changes_nothing(store: Store) -> None:
    settled(store, signed("C-2"), charged("1"))
    assert closing.close(store, OCTOBER, NOW)[:3] == (2, 0, ())
    first = statement(store)
    assert first["state"] == "closed"
    assert closing.close(store, OCTOBER, NOW) == closing.Closed(0, 2, ())
    assert statement(store) == first


def test_a_late_event_is_recorded_shows_as_late_and_changes_nothing_closed(store: Store) -> None:
    settled(store, charged("1"))
    closing.close(store, OCTOBER, NOW)
    closed = statement(store)
    take(store, charged("2", amount="500"), charged("3", amount="1", quantity=4))
    assert statement(store) == closed | {"late": 2}


def test_a_contract_without_events_is_closed_too(store: Store) -> None:
    settled(store)
    assert closing.close(store, OCTOBER, NOW).closed == 1
    assert statement(store)["payable"] == "0.00"


def test_what_cannot_be_settled_is_named_and_the_others_are_closed(store: Store) -> None:
    settled(store, signed("C-2", rulebook="nowhere"), signed("C-3", currency="USD", rulebook="later"))
    closed = closing.close(store, OCTOBER, NOW)
    assert closed.closed == 1
    assert [(contract, code) for contract, code, _ in closed.refused] == [
        ("C-2", "no-rulebook"),
        ("C-3", "no-rulebook"),
    ]
    assert "publish one" in closed.refused[0][2]


@pytest.mark.parametrize(
    ("contract", "period", "code"),
    [("C-9", "2026-10", "unknown-contract"), ("C-1", "2026-Q4", "other-calendar"), ("C-1", "2025-12", "not-in-force")],
)
def test_statements_that_cannot_be(store: Store, contract: str, period: str, code: str) -> None:
    settled(store)
    with pytest.raises(Refused) as refused:
        statement(store, contract, Period.parse(period))
    assert refused.value.code == code


def test_a_period_that_is_not_over_is_not_closed(store: Store) -> None:
    settled(store)
    with pytest.raises(
        closing.PeriodNotOver, match="ends with the day before 2026-12-01, and today is 2026-11-01 in UTC"
    ):
        closing.close(store, Period.parse("2026-11"), NOW)
    assert closing.close(store, OCTOBER, datetime(2026, 11, 1, tzinfo=UTC)).closed == 1


def test_a_period_is_over_when_it_is_where_the_contract_settles(store: Store) -> None:
    settled(store, signed("C-NY", time_zone="America/New_York"), signed("C-SH", time_zone="Asia/Shanghai"))
    still_october_in_new_york = datetime(2026, 11, 1, 3, 59, tzinfo=UTC)
    closed = closing.close(store, OCTOBER, still_october_in_new_york)
    assert (closed.closed, [refusal[:2] for refusal in closed.refused]) == (2, [("C-NY", "period-not-over")])
    with pytest.raises(closing.PeriodNotOver, match="2026-10-31 in America/New_York"):
        closing.close(store, OCTOBER, still_october_in_new_york, "C-NY")
    assert closing.close(store, OCTOBER, datetime(2026, 11, 1, 4, tzinfo=UTC))[:3] == (1, 2, ())


@pytest.mark.parametrize(
    ("month", "author", "approver", "recorded"),
    [
        (10, None, None, False), (10, "ann", None, False), (10, None, "bob", False), (10, "ann", "ann", False),
        (10, "ann", "bob", True), (11, None, None, True),
    ],
)  # fmt: skip
def test_a_rulebook_that_reaches_into_a_closed_period_takes_two_persons(
    store: Store, month: int, author: str | None, approver: str | None, recorded: bool
) -> None:
    settled(store)
    closing.close(store, OCTOBER, NOW)
    data = json.loads(published(2, month=month))["data"] | {"author": author, "approver": approver}
    assert take(store, message("rulebook.published", "x", data)).recorded == recorded


def test_of_versions_of_one_day_the_later_counts_and_one_before_another_counts_up_to_it(store: Store) -> None:
    settled(store, published(2, month=10), published(3, month=8), published(4, month=10))
    versions = [
        statement(store, period=Period.parse(f"2026-{month:02}"))["rulebook"]["version"] for month in (7, 8, 9, 10)
    ]
    assert versions == [1, 3, 3, 4]


def test_the_version_valid_when_the_period_begins_settles_it(store: Store) -> None:
    settled(store, published(2, month=10), charged("1"), charged("2", time="2026-09-30T12:00:00Z"))
    assert statement(store)["rulebook"]["version"] == 2
    assert statement(store, period=Period.parse("2026-09"))["rulebook"]["version"] == 1


def test_the_digest_depends_on_what_is_said_and_not_on_where_the_log_ends(store: Store) -> None:
    settled(store, charged("1"))
    before = statement(store)
    take(store, signed("C-2"), charged("2", "C-2"))
    after = statement(store)
    assert before["evidence"]["positions"] != after["evidence"]["positions"]
    assert before["digest"] == after["digest"]
    assert digest(before | {"payable": "9.99"}) != before["digest"]


def test_every_amount_leads_to_its_facts_and_they_to_their_events(store: Store) -> None:
    refund = {"contract": "C-1", "amount": "1", "currency": "CNY", "refunds": "1"}
    settled(
        store, charged("1", amount="2.01", attributes=GD), charged("2", amount="4"), charged("3", attributes=GD),
        charged("4", time="2026-09-30T23:59:59Z", attributes=GD), message("billing.refunded", "5", refund),
    )  # fmt: skip
    closing.close(store, OCTOBER, NOW)
    take(store, charged("6", attributes=GD))
    with store.reading() as cursor:
        seen = view(cursor, "C-1", OCTOBER)
        leaves = list(_facts(seen.calculated.outcome.lines[0].reason))
        assert {leaf.name: leaf.value for leaf in leaves} == {
            "billing.charged amount province=GD": Decimal("4.01"), "billing.charged amount province absent": Decimal(4),
        }  # fmt: skip
        gd = next(fact for fact in seen.calculated.given.facts if fact.dimensions == (("province", "GD"),))
        to = seen.statement["evidence"]["positions"][1]
        found = witnesses(cursor, "C-1", OCTOBER, seen.calculated.given.facts, to=to, each=9)
        assert [(w.id, w.value) for w in found[gd]] == [("1", "2.01"), ("3", "2")]
        assert {fact: len(events) for fact, events in found.items()} == {fact: fact.events for fact in found}
        assert witnesses(cursor, "C-1", OCTOBER, [gd], to=to, each=1)[gd] == found[gd][:1]


def _facts(reason: Reason) -> list[Reason]:
    return [reason] if reason.how is How.fact else [leaf for part in reason.parts for leaf in _facts(part)]


def test_weekly_quarterly_and_yearly_contracts_close_by_their_own_periods(store: Store) -> None:
    settled(store, signed("C-W", calendar="weekly"), signed("C-Q", calendar="quarterly"), charged("1", "C-W"))
    assert closing.close(store, Period.parse("2026-W40"), NOW).closed == 1
    assert statement(store, "C-W", Period.parse("2026-W40"))["payable"] == "1.00"
    assert closing.close(store, Period.parse("2026-Q3"), NOW).closed == 1
    assert closing.close(store, OCTOBER, NOW).closed == 1
