"""Steps that overtake the one before them are taken when that has come; what was overtaken itself is not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from consumers.suspense import recycle_ripe
from engine.settlement.recording import Slice, record
from engine.store import relations, suspense
from engine.store.database import Store
from replay.rebuild.running import rebuild
from tests.histories import message, messages, registered, signed
from tests.replay.test_restate import _emptied as emptied
from tests.settlement.test_notes import CONFIRMED, DISPUTED, INVOICED, PAID, PUBLISHED, closed, resolved
from tests.settlement.test_notes import state as state_of_note
from tests.settlement.test_recording import CHANNEL, clock, kept, store, take
from tests.settlement.test_services import sold
from tests.settlement.test_waiting_steps import EXTRA, NET, REJECTED

__all__ = ["store"]


def step(what: str, hour: int, id: str = "", **said: Any) -> bytes:
    """A step of a service, told with the time at which it was taken."""
    data = {"service": "S-1", "partner": "P-1", "contract": "C-1", "author": "Li"} | said
    return message(f"service.{what}", id or f"{what}-{hour}", data, f"2026-10-02T{hour:02}:00:00Z")


APPLIED = step("applied", 8, name="Ringtones")
REVIEWED = step("reviewed", 9, approved=True, author="Wu")
LAUNCHED = step("launched", 10, day="2026-10-01")
SUSPENDED = step("suspended", 11, day="2026-10-10", reason="complaints")
RESUMED = step("resumed", 12, day="2026-10-20")
LIFE = (APPLIED, REVIEWED, LAUNCHED, SUSPENDED, RESUMED)


def state(store: Store) -> Any:
    with store.reading() as cursor:
        return relations.known(cursor, [("service", "S-1")])["service", "S-1"].state


def waits(store: Store) -> list[tuple[str, str | None]]:
    with store.reading() as cursor:
        return [(each.code, each.waits_for) for each in suspense.entries(cursor)]


@pytest.mark.parametrize("size", [1, 5])
def test_in_whatever_order_its_steps_arrive_a_service_ends_as_it_was_run(store: Store, size: int) -> None:
    """One that came too early waited for ever before, and with it all that was used of the service."""
    for order in list(itertools.permutations(LIFE))[::9]:
        emptied(store)
        take(store, registered(), signed(), APPLIED, sold("5", 5), sold("25", 25))
        for at in range(0, len(order), size):
            take(store, *order[at : at + size])
        assert (state(store).state, [str(each.first) for each in state(store).open]) == (
            "live", ["2026-10-01", "2026-10-20"],
        ), order  # fmt: skip
        assert kept(store) == [], order
    assert rebuild(store).equal


def test_what_was_overtaken_is_not_taken_later(store: Store) -> None:
    """Whoever suspends a service that is suspended does not suspend it again once it was resumed."""
    again = step("suspended", 11, "again", day="2026-10-25", reason="complaints")
    take(store, registered(), signed(), APPLIED, REVIEWED, LAUNCHED, SUSPENDED)
    take(store, step("suspended", 11, "the same hour", day="2026-10-10", reason="complaints"))
    assert waits(store) == [("wrong-state", None)]
    later = again.replace(b"T11:00:00Z", b"T11:30:00Z")
    take(store, later)
    assert waits(store)[1:] == [("wrong-state", "service:S-1")]
    take(store, RESUMED)
    assert state(store).state == "live"
    assert waits(store) == [("wrong-state", None)] * 2
    with store.reading() as cursor:
        assert "meanwhile one of 2026-10-02 12:00 UTC was taken, which is later" in suspense.entries(cursor)[1].sentence


def test_where_nothing_can_follow_nothing_is_waited_for(store: Store) -> None:
    exit_ = {"day": "2026-10-20", "author": "Wu"}
    take(store, registered(), signed(), APPLIED, REVIEWED, LAUNCHED, step("exit_requested", 11, reason="sold", **exit_))
    take(store, step("clearing_started", 12, **exit_), step("exited", 13, **exit_), step("resumed", 14, **exit_))
    assert waits(store) == [("wrong-state", None)]


def test_a_process_that_dies_before_it_takes_what_waited_leaves_that_to_the_next(store: Store) -> None:
    take(store, registered(), signed(), APPLIED, LAUNCHED)
    assert waits(store) == [("wrong-state", "service:S-1")]
    record(store, [Slice(CHANNEL, 0, None, 1)], messages([REVIEWED]), clock())  # and then it is killed
    assert state(store).state == "approved"
    assert recycle_ripe(store, clock) == 1
    assert state(store).state == "live"


def test_an_invoice_and_a_payment_wait_for_the_confirmation_that_waits_for_a_line(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, DISPUTED, NET, EXTRA, PAID, INVOICED, CONFIRMED, resolved(accepted=True))
    assert state_of_note(store) == "disputed"
    take(store, REJECTED)
    assert (state_of_note(store), kept(store)) == ("paid", [])
    assert rebuild(store).equal


def test_a_version_of_a_model_waits_for_those_before_it(store: Store) -> None:
    said = {"model": "sp", "kind": "wholesale", "author": "Li"}
    versions = [
        message("cooperation_model.published", f"{n}", said | {"version": n, "valid_from": f"2026-0{n}-01"})
        for n in (1, 2, 3)
    ]
    take(store, registered(), versions[2], versions[1])
    assert waits(store) == [("model-version-not-next", "cooperation_model:sp")] * 2
    take(store, versions[0])
    assert kept(store) == []
    take(store, message("cooperation_model.published", "x", said | {"version": 2, "valid_from": "2026-09-01"}))
    assert waits(store) == [("model-version-not-next", None)]
