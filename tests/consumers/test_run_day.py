"""A day of the calendar: what is due is done once, whoever dies meanwhile; what is not the engine's to decide is said."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from consumers import run_day as running
from consumers.run_day import DayNotCome, Done
from engine.aggregates import partner as partners
from engine.settlement import sealing
from engine.store import log, recorder, relations
from engine.store.database import Store
from replay.audit.auditing import audit
from tests.histories import message, registered, signed
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_notes import HALF, WITH_BROKER, model
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]

NOW = datetime(2027, 6, 1, tzinfo=UTC)


def run(store: Store, day: str, by: str = "ann") -> Done:
    return running.run_day(store, date.fromisoformat(day), by, lambda: NOW)


def did(done: Done) -> tuple[dict[str, int], list[tuple[str, str]]]:
    return done.closed, [(each.type.partition(".")[2], each.data["period"]) for each in done.steps]


def waits(done: Done) -> list[tuple[str, str, str]]:
    return [(each.contract, each.period, each.code) for each in done.waits]


def states(store: Store) -> dict[tuple[str, str], str]:
    with store.reading() as cursor:
        return {(n.state.contract, n.state.period): n.state.state for n in relations.listed(cursor, "note")}


def position(store: Store) -> int:
    with store.reading() as cursor:
        return recorder.last_position(cursor)


def begun(store: Store, *more: bytes, steps: str = HALF, **terms: Any) -> None:
    """October comes to 50.00 for C-1; its model publishes after 5 days, lets dispute until 15, pays by 30."""
    take(store, registered(), model(), signed(valid_from="2026-10-01", cooperation_model="sp", **terms), book(steps))
    take(store, charge("1", "100", 10), *more)


def test_a_statement_goes_through_its_days_without_anybody(store: Store) -> None:
    begun(store)
    assert did(run(store, "2026-10-31")) == ({}, [])
    assert did(run(store, "2026-11-01")) == ({"2026-10": 1}, [])
    assert did(run(store, "2026-11-04")) == ({}, [])
    assert did(run(store, "2026-11-05")) == ({}, [("published", "2026-10")])
    assert did(run(store, "2026-11-15")) == ({}, []), "it may be disputed up to and with this day"
    assert did(run(store, "2026-11-16")) == ({}, [("confirmed", "2026-10"), ("invoiced", "2026-10")])
    assert run(store, "2026-11-29").to_pay == ()
    (owed,) = run(store, "2026-11-30").to_pay
    assert (owed.number, owed.amount, owed.currency, owed.overdue) == ("SN-C-1-2026-10", "50.00", "CNY", False)
    (owed,) = run(store, "2026-12-01").to_pay
    assert owed.overdue
    paid = {"contract": "C-1", "period": "2026-10", "author": "bank", "amount": "50", "currency": "CNY", "reference": "B",
            "day": "2026-12-01"}  # fmt: skip
    take(store, message("statement.paid", "p", paid, "2026-12-01T18:00:00Z"))
    assert did(run(store, "2026-12-01")) == ({}, [("settled", "2026-10")])
    assert states(store) == {("C-1", "2026-10"): "settled"}


def test_a_day_that_was_run_finds_nothing_left_nor_does_an_earlier_one(store: Store) -> None:
    begun(store, charge("2", "10", 11))
    done = run(store, "2026-12-20")
    # October is published late, with its days; nobody is taken to agree on the day on which it hears of it.
    assert did(done) == ({"2026-10": 1, "2026-11": 1}, [("published", "2026-10"), ("published", "2026-11")])
    end = position(store)
    for day in ("2026-12-20", "2026-12-06", "2026-11-16"):
        again = run(store, day)
        assert (did(again), waits(again)) == (({}, []), [])
        assert position(store) == end
    assert did(run(store, "2026-12-30")) == ({}, [])
    # 20 December and the 10 days between the model's fifth and fifteenth.
    assert did(run(store, "2026-12-31"))[1] == [
        ("confirmed", "2026-10"), ("confirmed", "2026-11"), ("invoiced", "2026-10"), ("invoiced", "2026-11"),
    ]  # fmt: skip


def test_the_days_are_those_of_the_models_version_in_force_on_the_periods_last_day(store: Store) -> None:
    begun(store, charge("2", "10", 11))
    take(store, model({"publish_by": 1, "dispute_until": 1, "pay_by": 2}, version=2, valid_from="2026-11-01"))
    run(store, "2026-12-01")
    with store.reading() as cursor:
        notes = {each.state.period: each.state for each in relations.listed(cursor, "note")}
    assert str(notes["2026-11"].dispute_until) == "2026-12-01"
    # October's are 5, 15 and 30: published 26 days late, it may be disputed for ten days.
    assert str(notes["2026-10"].dispute_until) == "2026-12-11"


def test_the_day_is_that_of_each_contracts_time_zone(store: Store) -> None:
    begun(store, time_zone="Pacific/Kiritimati")
    run(store, "2026-11-05")
    with store.reading() as cursor:
        (note,) = relations.listed(cursor, "note")
    assert str(note.state.published) == "2026-11-05"


def test_what_waits_for_a_person_is_said_with_the_reason(store: Store) -> None:
    begun(store, signed("C-2", valid_from="2026-10-01"), steps=WITH_BROKER)
    done = run(store, "2026-11-05")
    assert waits(done) == [("C-2", "2026-10", "no-calendar"), ("C-1", "2026-10", "party-not-named")]
    end = position(store)
    assert waits(run(store, "2026-11-05")) == waits(done)
    assert position(store) == end
    note = {"contract": "C-1", "period": "2026-10"}
    take(
        store, message("statement.published", "p", note | {"author": "ann", "party": "artist"}, "2026-11-05T10:00:00Z")
    )
    disputed = note | {"author": "partner", "reason": "r", "lines": ["net"]}
    take(store, message("statement.disputed", "d", disputed, "2026-11-06T10:00:00Z"))
    assert waits(run(store, "2026-12-05"))[0] == ("C-1", "2026-10", "open-discrepancies")
    opened = note | {"line": "net", "author": "partner", "theirs": "60"}
    take(store, message("discrepancy.opened", "o", opened, "2026-11-06T10:00:00Z"))
    rejected = note | {"line": "net", "author": "wu", "reason": "counted"}
    take(store, message("discrepancy.rejected", "x", rejected, "2026-11-06T10:00:00Z"))
    assert waits(run(store, "2026-12-05"))[0] == ("C-1", "2026-10", "disputed")
    assert not kept(store)


def test_a_resolution_for_a_contract_that_has_ended_gets_its_statement_from_the_day(store: Store) -> None:
    begun(store)
    run(store, "2026-11-05")
    note = {"contract": "C-1", "period": "2026-10", "author": "partner"}
    at = "2026-11-06T10:00:00Z"
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-11-01"}))
    take(store, message("statement.disputed", "d", note | {"reason": "r", "lines": ["net"]}, at))
    take(store, message("discrepancy.opened", "o", note | {"line": "net", "theirs": "60"}, at))
    granted = note | {"author": "wu", "approver": "bo", "line": "net", "reason": "r", "amount": "2.50"}
    take(store, message("discrepancy.resolved", "x", granted, at))
    assert not kept(store)
    assert run(store, "2026-11-30").closed == {}
    assert run(store, "2026-12-01").closed == {"2026-11": 1}
    assert did(run(store, "2026-12-05"))[1] == [("published", "2026-11")]
    with store.reading() as cursor:
        due = {each.state.period: each.state.due[0].amount for each in relations.listed(cursor, "note")}
    assert due == {"2026-10": "50.00", "2026-11": "2.50"}
    assert did(run(store, "2027-01-01"))[0] == {}


def test_a_period_that_cannot_be_closed_does_not_keep_the_others(store: Store) -> None:
    begun(store, signed("C-9", valid_from="2026-10-01", rulebook="none"))
    done = run(store, "2026-11-01")
    assert (done.closed, waits(done)) == ({"2026-10": 1}, [("C-9", "2026-10", "no-rulebook")])


def test_a_payout_that_is_held_is_told_and_not_paid(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(store)
    run(store, "2026-11-05")
    run(store, "2026-11-16")
    monkeypatch.setattr(partners.Partner, "payout_held", "its new bank account is not approved", raising=False)
    (owed,) = run(store, "2026-12-01").to_pay
    assert owed.held == "its new bank account is not approved"
    paid = {"contract": "C-1", "period": "2026-10", "author": "bank", "amount": "50", "currency": "CNY", "reference": "B",
            "day": "2026-12-01"}  # fmt: skip
    take(store, message("statement.paid", "p", paid, "2026-12-01T18:00:00Z"))
    assert kept(store) == [("suspended", "payout-held")]


def test_a_day_that_has_not_come_is_refused(store: Store) -> None:
    with pytest.raises(DayNotCome, match="2027-06-02 has not come yet"):
        run(store, "2027-06-02")


def test_a_closing_that_was_killed_before_its_root_is_completed_by_the_next_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(store)
    with monkeypatch.context() as patched:
        patched.setattr(sealing, "complete", lambda *_: None)
        assert run(store, "2026-11-01").closed == {"2026-10": 1}
    assert not audit(store, OCTOBER).ok
    end = position(store)
    assert run(store, "2026-11-01").closed == {}
    assert (position(store), audit(store, OCTOBER).ok) == (end + 1, True)
    run(store, "2026-11-01")
    assert position(store) == end + 1


def test_runs_at_once_take_each_step_once_between_them(store: Store) -> None:
    names = [f"C-{n}" for n in range(12)]
    take(store, registered(), model(), book(HALF))
    take(store, *(signed(name, valid_from="2026-10-01", cooperation_model="sp") for name in names))
    take(store, *(charge(f"{name}/{month}", "10", month, name) for name in names for month in (10, 11)))
    for day, states_ in (("2026-12-05", {"published"}), ("2026-12-16", {"invoiced"})):
        with ThreadPoolExecutor(3) as pool:
            done = list(pool.map(lambda by, on=day: run(store, on, by), ["ann", "bo", "wu"]))
        assert not [each for one in done for each in one.waits]
        steps = [(each.data["contract"], each.data["period"], each.type) for one in done for each in one.steps]
        assert len(steps) == len(set(steps)) == len(names) * 2 * (1 if states_ == {"published"} else 2)
        assert set(states(store).values()) == states_


def test_runs_that_are_killed_again_and_again_take_every_step_once(store: Store, database: str) -> None:
    names = [f"C-{n}" for n in range(9)]
    take(store, registered(), model(), book(HALF))
    take(store, *(signed(name, valid_from="2026-10-01", cooperation_model="sp") for name in names))
    take(store, *(charge(f"{name}/{month}", "10", month, name) for name in names for month in (10, 11, 12)))
    rng = random.Random(7)  # noqa: S311 - a test's own
    for day in ("2027-01-05", "2027-01-16"):
        for _ in range(4):
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.consumers.run_day_worker", database, day], cwd=Path(__file__).parents[2]
            )
            # As soon as it has written something, or after a while where nothing is left.
            end, deadline = position(store), time.monotonic() + 2.0
            while (
                position(store) < end + rng.randrange(1, 12) and time.monotonic() < deadline and worker.poll() is None
            ):
                time.sleep(0.002)
            worker.kill()
            worker.wait()
        run(store, day)
    expected = {(name, period): "invoiced" for name in names for period in ("2026-10", "2026-11", "2026-12")}
    assert states(store) == expected
    with store.reading() as cursor:
        streams = [log.stream_id("note", f"{name}\x1f{period}") for name, period in expected]
        # Published, confirmed, invoiced: each once.
        assert set(log.versions(cursor, streams).values()) == {3}
    assert all(audit(store, period).ok for period in (OCTOBER, NOVEMBER, DECEMBER))
