"""A step of a year to come waits: a slip of the pen is seen before it is for ever, and what is meant is not lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumers.commands import Asked, ask
from consumers.ingest import ingest
from consumers.run_day import run_day
from consumers.suspense import recycle_all
from engine.settlement.recording import CommandRefused, Slice
from engine.store import facts, registry, suspense
from engine.store.database import Store
from engine.store.intake import Counts
from replay.rebuild.running import rebuild
from tests.histories import charged, message, messages, registered, signed
from tests.settlement.test_recording import CHANNEL, kept, published, store

__all__ = ["store"]

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
BLOCK = {"partner": "P-1", "author": "Li", "reason": "fraud"}


def take(store: Store, *raws: bytes, now: datetime = NOW) -> Counts:
    return ingest(store, [Slice(CHANNEL, 0, None, len(raws))], messages(raws), lambda: now).counts


def block(time: datetime) -> bytes:
    return message("partner.blocked", time.isoformat(), BLOCK, time.isoformat())


def blocked(store: Store) -> bool:
    with store.reading() as cursor:
        return registry.partners(cursor, ["P-1"])["P-1"].blocked is not None


@pytest.fixture
def known(store: Store) -> Store:
    take(store, registered(), signed(), published())
    return store


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (NOW - timedelta(days=9_000), None),
        (NOW, None),
        (NOW + timedelta(days=366), None),
        (NOW + timedelta(days=366, seconds=1), "time-ahead"),
        (datetime(2099, 12, 31, tzinfo=UTC), "time-ahead"),
    ],
)
def test_a_step_is_taken_up_to_a_year_before_its_time(known: Store, time: datetime, code: str | None) -> None:
    take(known, block(time))
    assert kept(known) == ([] if code is None else [("suspended", code)])
    assert blocked(known) == (code is None)


def test_the_sentence_says_both_times_and_what_to_do(known: Store) -> None:
    take(known, block(NOW + timedelta(days=395)))
    with known.reading() as cursor:
        (entry,) = suspense.entries(cursor)
    assert "partner.blocked is of 2027-12-01 12:00 UTC" in entry.sentence
    assert "it is 2026-11-01 12:00 UTC" in entry.sentence
    assert "settle run-day" in entry.sentence


def test_it_is_recycled_when_its_day_has_come_and_not_before(known: Store) -> None:
    take(known, block(NOW + timedelta(days=395)))
    for days, comes in ((0, False), (28, False), (29, True)):
        now = NOW + timedelta(days=days)
        run_day(known, now.date(), "Li", lambda now=now: now)  # type: ignore[misc] # its default is its argument
        assert blocked(known) == comes
    assert kept(known) == []
    assert rebuild(known).equal


def test_it_is_recycled_by_hand_too_and_a_repeat_meanwhile_is_a_duplicate(known: Store) -> None:
    ahead = block(NOW + timedelta(days=395))
    take(known, ahead)
    assert take(known, ahead) == Counts(duplicate=1)
    assert recycle_all(known, lambda: NOW) == (1, 0)
    assert recycle_all(known, lambda: NOW + timedelta(days=395)) == (1, 1)
    assert blocked(known)


def test_of_two_steps_that_wait_the_earlier_is_taken_first(known: Store) -> None:
    unblock = message("partner.unblocked", "later", BLOCK, (NOW + timedelta(days=405)).isoformat())
    take(known, unblock, block(NOW + timedelta(days=395)))
    recycle_all(known, lambda: NOW + timedelta(days=30))
    assert blocked(known)
    recycle_all(known, lambda: NOW + timedelta(days=40))
    assert not blocked(known)


def test_a_person_is_refused_at_once_and_nothing_of_it_is_kept(known: Store) -> None:
    asked: Any = Asked("partner.blocked", BLOCK, datetime(2062, 11, 1, tzinfo=UTC))
    with pytest.raises(CommandRefused, match=r"of 2062-11-01 .* give it the time at which it happens$") as refused:
        ask(known, [asked], lambda: NOW)
    assert refused.value.code == "time-ahead"
    assert not blocked(known)
    assert kept(known) == []


def test_usage_and_billing_are_of_their_day_whenever_it_comes(known: Store) -> None:
    """Charges for a term to come are charged in advance, and whatever is wrong can be refunded."""
    assert take(known, charged("1", time="2027-02-01T00:00:00Z")) == Counts(recorded=1)
    with known.reading() as cursor:
        assert facts.latest(cursor, ["C-1"])["C-1"].isoformat() == "2027-02-01"
