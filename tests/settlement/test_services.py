"""Services of a contract: usage counts on the days of trial and live, by the rules for its phase."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.period import Period
from engine.settlement import closing
from engine.settlement.evidence import witnesses
from engine.settlement.statements import view
from engine.store import facts, recorder, relations
from engine.store.database import Store
from replay import history
from replay.again import replay
from replay.archive.reading import Archive
from replay.archive.writing import seal
from replay.audit.auditing import audit
from replay.facts import verify
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import charged, message, registered, signed
from tests.replay.test_restate import _emptied as emptied
from tests.settlement.test_recording import NOW, kept, live, published, store, take

__all__ = ["store"]

OCTOBER = Period.parse("2026-10")
BOOK = """
rulebook: simple
version: 1
valid_from: 2026-01-01
currency: CNY
measures:
  on trial: {event: billing.charged, sum: amount, where: {phase: trial}}
  sales: {event: billing.charged, sum: amount, where: {phase: live}}
waterfall:
  - {name: payable, amount: 30% * on trial + 50% * sales, round: half_up}
"""


def by_phase(version: int = 1) -> bytes:
    text = BOOK.replace("version: 1", f"version: {version}").replace("2026-01", f"2026-{version:02}")
    return message("rulebook.published", f"r{version}", {"rulebook": "simple", "version": version, "text": text})


def step(what: str, id: str = "", service: str = "S-1", **said: Any) -> bytes:
    named = {"service": service, "partner": "P-1", "contract": "C-1", "author": "Li"}
    return message(f"service.{what}", id or f"{service}-{what}-{said}", named | said)


def applied(service: str = "S-1", **said: Any) -> bytes:
    return step("applied", service=service, name="Ringtones", **said)


def approved(service: str = "S-1", id: str = "") -> bytes:
    return step("reviewed", id, service, approved=True, author="Wu")


def on_trial(day: str = "2026-10-05", service: str = "S-1") -> tuple[bytes, ...]:
    return applied(service), approved(service), step("trial_started", service=service, day=day)


def sold(id: str, day: int, amount: str = "100", **said: Any) -> bytes:
    return charged(id, amount=amount, time=f"2026-10-{day:02}T08:00:00Z", **said)


def payable(store: Store) -> str:
    with store.reading() as cursor:
        return str(view(cursor, "C-1", OCTOBER).statement["payable"])


def state(store: Store, service: str = "S-1") -> Any:
    with store.reading() as cursor:
        return relations.known(cursor, [("service", service)])["service", service].state


def test_usage_counts_on_trial_and_live_each_by_its_own_rule(store: Store) -> None:
    take(store, registered(), by_phase(), signed(), *on_trial("2026-10-05"))
    take(store, sold("4", 4), sold("5", 5), sold("9", 9, "10"))
    assert kept(store) == [("suspended", "service-not-live")], "the day before the trial"
    assert payable(store) == "33.00"  # 30% of 100 + 10
    take(store, step("launched", day="2026-10-09"))
    assert payable(store) == "35.00"  # 30% of 100, 50% of 10: the day is live now, and its event folded again
    take(store, step("suspended", day="2026-10-12", author="Wu", reason="complaints"), sold("12", 12))
    assert kept(store) == [("suspended", "service-not-live")] * 2
    take(store, step("resumed", day="2026-10-13"))
    assert len(kept(store)) == 2, "the day itself is not open"
    take(store, sold("13", 13, "1000"))
    assert payable(store) == "535.00"  # 30 + 5 + 50% of 1000
    assert verify(store).equal


def test_a_suspension_of_a_past_day_stops_what_comes_after_it_and_leaves_what_is_recorded(store: Store) -> None:
    take(store, registered(), published(), signed(), *on_trial("2026-10-05"), sold("14", 14))
    take(
        store,
        step("suspended", day="2026-10-12", author="Wu", reason="complaints"),
        sold("late", 14),
        sold("before", 11),
    )
    assert kept(store) == [("suspended", "service-not-live")]
    assert payable(store) == "100.00"  # 50% of the 100 of the 14th, and of those of the 11th


def test_a_resumed_day_recycles_what_waited_for_it(store: Store) -> None:
    take(store, registered(), by_phase(), signed(), *on_trial("2026-10-05"))
    take(store, step("suspended", day="2026-10-10", author="Wu", reason="complaints"), sold("20", 20))
    assert kept(store) == [("suspended", "service-not-live")]
    take(store, step("resumed", day="2026-10-20"))
    assert kept(store) == []
    assert payable(store) == "30.00"


def test_it_counts_until_clearing_starts_and_never_after_it(store: Store) -> None:
    take(store, registered(), by_phase(), signed(), *on_trial("2026-10-05"), step("launched", day="2026-10-06"))
    take(store, step("exit_requested", day="2026-10-10", reason="sold"), sold("10", 10), sold("19", 19))
    take(store, step("clearing_started", day="2026-10-20"), step("exited", day="2026-10-25", author="Wu"))
    take(store, sold("a", 20), sold("b", 25), sold("late", 19, "10"))
    assert kept(store) == [("suspended", "service-not-live")] * 2
    assert payable(store) == "105.00"  # 50% of 100 + 100 + 10


def test_a_contract_without_a_service_stays_as_it_is_and_products_are_told_apart(store: Store) -> None:
    take(store, registered(), by_phase(), signed(), signed("C-2"), applied(products=["ringtone"]), approved())
    take(store, step("launched", day="2026-10-01"))
    take(store, sold("1", 2), sold("2", 2, product="ringtone"), sold("3", 2, product="game"))
    take(store, charged("4", "C-2"))
    assert kept(store) == [("suspended", "service-not-live")] * 2
    with store.reading() as cursor:
        found = facts.of_period(cursor, ["C-1", "C-2"], OCTOBER.first)
    assert {name: dict(own[0].dimensions)["phase"] for name, own in found.items()} == {"C-1": "live", "C-2": None}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (step("launched", service="S-9", day="2026-10-06"), "not-there"),
        (step("resumed", day="2026-10-06"), "wrong-state"),
        (step("launched", day="2026-10-04"), "day-too-early"),
        (applied(id="again"), "wrong-state"),
        (applied("S-2", products=["game"]), "product-not-covered"),
        (message("service.launched", "x", {"service": "S-1", "partner": "P-1", "contract": "C-2", "day": "2026-10-09", "author": "Li"}),
         "other-partner"),
        (step("suspension_rejected", author="Wu", reason="mended"), "not-there"),
    ],
)  # fmt: skip
def test_what_does_not_follow_is_suspended(store: Store, asked: bytes, code: str) -> None:
    take(store, registered(), signed(products=["ringtone"]), signed("C-2"), *on_trial("2026-10-05"))
    take(store, asked)
    assert kept(store) == [("suspended", code)]


def test_an_application_is_approved_by_somebody_other_than_who_applied(store: Store) -> None:
    take(store, registered(), signed(), applied(), step("reviewed", "own", approved=True, author="Li"))
    assert kept(store) == [("suspended", "own-approval")]
    take(store, approved(), step("launched", day="2026-10-01"))
    assert kept(store) == [("suspended", "own-approval")]


def test_a_proposed_suspension_is_confirmed_by_somebody_else(store: Store) -> None:
    take(store, registered(), signed(), *on_trial("2026-10-05"))
    take(store, step("suspension_proposed", author="assessment", reason="veto", cause="agents 2026-10"), sold("1", 9))
    assert state(store).state == "trial"
    assert kept(store) == [], "nothing follows from a proposal yet"
    suspend: dict[str, Any] = {"day": "2026-10-20", "reason": "veto"}
    take(store, step("suspended", author="assessment", **suspend))
    assert kept(store) == [("suspended", "own-approval")]
    take(store, step("suspended", author="Wu", **suspend))
    assert (state(store).state, state(store).proposed) == ("suspended", None)


def test_whoever_left_signs_a_further_contract(store: Store) -> None:
    take(store, registered(), signed(), applied("S-2"), *on_trial("2026-10-05"))
    take(store, step("exit_requested", day="2026-10-10", reason="sold"), step("clearing_started", day="2026-10-11"))
    take(store, step("exited", day="2026-10-12", author="Wu"))
    take(store, applied("S-3"))
    assert kept(store) == [], "S-2 is still applied for"
    for service in ("S-2", "S-3"):
        take(store, step("reviewed", service=service, approved=False, author="Wu", reason="left"))
    take(store, applied("S-4"))
    assert kept(store) == [("suspended", "contract-left")]


STEPS = st.tuples(
    st.sampled_from(["applied", "reviewed", "trial_started", "launched", "suspended", "resumed", "exit_requested",
                     "clearing_started"]),
    st.sampled_from(["S-1", "S-2"]), st.integers(1, 28),
)  # fmt: skip
SALES = st.tuples(st.just("sold"), st.sampled_from([None, "ringtone", "game"]), st.integers(1, 28))
# One that leads somewhere, so that not everything is refused.
BEGUN = [("applied", "S-1", 1), ("reviewed", "S-1", 1), ("trial_started", "S-1", 3)]


def told(number: int, what: str, of: str | None, day: int) -> bytes:
    if what == "sold":
        return sold(f"e{number}", day, str(number + 1), **({"product": of} if of else {}))
    said: dict[str, Any] = {"day": f"2026-10-{day:02}"}
    match what:
        case "applied":
            said = {"name": "x"} | ({"products": ["ringtone"]} if of == "S-2" else {})
        case "reviewed":
            said = {"approved": True, "author": "Wu"}
        case "suspended":
            said |= {"author": "Wu", "reason": "so"}
        case "exit_requested":
            said |= {"reason": "so"}
    return step(what, f"e{number}", of or "", **said)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(STEPS, SALES, SALES), max_size=25), st.integers(0, 20), st.integers(1, 9))
def test_live_facts_are_those_folded_again_whatever_happened_in_any_batches(
    store: Store, acts: list[Any], at: int, size: int
) -> None:
    emptied(store)
    raws = [told(number, *act) for number, act in enumerate([*BEGUN, *acts])]
    begin = min(at, len(raws))
    raws = [registered(), signed(valid_from="2026-01-01"), *raws[:begin], by_phase(), *raws[begin:]]
    then: dict[int, list[tuple[Any, ...]]] = {}
    for first in range(0, len(raws), size):
        take(store, *raws[first : first + size])
        with store.reading() as cursor:
            then[recorder.last_position(cursor)] = live(store)
    assert verify(store).equal
    with store.reading() as cursor:
        for position, rows in then.items():
            known = history.known_at(cursor, position, position)
            assert sorted(history.folded(cursor, known, position).rows()) == rows, "as it was known then"
    assert rebuild(store).equal


def test_a_replay_knows_the_services_of_its_position(store: Store, tmp_path: Path) -> None:
    take(store, registered(), by_phase(), signed(), *on_trial("2026-10-05"), sold("9", 9))
    with store.reading() as cursor:
        before = recorder.last_position(cursor)
    take(store, step("launched", day="2026-10-08"), sold("10", 10))
    assert closing.close(store, OCTOBER, NOW).closed == 1
    assert seal(store, tmp_path / "archive", 2).new is not None
    for archive in (None, Archive(str(tmp_path / "archive"))):
        with store.reading() as cursor:
            found = [
                replay(cursor, first=OCTOBER, last=OCTOBER, position=position, archive=archive).periods[0].payable
                for position in (before, None)
            ]
        # 30% of 100 while it was on trial; then both days are live: 50% of 200.
        assert found == [{"CNY": Decimal("30.00")}, {"CNY": Decimal("100.00")}]


def test_a_refund_takes_back_what_its_charge_earned_in_its_phase(store: Store) -> None:
    """Else what was shared at 30% on trial would be taken back at 50% once the service is live."""
    text = BOOK.replace(
        "waterfall:",
        """\
  trial refunds: {event: billing.refunded, sum: amount, where: {phase: trial}}
  refunds: {event: billing.refunded, sum: amount, where: {phase: live}}
