"""What an event does that comes after its period was closed, by the policy of its contract."""

from __future__ import annotations

from engine.period import Period
from engine.settlement import closing
from engine.store.database import Store
from replay.facts import verify
from tests.histories import charged, registered, signed
from tests.settlement.test_closing import OCTOBER, statement
from tests.settlement.test_recording import NOW, kept, published, store, take

__all__ = ["store"]

LATE = "2026-10-09T00:00:00Z"
OPEN = "2026-11-09T00:00:00Z"


def closed(store: Store, **terms: str) -> None:
    take(store, registered(), signed(**terms), signed("C-2"), published(), charged("1"))
    closing.close(store, OCTOBER, NOW)


def test_by_default_it_is_recorded_and_shows_as_late(store: Store) -> None:
    closed(store)
    assert take(store, charged("2", time=LATE), charged("3", time=OPEN)).recorded == 2
    assert statement(store)["late"] == 1


def test_a_contract_may_hold_it_for_approval_and_it_is_recorded_too(store: Store) -> None:
    closed(store, late_events="hold")
    assert take(store, charged("2", time=LATE)).recorded == 1
    assert statement(store)["late"] == 1


def test_a_contract_may_suspend_it_and_only_it(store: Store) -> None:
    closed(store, late_events="suspend")
    counts = take(store, charged("2", time=LATE), charged("3", time=OPEN), charged("4", "C-2", time=LATE))
    assert (counts.recorded, counts.suspended) == (2, 1)
    assert kept(store) == [("suspended", "period-closed")]
    assert statement(store)["late"] == 0
    assert statement(store, period=Period.parse("2026-11"))["payable"] == "1.00"
    assert verify(store).equal


def test_an_event_without_contract_says_so_whatever_the_policy_of_others(store: Store) -> None:
    closed(store, late_events="suspend")
    assert take(store, charged("2", "C-9", time=LATE)).suspended == 1
    assert kept(store) == [("suspended", "unknown-contract")]
