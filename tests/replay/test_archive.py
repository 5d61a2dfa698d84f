"""The archive: sealed once, made again byte for byte, read to the same facts, and no byte of it changed unseen."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.events import VOLUME
from engine.projections.facts import KEY
from engine.settlement import sealing
from engine.store import alone, log, recorder, registry
from engine.store import facts as fact_store
from engine.store import seals as seal_store
from engine.store.database import Store
from replay import again, history, known
from replay.archive import writing
from replay.archive.checking import check
from replay.archive.manifest import NAME, BrokenManifest
from replay.archive.reading import Archive
from replay.archive.segments import entries_of, events_frame
from replay.archive.writing import OtherBuckets, SealingRuns, seal
from replay.audit.auditing import audit
from replay.audit.findings import Check
from tests.histories import CONTRACTS, message, registered, signed, volume
from tests.replay.test_restate import SIMPLE, _emptied, close, simple
from tests.settlement.test_chains import NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

DERIVED = (
    ", top: {event: billing.charged, max: amount, where: {province: GD}}, back: {event: billing.refunded, sum: amount}"
)
CLAWED = "  - {name: s, amount: sales}\n  - {name: c, clawback: {of: s, base: sales, returns: back}}\n"
ENDS = "  - {name: payable, amount: s + c, round: half_up}\n"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def names(folder: Path) -> set[str]:
    """Without reading them: a file may be renamed while we look."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_sealing_again_changes_nothing_and_a_late_event_goes_to_a_further_segment(store: Store, tmp_path: Path) -> None:
    simple(store, charge("1", "100", 10))
    assert seal(store, tmp_path / "a").new is None
    close(store, OCTOBER)
    assert seal(store, tmp_path / "a").new is not None
    sealed = files(tmp_path / "a")
    assert seal(store, tmp_path / "a") == (0, None, Archive(str(tmp_path / "a")).last)
    assert files(tmp_path / "a") == sealed
    take(store, charge("open", "1", 11))
    assert seal(store, tmp_path / "a").new is None
    take(store, charge("late", "7", 10))
    assert seal(store, tmp_path / "a").new is not None
    after = files(tmp_path / "a")
    assert {name: data for name, data in after.items() if name in sealed and name != NAME} == {
        name: data for name, data in sealed.items() if name != NAME
    }
    assert [segment.rows for segment in Archive(str(tmp_path / "a")).segments("events")] == [1, 2]
    assert not list(check(Archive(str(tmp_path / "a"))))
    take(store, charge("open again", "1", 11))
    assert seal(store, tmp_path / "a").new is None
    take(store, charge("late again", "7", 10))
    assert seal(store, tmp_path / "a").new is not None


