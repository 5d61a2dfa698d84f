"""Copies of facts say what the facts say, whatever happens to those before, while and after they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.projections.facts import FACTS
from engine.store import copies, facts, intake, log, recorder
from engine.store.database import Rows, Store
from tests.replay.audited import new_store

JULY, AUGUST, SEPTEMBER = (date(2026, month, 1) for month in (7, 8, 9))
OCTOBER = date(2026, 10, 1)
KEY = ["contract", "period", "event", "field", "dimensions"]


def told(contract: str, period: date, value: int, field: str = "amount", events: int = 1) -> tuple[object, ...]:
    return (contract, period, "billing.charged", field, '{"province":"广东"}', events, value, 0)


def frame(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=FACTS, orient="row")


def written(store: Store, write: Callable[[Rows], None]) -> None:
    """As every change of facts: under the writers' lock, with what it follows from in the log."""
    with store.writing() as cursor:
        recorder.lock(cursor)
        position = recorder.last_position(cursor) + 1
        first = recorder.append(cursor, [(log.stream_id("test", str(position)), 1, "test", b"{}")])
        intake.note_batch(cursor, first, first, datetime(2026, 10, 1, tzinfo=UTC))
        write(cursor)


def add(store: Store, *rows: tuple[object, ...]) -> None:
    written(store, lambda cursor: facts.add(cursor, frame(rows)))


def replace(store: Store, contract: str, *rows: tuple[object, ...]) -> None:
    written(store, lambda cursor: facts.replace(cursor, [contract], frame(rows)))


