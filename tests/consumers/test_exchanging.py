"""Another secret key in the place of the one of before: all or nothing, whoever dies, hurries or errs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from consumers import exchanging, secrets
from consumers.exchanging import AlteredKey, Exchanged, NothingSealed, SameKey, exchange
from consumers.personal import NoKey
from consumers.secrets import FieldsErased, bank_account, contact_fields
from engine.aggregates.refusal import Refused
from engine.settlement import closing, sealing
from engine.store import data_keys
from engine.store.database import Store
from engine.store.intake import Counts
from replay.audit import packing
from replay.audit.auditing import audit
from replay.facts import verify
from replay.rebuild.running import rebuild
from tests.consumers.test_personal import (
    EMAIL,
    IBAN,
    KEY,
    OTHER,
    approved,
    bank,
    contact,
    dump,
    erased,
    everything,
    key,
    partner,
    take,
)
from tests.histories import charged, registered
from tests.settlement.test_chains import NOW, OCTOBER
from tests.settlement.test_recording import kept, store

__all__ = ["key", "store"]

CONTACTS = [f"c{n}" for n in range(1, 10)]
# Nine contacts, one bank account.
KEYS = len(CONTACTS) + 1


@pytest.fixture
def filled(store: Store) -> Store:
    take(store, registered(), *(contact(f"k{name}", contact=name) for name in CONTACTS), bank(), approved())
    return store


@pytest.fixture(autouse=True)
def new(monkeypatch: pytest.MonkeyPatch, key: None) -> None:
    monkeypatch.setenv("SETTLE_SECRET_KEY_NEW", OTHER)


def quietly(done: int, of: int) -> None:
    """Nobody watches."""


def opens(store: Store, secret: str) -> set[str]:
    """Which contacts and accounts that key alone opens, as whoever was told nothing but it."""
    found = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SETTLE_SECRET_KEY", secret)
        patch.delenv("SETTLE_SECRET_KEY_NEW", raising=False)
        for name, event in partner(store).contacts.items():
            with suppress(NoKey):
                found |= {name} if event and contact_fields(store, event)["email"] == EMAIL else set()
        with suppress(NoKey):
            found |= {"account"} if bank_account(store, "P-1").iban == IBAN else set()
    return found


def wrapped(store: Store) -> list[tuple[Any, ...]]:
    with store.reading() as cursor:
        return cursor.execute("SELECT partner, kind, id, wrapped FROM settle.data_keys ORDER BY 1, 2, 3").fetchall()


ALL = {*CONTACTS, "account"}


def test_after_it_the_new_key_opens_everything_and_the_old_one_nothing(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (opens(filled, KEY), opens(filled, OTHER)) == (ALL, set())
    monkeypatch.setattr(exchanging, "KEYS_A_BATCH", 4)
    told: list[tuple[int, int]] = []
    assert exchange(filled, lambda done, of: told.append((done, of))) == Exchanged(KEYS, before=False)
    # The eleventh is what tells the secret key from others.
    assert told == [(4, 11), (8, 11), (11, 11)]
    assert (opens(filled, KEY), opens(filled, OTHER)) == (set(), ALL)
    before = wrapped(filled)
    assert exchange(filled, quietly) == Exchanged(KEYS, before=True)
    assert wrapped(filled) == before
    # What is sealed from then on is sealed under the new one; what comes again is still known.
    monkeypatch.setenv("SETTLE_SECRET_KEY", OTHER)
    monkeypatch.delenv("SETTLE_SECRET_KEY_NEW")
    assert take(filled, contact("kc1", contact="c1"), bank()) == Counts(duplicate=2)
    assert take(filled, contact("new", contact="c10")) == Counts(recorded=1)
    assert opens(filled, OTHER) == ALL | {"c10"}
    monkeypatch.setenv("SETTLE_SECRET_KEY", KEY)
    assert take(filled, contact("old", contact="c11")) == Counts(rejected=1)


def test_nothing_but_the_wrapping_changes(store: Store, tmp_path: Path) -> None:
    everything(store)
    take(store, charged("2"))
    sealing.catch_up(store)
    closing.close(store, OCTOBER, NOW)
    packing.pack(store, OCTOBER, tmp_path / "before.pack")
    before, keys = dump(store, but="data_keys"), wrapped(store)
    exchange(store, quietly)
    assert dump(store, but="data_keys") == before
    after = wrapped(store)
    assert [row[:3] for row in after] == [row[:3] for row in keys]
    assert not {row[3] for row in after} & {row[3] for row in keys}
    assert verify(store).differences == ()
    assert audit(store, OCTOBER).ok
    packing.pack(store, OCTOBER, tmp_path / "after.pack")
    assert (tmp_path / "after.pack").read_bytes() == (tmp_path / "before.pack").read_bytes()
    assert rebuild(store).equal
    assert opens(store, OTHER) == {"c1", "account"}


def test_what_was_erased_stays_erased(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    event = partner(filled).contacts["c1"]
    take(filled, erased())
    assert exchange(filled, quietly).keys == KEYS - 1
    assert {(row[2], row[3]) for row in wrapped(filled) if row[3] is None} == {("c1", None)}
    with pytest.raises(FieldsErased):
        contact_fields(filled, event)
    # And what is erased after it can be opened by neither.
    take(filled, erased("x2", contact="c2"))
    assert (opens(filled, KEY), opens(filled, OTHER)) == (set(), ALL - {"c1", "c2"})


@pytest.mark.parametrize(
    ("given_old", "given_new", "said"),
    [
        (OTHER[:-4] + "AAA=", OTHER, "SETTLE_SECRET_KEY is not the key with which this store seals"),
        (None, OTHER, "SETTLE_SECRET_KEY is not set"),
        (KEY, None, "SETTLE_SECRET_KEY_NEW is not set"),
        (KEY, "short", "SETTLE_SECRET_KEY_NEW holds no key"),
        ("@/nowhere", OTHER, "SETTLE_SECRET_KEY holds no key"),
        (KEY, KEY, "are the same key"),
    ],
)
def test_a_wrong_key_is_refused_and_nothing_is_written(
    filled: Store, monkeypatch: pytest.MonkeyPatch, given_old: str | None, given_new: str | None, said: str
) -> None:
    before = dump(filled)
    for variable, value in (("SETTLE_SECRET_KEY", given_old), ("SETTLE_SECRET_KEY_NEW", given_new)):
        if value is None:
            monkeypatch.delenv(variable)
        else:
            monkeypatch.setenv(variable, value)
    with pytest.raises((NoKey, SameKey), match=said) as refused:
        exchange(filled, quietly)
    assert not [
        value for value in (given_old, given_new) if value and not value.startswith("@") and value in str(refused.value)
    ]
    assert dump(filled) == before
    assert opens(filled, KEY) == ALL


def test_where_nothing_was_sealed_there_is_nothing_to_exchange(store: Store) -> None:
    take(store, registered())
    with pytest.raises(NothingSealed):
        exchange(store, quietly)
    assert wrapped(store) == []


def test_an_altered_key_stops_it_is_named_and_can_be_erased(filled: Store) -> None:
    with filled.writing() as cursor:
        cursor.execute(
            "UPDATE settle.data_keys SET wrapped = (SELECT wrapped FROM settle.data_keys WHERE id = 'c1') WHERE id = 'c9'"
        )
    before = wrapped(filled)
    with pytest.raises(AlteredKey, match="contact c9 of partner P-1"):
        exchange(filled, quietly)
    assert wrapped(filled) == before
    take(filled, erased(contact="c9"))
    assert exchange(filled, quietly).keys == KEYS - 1


@pytest.fixture
def worker(database: str) -> Iterator[Any]:
    started: list[subprocess.Popen[str]] = []

    def start(old: str, new: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.consumers.exchange_worker", database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
            env={**os.environ, "SETTLE_SECRET_KEY": old, "SETTLE_SECRET_KEY_NEW": new},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("batches", [1, 3, 6])
def test_killed_in_the_middle_the_old_key_opens_everything_and_the_same_again_exchanges(
    filled: Store, worker: Any, batches: int
) -> None:
    process = worker(KEY, OTHER)
    # Two a batch: 2, 4, 6, 8, 10, 11 of 11.
    for number in range(batches - 1):
        assert line(process) == f"{2 * number + 2} 11"
        go_on(process)
    assert line(process) == f"{min(2 * batches, 11)} 11"
    process.kill()
    process.wait()
    assert (opens(filled, KEY), opens(filled, OTHER)) == (ALL, set())
    assert exchange(filled, quietly) == Exchanged(KEYS, before=False)
    assert (opens(filled, KEY), opens(filled, OTHER)) == (set(), ALL)


def test_two_at_once_exchange_it_once(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanging, "KEYS_A_BATCH", 2)
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda _: exchange(filled, quietly), range(2)))
    assert sorted(done) == [Exchanged(KEYS, before=False), Exchanged(KEYS, before=True)]
    assert (opens(filled, KEY), opens(filled, OTHER)) == (set(), ALL)


def test_of_two_with_different_new_keys_the_second_is_refused(filled: Store, worker: Any) -> None:
    third = "dGhlIHRoaXJkIG9mIHRoZSBrZXlzLCAzMiBieXRlcy4="
    first = worker(KEY, OTHER)
    assert line(first) == "2 11"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SETTLE_SECRET_KEY_NEW", third)
        begun, ended = threading.Event(), []

        def second() -> None:
            begun.set()
            try:
                exchange(filled, quietly)
            except Refused as refused:
                ended.append(refused.code)

        thread = threading.Thread(target=second)
        thread.start()
        begun.wait()
        for _ in range(6):
            go_on(first)
        thread.join()
    assert ended == ["no-secret-key"]
    assert (opens(filled, OTHER), opens(filled, third)) == (ALL, set())


def test_whoever_has_both_keys_seals_and_erases_all_through_it(filled: Store, worker: Any) -> None:
    process = worker(KEY, OTHER)
    assert line(process) == "2 11"
    # What is known is read and sealed while it runs; what needs a further key, or ends one, waits for it.
    assert opens(filled, KEY) == ALL
    assert take(filled, contact("again", contact="c2")) == Counts(recorded=1)
    with ThreadPoolExecutor(2) as threads:
        made = threads.submit(take, filled, contact("more", contact="c10"))
        gone = threads.submit(take, filled, erased(contact="c3"))
        for _ in range(6):
            go_on(process)
        assert made.result() == gone.result() == Counts(recorded=1)
    assert kept(filled) == []
    assert opens(filled, KEY) == set()
    assert opens(filled, OTHER) == ALL - {"c3"} | {"c10"}


def test_whoever_has_the_key_of_before_alone_makes_no_key_under_it_however_they_meet(
    filled: Store, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = worker(KEY, OTHER)
    assert line(process) == "2 11"
    monkeypatch.delenv("SETTLE_SECRET_KEY_NEW")
    with ThreadPoolExecutor(1) as threads:
        # It has found no key for the contact, and waits to make one.
        made = threads.submit(take, filled, contact("more", contact="c10"))
        with filled.reading() as cursor:
            while not cursor.execute(
                "SELECT FROM pg_locks WHERE relation = 'settle.data_keys'::regclass AND NOT granted"
            ).fetchall():
                pass
        for _ in range(6):
            go_on(process)
        assert made.result() == Counts(rejected=1)
    assert "c10" not in {row[2] for row in wrapped(filled)}
    # Nothing of it was kept, so that whoever has the new key takes it in.
    monkeypatch.setenv("SETTLE_SECRET_KEY", OTHER)
    assert take(filled, contact("more", contact="c10")) == Counts(recorded=1)
    assert opens(filled, OTHER) == ALL | {"c10"}


def test_a_key_that_was_being_made_when_it_began_is_exchanged_too(filled: Store) -> None:
    name = data_keys.of_contact("P-1", "c10")
    with ThreadPoolExecutor(1) as threads:
        with filled.writing() as cursor:
            data_keys.hold(cursor)
            done = threads.submit(exchange, filled, quietly)
            while not cursor.execute(
                "SELECT FROM pg_locks WHERE relation = 'settle.data_keys'::regclass AND NOT granted"
            ).fetchall():
                pass
            data_keys.keep(cursor, name, secrets.wrapped(b"k" * 32, name, b"d" * 32))
        assert done.result().keys == KEYS + 1
    with filled.reading() as cursor:
        (found,) = data_keys.known(cursor, [name]).values()
    assert found is not None
    assert secrets.unwrapped(b"o" * 32, name, found) == b"d" * 32