def test_only_one_process_seals_a_log(
    store: Store, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "WAIT_MS", 10)
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    with alone.alone(database, "archive"), pytest.raises(SealingRuns):
        seal(store, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert seal(store, tmp_path / "a").new is not None


def test_deleted_it_is_made_again_byte_for_byte(store: Store, tmp_path: Path) -> None:
    simple(store, charge("1", "100", 10), charge("2", "100", 11))
    close(store, OCTOBER)
    seal(store, tmp_path / "a", buckets=3)
    close(store, NOVEMBER)
    seal(store, tmp_path / "a")
    made = files(tmp_path / "a")
    shutil.rmtree(tmp_path / "a")
    assert seal(store, tmp_path / "a").remade == 2
    assert files(tmp_path / "a") == made
    next((tmp_path / "a" / "issued").iterdir()).unlink()
    seal(store, tmp_path / "a")
    assert files(tmp_path / "a") == made
    with pytest.raises(OtherBuckets):
        seal(store, tmp_path / "a", buckets=4)


def test_its_head_is_that_of_the_log(store: Store, tmp_path: Path) -> None:
    simple(store, *(charge(f"{n}", "1", 10) for n in range(1_100)))
    close(store, OCTOBER)
    seal(store, tmp_path / "a")
    take(store, charge("late", "1", 10))
    seal(store, tmp_path / "a")
    sealing.catch_up(store)
    with store.writing() as cursor:
        assert Archive(str(tmp_path / "a")).seals[-1].head == seal_store.chain(cursor).now


def test_any_changed_byte_is_found_and_its_file_named(store: Store, tmp_path: Path) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    folder = tmp_path / "a"
    seal(store, folder, buckets=1)
    rng = random.Random(1)  # noqa: S311
    for name, data in files(folder).items():
        for _ in range(5):
            at = rng.randrange(len(data))
            (folder / name).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            try:
                found = list(check(Archive(str(folder))))
            except BrokenManifest as broken:
                found = [str(broken)]
            assert found, (name, at)
            assert all(name in sentence for sentence in found[:1]), (name, at, found)
        (folder / name).write_bytes(data)
    assert not list(check(Archive(str(folder))))
    (folder / "events").rename(folder / "gone")
    assert "events/" in next(check(Archive(str(folder))))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(volume(), st.sampled_from([1, 2, 5]), st.integers(0, 30), st.integers(0, 40), st.booleans())
def test_archive_and_tail_fold_to_the_live_facts_for_any_cut_and_number_of_buckets(
    store: Store,
    tmp_path_factory: pytest.TempPathFactory,
    raws: list[bytes],
    buckets: int,
    cut: int,
    to: int,
    derived: bool,
) -> None:
    _emptied(store)
    folder = tmp_path_factory.mktemp("archive")
    take(store, registered(), *(signed(name) for name in CONTRACTS[:2]), signed(CONTRACTS[2], rulebook="other"))
    take(store, book(SIMPLE % "50%"), *raws[:cut])
    with store.writing() as cursor:
        last = recorder.last_position(cursor)
        cursor.execute("INSERT INTO settle.archive_seals VALUES (1, 1, %s, %s)", (last, buckets))
    steps = CLAWED + ENDS if derived else SIMPLE % "60%"
    finer = book(steps, measures=DERIVED, version=2, valid_from="2026-02-01").replace(b"\\nwaterfall", b"\\ndimensions: [province, product]\\nwaterfall")  # fmt: skip
    take(store, finer, *raws[cut:])
    seal(store, folder)
    archive = Archive(str(folder))
    assert archive.last == last
    with store.reading() as cursor:
        end = recorder.last_position(cursor)
        live = fact_store.all_live(cursor).sort(KEY)
        everything = known.live(cursor)
        assert history.folded(cursor, everything, end, archive=archive).sort(KEY).equals(live)
        assert (
            history.folded(cursor, everything, end, ["C-1"], archive)
            .sort(KEY)
            .equals(live.filter(contract="C-1").sort(KEY))
        )
        at = min(to, end)
        before = history.known_at(cursor, at, end)
        assert history.known_at(cursor, at, end, archive)[:5] == before[:5]
        assert (
            history.folded(cursor, before, at, archive=archive)
            .sort(KEY)
            .equals(history.folded(cursor, before, at).sort(KEY))
        )


@settings(max_examples=60)
@given(volume())
def test_every_row_of_the_log_comes_back_to_the_byte(raws: list[bytes]) -> None:
    import polars as pl

    from engine.events import encoded
    from engine.projections.seals import Entry
    from tests.histories import event_of

    events = [event_of(raw) for raw in raws]
    entries = [
        Entry(n, 1_000 + n, log.stream_id("contract", e.contract), n, e.NAME, encoded(e))
        for n, e in enumerate(events, 1)
    ]
    rows = [(name, "CNY", None, None, "monthly", "UTC", None, "{}", [], -1, None) for name in CONTRACTS]
    terms = pl.DataFrame(rows, schema=registry.TERMS, orient="row")
    frame = events_frame(entries, terms, dict.fromkeys(CONTRACTS, "P-1"), ["province"])
    assert list(entries_of(frame, "events")) == entries
    assert set(frame["event"]) <= set(VOLUME)


def test_a_replay_from_the_archive_is_that_from_the_log(store: Store, tmp_path: Path) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", valid_from="2026-10-01"))
    take(store, book(SIMPLE % "50%"), charge("1", "3.33", 10), charge("2", "9", 11, "C-2"))
    close(store, OCTOBER, NOVEMBER)
    seal(store, tmp_path / "a", buckets=2)
    take(
        store,
        charge("late", "1", 10),
        message("contract.terminated", "t", {"contract": "C-2", "valid_to": "2026-11-10"}),
    )
    with store.reading() as cursor:
        from_log = again.replay(cursor)
        assert again.replay(cursor, archive=Archive(f"file://{tmp_path}/a")) == from_log
    assert [len(period.differences) for period in from_log.periods] == [1, 0]


WORKER = """
import sys
from pathlib import Path
from engine.store.database import Store
from replay.archive import writing
writing.CHUNK_POSITIONS = 50
print("ready", flush=True)
with Store(sys.argv[1]) as store:
    writing.seal(store, Path(sys.argv[2]), 2)
"""


def test_killed_anywhere_it_leaves_no_half_segment_and_the_next_run_completes_it(
    store: Store, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple(store, *(charge(f"{n}", "1", 10) for n in range(600)))
    close(store, OCTOBER)
    folder, kills = tmp_path / "a", 0
    rng = random.Random(7)  # noqa: S311
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, database, str(folder)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + 20
        wanted = rng.randrange(1, 14)
        while process.poll() is None and len(names(folder)) < wanted and time.monotonic() < deadline:
            pass
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        process.stdout.close()
        for each in Archive(str(folder)).seals:
            assert all((folder / segment.path).exists() for segment in each.segments)
    assert kills
    monkeypatch.setattr(writing, "CHUNK_POSITIONS", 50)
    seal(store, folder)
    assert not list(check(Archive(str(folder))))
    made = files(folder)
    assert not [name for name in made if ".tmp" in name]
    shutil.rmtree(folder)
    seal(store, folder)
    assert files(folder) == made


def test_an_audit_checks_the_archive_and_finds_one_of_another_log(store: Store, tmp_path: Path) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    seal(store, tmp_path / "a")
    assert audit(store, OCTOBER, Archive(str(tmp_path / "a"))).ok
    segment = next((tmp_path / "a" / "events").iterdir())
    kept = segment.read_bytes()
    segment.write_bytes(kept[:-1] + b"?")
    (found,) = audit(store, OCTOBER, Archive(str(tmp_path / "a"))).failed
    assert (found.check, f"events/{segment.name}" in found.sentence) == (Check.archive, True)
    segment.write_bytes(kept)
    with store.writing() as cursor:
        cursor.execute(
            "UPDATE settle.batches SET recorded_at = recorded_at + interval '1 second' WHERE first_position = 1"
        )
    sentences = [each.sentence for each in audit(store, OCTOBER, Archive(str(tmp_path / "a"))).failed]
    assert any("is of another log" in sentence for sentence in sentences)


def test_a_shortened_archive_and_one_of_another_store_are_found(store: Store, tmp_path: Path) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    seal(store, tmp_path / "a")
    take(store, charge("late", "7", 10))
    seal(store, tmp_path / "a")
    lines = (tmp_path / "a" / NAME).read_bytes().splitlines(keepends=True)
    (tmp_path / "a" / NAME).write_bytes(lines[0])
    (found,) = audit(store, OCTOBER, Archive(str(tmp_path / "a"))).failed
    assert "1 of 2 seals are in the archive" in found.sentence
    with store.writing() as cursor:
        cursor.execute("UPDATE settle.archive_seals SET last = last - 1 WHERE number = 1")
    with store.reading() as cursor, pytest.raises(again.OtherArchive):
        again.replay(cursor, archive=Archive(str(tmp_path / "a")))
