"""Leads: the first registration has the customer, and a won one earns what the rulebook says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from engine.aggregates.lead import AGGREGATE, Lead
from engine.settlement import closing, points, relating
from engine.settlement.statements import view
from engine.store import relations
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.facts import verify
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import message, registered, signed
from tests.settlement.test_chains import NOW, OCTOBER, amounts, book
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]


def lead(
    id: str = "L-1", partner: str = "P-1", contract: str = "C-1", time: str = "2026-10-03T08:15:00Z", **said: Any
) -> bytes:
    data = {
        "lead": id, "partner": partner, "contract": contract, "customer": "Acme", "product": "fibre", "value": "10000",
        "currency": "CNY", "expires": "2026-12-01",
    } | said  # fmt: skip
    return message("lead.registered", f"register-{id}-{said}", data, time)


def step(name: str, id: str = "L-1", partner: str = "P-1", time: str = "2026-10-10T08:15:00Z", **said: Any) -> bytes:
    needed = {
        "accepted": {"author": "Li"}, "rejected": {"author": "Li", "reason": "known"},
        "won": {"amount": "9000", "currency": "CNY"}, "lost": {},
    }[name]  # fmt: skip
    data = {"lead": id, "partner": partner} | needed | said
    return message(f"lead.{name}", f"{name}-{id}-{time}-{said}", data, time)


def state(store: Store, id: str = "L-1") -> Any:
    with store.reading() as cursor:
        return relations.known(cursor, [("lead", id)])["lead", id].state


def sentence(store: Store) -> str:
    with store.reading() as cursor:
        row = cursor.execute("SELECT sentence FROM settle.suspense ORDER BY id DESC LIMIT 1").fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture
def two(store: Store) -> Store:
    take(store, registered(), registered("P-2"), signed(), signed("C-2", partner="P-2"))
    return store


REFERRAL = """\
  - {name: referral commission, amount: "5% * won + 10 * sold", clause: "7.1"}
  - {name: payable, amount: referral commission, round: half_up}
"""
MEASURES = (
    ", won: {event: lead.won, sum: value}, sold: {event: lead.won, count: events}"
    ", asked: {event: lead.registered, sum: value}"
)
POINTS = """\
points:
  earn:
    - {name: leads won, of: sold, rate: 50}
"""


def test_a_won_lead_earns_its_commission_and_points(two: Store) -> None:
    take(
        two,
        book(REFERRAL, measures=MEASURES, more=POINTS),
        lead(),
        lead("L-2", customer="Beta"),
        lead("L-3", customer="Co"),
    )
    take(two, *(step("accepted", f"L-{number}") for number in (1, 2, 3)))
    take(two, step("won", amount="9000.50"), step("won", "L-2", amount="100"), step("lost", "L-3"))
    assert kept(two) == []
    # 5% of 9,000.50 and of 100 is 450.025 and 5; 10 for each of the two: 475.025, half up 475.03. L-3 earns nothing.
    assert amounts(two, OCTOBER) == {"referral commission": "475.025", "payable": "475.03", "state": "open"}
    with two.reading() as cursor:
        line = view(cursor, "C-1", OCTOBER).statement["lines"][0]
        (account,) = points.accounts(cursor, "P-1", date(2026, 10, 31))
    assert line == {"name": "referral commission", "amount": "475.025", "clause": "7.1"}
    assert account.account.balance == 100, "two leads at 50 points"
    assert not verify(two).differences
    assert rebuild(two).equal
    assert closing.close(two, OCTOBER, NOW).closed == 2
    assert audit(two, OCTOBER).failed == []


def test_a_lead_won_late_is_an_adjustment(two: Store) -> None:
    take(two, book(REFERRAL, measures=MEASURES), lead(), step("accepted"))
    assert closing.close(two, OCTOBER, NOW).closed == 2
    take(two, step("won", amount="1000", time="2026-10-31T10:00:00Z"))
    # 5% of 1,000 and 10 for the lead.
    restate(two, NOW)
    with two.reading() as cursor:
        assert view(cursor, "C-1", OCTOBER, 2).statement["payable"] == "60.00"


def test_the_first_registration_has_the_customer(two: Store) -> None:
    take(two, lead(), lead("L-2", "P-2", "C-2"), step("accepted", "L-2", "P-2"))
    assert kept(two) == [("suspended", "lead-conflict")]
    assert "lead L-1 of partner P-1, registration 1, is registered and stands until 2026-12-01" in sentence(two)
    take(two, step("accepted"))
    take(two, lead("L-3", "P-2", "C-2", "2026-10-11T00:00:00Z", product="mobile"), step("accepted", "L-3", "P-2"))
    assert (state(two, "L-2").place, state(two, "L-3").place) == (2, 1), "another product is another opportunity"
    assert state(two, "L-3").state == "accepted"


def test_a_later_registration_has_the_customer_once_the_first_does_not_stand(two: Store) -> None:
    take(two, lead(), lead("L-2", "P-2", "C-2"), step("accepted"), step("rejected"), step("accepted", "L-2", "P-2"))
    assert kept(two) == []
    take(two, lead("L-3"), step("accepted", "L-3"))
    assert "lead L-2 of partner P-2, registration 2, is accepted" in sentence(two)
    # Won, it stands to its last day, so that nobody is paid for the same sale again; then the customer is free.
    take(two, step("won", "L-2", "P-2"), step("accepted", "L-3", time="2026-11-30T00:00:00Z"))
    assert "is won and stands until" in sentence(two)
    take(two, lead("L-4", expires="2027-06-01"), step("accepted", "L-4", time="2026-12-01T00:00:00Z"))
    assert state(two, "L-4").state == "accepted"


def test_a_partner_does_not_have_the_same_customer_twice(two: Store) -> None:
    take(two, book(REFERRAL, measures=MEASURES), lead(), lead("L-2"), lead("L-3", customer="Beta"))
    # Of its own registrations it may have any; once one is accepted, or won, no other.
    take(two, step("accepted", "L-2"), step("accepted"), step("won", "L-2", amount="1000"), step("won", amount="1000"))
    assert kept(two) == [("suspended", "lead-conflict"), ("suspended", "wrong-state")]
    take(two, step("accepted", time="2026-11-01T00:00:00Z"))
    assert "lead L-2 of partner P-1, registration 2, is won and stands until 2026-12-01" in sentence(two)
    # 5% of 1,000 and 10 for the lead, once.
    assert amounts(two, OCTOBER)["payable"] == "60.00"
    take(two, step("rejected"), step("accepted", "L-3"))
    assert (state(two).state, state(two, "L-3").state) == ("rejected", "accepted")


def test_the_first_registration_is_found_in_one_batch_too(two: Store) -> None:
    take(two, lead("L-9"), lead("L-1", "P-2", "C-2"), step("accepted", "L-1", "P-2"), step("accepted", "L-9"))
    assert kept(two) == [("suspended", "lead-conflict")]
    assert (state(two, "L-9").state, state(two).state) == ("accepted", "registered")


def test_what_a_lead_costs_does_not_grow_with_those_beside_it_in_the_batch(
    two: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a batch of ten thousand holds the writers' lock for minutes."""
    asked: list[str] = []

    def groups(known: Lead) -> Iterator[str]:
        asked.append(known.lead)
        yield from AGGREGATE.groups(known)

    monkeypatch.setitem(relating.AGGREGATES, "lead", AGGREGATE._replace(groups=groups))
    names = [f"L-{number}" for number in range(200)]
    take(two, *(lead(name, customer=f"{name} Ltd") for name in names), *(step("accepted", name) for name in names))
    assert kept(two) == []
    assert max(Counter(asked).values()) < 10