waterfall:""",
    ).replace("30% * on trial + 50% * sales", "30% * (on trial - trial refunds) + 50% * (sales - refunds)")
    take(store, registered(), message("rulebook.published", "r", {"rulebook": "simple", "version": 1, "text": text}))
    take(store, signed(valid_from="2026-10-01"), *on_trial("2026-10-05"), sold("6", 6), sold("7", 7, "50"))
    back = {"contract": "C-1", "amount": "100", "currency": "CNY", "refunds": "6"}
    refund = message("billing.refunded", "back", back | {"charged_at": "2026-10-06T08:00:00Z"}, "2026-10-12T08:00:00Z")
    take(store, step("launched", day="2026-10-08"), sold("10", 10), refund)
    # 30% of 150 less 100 on trial, 50% of 100 live.
    assert payable(store) == "65.00"
    # One that does not say of when its charge was is of its own day: 50% of 20 less.
    take(store, message("billing.refunded", "today", back | {"amount": "20"}, "2026-10-12T08:00:00Z"))
    assert payable(store) == "55.00"
    # A clock that goes wrong: no charge is after what gives it back.
    wrong = back | {"amount": "10", "charged_at": "2026-10-30T08:00:00Z"}
    take(store, message("billing.refunded", "wrong", wrong, "2026-10-07T08:00:00Z"))
    assert payable(store) == "52.00"
    assert not verify(store).differences
    assert rebuild(store).equal
    assert closing.close(store, OCTOBER, NOW).closed == 1
    assert not audit(store, OCTOBER).failed
    with store.reading() as cursor:
        closed = view(cursor, "C-1", OCTOBER).calculated.given.facts
        behind = witnesses(cursor, "C-1", OCTOBER, closed, to=recorder.last_position(cursor), each=9)
    assert sorted(w.id for f, own in behind.items() for w in own if dict(f.dimensions)["phase"] == "trial") == [
        "6", "7", "back", "wrong",
    ]  # fmt: skip


def test_a_rebuild_makes_the_same_of_services_and_phases(store: Store) -> None:
    take(store, registered(), by_phase(), signed(), *on_trial("2026-10-05"), sold("9", 9))
    take(store, step("launched", day="2026-10-08"), sold("10", 10), sold("1", 1))
    assert rebuild(store).equal
    assert payable(store) == "100.00"
    assert verify(store).equal


def test_a_launch_that_is_told_late_is_restated_and_the_proof_knows_which_services_were_known(store: Store) -> None:
    take(store, registered(), by_phase(), signed(valid_from="2026-10-01"), *on_trial("2026-10-05"), sold("9", 9))
    november = Period.parse("2026-11")
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert closing.close(store, OCTOBER, later).closed == 1
    take(store, step("launched", day="2026-10-08"))
    (made,) = restate(store, later).restated
    # 50% instead of 30% of 100
    assert made.adjustment["payable"] == [{"currency": "CNY", "was": "30.00", "now": "50.00", "amount": "20.00"}]
    (cause,) = made.causes
    assert (cause["cause"], [each["type"] for each in cause["named"]]) == ("services", ["service.launched"])
    assert closing.close(store, november, later).closed == 1
    assert not audit(store, OCTOBER).failed
    assert not audit(store, november).failed
    with store.reading() as cursor:
        closed = view(cursor, "C-1", OCTOBER).calculated.given.facts
        behind = witnesses(cursor, "C-1", OCTOBER, closed, to=made.before.position, each=9)
    assert {dict(f.dimensions)["phase"]: [w.id for w in own] for f, own in behind.items()} == {"trial": ["9"]}


def test_the_events_behind_a_phase_are_found(store: Store) -> None:
    take(store, registered(), by_phase(), signed(), *on_trial("2026-10-05"), sold("6", 6))
    take(store, step("launched", day="2026-10-08"), sold("10", 10))
    with store.reading() as cursor:
        found = facts.of_period(cursor, ["C-1"], OCTOBER.first)["C-1"]
        behind = witnesses(cursor, "C-1", OCTOBER, found, to=99, each=9)
    assert {dict(f.dimensions)["phase"]: [w.id for w in own] for f, own in behind.items()} == {
        "trial": ["6"], "live": ["10"],
    }  # fmt: skip
