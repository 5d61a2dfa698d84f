"""Sales that wait for volume are recorded by themselves when it is given back: in their order, each as soon as it fits."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.suspense import recycle_all, recycle_ripe
from engine.events import UsageRecorded, decoded
from engine.settlement.recording import Slice, record
from engine.store import log, recorder, suspense
from engine.store.database import Store
from replay.rebuild.running import rebuild
from tests.histories import charged, event_of, message, messages, registered, signed
from tests.replay.test_restate import _emptied as emptied
from tests.settlement.test_authorisations import agents, chain, granted, revoked, sold, used
from tests.settlement.test_chains import NOW, book
from tests.settlement.test_recording import CHANNEL, clock, kept, store, take
from tests.settlement.test_waiting_steps import causes

__all__ = ["agents", "store"]

WAITS = ("suspended", "not-authorised")
SIM: dict[str, Any] = {"product": "sim", "attributes": {"region": "GD"}}


def recorded(store: Store) -> list[str]:
    """The ids of sales in the order of the log."""
    with store.reading() as cursor:
        pages = log.named(cursor, [UsageRecorded.NAME], to=recorder.last_position(cursor))
        return [decoded(entry.name, entry.state).id for page in pages for entry in page]


def waiting(store: Store) -> list[str]:
    with store.reading() as cursor:
        return [event_of(entry.raw).id for entry in suspense.entries(cursor, limit=2_000)]


def only_recorded(store: Store, *raws: bytes) -> None:
    """Taken in by a process that is killed before it tries what waited for that."""
    record(store, [Slice(CHANNEL, 0, None, len(raws))], messages(raws), NOW)


def test_what_waits_is_taken_in_its_order_as_far_as_there_is_room(agents: Store) -> None:
    take(agents, granted(volume_max=10, meter="sms"))
    take(agents, sold("full", 10), sold("5", 5), sold("1", 1), sold("4", 4), sold("2", 2))
    # Of 3, the 5 has none, the 1 takes 1, the 4 has none, the 2 takes 2.
    take(agents, sold("back", -3))
    assert recorded(agents) == ["full", "back", "1", "2"]
    assert (waiting(agents), used(agents, "A-1")) == (["5", "4"], [10])
    take(agents, sold("more", -9))
    assert recorded(agents)[4:] == ["more", "5", "4"]
    assert (kept(agents), used(agents, "A-1")) == ([], [10])
    assert rebuild(agents).equal


def test_what_is_refused_before_and_in_the_batch_that_gives_back_is_taken(agents: Store) -> None:
    take(agents, granted(volume_max=10, meter="sms"))
    take(agents, sold("full", 10), sold("1", 2), sold("back", -2))
    assert recorded(agents) == ["full", "back", "1"]


def test_too_little_is_no_arrival(agents: Store) -> None:
    take(agents, granted(volume_max=10, meter="sms"), sold("full", 10), sold("4", 4), sold("5", 5))
    only_recorded(agents, sold("back", -3))
    assert causes(agents) == []
    only_recorded(agents, sold("more", -1))
    assert causes(agents) == ["volume:A-1"]


def test_a_refund_gives_money_back(agents: Store) -> None:
    take(agents, granted(volume_max="10.00"), charged("1", amount="9.00"), charged("2", amount="2.00"))
    back = {"contract": "C-1", "amount": "1.00", "currency": "CNY", "refunds": "1"}
    take(agents, message("billing.refunded", "3", back))
    assert (kept(agents), used(agents, "A-1")) == ([], [10])


def test_what_a_sub_agent_gives_back_is_room_for_all_within_the_agent_above(agents: Store) -> None:
    chain(agents)
    # A-2 holds 8 and A-1 10: all full.
    take(agents, sold("full", 8, "C-3", **SIM), sold("top", 2, "C-1", **SIM))
    take(agents, sold("c3", 1, "C-3", **SIM), sold("c1", 1, "C-1", **SIM), sold("c2", 1, "C-2", **SIM))
    assert kept(agents) == [WAITS] * 3
    # Room in A-1 alone is for its own contract only.
    take(agents, sold("back", -1, "C-1", **SIM))
    assert (recorded(agents)[2:], used(agents, "A-1", "A-2")) == (["back", "c1"], [10, 8])
    # Room in both is for the first that waits.
    take(agents, sold("again", -1, "C-2", **SIM))
    assert (recorded(agents)[4:], used(agents, "A-1", "A-2")) == (["again", "c3"], [10, 8])
    assert waiting(agents) == ["c2"]
    assert rebuild(agents).equal


def test_either_of_two_that_cover_it_gives_room(agents: Store) -> None:
    take(agents, granted("A-1", products=["sim"], volume_max=1, meter="sms"))
    take(agents, granted("A-2", regions=["GD"], volume_max=1, meter="sms"))
    take(agents, sold("1", 1, **SIM), sold("2", 1, **SIM), sold("3", 1, **SIM), sold("4", 1, **SIM))
    assert waiting(agents) == ["3", "4"]
    phone = {"product": "phone", "attributes": {"region": "GD"}}
    take(agents, sold("of A-2", -1, **phone))
    assert (waiting(agents), used(agents, "A-1", "A-2")) == (["4"], [1, 1])
    take(agents, sold("of A-1", -1, product="sim", attributes={"region": "GX"}))
    assert (waiting(agents), used(agents, "A-1", "A-2")) == ([], [1, 1])


def test_what_cannot_be_counted_is_not_tried_for_volume(agents: Store) -> None:
    steps = "  - {name: payable, amount: 50% * sales, round: half_up}\n"
    take(agents, book(steps).replace(b"currency: CNY\\n", b"currency: CNY\\ncurrencies: [USD]\\n", 1))
    take(agents, granted(volume_max="1"), charged("1", amount="1.00"), charged("2", currency="USD", amount="0.01"))
    assert kept(agents) == [WAITS], "in another currency, it counts nothing that could be compared"
    back = {"contract": "C-1", "amount": "1.00", "currency": "CNY", "refunds": "1"}
    only_recorded(agents, message("billing.refunded", "3", back))
    assert causes(agents) == []


def test_what_no_longer_waits_for_volume_is_not_tried_for_it(agents: Store) -> None:
    take(agents, granted(volume_max=1, meter="sms"), sold("1", 1), sold("2", 1), sold("3", 1))
    with agents.writing() as cursor:
        first = suspense.entries(cursor)[0]
        assert suspense.write_off(cursor, first.id, NOW, "Li", "not wanted")
    # The authorisation ends before the other; tried again, that waits for one that covers its day.
    take(agents, revoked("A-1", "2026-10-02"), sold("back", -1, time="2026-09-01T00:00:00Z"))
    with agents.reading() as cursor:
        (left,) = suspense.entries(cursor)
        assert left.sentence.startswith("no agency authorisation of contract C-1 covers")
        assert suspense.volumes_awaited(cursor) == {}
    only_recorded(agents, sold("more", -1, time="2026-09-01T00:00:00Z"))
    assert causes(agents) == []


def test_what_a_killed_process_left_is_taken_by_the_next(agents: Store) -> None:
    chain(agents)
    take(agents, sold("full", 8, "C-3", **SIM), sold("1", 2, "C-3", **SIM), sold("2", 1, "C-2", **SIM))
    only_recorded(agents, sold("back", -2, "C-2", **SIM))
    assert (causes(agents), kept(agents)) == (["volume:A-2", "volume:A-3"], [WAITS] * 2)
    assert recycle_ripe(agents, clock) == 1
    assert (causes(agents), recorded(agents)[2:], waiting(agents)) == ([], ["1"], ["2"])
    assert recycle_ripe(agents, clock) == 0


def test_killed_anywhere_nothing_that_fits_is_left_waiting(agents: Store, database: str) -> None:
    take(agents, granted(volume_max=50, meter="sms"))
    command = [sys.executable, "-m", "tests.agency_worker", database, "1000", "-2"]
    for batches in (7, 31, 200):
        process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(batches):
            if not process.stdout.readline():
                break
        process.kill()
        process.communicate()
    recycle_ripe(agents, clock)
    # A hundred times 2 were given back: of 250 in all, 83 sales of 3 are 249.
    assert used(agents, "A-1") == [49]
    assert (len(recorded(agents)), len(waiting(agents))) == (83 + 100, 1000 - 83)
    sales = [id_ for id_ in recorded(agents) if id_.startswith("sale")]
    assert sorted(sales, key=lambda id_: int(id_[5:])) == [f"sale-{number}" for number in range(83)]
    assert rebuild(agents).equal


LIMITS = st.integers(1, 12)


@st.composite
def histories(draw: st.DrawFn) -> list[bytes]:
    """Grants, a revocation, sales and what is given back, of an agent and its sub-agent, in any order."""
    grants = [
        granted("A-1", volume_max=draw(LIMITS), meter="sms", regions=draw(st.sampled_from([["GD"], ["GD", "GX"]]))),
        granted("A-2", volume_max=draw(LIMITS), meter="sms"),
        granted("B-1", "C-2", "P-2", parent="A-1", regions=["GD"], volume_max=1, meter="sms"),
        revoked("A-2", draw(st.sampled_from(["2026-10-01", "2026-10-05"]))),
    ]
    sales = [
        sold(f"s{number}", draw(st.integers(-4, 6)), draw(st.sampled_from(["C-1", "C-2"])),
             attributes={"region": draw(st.sampled_from(["GD", "GX"]))})
        for number in range(draw(st.integers(0, 20)))
    ]  # fmt: skip
    return draw(st.permutations([*grants, *sales]))


@given(histories(), st.lists(st.integers(1, 23), max_size=6))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_fits_is_left_waiting_and_nothing_else_is_sold(
    store: Store, history: list[bytes], cuts: list[int]
) -> None:
    emptied(store)
    take(store, registered("P-1"), registered("P-2"), signed("C-1"), signed("C-2", partner="P-2"))
    for first, end in itertools.pairwise([0, *sorted(cuts), len(history)]):
        if history[first:end]:
            take(store, *history[first:end])
    assert causes(store) == []
    left = waiting(store)
    assert len(left) + len(recorded(store)) == sum(b"usage.recorded" in raw for raw in history) + len(
        [code for _, code in kept(store) if code != "not-authorised"]
    )
    # Trying all of them again records nothing: what could be, was.
    assert recycle_all(store, clock, "not-authorised")[1] == 0
    assert waiting(store) == left
    assert rebuild(store, fresh=True).equal


@pytest.mark.parametrize("page", [1, 2, 2_000])
def test_the_order_does_not_depend_on_how_many_are_tried_at_once(
    agents: Store, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.suspense.ENTRIES_A_TRANSACTION", page)
    take(
        agents,
        granted(volume_max=20, meter="sms"),
        granted("A-2", "C-2", "P-2", parent="A-1", volume_max=5, meter="sms"),
    )
    take(agents, sold("full", 15), sold("sub", 5, "C-2"))
    take(
        agents, sold("a", 3, "C-2"), sold("b", 4), sold("c", 2, "C-2"), sold("d", 9), sold("e", 1, "C-2"), sold("f", 6)
    )
    # A-1 has room for 10 and A-2 for none: b and f take all of it.
    take(agents, sold("back", -10))
    assert recorded(agents)[2:] == ["back", "b", "f"]
    # Now each for 5: a and c are first.
    take(agents, sold("more", -5, "C-2"))
    assert recorded(agents)[5:] == ["more", "a", "c"]
    assert waiting(agents) == ["d", "e"]