def both(store: Store, since: date | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the copies say, and what the facts say."""
    with store.reading() as cursor:
        return copies.all_live(cursor, since=since).sort(KEY), facts.all_live(cursor, since=since).sort(KEY)


def check(store: Store) -> None:
    for since in (None, AUGUST):
        copied, live = both(store, since)
        assert copied.equals(live)


def made(store: Store) -> dict[date, list[str]]:
    with store.reading() as cursor:
        return copies.made(cursor)


@pytest.fixture
def filled(database: str) -> Iterator[Store]:
    with Store(database) as store:
        add(store, *(told(f"C-{n}", month, n * 10**6) for n in range(5) for month in (JULY, AUGUST, SEPTEMBER)))
        yield store


def test_the_periods_that_begin_before_the_day_have_copies(filled: Store) -> None:
    copies.keep(filled, SEPTEMBER)
    assert made(filled) == {JULY: [], AUGUST: []}
    check(filled)


def test_a_closing_copies_no_more_than_a_year_and_the_next_one_goes_on(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_AT_ONCE", 2)
    copies.keep(filled, OCTOBER)
    assert made(filled) == {AUGUST: [], SEPTEMBER: []}
    copies.keep(filled, OCTOBER)
    assert made(filled) == {JULY: [], AUGUST: [], SEPTEMBER: []}
    check(filled)


def test_copies_are_what_is_read(filled: Store) -> None:
    copies.keep(filled, OCTOBER)
    with filled.writing() as cursor:
        cursor.execute("UPDATE facts SET value_micros = 7")  # as nobody does: who changes facts says so
    copied, live = both(filled)
    assert set(live["value"]) == {7}
    assert copied["value"].sum() == 3 * 10 * 10**6


def test_a_copy_that_is_not_what_was_written_is_not_read(filled: Store) -> None:
    copies.keep(filled, OCTOBER)
    with filled.writing() as cursor:
        cursor.execute("UPDATE fact_copies SET facts = overlay(facts placing 'x' from 200)")
    check(filled)


def test_who_changes_facts_says_whose(filled: Store) -> None:
    copies.keep(filled, OCTOBER)
    add(filled, told("C-1", JULY, 5), told("C-9", AUGUST, 6), told("C-2", OCTOBER, 7))
    replace(filled, "C-3", told("C-3", SEPTEMBER, 8))
    assert made(filled) == {JULY: ["C-1", "C-3"], AUGUST: ["C-3", "C-9"], SEPTEMBER: ["C-3"]}
    check(filled)


def test_a_copy_that_too_many_are_behind_is_not_read_and_made_anew(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_BEHIND_MAX", 1)
    copies.keep(filled, OCTOBER)
    add(filled, told("C-1", JULY, 5), told("C-2", JULY, 5), told("C-1", AUGUST, 5))
    check(filled)
    copies.keep(filled, OCTOBER)
    assert made(filled) == {JULY: [], AUGUST: ["C-1"], SEPTEMBER: []}
    check(filled)


def during(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None], *, before: bool) -> None:
    """Something happens once, before or after the facts are read for the next copy."""
    read, waiting = facts.between, [happens]

    def between(cursor: Rows, contracts: Sequence[str] | None, first: date, last: date) -> pl.DataFrame:
        if waiting and before:
            waiting.pop()()
        found = read(cursor, contracts, first, last)
        if waiting:
            waiting.pop()()
        return found

    monkeypatch.setattr(facts, "between", between)


@pytest.mark.parametrize("before", [True, False])
def test_what_arrives_while_a_copy_is_made_is_behind_it(
    filled: Store, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    during(monkeypatch, lambda: add(filled, told("C-1", SEPTEMBER, 5)), before=before)
    copies.keep(filled, OCTOBER)
    assert made(filled)[SEPTEMBER] == ["C-1"]
    check(filled)


@pytest.mark.parametrize("before", [True, False])
def test_of_two_who_copy_at_once_the_later_copy_stands(
    filled: Store, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    def other() -> None:
        add(filled, told("C-1", SEPTEMBER, 5))
        copies.keep(filled, OCTOBER)

    during(monkeypatch, other, before=before)
    copies.keep(filled, OCTOBER)
    assert made(filled) == {JULY: [], AUGUST: [], SEPTEMBER: []}
    check(filled)


class Killed(BaseException):
    pass


def test_who_dies_while_it_copies_leaves_nothing_that_is_read(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def die() -> None:
        raise Killed

    with monkeypatch.context() as patched:
        during(patched, die, before=False)
        with pytest.raises(Killed):
            copies.keep(filled, OCTOBER)
    assert made(filled) == {}
    add(filled, told("C-1", JULY, 5))
    check(filled)
    copies.keep(filled, OCTOBER)
    assert made(filled) == {JULY: [], AUGUST: [], SEPTEMBER: []}
    check(filled)


def test_more_facts_than_memory_should_hold_twice_are_not_copied(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(filled, told("C-9", JULY, 5))
    monkeypatch.setattr(copies, "_FACTS_MAX", 5)
    copies.keep(filled, OCTOBER)
    assert made(filled) == {AUGUST: [], SEPTEMBER: []}


_contracts = st.sampled_from(["C-1", "C-2", "C-3"])
_rows = st.lists(
    st.builds(
        told,
        _contracts,
        st.sampled_from([JULY, AUGUST, SEPTEMBER]),
        st.integers(-(10**20), 10**20),
        st.sampled_from(["amount", "max amount", "quantity"]),
        st.integers(0, 10**6),
    ),
    max_size=4,
    unique_by=lambda row: (row[0], row[1], row[3]),
)
_steps = st.one_of(
    st.tuples(st.just("add"), _rows),
    st.tuples(st.just("replace"), _contracts, _rows),
    st.tuples(st.just("keep"), st.sampled_from([AUGUST, SEPTEMBER, OCTOBER])),
)


@pytest.fixture(scope="module")
def copied(postgres: str) -> Iterator[Store]:
    with new_store(postgres) as opened:
        yield opened


@settings(max_examples=60)
@given(steps=st.lists(_steps, max_size=8))
def test_whatever_happens_copies_say_what_the_facts_say(copied: Store, steps: list[tuple[object, ...]]) -> None:
    with copied.writing() as cursor:
        cursor.execute("TRUNCATE facts, fact_copies CASCADE")
    for step in steps:
        match step:
            case ("add", list() as rows):
                add(copied, *rows)
            case ("replace", str() as contract, list() as rows):
                replace(copied, contract, *(row for row in rows if row[0] == contract))
            case ("keep", date() as end):
                copies.keep(copied, end)
        check(copied)
