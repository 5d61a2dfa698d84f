"""An archive that was made over, digests and all: what a replay would take from it is what the log's rows make it, or is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from engine.store import archive_seals
from engine.store.database import Store
from replay import again
from replay.archive import manifest
from replay.archive.checking import check
from replay.archive.manifest import NAME, Seal, Segment
from replay.archive.reading import Archive
from replay.archive.writing import seal
from tests.histories import registered, signed
from tests.replay import audited as histories
from tests.replay.test_restate import SIMPLE, close
from tests.settlement.test_chains import NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

Change = Callable[[pl.DataFrame], pl.DataFrame]
WHERE = ", gd: {event: billing.charged, sum: amount, where: {province: GD}}"


def archived(store: Store, folder: Path, amount: str = "3.33") -> Path:
    """Two contracts with an attribute that is a dimension, two months, sealed into one bucket in chunks."""
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", valid_from="2026-10-01"))
    take(store, book(SIMPLE % "50%", measures=WHERE))
    take(store, charge("1", amount, 10, attributes={"province": "GD"}), charge("2", "9", 11, "C-2"))
    close(store, OCTOBER)
    seal(store, folder, buckets=1)
    take(store, book(SIMPLE % "60%", measures=WHERE, version=2, valid_from="2026-12-01"))
    close(store, NOVEMBER)
    seal(store, folder)
    return folder


def forge(folder: Path, change: Callable[[list[Seal]], list[Seal]]) -> None:
    """The manifest made over, each seal with the digest of the one before it."""
    seals: list[Seal] = []
    for each in change(Archive(str(folder)).seals):
        seals.append(msgspec.structs.replace(each, previous=seals[-1].digest if seals else ""))
    (folder / NAME).write_bytes(manifest.lines(seals))


def segments(made: Callable[[Segment], list[Segment]]) -> Callable[[list[Seal]], list[Seal]]:
    def changed(seals: list[Seal]) -> list[Seal]:
        return [
            msgspec.structs.replace(each, segments=tuple(new for old in each.segments for new in made(old)))
            for each in seals
        ]

    return changed


def rewritten(folder: Path, kind: str, change: Change, **stated: Any) -> Callable[[list[Seal]], list[Seal]]:
    """The segments of the kind with other contents, whose digest the manifest states, and whatever else it is to state."""

    def made(each: Segment) -> list[Segment]:
        if each.kind != kind:
            return [each]
        path = folder / each.path
        change(pl.read_parquet(path)).write_parquet(path)
        data = path.read_bytes()
        return [msgspec.structs.replace(each, sha256=sha256(data).hexdigest(), bytes=len(data), **stated)]

    return segments(made)


def stating(kind: str, /, **stated: Any) -> Callable[[list[Seal]], list[Seal]]:
    return segments(lambda each: [msgspec.structs.replace(each, **stated) if each.kind == kind else each])


NEXT_MONTH = pl.lit(date(2026, 11, 1)).alias("period")
FORGED: dict[str, tuple[Callable[[Path], Callable[[list[Seal]], list[Seal]]], str]] = {
    "the period of its events": (
        lambda folder: rewritten(folder, "events", lambda f: f.with_columns(NEXT_MONTH), period_first="2026-11-01"),
        "its period is not what its events, and the contracts, make it",
    ),
    "the partner": (
        lambda folder: rewritten(folder, "events", lambda f: f.with_columns(pl.lit("P-9").alias("partner"))),
        "its partner is not what its events",
    ),
    "a dimension": (
        lambda folder: rewritten(folder, "events", lambda f: f.with_columns(pl.lit("SH").alias("attribute:province"))),
        "its attribute:province is not what its events",
    ),
    "a column more": (
        lambda folder: rewritten(folder, "events", lambda f: f.with_columns(pl.lit(1).alias("note"))),
        "its columns are not those of its kind",
    ),
    "an event twice in a file": (
        lambda folder: rewritten(folder, "events", lambda f: pl.concat([f, f]), rows=4),
        "its segments hold",
    ),
    "a file twice": (
        lambda _: segments(lambda each: [each, each] if each.kind == "events" else [each]),
        "its segments hold",
    ),
    "how many rows": (lambda _: stating("events", rows=7), "the manifest says another rows than it has"),
    "up to where it goes": (lambda _: stating("told", last=1), "the manifest says another last than it has"),
    "that there are further amounts": (lambda _: stating("events", further=1), "another further than it has"),
    "its bucket": (lambda _: stating("issued", bucket=3), "has no place in it"),
    "the bucket of its events": (lambda _: stating("events", bucket=3), "it has contracts of another bucket"),
    "its kind": (lambda _: stating("issued", kind="told", bucket=-1), "statement.closed, has no place in it"),
    "the order of what was told": (
        lambda folder: rewritten(folder, "told", lambda f: f.reverse()), "its rows are not in the order of the log",
    ),
    "other columns": (
        lambda folder: rewritten(folder, "told", lambda f: f.select("position", "name")), "holds no rows of a log",
    ),
    "an event that is none": (
        lambda folder: rewritten(folder, "events", lambda f: f.with_columns(pl.lit("gift.made").alias("event"))),
        "holds no rows of a log",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_what_was_made_over_is_named(store: Store, tmp_path: Path, what: str) -> None:
    folder = archived(store, tmp_path / "a")
    assert list(check(Archive(str(folder)))) == []
    how, words = FORGED[what]
    forge(folder, how(folder))
    wrong = list(check(Archive(str(folder))))
    assert [sentence for sentence in wrong if words in sentence], wrong


def test_an_archive_of_another_log_with_the_same_seals_is_refused(store: Store, postgres: str, tmp_path: Path) -> None:
    """As where a store was put back from a backup, and went on otherwise."""
    folder = archived(store, tmp_path / "a")
    with histories.new_store(postgres) as other:
        archived(other, tmp_path / "b", "4.44")
        assert _recorded(store) == _recorded(other)
        with other.reading() as cursor, pytest.raises(again.OtherArchive, match="sealed from another store"):
            again.replay(cursor, archive=Archive(str(folder)))
        before = _files(folder)
        with pytest.raises(again.OtherArchive):
            seal(other, folder)
    assert _files(folder) == before


def test_sealing_into_a_folder_takes_away_nothing_of_anybody_else(store: Store, tmp_path: Path) -> None:
    own = tmp_path / "events" / "march.jsonl"
    own.parent.mkdir()
    own.write_text("{}\n")
    archived(store, tmp_path)
    left = tmp_path / "events" / f".{1:012}-{9:012}-b0000.parquet.tmp"
    left.write_bytes(b"half")
    seal(store, tmp_path)
    assert own.exists()
    assert not left.exists()


def test_sealing_again_refuses_an_archive_whose_seals_are_not_those_of_the_store(store: Store, tmp_path: Path) -> None:
    archived(store, tmp_path)
    with store.writing() as cursor:
        cursor.execute("DELETE FROM settle.archive_seals WHERE number = 2")
    take(store, charge("late", "1", 10))
    with pytest.raises(again.OtherArchive, match=r"settle archive --to FOLDER"):
        seal(store, tmp_path)


def _recorded(store: Store) -> list[tuple[int, int, int]]:
    with store.reading() as cursor:
        return [(each.number, each.first, each.last) for each in archive_seals.recorded(cursor)]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
