"""What becomes of messages, in a real store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.ingest import ingest
from consumers.suspense import recycle_all, recycle_ripe
from engine.settlement.recording import Slice, record
from engine.store import facts, intake, log, recorder, suspense
from engine.store.database import Store
from engine.store.intake import Counts, OffsetsMoved
from replay.facts import verify
from tests.histories import charged, message, messages, registered, signed, volume

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CHANNEL = "file:test"
RULEBOOK = """
rulebook: simple
version: {version}
valid_from: 2026-{month:02}-01
currency: CNY
dimensions: [{dimensions}]
measures:
  sales: {{event: billing.charged, sum: amount}}
waterfall:
  - {{name: payable, amount: 50% * sales, round: half_up}}
"""


def clock() -> datetime:
    return NOW


def published(version: int = 1, dimensions: str = "", month: int = 1) -> bytes:
    text = RULEBOOK.format(version=version, dimensions=dimensions, month=month)
    return message("rulebook.published", f"r{version}", {"rulebook": "simple", "version": version, "text": text})


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store(database) as opened:
        with opened.writing() as cursor:
            intake.ensure(cursor, CHANNEL, [(0, 0)])
        yield opened


def take(store: Store, *raws: bytes | None) -> Counts:
    return ingest(store, [Slice(CHANNEL, 0, None, len(raws))], messages(raws), clock).counts


def total(store: Store) -> Counts:
    with store.reading() as cursor:
        return intake.accounts(cursor)[0].counts


def live(store: Store) -> list[tuple[Any, ...]]:
    with store.reading() as cursor:
        return sorted(facts.all_live(cursor).rows())


def kept(store: Store, *states: str) -> list[tuple[str, str]]:
    with store.reading() as cursor:
        return [(e.state, e.code) for e in suspense.entries(cursor, states=states or ("suspended", "rejected"))]


def test_every_message_ends_as_exactly_one_of_four(store: Store) -> None:
    counts = take(
        store,
        registered(),
        signed(),
        charged("1"),
        charged("1"),
        charged("1", amount="3.00"),
        charged("2", "C-9"),
        b"{",
        None,
    )
    assert counts == Counts(recorded=3, duplicate=1, suspended=2, rejected=2)
    assert total(store) == counts
    assert kept(store) == [
        ("suspended", "identity-conflict"), ("suspended", "unknown-contract"), ("rejected", "unreadable"),
        ("rejected", "unreadable"),
    ]  # fmt: skip


def test_a_repeat_in_a_later_batch_is_a_duplicate_and_changes_nothing(store: Store) -> None:
    take(store, registered(), signed(), charged("1"))
    before = live(store)
    assert take(store, charged("1"), registered(), signed()) == Counts(duplicate=3)
    assert live(store) == before


def test_a_conflict_is_kept_once_however_often_it_comes(store: Store) -> None:
    take(store, registered(), signed(), charged("1"))
    assert take(store, charged("1", amount="9"), charged("1", amount="9")) == Counts(suspended=1, duplicate=1)
    assert take(store, charged("1", amount="9")) == Counts(duplicate=1)
    assert take(store, charged("1", amount="8")) == Counts(suspended=1)


def test_suspended_messages_are_recycled_when_their_cause_goes(store: Store) -> None:
    assert take(store, charged("1"), charged("2"), signed()).suspended == 3
    assert take(store, charged("1")) == Counts(duplicate=1), "what is suspended is taken in: its repeat is a duplicate"
    take(store, registered())  # recycles the contract, and that the charges
    assert kept(store) == []
    assert kept(store, "recycled") == [
        ("recycled", code) for code in ("unknown-contract", "unknown-contract", "unknown-partner")
    ]
    assert [row[5] for row in live(store)] == [2]


def test_what_a_killed_process_left_ripe_is_recycled_by_the_next(store: Store) -> None:
    take(store, charged("1"))
    record(store, [Slice(CHANNEL, 0, None, 2)], messages([registered(), signed()]), NOW)  # and then it is killed
    assert kept(store) == [("suspended", "unknown-contract")]
    assert recycle_ripe(store, clock) == 1
    assert kept(store) == []


def test_recycling_by_command_tries_all_but_conflicts_and_says_why_anew(store: Store) -> None:
    take(
        store, registered(), signed(), charged("1"), charged("1", amount="9"), charged("2", time="2025-01-01T00:00:00Z")
    )
    assert recycle_all(store, clock) == (1, 0)
    assert kept(store) == [("suspended", "identity-conflict"), ("suspended", "not-in-force")]


def test_a_batch_leaves_nothing_when_its_offsets_have_moved(store: Store) -> None:
    take(store, registered(), signed())
    with pytest.raises(OffsetsMoved):
        record(store, [Slice(CHANNEL, 0, 0, 1)], messages([charged("1")]), NOW)
    assert live(store) == []
    assert total(store) == Counts(recorded=2)


def test_an_account_that_does_not_balance_stops_the_batch(store: Store, database: str) -> None:
    import psycopg

    with pytest.raises(AssertionError, match="a slice lacks one"):
        record(store, [Slice(CHANNEL, 0, None, 5)], messages([registered()]), NOW)
    assert total(store) == Counts()
    with pytest.raises(psycopg.errors.CheckViolation, match="intake_balances"), psycopg.connect(database) as connection:
        connection.execute("UPDATE settle.intake SET recorded = recorded + 1")


def test_versions_and_positions_have_no_gaps_and_every_batch_its_time(store: Store) -> None:
    take(store, registered(), signed(), *(charged(f"{i}") for i in range(5)))
    take(store, *(charged(f"{i}") for i in range(3, 9)))
    with store.reading() as cursor:
        assert log.versions(cursor, [log.stream_id("contract", "C-1")]) == {log.stream_id("contract", "C-1"): 10}
        assert recorder.last_position(cursor) == 11
        assert [position for position, _, _ in log.states(cursor, after=0, to=99)] == list(range(1, 12))
        assert log.recorded_at(cursor, 11) == NOW


def test_the_librarys_own_recorder_reads_the_log(store: Store) -> None:
    from uuid import UUID

    take(store, registered(), signed(), charged("1"))
    stream = UUID(bytes=log.stream_id("contract", "C-1"))
    assert [e.topic for e in store.recorder.select_events(stream)] == ["contract.signed", "billing.charged"]
    assert [n.id for n in store.recorder.select_notifications(1, 10)] == [1, 2, 3]


def test_a_version_that_is_taken_is_refused(store: Store) -> None:
    from uuid import UUID

    from eventsourcing.persistence import IntegrityError, StoredEvent

    take(store, registered(), signed())
    stream = UUID(bytes=log.stream_id("contract", "C-1"))
    with pytest.raises(IntegrityError):
        store.recorder.insert_events([StoredEvent(stream, 1, "contract.signed", b"{}")])
    assert store.recorder.insert_events([StoredEvent(stream, 2, "contract.terminated", b"{}")]) == range(3, 4)


def test_a_rulebook_published_later_needs_no_event_twice(store: Store) -> None:
    take(store, registered(), signed(), charged("1", attributes={"province": "GD"}), charged("2"))
    assert {row[4] for row in live(store)} == {"{}"}
    take(store, published(dimensions="province"))
    assert {row[4] for row in live(store)} == {'{"province":"GD"}', '{"province":null}'}
    assert verify(store).equal
    take(
        store,
        charged("3", attributes={"province": "GD"}),
        published(2, "product, province", 2),
        charged("4", product="x"),
    )
    assert {row[4] for row in live(store)} == {
        '{"product":null,"province":"GD"}', '{"product":null,"province":null}', '{"product":"x","province":null}',
    }  # fmt: skip
    assert verify(store).equal


def test_an_invalid_rulebook_is_suspended_with_its_first_error(store: Store) -> None:
    text = RULEBOOK.format(version=1, dimensions="", month=1).replace("sales,", "slaes,").replace("* sales", "* slaes")
    take(store, message("rulebook.published", "r", {"rulebook": "simple", "version": 1, "text": text}))
    assert kept(store) == [("suspended", "rulebook-invalid")]


def test_after_a_termination_later_usage_is_suspended(store: Store) -> None:
    end = message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-10-02"})
    counts = take(store, registered(), signed(), published(dimensions="province"), end, charged("1"),
                  charged("2", time="2026-10-01T00:00:00Z", attributes={"province": "GD"}))  # fmt: skip
    assert counts == Counts(recorded=5, suspended=1)
    assert verify(store).equal


_runs = itertools.count()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(volume(size_max=20), st.data())
def test_any_cutting_with_repeats_ends_as_the_plain_history(
    postgres: str, raws: list[bytes], data: st.DataObject
) -> None:
    """Signed first or last, in any batches, with any repeats: the same facts, and one event each."""
    derived = "measures:\n  greatest: {event: billing.charged, max: amount}\n  latest: {event: usage.recorded, last: quantity}\n"
    derived += '  fees: {event: billing.charged, each: "max(2.99% * amount - discount, 1.75)"}'
    book = message("rulebook.published", "r1", {"rulebook": "simple", "version": 1, "text": RULEBOOK.format(
        version=1, month=1, dimensions="province, charged_in, currency").replace("measures:", derived)})  # fmt: skip
    setup = [registered(), *(signed(contract) for contract in ("C-1", "C-2", "C-3")), book]
    plain = [*setup, *raws]
    repeated = list(raws)
    for raw in data.draw(st.lists(st.sampled_from(raws), max_size=10)) if raws else []:
        repeated.insert(data.draw(st.integers(0, len(repeated))), raw)
    shuffled_setup = data.draw(st.permutations(setup))
    other = [*repeated, *shuffled_setup] if data.draw(st.booleans()) else [*shuffled_setup, *repeated]
    size = data.draw(st.integers(1, len(other)))
    with _fresh(postgres) as one, _fresh(postgres) as two:
        take(one, *plain)
        for at in range(0, len(other), size):
            take(two, *other[at : at + size])
        assert live(one) == live(two)
        assert kept(two) == []
        assert not verify(two).differences
        with one.reading() as a, two.reading() as b:
            assert recorder.last_position(a) == recorder.last_position(b) == len(plain)


def _fresh(postgres: str) -> Any:
    """A store in a database of its own, made empty: tables are emptied, which is far quicker than a new database."""
    from contextlib import contextmanager

    import psycopg
    from psycopg.conninfo import make_conninfo

    @contextmanager
    def opened() -> Iterator[Store]:
        name = f"settle_law_{next(_runs) % 2}"
        with psycopg.connect(postgres, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                connection.execute(f"CREATE DATABASE {name}")
        with Store(make_conninfo(postgres, dbname=name)) as store:
            with store.writing() as cursor:
                tables = cursor.execute(
                    "SELECT string_agg('settle.' || tablename, ',') FROM pg_tables "
                    "WHERE schemaname = 'settle' AND tablename <> 'version'"
                ).fetchone()
                assert tables is not None
                cursor.execute(f"TRUNCATE {tables[0]}")
                intake.ensure(cursor, CHANNEL, [(0, 0)])
            yield store

    return opened()


@pytest.mark.parametrize("late", ["advance", "note_batch"])
def test_whatever_fails_in_a_batch_nothing_of_it_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """Offsets, identities, events, facts and suspense move in one transaction, or none of them."""
    take(store, registered(), signed())

    def fails(*_: Any) -> None:
        raise RuntimeError(late)

    with monkeypatch.context() as broken:
        broken.setattr(intake, late, fails)
        with pytest.raises(RuntimeError):
            take(store, charged("1"), charged("2", "C-9"), b"{")
    assert total(store) == Counts(recorded=2)
    assert (live(store), kept(store)) == ([], [])
    with store.reading() as cursor:
        assert recorder.last_position(cursor) == 2
    assert take(store, charged("1"), charged("2", "C-9"), b"{") == Counts(recorded=1, suspended=1, rejected=1)
