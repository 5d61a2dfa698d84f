"""Agents above a sub-agent get what they are shared of its statement: by a note of their own, paid once, to the last cent."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from engine.money import plain
from engine.settlement.noting import standing_of
from engine.store import journal, relations
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.rebuild.running import rebuild
from tests.consumers.test_run_day import did, run
from tests.histories import message, registered, signed
from tests.settlement.test_authorisations import CHAIN, SHARED, granted
from tests.settlement.test_chains import OCTOBER, book, charge
from tests.settlement.test_notes import model
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]

# 10% of 3,333.40 is 333.34, of which the partner gets 233.34, the agent above 66.67, and the one above that 33.33, as
# tests/settlement/test_authorisations.py computes it.
NOTES = {None: ("P-3", "233.34"), "parent": ("P-2", "66.67"), "parent 2": ("P-1", "33.33")}


@pytest.fixture
def chain(store: Store) -> Store:
    """C-3 sells within C-2, which sells within C-1. Its model publishes after 5 days, lets dispute until 15, pays by 30."""
    take(store, model(), book(CHAIN, more=SHARED))
    for number in (1, 2, 3):
        take(store, registered(f"P-{number}"))
        take(store, signed(f"C-{number}", partner=f"P-{number}", valid_from="2026-10-01", cooperation_model="sp"))
    take(store, granted(), granted("A-2", "C-2", "P-2", parent="A-1"), granted("A-3", "C-3", "P-3", parent="A-2"))
    take(store, charge("1", "3333.40", 10, "C-3"))
    return store


def step(name: str, agent: str | None = None, on: str = "2026-11-06", **said: Any) -> bytes:
    data = {"contract": "C-3", "period": "2026-10", "author": "ann"} | ({"agent": agent} if agent else {}) | said
    return message(f"statement.{name}", f"{name}-{agent}-{on}-{said}", data, f"{on}T09:00:00Z")


def paid(agent: str | None, **said: Any) -> bytes:
    amount = NOTES[agent][1]
    what = {"amount": amount, "currency": "CNY", "reference": f"T {agent}", "day": "2026-11-30"} | said
    return step("paid", agent, "2026-11-30", **what)


def notes(store: Store) -> dict[str | None, tuple[str, str, str]]:
    """By agent: whose note it is, its state and what is due with it."""
    with store.reading() as cursor:
        found = [each.state for each in relations.listed(cursor, "note") if each.state.contract == "C-3"]
    return {each.agent: (each.partner, each.state, each.due[0].amount) for each in found}


def accounts(store: Store) -> dict[tuple[str, str], str]:
    with store.reading() as cursor:
        found = journal.balances(cursor, contract="C-3")
    return {(each.account, each.party): plain(each.amount) for each in found}


def test_the_calendar_publishes_invoices_and_has_paid_what_each_agent_gets(chain: Store) -> None:
    run(chain, "2026-11-01")
    assert accounts(chain) == {
        ("share expense", ""): "333.34", ("accrued shares", "P-3"): "-233.34", ("accrued shares", "parent"): "-66.67",
        ("accrued shares", "parent 2"): "-33.33",
    }  # fmt: skip
    run(chain, "2026-11-05")
    assert notes(chain) == {agent: (partner, "published", due) for agent, (partner, due) in NOTES.items()}
    owed = {("shares payable", partner): f"-{due}" for partner, due in NOTES.values()}
    assert accounts(chain) == {("share expense", ""): "333.34"} | owed
    run(chain, "2026-11-16")
    to_pay = {each.number: (each.partner, each.amount) for each in run(chain, "2026-11-30").to_pay}
    assert to_pay == {
        "SN-C-3-2026-10": ("P-3", "233.34"), "SN-C-3-2026-10-parent": ("P-2", "66.67"),
        "SN-C-3-2026-10-parent-2": ("P-1", "33.33"),
    }  # fmt: skip
    take(chain, *(paid(agent) for agent in NOTES))
    assert kept(chain) == []
    assert accounts(chain) == {("share expense", ""): "333.34", ("bank", ""): "-333.34"}
    settled = [step for step, period in did(run(chain, "2026-11-30"))[1] if step == "settled"]
    assert len(settled) == 3
    assert did(run(chain, "2026-11-30")) == ({}, [])
    assert rebuild(chain).equal
    assert audit(chain, OCTOBER).failed == []


def test_each_agents_vat_is_its_own_and_an_audit_finds_another_amount(chain: Store) -> None:
    # 6% on 66.67 are 4.0002; the partner and the agent above that one have no VAT.
    tax = {"partner": "P-2", "author": "ann", "tax": {"category": "S", "rate": "6"}}
    take(chain, message("partner.changed", "vat", tax, "2026-11-01T00:00:00Z"))
    for day in ("2026-11-01", "2026-11-05", "2026-11-16"):
        run(chain, day)
    to_pay = {each.partner: each.amount for each in run(chain, "2026-11-30").to_pay}
    assert to_pay == {"P-3": "233.34", "P-2": "70.67", "P-1": "33.33"}
    take(chain, paid("parent"))
    assert kept(chain) == [("suspended", "other-amount")]
    take(chain, paid("parent", amount="70.67"))
    assert accounts(chain)["recoverable VAT", ""] == "4"
    assert audit(chain, OCTOBER).failed == []
    with psycopg.connect(chain.conninfo) as connection:
        connection.execute("UPDATE settle.log SET state = replace(convert_from(state, 'UTF8'), '70670000', '71670000')::bytea "
                           "WHERE topic = 'statement.paid'")  # fmt: skip
    assert "71.67 CNY was paid for it, and 70.67 is to pay" in [each.sentence for each in audit(chain, OCTOBER).failed]


def test_what_one_agent_disputes_or_is_not_paid_yet_keeps_no_other_waiting(chain: Store) -> None:
    run(chain, "2026-11-05")
    take(chain, step("disputed", "parent", reason="my sub-agent sold more"))
    run(chain, "2026-11-16")
    assert {agent: state for agent, (_, state, _) in notes(chain).items()} == {
        None: "invoiced", "parent": "disputed", "parent 2": "invoiced",
    }  # fmt: skip
    take(chain, step("confirmed", "parent", "2026-11-20", author="P-2"))
    run(chain, "2026-11-20")
    assert notes(chain)["parent"] == ("P-2", "invoiced", "66.67")
    with chain.reading() as cursor:
        standing = standing_of(cursor, "C-3", OCTOBER)
    assert standing is not None
    assert standing["agents"] == [
        {"party": "parent", "partner": "P-2", "state": "invoiced"}, {"party": "parent 2", "partner": "P-1", "state": "invoiced"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (paid("parent", amount="66.66"), "other-amount"),
        (paid("parent", amount="233.34"), "other-amount"),
        (step("published", "parent 3"), "no-such-agent"),
        (step("published", "broker"), "no-such-agent"),
        (step("published", "parent"), "wrong-state"),
        (step("invoiced", "parent", "2026-11-17", day="2026-11-17", number="SN-C-3-2026-10"), "wrong-state"),
    ],
)
def test_what_does_not_follow_is_suspended(chain: Store, asked: bytes, code: str) -> None:
    for day in ("2026-11-01", "2026-11-05", "2026-11-16"):
        run(chain, day)
    take(chain, asked)
    assert kept(chain) == [("suspended", code)]


def test_nobody_is_paid_twice(chain: Store) -> None:
    for day in ("2026-11-01", "2026-11-05", "2026-11-16"):
        run(chain, day)
    take(chain, paid("parent"), paid("parent", reference="again"))
    assert kept(chain) == [("suspended", "wrong-state")]
    assert accounts(chain)["bank", ""] == "-66.67"


def test_an_agents_note_waits_for_that_of_the_partner_and_that_one_is_not_settled_without_it(chain: Store) -> None:
    run(chain, "2026-11-01")
    take(chain, step("published", "parent"))
    assert kept(chain) == [("suspended", "not-there")]
    take(chain, step("published"))
    assert kept(chain) == [], "it was tried again by itself"
    take(
        chain,
        step("confirmed", None, "2026-11-07", author="P-3"),
        step("invoiced", None, "2026-11-07", day="2026-11-07"),
    )
    take(chain, paid(None))
    take(chain, step("settled", None, "2026-11-30"))
    assert kept(chain) == [("suspended", "agents-not-published")]
    take(chain, step("published", "parent 2", "2026-11-30"))
    assert kept(chain) == []
    assert notes(chain)[None] == ("P-3", "settled", "233.34")
    assert accounts(chain)["shares payable", "P-1"] == "-33.33"


def test_an_agents_note_that_came_before_the_closing_is_tried_again_by_itself(chain: Store) -> None:
    take(chain, step("published", "parent"))
    assert kept(chain) == [("suspended", "statement-not-closed")]
    run(chain, "2026-11-01")
    assert kept(chain) == [("suspended", "not-there")]
    take(chain, step("published"))
    assert kept(chain) == []
    assert notes(chain)["parent"] == ("P-2", "published", "66.67")


def test_the_partner_cannot_be_named_as_an_agent_above_it(chain: Store) -> None:
    run(chain, "2026-11-01")
    take(chain, step("published", party="parent"))
    assert kept(chain) == [("suspended", "party-not-named")]
