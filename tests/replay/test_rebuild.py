"""Projections made anew beside the live ones: equal to them whatever happened, and put in their place without a trace."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console import status
from engine.settlement import closing, scoring
from engine.store import beside, differences, recorder
from engine.store.alone import alone
from engine.store.database import Store
from replay.facts import verify
from replay.rebuild import folding, running
from replay.rebuild.running import Rebuilt, rebuild, rollback
from replay.restate import restate
from tests.histories import charged, message, registered, signed
from tests.replay.test_restate import NOW, _emptied, _World, acts, approved
from tests.settlement import test_authorisations as agency
from tests.settlement import test_chains as chains
from tests.settlement import test_contents as contents
from tests.settlement import test_leads as leads
from tests.settlement import test_notes as notes
from tests.settlement import test_partners as partners
from tests.settlement import test_qualifications as qualifications
from tests.settlement import test_redemptions as redemptions
from tests.settlement import test_services as services
from tests.settlement import test_training as training
from tests.settlement.test_chains import NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_final_statements import deposit
from tests.settlement.test_recording import store, take
from tests.settlement.test_reporting import case

__all__ = ["store"]

SOURCES = ("log", "batches", "identities", "intake", "suspense")
SIMPLE = "  - {name: payable, amount: 50% * sales, round: half_up}\n"
KILLS = 5
CHARGES = 1_000
CONTRACTS = ("C-1", "C-14")


def rows(store: Store, schema: str = "settle", tables: tuple[str, ...] = beside.TABLES) -> dict[str, list[str]]:
    with store.reading() as cursor:
        return {
            name: sorted(row[0] for row in cursor.execute(f"SELECT t::text FROM {schema}.{name} t"))  # noqa: S608
            for name in tables
        }


def schemas(store: Store) -> set[str]:
    with store.reading() as cursor:
        return {row[0] for row in cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'settle%'")}


def equal(done: Rebuilt) -> bool:
    digests = all(
        each.digest_live == each.digest_rebuilt and each.rows_live == each.rows_rebuilt for each in done.tables
    )
    return done.equal and done.swapped and digests and all(each.live == each.rebuilt for each in done.money)


REFUNDS = ", refunds: {event: billing.refunded, sum: amount}"


def told(number: int, kind: str) -> bytes:
    """One of the events that come one by one."""
    who, id_ = {"partner": "P-1"}, f"told-{number}"
    match kind:
        case "case":
            return case(id_, "answered", minutes="12.5", contract="C-1")
        case "points":
            said = {"program": "simple", "points": "7.5", "reason": "r", "author": "ann", "approver": "bob"}
            return message("points.adjusted", id_, who | said)
        case "burned":
            return message("points.burned", id_, who | {"program": "simple", "points": "3", "reason": "r"})
        case "rate":
            return chains.published_rate(id_, f"7.{number}", "2026-10-05")
        case "registered":
            return registered(f"P-{number}")
        case _:
            return signed(f"C-{number}", valid_from="2026-10-01", time_zone="Asia/Shanghai")


def everything(store: Store) -> None:
    """A history in which every table has rows: two closings, a restated statement that waits and one that was taken up."""
    chains.assessed(store)
    take(store, *(told(number, kind) for number, kind in enumerate(("case", "points", "burned", "rate", "signed"), 10)))
    closing.close(store, OCTOBER, NOW)
    asked = {"partner": "P-1", "scorecard": "simple", "period": "2026-10", "reason": "late", "author": "ann"}
    take(store, charge("late", "70", 10), chains.overridden(), message("assessment.reassessed", "again", asked))
    scoring.reassess(store, OCTOBER, NOW)
    restate(store, NOW)
    closing.close(store, NOVEMBER, NOW)
    take(
        store,
        charge("later", "30", 10),
        message("contract.terminated", "t", {"contract": "C-2", "valid_to": "2026-12-01"}),
    )
    restate(store, NOW)
    take(store, charge("last", "11", 12), charged("unknown", "C-99"))
    take(store, qualifications.model(), qualifications.submitted(), qualifications.step("approved"))
    take(store, *services.on_trial(), deposit("paid", "10"))
    take(store, contents.order("O-1", "2026-10-05T12:00:00Z"), contents.content("published", "2026-10-02T00:00:00Z"))
    shown = {"scorecard": "simple", "period": "2026-10", "partner": "P-1", "author": "ann"}
    take(store, message("assessment.published", "shown", shown))
    take(store, agency.granted(contract="C-14", volume_max=9, meter="sms"), agency.sold("sold", 2, "C-14"))
    take(store, leads.lead(), leads.step("accepted"), leads.step("won"), training.offered(), training.step("enrolled"))
    take(store, notes.PUBLISHED, notes.DISPUTED, notes.opened("net", theirs="1"), notes.resolved(amount="-1"))
    take(
        store, partners.step("changed", author="Li", name="One"), redemptions.asked("gift", "1", "2027-03-01T00:00:00Z")
    )


def test_every_table_is_made_anew_as_it_was_and_sources_are_not_touched(store: Store) -> None:
    everything(store)
    before, sources = rows(store), rows(store, tables=SOURCES)
    assert all(before.values()), [name for name, own in before.items() if not own]
    done = rebuild(store)
    assert equal(done), done
    assert (done.resumed, done.events) == (None, done.position)
    assert rows(store) == before == rows(store, beside.BEFORE)
    assert rows(store, tables=SOURCES) == sources
    assert schemas(store) == {"settle", "settle_before"}
    take(store, charge("after", "1", 12))
    assert closing.close(store, chains.DECEMBER, NOW).closed
    assert equal(rebuild(store))


def test_every_table_can_be_compared_and_named() -> None:
    assert set(differences.KEYS) == set(beside.TABLES)


class _Wider(_World):
    def act(self, what: str, *of: Any) -> None:
        match what:
            case "refine":
                self.versions += take(self.store, _dimensioned(self.versions + 1, *of)).recorded
            case "told":
                self.sent += 1
                take(self.store, told(self.sent, *of))
            case _:
                super().act(what, *of)


def _dimensioned(version: int, dimension: str, month: int) -> bytes:
    raw = book(
        f"  - {{name: payable, amount: 40% * sales, round: half_up}}\ndimensions: [{dimension}]\n",
        measures=REFUNDS, version=version, valid_from=f"2026-{month}-01",
    )  # fmt: skip
    return approved(raw, f"refined-{version}")


WIDER = st.one_of(
    acts(),
    acts(),
    st.tuples(st.just("refine"), st.sampled_from(["province", "product", "charged_in"]), st.integers(10, 12)),
    st.tuples(st.just("told"), st.sampled_from(["case", "points", "burned", "rate", "registered", "signed"])),
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WIDER, min_size=4, max_size=14), st.lists(WIDER, max_size=4), st.integers(1, 9))
def test_rebuilt_equals_live_whatever_happened_before_and_meanwhile(
    store: Store, history: list[tuple[Any, ...]], meanwhile: list[tuple[Any, ...]], size: int
) -> None:
    _emptied(store)
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", valid_from="2026-10-01"))
    take(store, book(SIMPLE, measures=REFUNDS))
    world = _Wider(store)
    for each in history:
        world.act(*each)
    left = list(meanwhile)

    def happens(*_: object) -> None:
        if left:
            world.act(*left.pop())

    with pytest.MonkeyPatch.context() as patched:
        _small(patched, size)
        done = rebuild(store, progress=happens)
    assert equal(done), done
    assert verify(store).equal


def _small(patched: pytest.MonkeyPatch, size: int) -> None:
    patched.setattr(folding, "EVENTS_A_STRETCH", size)
    patched.setattr(folding, "EVENTS_A_PAGE", max(1, size // 2))
    patched.setattr(running, "EVENTS_UNDER_LOCK", size)


BETWEEN = (
    charge("between", "5", 12),
    _dimensioned(2, "province", 12),
    charge("beyond", "6", 12, attributes={"province": "GD"}),
    case("between"),
    signed("C-new"),
)


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Lets that happen, once, after everything was compared and before the swap."""
    money = differences.money

    def then(*arguments: Any) -> Any:
        monkeypatch.setattr(differences, "money", money)
        found = money(*arguments)
        act()
        return found

    monkeypatch.setattr(differences, "money", then)