REFUSED = [
    (lead(value="1"), "already-there", "registered by partner P-1 already"),
    (lead("L-2", currency="USD"), "currency-mismatch", "settles in CNY"),
    (lead("L-2", expires="2026-10-03"), "ends-before-it-begins", "would expire on 2026-10-03"),
    (step("won"), "wrong-state", "from there lead.accepted or lead.rejected or lead.lost is possible"),
    (step("accepted", "L-9"), "not-there", "was never registered"),
    (step("accepted", partner="P-2"), "other-partner", "of partner P-1, not of P-2"),
    (step("lost", time="2026-12-01T00:00:00Z"), "lead-expired", "expired on 2026-12-01, so lead.lost on 2026-12-01"),
    (step("won", "L-5", currency="USD"), "currency-mismatch", "the sale of lead L-5 is in USD"),
    (step("won", "L-5", time="2026-11-02T00:00:00Z"), "not-in-force", "it was won on 2026-11-02"),
    (lead("L-6", contract="C-9"), "unknown-contract", "C-9"),
    (lead("L-7", contract="C-2"), "other-partner", "with partner P-2"),
]  # fmt: skip


def test_what_does_not_follow_is_suspended_and_says_what_does(two: Store) -> None:
    take(
        two,
        signed("C-5", valid_to="2026-11-01"),
        lead(),
        lead("L-5", contract="C-5", customer="Beta"),
        step("accepted", "L-5"),
    )
    for number, (asked, code, says) in enumerate(REFUSED, 1):
        assert take(two, asked).suspended == 1, says
        assert kept(two) == [("suspended", code) for _, code, _ in REFUSED[:number]]
        assert says in sentence(two)
    assert state(two).state == "registered"


def test_a_day_is_one_of_the_contracts_time_zone(two: Store) -> None:
    take(two, signed("C-3", time_zone="Asia/Shanghai"), lead(contract="C-3"))
    # Already the first of December in Shanghai.
    take(two, step("accepted", time="2026-11-30T16:00:00Z"))
    assert kept(two) == [("suspended", "lead-expired")]


def test_a_step_before_its_registration_waits_for_it(two: Store) -> None:
    take(two, step("accepted"))
    assert kept(two) == [("suspended", "not-there")]
    take(two, lead())
    assert (kept(two), state(two).state) == ([], "accepted")
