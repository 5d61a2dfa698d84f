"""A cooperation model asks for a qualification: events count only on the days on which the partner holds one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.suspense import recycle_ripe
from engine.period import Period
from engine.settlement import closing
from engine.settlement.recording import Slice, record
from engine.store import facts, journal, relations
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.rebuild.running import rebuild
from tests.histories import charged, message, messages, registered, signed
from tests.settlement.test_chains import NOW, OCTOBER, amounts, book
from tests.settlement.test_recording import clock, kept, store, take

__all__ = ["store"]


def model(version: int = 1, **said: Any) -> bytes:
    data = {
        "model": "sp", "version": version, "kind": "revenue_share", "valid_from": "2026-01-01", "author": "Li",
        "qualifications": ["licence"],
    } | said  # fmt: skip
    return message("cooperation_model.published", f"model-{version}", data)


def submitted(days: tuple[str, str | None] = ("2026-01-01", "2026-10-01"), id: str = "1") -> bytes:
    data = {"partner": "P-1", "qualification": "L-7", "type": "licence", "issuer": "MIIT", "valid_from": days[0]}
    return message("qualification.submitted", f"submit-{id}", data | ({"valid_to": days[1]} if days[1] else {}))


def step(name: str, **said: Any) -> bytes:
    return message(
        f"qualification.{name}", f"{name}-{said}", {"partner": "P-1", "qualification": "L-7", "author": "Wu"} | said
    )


def ready(store: Store) -> None:
    take(store, registered(), model(), signed(cooperation_model="sp"), submitted(), step("approved"))


def test_a_qualification_is_approved_by_somebody_other_than_who_submitted_it(store: Store) -> None:
    data = {"partner": "P-1", "qualification": "L-7", "type": "licence", "issuer": "MIIT", "valid_from": "2026-01-01"}
    take(store, registered(), message("qualification.submitted", "1", data | {"author": "Wu"}), step("approved"))
    assert kept(store) == [("suspended", "own-approval")]
    take(store, step("approved", author="Li"))
    assert kept(store) == [("suspended", "own-approval")]
    with store.reading() as cursor:
        (found,) = relations.listed(cursor, "qualification")
    assert (found.state.state, found.state.author) == ("approved", "Li")


def test_what_was_approved_as_one_type_is_never_another(store: Store) -> None:
    """Else whoever submits it as another would have the days of the first at once, approved by nobody."""
    ready(store)
    vat = {"model": "vat", "version": 1, "kind": "revenue_share", "valid_from": "2026-01-01", "author": "Li"}
    take(store, message("cooperation_model.published", "vat", vat | {"qualifications": ["big licence"]}))
    take(store, signed("C-2", cooperation_model="vat"))
    other = {
        "partner": "P-1",
        "qualification": "L-7",
        "type": "big licence",
        "issuer": "MIIT",
        "valid_from": "2027-01-01",
    }
    take(store, step("revoked", valid_to="2026-09-01", reason="fraud"), message("qualification.submitted", "2", other))
    assert kept(store) == [("suspended", "other-type")]
    may = "2026-05-30T08:15:00Z"
    take(store, charged("a", time=may), charged("b", "C-2", time=may))
    # The one under the other model; for the licence May was approved, and stays so.
    assert kept(store)[1:] == [("suspended", "qualification-lapsed")]


def test_what_was_never_approved_may_be_submitted_as_another_type(store: Store) -> None:
    take(store, registered(), submitted(), step("rejected", reason="a licence?"))
    other = {
        "partner": "P-1",
        "qualification": "L-7",
        "type": "big licence",
        "issuer": "MIIT",
        "valid_from": "2027-01-01",
    }
    take(store, message("qualification.submitted", "2", other), step("approved"))
    assert kept(store) == []


def test_events_count_only_while_the_qualification_is_valid(store: Store) -> None:
    ready(store)
    take(store, charged("1", time="2026-09-30T08:15:00Z"), charged("2", time="2026-10-01T08:15:00Z"))
    assert kept(store) == [("suspended", "qualification-lapsed")]
    with store.reading() as cursor:
        ((fact,),) = facts.of_period(cursor, ["C-1"], datetime(2026, 9, 1, tzinfo=UTC).date()).values()
    assert fact.events == 1


def test_what_was_paid_in_advance_is_taken_in_whatever_stands_before_its_contract(store: Store) -> None:
    """It was paid, whether a licence was held on that day or not; else nobody would recoup it."""
    asks = model(courses=["sales"], authorisation=True, published_content=True)
    said = {"contract": "C-1", "amount": "60", "currency": "CNY", "attributes": {"content": "song"}}
    take(store, registered(), asks, signed(cooperation_model="sp"), message("advance.paid", "a", said))
    assert kept(store) == []
    granted = {"authorisation": "A-1", "partner": "P-1", "contract": "C-1", "author": "Li", "valid_from": "2026-01-01"}
    take(store, message("authorisation.granted", "g", granted | {"products": ["sim"], "volume_max": "10"}))
    take(store, message("advance.paid", "b", said), charged("1"))
    assert kept(store) == [("suspended", "qualification-lapsed")]
    with store.reading() as cursor:
        (fact,) = facts.of_period(cursor, ["C-1"], OCTOBER.first)["C-1"]
        balances = journal.balances(cursor)
    assert (fact.event, fact.value) == ("advance.paid", 120)
    assert [each.amount for each in balances if each.account == "advances"] == [120]


def test_a_renewal_recycles_what_was_suspended(store: Store) -> None:
    ready(store)
    take(store, charged("1"))
    take(store, step("renewed", valid_from="2026-11-01"))
    assert kept(store) == [("suspended", "qualification-lapsed")], "not for these days"
    take(store, step("renewed", valid_from="2026-10-01", valid_to="2026-11-01"))
    assert kept(store) == []


def test_what_a_killed_process_left_to_be_tried_again_is_tried_by_the_next(store: Store) -> None:
    ready(store)
    take(store, charged("1"))
    # Recorded, and killed before anything was recycled.
    renewed = messages([step("renewed", valid_from="2026-10-01")], first=9)
    record(store, [Slice("file:test", 0, None, 1)], renewed, clock())
    assert kept(store) == [("suspended", "qualification-lapsed")]
    assert recycle_ripe(store, clock) == 1
    assert recycle_ripe(store, clock) == 0


@pytest.mark.parametrize("cut", range(8))
def test_the_place_in_a_batch_decides_however_it_is_cut(store: Store, cut: int) -> None:
    history = [
        registered(), model(), signed(cooperation_model="sp"), charged("1"), submitted(("2026-01-01", None)),
        step("approved"), charged("2"), step("revoked", valid_to="2026-10-03", reason="fraud"), charged("3"),
    ]  # fmt: skip
    # What is suspended before the approval is recycled by it; recycling needs the batch to end.
    take(store, *history[:cut])
    take(store, *history[cut:])
    left = kept(store)
    with store.reading() as cursor:
        found = facts.of_period(cursor, ["C-1"], datetime(2026, 10, 1, tzinfo=UTC).date())
    events = sum(fact.events for fact in found.get("C-1", []))
    assert events + len(left) == 3
    assert ("suspended", "qualification-lapsed") in left


def test_a_model_allows_the_partner_kinds_and_rulebooks_that_it_names(store: Store) -> None:
    take(store, registered(), model(partner_kinds=["supplier"]))
    take(store, signed(cooperation_model="sp"))
    assert kept(store) == [("suspended", "not-in-model")]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (step("approved", author="Xu"), "wrong-state"),
        (submitted(id="2"), "already-there"),
        (model(3), "model-version-not-next"),
        (step("renewed", valid_from="2026-02-01", valid_to="2026-02-01"), "ends-before-it-begins"),
    ],
)
def test_what_does_not_follow_is_suspended(store: Store, asked: bytes, code: str) -> None:
    ready(store)
    take(store, asked)
    assert kept(store) == [("suspended", code)]


def test_a_rebuild_makes_the_same_relations(store: Store) -> None:
    ready(store)
    take(store, charged("1"), step("renewed", valid_from="2026-10-01"))
    assert rebuild(store).equal


SEPTEMBER = Period.parse("2026-09")
HALF = "  - {name: payable, amount: 50% * sales, round: half_up}\n"


def test_a_renewal_brings_what_was_suspended_onto_the_statement(store: Store) -> None:
    ready(store)
    take(store, book(HALF), charged("1", amount="80", time="2026-09-30T00:00:00Z"), charged("2", amount="100.01"))
    # The licence ended with September: half of 80 there, and nothing yet in October.
    assert (amounts(store, SEPTEMBER)["payable"], amounts(store, OCTOBER)["payable"]) == ("40.00", "0.00")
    take(store, step("renewed", valid_from="2026-10-01"))
    # Half of 100.01 is 50.005, half up.
    assert amounts(store, OCTOBER)["payable"] == "50.01"
    assert closing.close(store, OCTOBER, NOW).closed == 1
    assert audit(store, OCTOBER).failed == []


def test_a_version_of_a_model_asks_from_its_first_day_on(store: Store) -> None:
    take(
        store, registered(), model(qualifications=[]), model(2, valid_from="2026-10-15"), signed(cooperation_model="sp")
    )
    take(
        store,
        book(HALF),
        charged("1", amount="10", time="2026-10-14T23:59:59Z"),
        charged("2", amount="70", time="2026-10-15T00:00:00Z"),
    )
    # Version 2 needs a licence from the fifteenth on: only half of 10 is earned.
    assert amounts(store, OCTOBER)["payable"] == "5.00"
    assert kept(store) == [("suspended", "qualification-lapsed")]
    take(store, submitted(("2026-10-15", None)), step("approved"))
    assert (amounts(store, OCTOBER)["payable"], kept(store)) == ("40.00", [])
