"""A final grade by a veto proposes that the partner's running services be suspended."""

from __future__ import annotations

from typing import Any

from engine.store.database import Store
from tests.console.test_commands import Settle, settle
from tests.histories import message, registered, signed
from tests.settlement.test_assessments import closed, complaint
from tests.settlement.test_recording import kept, store, take

__all__ = ["settle", "store"]


def service(step: str, of: str, **said: Any) -> bytes:
    data = {"partner": "P-1", "contract": "C-1", "service": of, "author": "zoe"} | said
    return message(f"service.{step}", f"{step}-{of}", data, "2026-10-01T00:00:00Z")


def test_a_final_veto_proposes_the_suspension_of_what_runs_and_is_not_proposed_yet(
    settle: Settle, store: Store
) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"))
    for name in ("mms", "sms"):
        take(store, service("applied", name, name=name), service("reviewed", name, approved=True, author="ann"),
             service("launched", name, day="2026-10-01"))  # fmt: skip
    take(
        store, service("applied", "game", name="game"), service("suspension_proposed", "sms", author="zoe", reason="r")
    )
    closed(store, complaint("K-2", severity="critical"))
    key = ["simple", "2026-10", "P-1"]
    assert settle("assessment", "publish", *key, "--by", "ann").status == 0
    done = settle("assessment", "finalise", *key, "--by", "ann", "--json").json
    assert [(each["service"], each["reason"]) for each in done["proposed"]] == [("mms", "grade D by veto fraud")]
    told = settle("service", "show", "mms", "--json").json
    assert (told["state"], told["proposed"]["cause"]) == ("live", "assessment simple 2026-10")
    assert kept(store) == []