def test_what_comes_between_comparing_and_swapping_comes_along(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    everything(store)

    def act() -> None:
        assert take(store, *BETWEEN).recorded == len(BETWEEN)
        closing.close(store, chains.DECEMBER, NOW)

    between(monkeypatch, act)
    done = rebuild(store)
    assert done.swapped
    assert done.position > done.compared
    assert rows(store) == rows(store, beside.BEFORE)


WRONG_MEANWHILE = {
    "facts": "UPDATE facts SET events = 9 WHERE contract = 'C-2' AND period = '2026-10-01'",
    "partner_facts": "UPDATE partner_facts SET events = events + 1 WHERE partner = 'P-1' AND event = 'training.completed'",
    "contracts": "UPDATE contracts SET currency = 'USD' WHERE contract = 'C-new'",
    "statements": "UPDATE statements SET digest = '' WHERE period = '2026-12'",
    "closings": "UPDATE closings SET root = '' WHERE period = '2026-12'",
    "seals": "UPDATE seals SET events = 9 WHERE name = 'C-new'",
}


def test_what_goes_wrong_between_comparing_and_swapping_is_found_under_the_lock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(store)

    def act() -> None:
        take(store, *BETWEEN)
        closing.close(store, chains.DECEMBER, NOW)
        with store.writing() as cursor:
            for statement in WRONG_MEANWHILE.values():
                cursor.execute(statement)
                assert cursor.rowcount

    between(monkeypatch, act)
    done = rebuild(store)
    assert not done.swapped
    assert {name for name, number in done.differing.items() if number} == set(WRONG_MEANWHILE)
    assert {each.table for each in done.differences} == set(WRONG_MEANWHILE)


TAMPERED = {
    "facts": "UPDATE settle.facts SET value_micros = value_micros + 1 WHERE contract = 'C-1' AND period = '2026-12-01'",
    "statements": "UPDATE settle.statements SET statement = '{}' WHERE contract = 'C-1' AND period = '2026-10' AND version = 1",
    "contracts": "DELETE FROM settle.contracts WHERE contract = 'C-2'",
    "rates": "INSERT INTO settle.rates VALUES ('ECB', 'EUR', 'CNY', '2026-10-09', 9, 1)",
    "chain": "UPDATE settle.chain SET head = '\\x00'",
    "seals": "UPDATE settle.seals SET digest = '\\x00' WHERE name = 'C-1' AND kind = 'contract'",
    "rulebook_versions": "UPDATE settle.rulebook_versions SET approver = 'eve'",
}


def test_a_live_row_that_the_log_does_not_say_is_named_and_refused_and_mended_where_that_is_accepted(
    store: Store,
) -> None:
    everything(store)
    right = rows(store)
    for table, statement in TAMPERED.items():
        with store.writing() as cursor:
            cursor.execute(statement)
            assert cursor.rowcount == 1, table
        wrong = rows(store)
        done = rebuild(store)
        assert (done.equal, done.swapped) == (False, False)
        assert {name: number for name, number in done.differing.items() if number} == {table: 1}
        assert [each.table for each in done.differences] == [table]
        assert rows(store) == wrong
        again = rebuild(store, accept_differences=True)
        assert (again.resumed, again.equal, again.swapped) == (done.position, False, True)
        assert rows(store) == right
        assert rows(store, beside.BEFORE) == wrong


def test_a_wrong_fact_is_told_with_both_values_and_its_sum(store: Store) -> None:
    everything(store)
    with store.writing() as cursor:
        cursor.execute(TAMPERED["facts"])
    done = rebuild(store)
    (difference,) = done.differences
    assert difference.key.startswith("C-1 2026-12-01 billing.charged amount")
    assert (difference.live, difference.rebuilt) == ({"value_micros": "11000001"}, {"value_micros": "11000000"})
    assert [(each.what, each.live, each.rebuilt) for each in done.money if each.live != each.rebuilt] == [
        ("billing.charged amount", "2111.000001", "2111")
    ]


def test_rolling_back_brings_the_old_tables_to_the_end_of_the_log_and_can_be_taken_back(store: Store) -> None:
    everything(store)
    with store.writing() as cursor:
        cursor.execute(TAMPERED["rates"])
    rebuild(store, accept_differences=True)
    assert take(store, *BETWEEN).recorded == len(BETWEEN)
    closing.close(store, chains.DECEMBER, NOW)
    right = rows(store)
    done = rollback(store)
    assert done.behind > len(BETWEEN)
    back = rows(store)
    # The wrong rate is there again; seals are brought up when they are next needed.
    assert {name for name in right if back[name] != right[name]} == {"rates", "chain", "seals"}
    assert rows(store, beside.BEFORE) == right
    assert verify(store).equal
    rollback(store)
    assert rows(store) == right


def test_there_is_nothing_to_roll_back_before_a_rebuild_and_one_runs_at_a_time(store: Store) -> None:
    take(store, registered(), signed())
    with pytest.raises(running.NothingToRollBack, match="kept by the settle rebuild"):
        rollback(store)
    with alone(store.conninfo, "rebuild"):
        for act in (rebuild, rollback):
            with pytest.raises(running.RebuildRunning, match="wait until it ends"):
                act(store)
    assert rebuild(store).swapped


def test_a_reader_is_not_cut_off_and_the_rebuilt_wait_for_the_next_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(store)
    monkeypatch.setattr(running, "TRIES_MAX", 2)
    with store.reading() as reader:
        assert reader.execute("SELECT count(*) FROM facts").fetchone()
        with pytest.raises(running.LiveInUse):
            rebuild(store)
        take(store, charge("goes on", "1", 12))
        assert reader.execute("SELECT count(*) FROM facts").fetchone()
    done = rebuild(store)
    assert equal(done)
    assert done.resumed == done.position - 1


def test_tables_of_another_version_are_not_used(store: Store) -> None:
    everything(store)
    rebuild(store)
    with store.writing() as cursor:
        beside.make(cursor)
        for schema in (beside.NEXT, beside.BEFORE):
            cursor.execute(f"UPDATE {schema}.progress SET version = 0")  # noqa: S608
    with pytest.raises(running.OtherVersion, match="--fresh"):
        rebuild(store)
    with pytest.raises(running.OtherVersion, match="cannot be used"):
        rollback(store)
    assert equal(rebuild(store, fresh=True))


def test_whoever_looks_at_the_tables_of_before_is_not_cut_off_either(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(store)
    rebuild(store)
    monkeypatch.setattr(running, "TRIES_MAX", 1)
    between(monkeypatch, lambda: take(store, *BETWEEN))
    before = rows(store, beside.BEFORE)
    with store.reading() as reader:
        assert reader.execute("SELECT count(*) FROM settle_before.seals").fetchone()
        with pytest.raises(running.LiveInUse):
            rebuild(store)
    assert rows(store, beside.BEFORE) == before
    assert rebuild(store).swapped
    assert rows(store, beside.BEFORE) == rows(store)


def test_starting_over_drops_what_an_earlier_run_has_left(store: Store) -> None:
    everything(store)
    with store.writing() as cursor:
        beside.make(cursor)
        cursor.execute("INSERT INTO settle_next.relations VALUES ('partner', 'P-x', 'P-x', NULL, 1, '', now())")
    assert rebuild(store).differing["relations"] == 1
    done = rebuild(store, fresh=True)
    assert done.resumed is None
    assert equal(done)


def worker(database: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.replay.rebuild_worker", database]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)


def position(store: Store) -> int:
    with contextlib.suppress(Exception), store.writing() as cursor:
        row = cursor.execute("SELECT position FROM settle_next.progress").fetchone()
        return int(row[0]) if row else 0
    return 0


def recorded(store: Store) -> int:
    with store.reading() as cursor:
        return recorder.last_position(cursor)


def test_killed_anywhere_it_leaves_the_live_tables_whole_and_goes_on_where_it_was(store: Store, database: str) -> None:
    everything(store)
    rng = random.Random(20261124)  # noqa: S311
    take(store, *(charge(f"e{n}", f"{rng.randrange(10_000) / 100:.2f}", 12, CONTRACTS[n % 2]) for n in range(CHARGES)))
    before = rows(store)
    end = recorded(store)
    left = []
    for number in range(KILLS):
        process = worker(database)
        # Somewhere in the log, and at last while it compares or swaps.
        beyond = min(rng.randrange(end * number, end * (number + 1)) // (KILLS - 2), end)
        while position(store) < beyond and process.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02 if beyond < end else 0.3))
        process.kill()
        process.communicate()
        assert rows(store) == before
        left.append(position(store))
    assert left[: KILLS - 2] == sorted(left[: KILLS - 2])
    assert left[0] > 0
    done = rebuild(store)
    assert equal(done)
    assert (done.resumed or 0) == left[-1]
    assert rows(store) == before


def test_taking_in_goes_on_through_the_swap_without_a_lost_or_doubled_fact(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(store)
    _small(monkeypatch, 150)
    stop, taken = threading.Event(), []

    def ingest() -> None:
        while not stop.is_set():
            number = len(taken)
            made = [charge(f"m{number}-{n}", "1.01", 12, CONTRACTS[n % 2], product=f"p{n}") for n in range(20)]
            taken.append(take(store, *made, case(f"m{number}")).recorded)

    with _in_a_thread(ingest, stop):
        first = _after(lambda: len(taken), 3, lambda: rebuild(store))
        second = _after(lambda: len(taken), 3, lambda: rebuild(store))
        back = _after(lambda: len(taken), 3, lambda: rollback(store))
        _after(lambda: len(taken), 2, lambda: None)
    assert first.swapped
    assert second.swapped
    assert first.position < second.position < back.position
    assert verify(store).equal
    assert sum(taken) == 21 * len(taken)
    with store.reading() as cursor:
        assert status._told(cursor)["balanced"]
        found = cursor.execute(
            "SELECT sum(events) FROM facts WHERE period = '2026-12-01' AND event = 'billing.charged' AND field = 'amount'"
        ).fetchone()
    assert found == (20 * len(taken) + 1,)
    assert equal(rebuild(store))


@contextlib.contextmanager
def _in_a_thread(work: Callable[[], None], stop: threading.Event) -> Any:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failed, failed


def _after(count: Callable[[], int], further: int, act: Callable[[], Any]) -> Any:
    """Acts when so many more have happened."""
    wanted = count() + further
    deadline = time.monotonic() + 20
    while count() < wanted and time.monotonic() < deadline:
        time.sleep(0.002)
    assert count() >= wanted
    return act()
