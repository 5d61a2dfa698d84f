"""Seals and roots in a real store."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.projections.seals import Chain, Entry, Subject, sealed
from engine.settlement import closing, sealing
from engine.store import log, recorder, seals
from engine.store.database import Store
from tests.histories import charged, registered, signed
from tests.settlement.test_closing import OCTOBER, settled, statement
from tests.settlement.test_recording import NOW, published, store, take

__all__ = ["store"]


def entries(store: Store) -> list[Entry]:
    with store.reading() as cursor:
        return log.entries(cursor, after=0, to=10**9)


def test_a_statement_stands_on_the_seals_of_its_events_terms_partner_and_rulebook(store: Store) -> None:
    settled(store, charged("1"), charged("2", time="2026-09-01T00:00:00Z"), charged("3"))
    closing.close(store, OCTOBER, NOW)
    take(store, charged("4"))
    leaves = [entry.leaf for entry in entries(store)]
    with store.reading() as cursor:
        found = cursor.execute("SELECT seals FROM statements").fetchone()
    assert found is not None
    assert json.loads(found[0]) == {
        "partner": sealed([leaves[0]]).digest.hex(), "contract": sealed([leaves[1]]).digest.hex(),
        "rulebook": sealed([leaves[2]]).digest.hex(), "events": sealed([leaves[3], leaves[5]]).digest.hex(),
    }  # fmt: skip


def test_the_root_commits_to_what_was_issued_and_every_statement_carries_it(store: Store) -> None:
    settled(store, signed("C-2"), charged("1"))
    assert statement(store).get("root") is None
    done = closing.close(store, OCTOBER, NOW)
    assert statement(store)["root"] == statement(store, "C-2")["root"] == done.root
    read = entries(store)
    issued = [entry.leaf for entry in read if entry.name == "statement.closed"]
    head = Chain().extended([entry.leaf for entry in read[:-1]]).now
    assert done.root == sealing.root_of("2026-10", 1, None, len(read) - 1, head, issued)
    with store.reading() as cursor:
        assert [(each.number, each.statements, each.root) for each in seals.closings(cursor)] == [(1, 2, done.root)]


def test_a_further_closing_of_the_period_has_a_root_of_its_own_that_includes_the_one_before(store: Store) -> None:
    settled(store, charged("1"))
    first = closing.close(store, OCTOBER, NOW).root
    assert closing.close(store, OCTOBER, NOW).root is None
    take(store, signed("C-2"))
    second = closing.close(store, OCTOBER, NOW).root
    assert second not in {None, first}
    assert (statement(store)["root"], statement(store, "C-2")["root"]) == (first, second)
    assert json.loads(entries(store)[-1].state)["previous"] == first


def test_killed_before_the_root_a_closing_is_completed_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(store, charged("1"))
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "complete", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            closing.close(store, OCTOBER, NOW)
    assert (statement(store)["state"], statement(store)["root"]) == ("closed", None)
    done = closing.close(store, OCTOBER, NOW)
    assert (done.closed, done.already) == (0, 1)
    assert statement(store)["root"] == done.root is not None


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.data())
def test_seals_do_not_depend_on_when_the_log_was_sealed(store: Store, sizes: list[int], data: st.DataObject) -> None:
    with store.writing() as cursor:
        for table in ("settle.log", "settle.batches", "settle.identities", "relations", "contracts", "facts", "seals"):
            cursor.execute(f"TRUNCATE {table}")
        cursor.execute("DELETE FROM rulebook_versions")
        seals.save_chain(cursor, Chain())
    take(store, registered(), signed(), published())
    for number, size in enumerate(sizes):
        take(store, *(charged(f"{number}-{i}", time=f"2026-{10 + i % 2}-02T00:00:00Z") for i in range(size)))
        if data.draw(st.booleans()):
            sealing.catch_up(store)
    sealing.catch_up(store)
    read = entries(store)
    october = [e.leaf for e in read if e.name == "billing.charged" and b'"time":"2026-10' in e.state]
    with store.reading() as cursor:
        subject = Subject("events", "C-1", date(2026, 10, 1))
        assert seals.seals(cursor, [subject]) == {subject: sealed(october)}
        assert recorder.last_position(cursor) == len(read)
    with store.writing() as cursor:
        assert seals.chain(cursor) == Chain().extended([entry.leaf for entry in read])
