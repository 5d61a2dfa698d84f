"""Later truth becomes adjustments: issued plus adjustments is what is computed now, whatever came late, and however."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.aggregates.reported import ApproverIsAuthor
from engine.period import Period
from engine.settlement import closing, restating
from engine.settlement.restating import Approval
from engine.settlement.statements import view
from engine.store import statements
from engine.store.database import Store
from engine.store.statements import Issued
from replay.facts import verify
from replay.restate import Outcome, restate
from tests.histories import message, registered, signed
from tests.replay.test_recompute import statements_now
from tests.settlement import test_chains as chains
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

NOW = datetime(2027, 6, 1, tzinfo=UTC)
JANUARY = Period.parse("2027-01")
SIMPLE = "  - {name: payable, amount: %s * sales, round: half_up}\n"


def approved(raw: bytes, id: str) -> bytes:
    said = json.loads(raw)
    said["data"] |= {"author": "ann", "approver": "bob"}
    return json.dumps(said | {"id": id}).encode()


def issued(store: Store) -> list[Issued]:
    with store.reading() as cursor:
        names = [row[0] for row in cursor.execute("SELECT contract FROM contracts ORDER BY contract")]
        return [each for name in names for each in statements.of_contract(cursor, name)]


def close(store: Store, *periods: Period) -> None:
    for period in periods:
        assert not closing.close(store, period, NOW).refused


def said(store: Store, contract: str, period: Period, version: int = 1) -> dict[str, Any]:
    with store.reading() as cursor:
        return view(cursor, contract, period, version).statement


def payable(outcome: Outcome) -> list[tuple[str, str, str]]:
    return [
        (each.contract.contract, each.before.period, row["amount"])
        for each in outcome.restated
        for row in each.adjustment["payable"]
    ]


def simple(store: Store, *more: bytes, **terms: str) -> None:
    take(store, registered(), signed(valid_from="2026-10-01", **terms), book(SIMPLE % "50%"), *more)


def test_a_late_charge_is_an_adjustment_on_the_next_statement_with_its_event(store: Store) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    take(store, charge("late", "7", 10), charge("2", "10", 11))
    assert payable(restate(store, NOW)) == [("C-1", "2026-10", "3.50")]
    assert payable(restate(store, NOW)) == []
    open_ = said(store, "C-1", NOVEMBER)
    close(store, NOVEMBER)
    closed = said(store, "C-1", NOVEMBER)
    assert closed["digest"] == open_["digest"]
    (made,) = closed["adjustments"]
    assert (made["period"], made["version"], made["replaces"]) == ("2026-10", 2, said(store, "C-1", OCTOBER)["digest"])
    assert made["lines"] == [
        {"name": "payable", "clause": None, "was": "50.00", "now": "53.50", "amount": "3.50"},
    ]
    assert made["parties"] == [
        {"party": "partner", "currency": "CNY", "was": "50.00", "now": "53.50", "amount": "3.50"}
    ]
    assert [(c["cause"], [e["id"] for e in c["named"]]) for c in made["causes"]] == [("late events", ["late"])]
    assert closed["payable"] == "5.00"
    assert closed["due"] == [{"currency": "CNY", "amount": "8.50", "parties": [{"party": "partner", "amount": "8.50"}]}]
    assert said(store, "C-1", OCTOBER)["payable"] == "50.00"
    assert said(store, "C-1", OCTOBER, 2)["payable"] == "53.50"
    assert said(store, "C-1", OCTOBER)["late"] == 0
    close(store, DECEMBER)
    assert said(store, "C-1", DECEMBER)["adjustments"] == []


def test_a_dry_run_says_the_same_and_writes_nothing(store: Store) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    take(store, charge("late", "7", 10))
    before = issued(store)
    assert payable(restate(store, NOW, dry_run=True)) == [("C-1", "2026-10", "3.50")]
    assert issued(store) == before


def test_a_rulebook_that_reaches_back_is_an_adjustment_of_each_closed_period(store: Store) -> None:
    simple(store, charge("1", "100", 10), charge("2", "100", 11), charge("3", "100", 12))
    close(store, OCTOBER, NOVEMBER)
    take(store, approved(book(SIMPLE % "60%", version=2, valid_from="2026-11-01"), "v2"))
    take(store, approved(book(SIMPLE % "70%", version=3, valid_from="2026-12-01"), "v3"))
    done = restate(store, NOW)
    assert payable(done) == [("C-1", "2026-11", "10.00")]
    (cause,) = done.restated[0].causes
    assert {name: cause[name] for name in ("cause", "rulebook", "version", "author", "approver")} == {
        "cause": "rulebook", "rulebook": "simple", "version": 2, "author": "ann", "approver": "bob",
    }  # fmt: skip
    close(store, DECEMBER)
    december = said(store, "C-1", DECEMBER)
    assert (december["payable"], december["due"][0]["amount"]) == ("70.00", "80.00")


def test_what_a_restated_period_leaves_is_what_the_next_begins_with(store: Store) -> None:
    chains.guaranteed(store)
    close(store, OCTOBER, NOVEMBER)
    take(store, charge("late", "400", 10))  # October's royalty is 90 and not 50: nothing is short, nothing to recoup
    done = restate(store, NOW)
    assert payable(done) == [("C-1", "2026-10", "15.00")]
    assert [(each.before.period, [c["cause"] for c in each.causes]) for each in done.restated] == [
        ("2026-10", ["late events"]),
        ("2026-11", ["balances"]),
    ]
    close(store, DECEMBER)
    # Of December's 104 November's 14 are recouped, October's 25 are no more.
    assert said(store, "C-1", DECEMBER)["payable"] == "90.00"
    assert said(store, "C-1", DECEMBER)["due"][0]["amount"] == "105.00"


def test_a_late_use_moves_every_share_of_a_pool(store: Store) -> None:
    uses = ", uses: {event: usage.recorded, sum: quantity}"
    take(store, registered(), *(signed(f"C-{n}", valid_from="2026-10-01") for n in (1, 2, 3)))
    take(store, book(chains.POOL, measures=uses))
    take(store, charge("1", "1000", 10, "C-3"), chains.used("2", "C-1", 3), chains.used("3", "C-2", 1))
    close(store, OCTOBER)
    take(store, chains.used("late", "C-2", 4))
    done = restate(store, NOW, ["C-2"])
    assert payable(done) == [("C-1", "2026-10", "-262.50"), ("C-2", "2026-10", "262.50")]
    assert [[c["cause"] for c in each.causes] for each in done.restated] == [
        ["contracts settled together"], ["late events"],
    ]  # fmt: skip
    # C-3 gets nothing of the pool before and after, and has no second version.
    now = {each.contract.contract: each.statement["payable"] for each in done.restated}
    assert {name: said(store, name, OCTOBER, 2)["payable"] for name in ("C-1", "C-2")} == now


def test_a_contract_that_ended_before_gives_back_and_gets_a_statement_of_adjustments_alone(store: Store) -> None:
    simple(store, charge("1", "100", 10), charge("2", "60", 11))
    close(store, OCTOBER, NOVEMBER)
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-11-01"}))
    done = restate(store, NOW)
    assert payable(done) == [("C-1", "2026-11", "-30.00")]
    assert done.restated[0].causes[0]["cause"] == "contract not in force"
    assert closing.close(store, DECEMBER, NOW).closed == 1
    december = said(store, "C-1", DECEMBER)
    assert (december["lines"], december["payable"], december["due"][0]["amount"]) == ([], "0.00", "-30.00")
    assert closing.close(store, JANUARY, NOW).closed == 0
    assert payable(restate(store, NOW)) == []


def test_a_contract_that_holds_late_events_waits_for_two_persons(store: Store) -> None:
    simple(store, charge("1", "100", 10), late_events="hold")
    close(store, OCTOBER)
    take(store, charge("late", "8", 10))
    waiting = restate(store, NOW)
    assert (payable(waiting), len(waiting.held)) == ([], 1)
    with pytest.raises(ApproverIsAuthor):
        restate(store, NOW, approval=Approval("ann", "ann"))
    assert payable(restate(store, NOW, approval=Approval("ann", "bob"))) == [("C-1", "2026-10", "4.00")]
    close(store, NOVEMBER)
    assert said(store, "C-1", NOVEMBER)["due"][0]["amount"] == "4.00"


def test_a_rulebook_that_reaches_back_does_not_wait_for_those_who_hold_late_events(store: Store) -> None:
    simple(store, charge("1", "100", 10), late_events="hold")
    close(store, OCTOBER)
    take(store, approved(book(SIMPLE % "60%", version=2), "v2"))
    assert payable(restate(store, NOW)) == [("C-1", "2026-10", "10.00")]


def test_a_period_that_cannot_be_computed_again_is_named_and_the_others_are_restated(store: Store) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", valid_from="2026-10-01"))
    charges = ", charges: {event: billing.charged, count: events}"
    take(store, book("  - {name: payable, amount: sales / (charges - 2), round: half_up}\n", measures=charges))
    take(store, charge("1", "10", 10), charge("2", "10", 10, "C-2"))
    close(store, OCTOBER)
    take(store, charge("3", "10", 10), charge("4", "10", 10, "C-2"), charge("5", "10", 10, "C-2"))
    done = restate(store, NOW)
    assert [(each.contract, each.code) for each in done.refused] == [("C-1", "cannot-settle")]
    assert [each.contract.contract for each in done.restated] == ["C-2"]


LATE = "late"
STEPS = [chains.GUARANTEE, SIMPLE % "10%", SIMPLE % "33.3%", chains.CLAWBACK % "10%"]
MONTHS = (OCTOBER, NOVEMBER, DECEMBER, JANUARY)
REFUNDS = ", refunds: {event: billing.refunded, sum: amount}"


def acts() -> st.SearchStrategy[tuple[Any, ...]]:
    month = st.integers(10, 12)
    contract = st.sampled_from(["C-1", "C-2"])
    return st.one_of(
        st.tuples(st.just("charge"), contract, month, st.integers(0, 200_000)),
        st.tuples(st.just("refund"), contract, month, st.integers(10, 12), st.integers(1, 5_000)),
        st.tuples(st.just("close")),
        st.tuples(st.just("publish"), st.sampled_from(STEPS), month),
        st.tuples(st.just("restate")),
        st.tuples(st.just("end"), contract, month),
    )


class _World:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.versions = 1
        self.closed = 0
        self.sent = 0

    def act(self, what: str, *of: Any) -> None:
        self.sent += 1
        id_ = f"e{self.sent}"
        match what:
            case "charge":
                contract, month, cents = of
                take(self.store, charge(id_, f"{cents // 100}.{cents % 100:02}", month, contract))
            case "refund":
                contract, month, charged, cents = of
                data = {"contract": contract, "amount": f"{cents}", "currency": "CNY", "refunds": "x"}
                data["charged_at"] = f"2026-{min(charged, month)}-03T00:00:00Z"
                take(self.store, message("billing.refunded", id_, data, f"2026-{month}-20T00:00:00Z"))
            case "close" if self.closed < len(MONTHS) - 1:
                closing.close(self.store, MONTHS[self.closed], NOW)
                self.closed += 1
            case "publish":
                steps, month = of
                raw = book(steps, measures=REFUNDS, version=self.versions + 1, valid_from=f"2026-{month}-01")
                self.versions += take(self.store, approved(raw, id_)).recorded
            case "restate":
                restate(self.store, NOW)
            case "end":
                contract, month = of
                data = {"contract": contract, "valid_to": f"2026-{month}-01"}
                take(self.store, message("contract.terminated", id_, data))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(acts(), min_size=4, max_size=16))
def test_issued_plus_adjustments_is_what_is_computed_now(store: Store, history: list[tuple[Any, ...]]) -> None:
    _emptied(store)
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", valid_from="2026-10-01"))
    take(store, book(SIMPLE % "25%", measures=REFUNDS))
    world = _World(store)
    for each in history:
        world.act(*each)
    why = restate(store, NOW).refused
    # Only a returned charge whose own rule has no such share, and what needs the balances of that period, cannot be settled.
    assert {each.code for each in why} <= {"cannot-settle", "earlier-period-open"}
    assert not why or any(each.code == "cannot-settle" for each in why)
    refused = {(each.contract, each.period) for each in why}
    assert restate(store, NOW).restated == ()
    now = statements_now(store)
    by_statement: dict[tuple[str, str], list[Issued]] = {}
    for each in issued(store):
        by_statement.setdefault((each.contract, each.period), []).append(each)
    for key, versions in by_statement.items():
        first, last = restating.own(versions[0]), restating.own(versions[-1])
        if key in now:
            assert restating.amounts(last) == restating.amounts(now[key])
        elif key not in refused:
            assert last["lines"] == []  # the contract was not in force then
        added = [json.loads(each.adjustment) for each in versions[1:]]
        total = sum((Decimal(row["amount"]) for each in added for row in each["payable"]), Decimal(0))
        assert Decimal(first["payable"]) + total == Decimal(last["payable"])
        for party in {p["party"] for p in (*first["parties"], *last["parties"])}:
            assert _of(first, party) + _added(added, party) == _of(last, party)
    # Whatever waits is taken up by the next statement, once, and nothing is left over.
    held = {each.contract for period in MONTHS for each in closing.close(store, period, NOW).refused}
    taken = [a for each in issued(store) if each.version == 1 for a in json.loads(each.statement)["adjustments"]]
    # What a contract cannot be settled for waits with it.
    made = [
        json.loads(each.adjustment)
        for each in issued(store)
        if each.version > 1 and not (each.taken_by is None and each.contract in held)
    ]
    assert sorted(map(json.dumps, taken)) == sorted(map(json.dumps, made))
    assert restate(store, NOW).restated == ()
    assert verify(store).equal


def _of(statement: dict[str, Any], party: str) -> Decimal:
    return sum((Decimal(p["amount"]) for p in statement["parties"] if p["party"] == party), Decimal(0))


def _added(adjustments: list[dict[str, Any]], party: str) -> Decimal:
    rows = [row for each in adjustments for row in each["parties"] if row["party"] == party]
    return sum((Decimal(row["amount"]) for row in rows), Decimal(0))


def _emptied(store: Store) -> None:
    with store.writing() as cursor:
        tables = cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'settle'").fetchall()
        kept = {"version", "intake", "chain"}
        names = ", ".join(f"settle.{name}" for (name,) in tables if name not in kept)
        cursor.execute(f"TRUNCATE {names}")
        cursor.execute("UPDATE settle.chain SET position = 0, head = '', leaves = ''")
        cursor.execute(
            "UPDATE settle.intake SET start_offset = 0, next_offset = 0, recorded = 0, duplicate = 0, suspended = 0, rejected = 0"
        )


WORKER = """
import sys
from datetime import UTC, datetime
from engine.store.database import Store
from replay import restate
restate.CONTRACTS_A_TRANSACTION = 1
with Store(sys.argv[1]) as store:
    restate.restate(store, datetime(2027, 6, 1, tzinfo=UTC), progress=lambda done, _: print(done, flush=True))
"""


def test_killed_anywhere_it_leaves_whole_contracts_restated_and_the_next_run_makes_the_others(
    store: Store, database: str
) -> None:
    names = [f"C-{n}" for n in range(1, 25)]
    take(store, registered(), book(chains.GUARANTEE), *(signed(name, valid_from="2026-10-01") for name in names))
    take(store, *(charge(f"{month}-{name}", "500", month, name) for month in (10, 11) for name in names))
    close(store, OCTOBER, NOVEMBER)
    take(store, *(charge(f"late-{name}", "400", 10, name) for name in names))
    rng = random.Random(5)  # noqa: S311
    kills = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, database], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        for _ in range(rng.randrange(1, 5)):
            process.stdout.readline()
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
        process.stdout.close()
        versions = [(each.contract, each.period, each.version) for each in issued(store) if each.version > 1]
        assert len(versions) == 2 * len({name for name, _, _ in versions})
    assert kills
    restate(store, NOW)
    assert sorted(each.contract for each in issued(store) if each.version == 2) == sorted(2 * names)
    assert not restate(store, NOW).restated
