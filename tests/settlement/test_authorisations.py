"""What agents may sell: events count only where an authorisation covers them, and only up to its volume."""

from __future__ import annotations

import itertools
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.suspense import recycle_all
from engine.settlement import closing
from engine.settlement.recording import Slice, record
from engine.settlement.statements import digest, view
from engine.store import volumes
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.rebuild.running import rebuild
from tests.histories import charged, message, messages, registered, signed
from tests.replay.test_restate import _emptied
from tests.settlement.test_chains import NOW, OCTOBER, book
from tests.settlement.test_qualifications import model
from tests.settlement.test_recording import CHANNEL, clock, kept, live, store, take

__all__ = ["store"]


def granted(authorisation: str = "A-1", contract: str = "C-1", partner: str = "P-1", **said: Any) -> bytes:
    data = {
        "authorisation": authorisation, "partner": partner, "contract": contract, "author": "Li", "valid_from": "2026-01-01",
    } | said  # fmt: skip
    return message("authorisation.granted", f"grant-{authorisation}-{contract}-{said}", data)


def revoked(authorisation: str = "A-1", valid_to: str = "2026-10-01", partner: str = "P-1") -> bytes:
    data = {"authorisation": authorisation, "partner": partner, "author": "Li", "valid_to": valid_to, "reason": "fraud"}
    return message("authorisation.revoked", f"revoke-{authorisation}-{valid_to}-{partner}", data)


def sold(id: str, quantity: int, contract: str = "C-1", meter: str = "sms", **said: Any) -> bytes:
    time = said.pop("time", "2026-10-03T08:15:00Z")
    return message("usage.recorded", id, {"contract": contract, "meter": meter, "quantity": quantity} | said, time)


