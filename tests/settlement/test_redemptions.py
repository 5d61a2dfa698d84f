"""Points that are spent: requested, approved by somebody else, burned; and what a level grants."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from consumers.decode import decode
from consumers.ingest import ingest
from engine.settlement import points
from engine.settlement.recording import Message, Slice
from engine.store import intake, suspense
from engine.store.database import Store
from engine.store.intake import Counts
from replay.rebuild.running import rebuild
from tests.histories import charged, message, registered, signed
from tests.settlement.test_chains import book
from tests.settlement.test_recording import CHANNEL, clock, kept, store, take

__all__ = ["store"]

STEP = "  - {name: payable, amount: 50% * sales, round: half_up}\n"
PROGRAM = """\
points:
  earn: [{name: for sales, of: sales, rate: 1}]
  expiry: {after: P2M, to: day}
  levels:
    of: balance
    bands: [{name: bronze, from: 0}, {name: gold, from: 100, grants: [leads first]}]
"""
WHO: dict[str, Any] = {"partner": "P-1", "program": "simple"}
NOVEMBER_1 = "2026-11-01T08:00:00Z"


def adjusted(number: str, id: str = "adjust", time: str = NOVEMBER_1) -> bytes:
    said = WHO | {"points": number, "reason": "agreed", "author": "Li", "approver": "Wu"}
    return message("points.adjusted", id, said, time)


def asked(reference: str, number: str, time: str = NOVEMBER_1, **said: Any) -> bytes:
    data = WHO | {"reference": reference, "points": number, "author": "Li"} | said
    return message("points.redemption_requested", f"ask {reference} {number} {said}", data, time)


def step(name: str, reference: str, by: str = "Wu", time: str = NOVEMBER_1) -> bytes:
    who = {"approver": by} if name == "approved" else {"author": by, "reason": "no"}
    return message(
        f"points.redemption_{name}", f"{name} {reference} {by} {time}", WHO | {"reference": reference} | who, time
    )


def burned(id: str, number: str, time: str = NOVEMBER_1, **said: Any) -> bytes:
    return message("points.burned", id, WHO | {"points": number, "reason": "gift"} | said, time)


def ready(store: Store) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"), book(STEP, more=PROGRAM))


def account(store: Store, day: str = "2026-11-30") -> points.InProgram:
    with store.reading() as cursor:
        (found,) = points.accounts(cursor, "P-1", date.fromisoformat(day))
    return found


def sentences(store: Store) -> list[str]:
    with store.reading() as cursor:
        return [each.sentence for each in suspense.entries(cursor)]


def test_an_approved_redemption_is_an_entry_of_the_account(store: Store) -> None:
    ready(store)
    # October: sales of 80.00 earn 80 points on 31 October. 1 November: 40 by hand. 120 in all; 70 of them are spent: 50 left.
    take(store, charged("1", amount="80"), adjusted("40"), asked("gift", "70"))
    assert account(store).account.balance == 120
    take(store, step("approved", "gift"))
    found = account(store).account
    assert found.balance == 50
    entry = next(each for each in found.entries if each.kind == "burned")
    assert (entry.points, entry.author, entry.approver, entry.day) == (-70, "Li", "Wu", date(2026, 11, 1))
    assert rebuild(store).equal


def test_no_more_can_be_asked_for_than_there_is_less_what_is_asked_for_already(store: Store) -> None:
    ready(store)
    # 100 points; 60 are reserved by the first request, so 41 are too many and 40 are not.
    take(store, adjusted("100"), asked("a", "60"), asked("b", "41"), asked("b", "40"))
    assert kept(store) == [("suspended", "not-enough-points")]
    assert (
        "for 41 points, and on 2026-11-01 the account has 100, of which open requests reserve 60" in sentences(store)[0]
    )
    # What is rejected is free again.
    take(store, step("rejected", "a"), asked("c", "60"))
    assert len(kept(store)) == 1


@pytest.mark.parametrize("cut", range(4))
def test_what_came_before_in_the_same_batch_counts_however_it_is_cut(store: Store, cut: int) -> None:
    ready(store)
    history = [charged("1", amount="10"), adjusted("20"), asked("a", "30"), asked("b", "1")]
    take(store, *history[:cut])
    take(store, *history[cut:])
    assert kept(store) == [("suspended", "not-enough-points")]


def test_a_day_before_the_points_came_or_after_they_expired_has_none(store: Store) -> None:
    ready(store)
    take(store, adjusted("100"))
    # They came on 1 November and live two months: up to 31 December.
    take(store, asked("a", "1", "2026-10-31T23:00:00Z"), asked("b", "1", "2027-01-01T00:00:00Z"))
    assert [code for _, code in kept(store)] == ["not-enough-points"] * 2
    take(store, asked("c", "100", "2026-12-31T23:00:00Z"), step("approved", "c", time="2027-01-01T00:00:00Z"))
    assert [code for _, code in kept(store)] == ["not-enough-points"] * 3
    take(store, step("approved", "c", time="2026-12-31T23:30:00Z"))
    assert len(kept(store)) == 3


def test_points_that_were_spent_later_cannot_be_spent_before(store: Store) -> None:
    ready(store)
    take(
        store,
        adjusted("100"),
        burned("b", "90", "2026-11-20T00:00:00Z"),
        asked("a", "11", "2026-11-10T00:00:00Z"),
        asked("b", "10", "2026-11-10T00:00:00Z"),
    )
    assert kept(store) == [("suspended", "not-enough-points")]


def test_somebody_else_approves_and_only_what_was_asked_for(store: Store) -> None:
    ready(store)
    take(store, adjusted("100"), asked("a", "10"))
    take(store, step("approved", "a", by="Li"), step("approved", "b"), asked("a", "5"))
    assert [code for _, code in kept(store)] == ["own-approval", "not-there", "already-there"]
    take(store, step("approved", "a"), step("rejected", "a"))
    assert kept(store)[3:] == [("suspended", "wrong-state")]
    # The one that waited for its request is recycled by it.
    take(store, asked("b", "7"))
    assert account(store).account.balance == 100 - 10 - 7


def test_a_blocked_partner_spends_nothing_until_it_is_unblocked(store: Store) -> None:
    ready(store)
    said = {"partner": "P-1", "author": "Li", "reason": "fraud"}
    take(store, adjusted("100"), asked("a", "10"), message("partner.blocked", "b", said), step("approved", "a"))
    assert kept(store) == [("suspended", "partner-blocked")]
    take(store, message("partner.unblocked", "u", said))
    assert kept(store) == []
    assert account(store).account.balance == 90


def test_a_level_lets_the_partner_have_what_it_grants(store: Store) -> None:
    ready(store)
    take(store, adjusted("99"), asked("a", "1", benefit="leads first"))
    assert kept(store) == [("suspended", "not-granted")]
    assert "level bronze of 2026-11-01 grants nothing" in sentences(store)[0]
    # One more point makes gold, which grants it: 99 + 1 = 100.
    take(store, adjusted("1", "more"), asked("b", "1", benefit="leads first"), asked("c", "1", benefit="a car"))
    assert kept(store)[1:] == [("suspended", "not-granted")]
    assert "gold of 2026-11-01 grants leads first; ask for that" in sentences(store)[1]
    assert (account(store).account.level, account(store).grants) == ("gold", ("leads first",))


def test_however_long_its_names_are_a_redemption_waits(store: Store) -> None:
    # Each character takes four bytes, and they follow no order: together longer than an index holds.
    long = ["".join(chr(0x20000 + 7919 * (256 * part + number) % 0xA000) for number in range(256)) for part in range(3)]
    who = {"partner": long[0], "program": long[1], "reference": long[2], "approver": "Wu"}
    take(store, message("partner.registered", "1", {"partner": long[0], "name": "x", "kind": "agent"}))
    assert take(store, message("points.redemption_approved", "2", who)).suspended == 1
    assert kept(store) == [("suspended", "not-there")]
    asked_for = {name: text for name, text in who.items() if name != "approver"} | {"points": "1", "author": "Li"}
    take(store, message("points.redemption_requested", "3", asked_for))
    assert kept(store) == [("suspended", "not-there"), ("suspended", "no-points-account")]


def test_without_an_account_there_is_nothing_to_spend(store: Store) -> None:
    ready(store)
    take(store, asked("a", "1", program="other"), asked("b", "1", "2025-01-01T00:00:00Z"))
    assert [code for _, code in kept(store)] == ["no-points-account"] * 2


def test_what_is_asked_for_is_not_burned_otherwise_until_it_is_rejected(store: Store) -> None:
    ready(store)
    # Of 100 points 60 are asked for: 40 are free, so 41 are too many, and then 40 are not.
    take(store, adjusted("100"), asked("a", "60"), burned("b", "41"), burned("c", "40"))
    assert kept(store) == [("suspended", "not-enough-points")]
    assert sentences(store)[0] == (
        "points.burned b of partner P-1 in simple is for 41 points, and on 2026-11-01 the account has 100, of which open "
        "requests reserve 60; burn no more than is free, or have a request rejected first, under a new id, and write this "
        "message off"
    )
    # The other 60 are there for who asked first.
    assert take(store, burned("d", "1"), step("approved", "a")).recorded == 1
    assert account(store).account.balance == 0
    take(store, adjusted("5", "more"), asked("e", "5"), step("rejected", "e"), burned("f", "5"))
    assert (len(kept(store)), account(store).account.balance) == (2, 0)
    assert rebuild(store).equal


def test_no_more_is_burned_than_there_is_on_the_day(store: Store) -> None:
    ready(store)
    take(store, adjusted("10"))
    # They come on 1 November; and nobody has an account in a program without points.
    take(
        store, burned("early", "1", "2026-10-31T23:00:00Z"), burned("much", "11"), burned("other", "1", program="other")
    )
    assert [code for _, code in kept(store)] == ["not-enough-points", "not-enough-points", "no-points-account"]
    take(store, adjusted("-12", "fraud"))
    # What two persons take is taken: 2 are owed then, and nothing is left to burn.
    assert take(store, burned("b", "1")).suspended == 1
    assert account(store).account.balance == -2


@pytest.mark.parametrize("cut", range(5))
def test_burnings_of_one_batch_end_as_those_of_many(store: Store, cut: int) -> None:
    ready(store)
    history = [adjusted("100"), burned("a", "30"), asked("b", "30"), burned("c", "41"), burned("d", "40")]
    take(store, *history[:cut])
    take(store, *history[cut:])
    assert (kept(store), account(store).account.balance) == ([("suspended", "not-enough-points")], 30)


@pytest.mark.parametrize("other", [burned("two", "60"), asked("two", "60"), step("approved", "open")])
def test_of_two_who_spend_at_once_one_finds_too_little(store: Store, other: bytes) -> None:
    ready(store)
    take(
        store,
        adjusted("100"),
        asked("open", "60" if b"approved" in other else "1"),
        *([] if b"approved" in other else [step("rejected", "open")]),
    )
    with store.writing() as cursor:
        intake.ensure(cursor, CHANNEL, [(1, 0), (2, 0)])
    together = threading.Barrier(2)

    def spend(partition: int, raw: bytes) -> Counts:
        found = [Message(CHANNEL, partition, 0, None, decode(raw))]
        together.wait()
        return ingest(store, [Slice(CHANNEL, partition, 0, 1)], found, clock).counts

    with ThreadPoolExecutor(2) as both:
        ended = list(both.map(spend, (1, 2), (burned("one", "60"), other)))
    assert sorted((each.recorded, each.suspended) for each in ended) == [(0, 1), (1, 0)]
    assert kept(store) == [("suspended", "not-enough-points")]
    free = 100 - 60
    with store.reading() as cursor:
        found = points.spendable(cursor, "P-1", "simple", "2026-11-01")
    assert found is not None
    assert found.balance - found.reserved == free
    assert rebuild(store).equal


PEOPLE = st.sampled_from(["Li", "Wu"])
NUMBERS = st.integers(1, 60)
NAMES = st.sampled_from("abc")


class Redemptions(RuleBasedStateMachine):
    """Against a model of a few lines, on one store; each run has a partner of its own."""

    store: Store
    runs = itertools.count()

    @initialize()
    def begin(self) -> None:
        run = next(self.runs)
        self.who = {"partner": f"P-run{run}", "program": "simple"}
        self.run, self.sent = run, 0
        self.balance = Decimal(0)
        self.known: dict[str, tuple[str, int, str]] = {}
        take(
            self.store, registered(f"P-run{run}"), signed(f"C-run{run}", partner=f"P-run{run}", valid_from="2026-10-01")
        )

    def tell(self, kind: str, *, expected: bool, **said: Any) -> None:
        self.sent += 1
        counts = take(self.store, message(kind, f"{self.run}/{self.sent}", self.who | said, NOVEMBER_1))
        assert counts.recorded == expected, (kind, said, sentences(self.store)[-1:])
        with self.store.reading() as cursor:
            found = points.spendable(cursor, self.who["partner"], "simple", "2026-11-01")
        open_ = sum(number for state, number, _ in self.known.values() if state == "requested")
        assert found is not None
        assert (found.balance, found.reserved) == (self.balance, open_)

    @rule(number=NUMBERS)
    def give(self, number: int) -> None:
        self.balance += number
        self.tell("points.adjusted", expected=True, points=number, reason="x", author="Li", approver="Wu")

    @rule(number=NUMBERS)
    def burn(self, number: int) -> None:
        open_ = sum(each for state, each, _ in self.known.values() if state == "requested")
        good = number <= self.balance - open_
        if good:
            self.balance -= number
        self.tell("points.burned", expected=good, points=number, reason="gift")

    @rule(name=NAMES, number=NUMBERS, by=PEOPLE)
    def ask(self, name: str, number: int, by: str) -> None:
        open_ = sum(each for state, each, _ in self.known.values() if state == "requested")
        good = name not in self.known and number <= self.balance - open_
        if good:
            self.known[name] = ("requested", number, by)
        self.tell("points.redemption_requested", expected=good, reference=name, points=number, author=by)

    @rule(name=NAMES, by=PEOPLE)
    def approve(self, name: str, by: str) -> None:
        state, number, author = self.known.get(name, ("", 0, ""))
        good = state == "requested" and by != author
        assert not good or number <= self.balance, "what is asked for stays there"
        if good:
            self.balance -= number
            self.known[name] = ("approved", number, author)
        if state:  # one that waits would be recycled by its request
            self.tell("points.redemption_approved", expected=good, reference=name, approver=by)

    @rule(name=NAMES, by=PEOPLE)
    def reject(self, name: str, by: str) -> None:
        state, number, author = self.known.get(name, ("", 0, ""))
        good = state == "requested"
        if good:
            self.known[name] = ("rejected", number, author)
        if state:
            self.tell("points.redemption_rejected", expected=good, reference=name, author=by, reason="no")


def test_no_sequence_spends_more_than_there_is_or_twice(store: Store) -> None:
    ready(store)
    machine = type("Machine", (Redemptions,), {"store": store})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(max_examples=8, stateful_step_count=12, suppress_health_check=list(HealthCheck)),
    )
