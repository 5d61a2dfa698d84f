from __future__ import annotations

import gzip
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.files import UnreadableFile, ingest_file, lines_of, zstd
from engine.store.database import Store
from engine.store.intake import Counts
from tests.histories import charged, registered, signed
from tests.settlement.test_recording import clock

LINES = [registered(), signed(), *(charged(f"{i}") for i in range(2_000))]


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store(database) as opened:
        yield opened


def write(path: Path, content: bytes) -> str:
    match path.suffix:
        case ".gz":
            content = gzip.compress(content)
        case ".zst":
            content = zstd.compress(content)
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_file_is_taken_in_once_however_it_is_packed(store: Store, tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b"\n".join(LINES))
    assert ingest_file(store, path, clock) == Counts(recorded=2_002)
    assert ingest_file(store, path, clock) == Counts(duplicate=2_002)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_members_and_frames_that_follow_one_another_are_one_file(tmp_path: Path, name: str) -> None:
    path = Path(write(tmp_path / name, LINES[0] + b"\n"))
    path.write_bytes(path.read_bytes() * 3)
    assert list(lines_of(str(path))) == [LINES[0]] * 3


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_before_the_cut_of_a_cut_file_everything_is_taken_in(store: Store, tmp_path: Path, name: str) -> None:
    path = Path(
        write(tmp_path / name, b"\n".join([*LINES[:2], *(charged(os.urandom(20).hex()) for _ in range(20_000))]))
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableFile, match=r"breaks off .* the ([\d,]+) messages before that are taken in"):
        ingest_file(store, str(path), clock)
    with store.reading() as cursor:
        row = cursor.execute("SELECT recorded, rejected FROM settle.intake").fetchone()
    assert row is not None
    assert row[0] > 5_000
    assert row[1] <= 1, "the line that the cut goes through"
    path.write_bytes(whole)
    again = ingest_file(store, str(path), clock)
    assert again.recorded + row[0] == 20_002


def test_a_plain_file_cut_in_the_middle_of_a_line_loses_that_line_only(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b"\n".join(LINES)[:-20])
    assert ingest_file(store, path, clock) == Counts(recorded=2_001, rejected=1)


def test_a_huge_line_is_rejected_and_its_neighbours_are_not(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b"\n".join([LINES[0], b"x" * 5_000_000, LINES[1], b"", LINES[2]]))
    assert ingest_file(store, path, clock) == Counts(recorded=3, rejected=1)


def test_an_empty_file_holds_no_messages(store: Store, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst"):
        (tmp_path / name).write_bytes(b"")
        assert ingest_file(store, str(tmp_path / name), clock) == Counts()


@pytest.mark.parametrize("name", ["nothing.jsonl", "."])
def test_what_is_no_file_is_refused_by_name(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match="cannot be read"):
        ingest_file(store, str(tmp_path / name), clock)


def test_what_only_claims_to_be_packed_is_refused(store: Store, tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "a.jsonl.zst"):
        (tmp_path / name).write_bytes(LINES[0])
        with pytest.raises(UnreadableFile, match="damaged"):
            ingest_file(store, str(tmp_path / name), clock)


def test_a_small_file_that_unpacks_to_gigabytes_fills_no_memory(tmp_path: Path) -> None:
    """A gigabyte without a line end is one line, of which no more than the limit is ever held."""
    import resource

    path = tmp_path / "bomb.jsonl.zst"
    packed = zstd.ZstdCompressor()
    with path.open("wb") as out:
        for _ in range(1_024):
            out.write(packed.compress(b"x" * 1_048_576))
        out.write(packed.flush())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in lines_of(str(path))) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_standard_input_is_read_to_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Standard:
        buffer = io.BytesIO(b"\n".join(LINES))

    monkeypatch.setattr(sys, "stdin", Standard())
    assert ingest_file(store, "-", clock) == Counts(recorded=2_002)