def used(store: Store, *names: str) -> list[int]:
    """In units."""
    with store.reading() as cursor:
        found = volumes.used(cursor, names)
    return [found.get(name, 0) // 1_000_000 for name in names]


@pytest.fixture
def agents(store: Store) -> Store:
    """An agent, a sub-agent and one below it, each with a contract of its own."""
    partners = [registered(f"P-{number}") for number in (1, 2, 3)]
    take(store, *partners, *(signed(f"C-{number}", partner=f"P-{number}") for number in (1, 2, 3)))
    return store


def test_a_contract_that_has_an_authorisation_sells_what_it_covers(agents: Store) -> None:
    take(agents, charged("before", product="bond"))
    take(agents, granted(products=["ringtone"], regions=["GD", "GX"], valid_from="2026-10-01", valid_to="2026-11-01"))
    inside = {"product": "ringtone", "attributes": {"region": "GX"}}
    take(
        agents,
        charged("1", **inside),
        charged("2", **inside | {"product": "bond"}),
        charged("3", **inside | {"attributes": {"region": "BJ"}}),
        charged("4", product="ringtone"),
        charged("5", **inside, time="2026-11-01T00:00:00Z"),
        charged("6", "C-2"),
    )
    assert kept(agents) == [("suspended", "not-authorised")] * 4
    take(agents, granted("A-2", products=["bond"]))
    assert kept(agents) == [("suspended", "not-authorised")] * 3, "the bond was recycled"
    take(agents, revoked("A-2", "2026-10-03"), charged("7", product="bond"))
    assert kept(agents) == [("suspended", "not-authorised")] * 4
    assert rebuild(agents).equal


def test_a_model_may_need_one_of_contracts_that_have_none(agents: Store) -> None:
    take(agents, model(qualifications=[], authorisation=True), signed("C-9", cooperation_model="sp"))
    take(agents, charged("1", "C-9"))
    assert kept(agents) == [("suspended", "not-authorised")]
    take(agents, granted(contract="C-9"))
    assert kept(agents) == []


def test_events_count_up_to_the_volume_and_what_is_taken_back_gives_room_again(agents: Store) -> None:
    take(agents, granted(volume_max=10, meter="sms"))
    # 6 and 4 fill it; the fifth is one too many; other meters and charges do not count.
    take(agents, sold("1", 6), sold("2", 5), sold("3", 4), sold("4", 1), sold("5", 9, meter="mms"), charged("6"))
    assert used(agents, "A-1") == [10]
    assert kept(agents) == [("suspended", "not-authorised")] * 2
    with agents.reading() as cursor:
        said = [row[0] for row in cursor.execute("SELECT sentence FROM settle.suspense ORDER BY id")]
    assert said[0].startswith("authorisation A-1 holds up to 10 of quantities of sms, of which 6 are sold; grant")
    # 7 are sold then, and of what waits 1 is the first that has room, since 5 has none.
    take(agents, sold("7", -3))
    assert used(agents, "A-1") == [8]
    assert recycle_all(agents, clock) == (1, 0)
    take(agents, granted("A-2", volume_max=4, meter="sms"))
    assert (kept(agents), used(agents, "A-1", "A-2")) == ([("suspended", "not-authorised")], [8, 0])
    take(agents, granted("A-3", volume_max=5, meter="sms"))
    assert (kept(agents), used(agents, "A-1", "A-2", "A-3")) == ([], [8, 0, 5])
    assert rebuild(agents).equal


def test_a_volume_of_money_is_charges_less_refunds_in_the_contracts_currency(agents: Store) -> None:
    take(agents, granted(volume_max="10.00"))
    back = {"contract": "C-1", "amount": "2.50", "currency": "CNY", "refunds": "1"}
    take(agents, charged("1", amount="9.99"), charged("2", amount="0.02"), charged("3", amount="0.01"))
    take(agents, message("billing.refunded", "4", back), charged("5", amount="2.50"), sold("6", 99))
    assert kept(agents) == [("suspended", "not-authorised")]
    assert used(agents, "A-1") == [10]


def test_what_is_refused_for_another_reason_takes_no_volume(agents: Store) -> None:
    # The price of each is measured, and the first has no quantity to divide by.
    take(agents, book(CHAIN, measures=", prices: {event: billing.charged, each: 'amount / quantity'}"))
    take(
        agents,
        granted(volume_max=5),
        charged("1", amount="5"),
        charged("2", amount="5", quantity=1),
        charged("3", quantity=1),
    )
    assert kept(agents) == [("suspended", "measure-fails"), ("suspended", "not-authorised")]
    assert used(agents, "A-1") == [5]


def chain(store: Store) -> None:
    take(
        store,
        granted("A-1", products=["sim", "phone"], regions=["GD", "GX"], volume_max=10, meter="sms", valid_to="2027-01-01"),
        granted("A-2", "C-2", "P-2", parent="A-1", products=["sim"], regions=["GD"], volume_max=8, meter="sms",
                valid_to="2027-01-01"),
        granted("A-3", "C-3", "P-3", parent="A-2", products=["sim"], regions=["GD"], valid_to="2026-12-01"),
    )  # fmt: skip
    assert kept(store) == []


def test_a_sub_agents_sales_count_for_the_agents_above_too(agents: Store) -> None:
    chain(agents)
    where = {"product": "sim", "attributes": {"region": "GD"}}
    take(agents, sold("1", 5, "C-3", **where), sold("2", 2, "C-1", **where), sold("3", 3, "C-2", **where))
    assert used(agents, "A-1", "A-2", "A-3") == [10, 8, 0]
    # A-2 is full at 8 and A-1 at 10: nobody in the chain sells more.
    take(agents, *(sold(f"more-{number}", 1, f"C-{number}", **where) for number in (1, 2, 3)))
    assert kept(agents) == [("suspended", "not-authorised")] * 3
    assert rebuild(agents).equal


WITHIN: dict[str, Any] = {
    "parent": "A-2", "products": ["sim"], "regions": ["GD"], "valid_from": "2026-02-01", "valid_to": "2026-12-01",
}  # fmt: skip


REFUSED = [
    (granted("A-4", "C-3", "P-3", **WITHIN | {"products": ["phone"]}), "beyond-parent", "names product phone beyond sim"),
    (granted("A-4", "C-3", "P-3", parent="A-2", regions=["GD"]), "beyond-parent", "names product none, so all"),
    (granted("A-4", "C-3", "P-3", **WITHIN | {"regions": ["GX"]}), "beyond-parent", "names region GX beyond GD"),
    (granted("A-4", "C-3", "P-3", **WITHIN | {"valid_to": "2027-01-02"}), "beyond-parent", "its days reach beyond"),
    (granted("A-4", "C-3", "P-3", **WITHIN, volume_max=9, meter="sms"), "beyond-parent", "above the 8 of A-2"),
    (granted("A-4", "C-3", "P-3", **WITHIN, volume_max=1), "beyond-parent", "counts amounts charged, where A-2 counts"),
    (granted("A-4", "C-3", "P-3", **WITHIN | {"parent": "A-1"}), "other-parent", "stands under that of contract C-2"),
    (granted("A-4", "C-1", "P-1", **WITHIN), "other-parent", "stands under nobody"),
    (granted("A-4", "C-2", "P-2", **WITHIN), "other-parent", "of the same contract as A-2"),
    (granted("A-4", "C-3", "P-3", **WITHIN | {"parent": "A-9"}), "not-there", "A-9, within which A-4 lies"),
    (granted("A-1", "C-1", "P-1", products=["x"]), "already-there", "granted to partner P-1 already"),
    (granted("A-4", "C-1", "P-1", valid_to="2026-01-01"), "ends-before-it-begins", "not after it begins"),
    (revoked("A-1"), "sub-agents-stand", "sub-agents sell within it: A-2"),
    (revoked("A-2", "2026-10-01", "P-1"), "other-partner", "of partner P-2, not of P-1"),
    (revoked("A-9"), "not-there", "was never granted"),
]  # fmt: skip


def test_more_than_the_agent_above_has_is_not_granted(agents: Store) -> None:
    chain(agents)
    for number, (asked, code, says) in enumerate(REFUSED, 1):
        assert take(agents, asked).suspended == 1, says
        assert kept(agents) == [("suspended", code) for _, code, _ in REFUSED[:number]]
        with agents.reading() as cursor:
            row = cursor.execute("SELECT sentence FROM settle.suspense ORDER BY id DESC LIMIT 1").fetchone()
        assert row is not None
        assert says in row[0]


def test_a_chain_is_taken_away_from_below(agents: Store) -> None:
    chain(agents)
    take(agents, revoked("A-3", "2026-10-01", "P-3"), revoked("A-2", "2026-10-02", "P-2"), revoked("A-1", "2026-10-02"))
    assert kept(agents) == []
    take(agents, revoked("A-1", "2026-09-01"))
    assert kept(agents) == [("suspended", "wrong-state")]


AUTHORISATIONS = ("A-1", "A-2", "B-1")


@st.composite
def histories(draw: st.DrawFn) -> list[bytes]:
    """Grants, revocations and sales of an agent and its sub-agent, in any order."""
    grants = [
        granted("A-1", volume_max=draw(st.integers(1, 12)), meter="sms", regions=draw(st.sampled_from([None, ["GD"]])) or ["GD", "GX"]),
        granted("A-2", volume_max=draw(st.integers(1, 12)), meter="sms"),
        granted("B-1", "C-2", "P-2", parent="A-1", regions=["GD"], volume_max=1, meter="sms"),
        revoked("A-2", draw(st.sampled_from(["2026-10-01", "2026-10-05"]))),
    ]  # fmt: skip
    sales = [
        sold(f"s{number}", draw(st.integers(-4, 6)), draw(st.sampled_from(["C-1", "C-2"])),
             attributes={"region": draw(st.sampled_from(["GD", "GX"]))})
        for number in range(draw(st.integers(0, 16)))
    ]  # fmt: skip
    return draw(st.permutations([*grants, *sales]))


@given(histories(), st.lists(st.integers(1, 19), max_size=3))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_count_follows_from_the_log_however_it_is_cut(store: Store, history: list[bytes], cuts: list[int]) -> None:
    ends = []
    for where in ([], sorted(cuts)):
        _emptied(store)
        take(store, registered("P-1"), registered("P-2"), signed("C-1"), signed("C-2", partner="P-2"))
        for first, end in itertools.pairwise([0, *where, len(history)]):
            part = messages(history[first:end])
            if part:
                # Without recycling, which would change the order.
                record(store, [Slice(CHANNEL, 0, None, len(part))], part, clock())
        with store.reading() as cursor:
            found = cursor.execute("SELECT code, raw FROM settle.suspense ORDER BY id").fetchall()
        ends.append((found, used(store, *AUTHORISATIONS), live(store)))
    assert ends[0] == ends[1]
    assert used(store, "B-1")[0] <= 1
    assert rebuild(store, fresh=True).equal


CHAIN = """\
  - {name: commission, amount: 10% * sales}
  - {name: payable, amount: commission, round: half_up}
"""
SHARED = """\
split:
  of: payable
  among:
    - {party: partner, portion: 70%}
    - {party: parent, portion: 20%}
    - {party: parent 2, portion: remaining}
"""


def test_a_sub_agents_commission_is_shared_along_the_chain_to_the_last_cent(agents: Store) -> None:
    take(agents, book(CHAIN, more=SHARED), granted(), granted("A-2", "C-2", "P-2", parent="A-1"))
    take(agents, granted("A-3", "C-3", "P-3", parent="A-2"))
    # 10% of 3,333.40 is 333.34: 70% is 233.338, 20% is 66.668, and 10% 33.334; down to cents that is 233.33, 66.66 and 33.33,
    # which leaves 2 cents, one each from the top.
    take(agents, charged("1", "C-3", "3000.00"), charged("2", "C-3", "333.40"), charged("3", "C-9"))
    with agents.reading() as cursor:
        said = view(cursor, "C-3", OCTOBER).statement
    assert [(each["party"], each["amount"]) for each in said["parties"]] == [
        ("partner", "233.34"), ("parent", "66.67"), ("parent 2", "33.33"),
    ]  # fmt: skip
    assert said["payable"] == "333.34"
    assert sum(Decimal(each["amount"]) for each in said["parties"]) == Decimal(said["payable"])
    assert said["agents"] == {"parent": "P-2", "parent 2": "P-1"}
    assert closing.close(agents, OCTOBER, NOW, "C-3").closed == 1
    with agents.reading() as cursor:
        issued = view(cursor, "C-3", OCTOBER).statement
    assert (issued["state"], issued["agents"], issued["parties"]) == ("closed", said["agents"], said["parties"])
    assert digest(issued) == issued["digest"]
    assert audit(agents, OCTOBER).failed == []


def test_an_event_that_is_not_authorised_earns_nothing(agents: Store) -> None:
    take(agents, book(CHAIN), granted(regions=["GD"]))
    # Only the first is in Guangdong: 10% of 500.
    take(agents, charged("1", amount="500", attributes={"region": "GD"}), charged("2", amount="900"))
    with agents.reading() as cursor:
        assert view(cursor, "C-1", OCTOBER).statement["payable"] == "50.00"


def test_killed_anywhere_the_volume_is_what_the_log_says(agents: Store, database: str) -> None:
    take(agents, granted(volume_max=1000, meter="sms"))
    command = [sys.executable, "-m", "tests.agency_worker", database, "1000"]
    for batches in (3, 40, 200):
        process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(batches):
            if not process.stdout.readline():
                break
        process.kill()
        process.communicate()
        with agents.reading() as cursor:
            row = cursor.execute(
                "SELECT sum(events), sum(value_micros), (SELECT count(*) FROM settle.suspense) FROM facts "
                "WHERE event = 'usage.recorded'"
            ).fetchone()
            counted = volumes.used(cursor, ["A-1"])["A-1"]
        assert row is not None
        assert counted == row[1]
    # 333 sales of 3 are 999, and no other fits: of 1,000 the others wait.
    assert (counted, row[0], row[2]) == (999_000_000, 333, 667)
    assert rebuild(agents).equal
