"""Replay: an archive of many events folded and settled again, beside the same aggregation by hand; compare beside both.

Every variant runs in a process of its own, in turns, round after round. The archive is drawn in columns (archive_input).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson
import polars as pl

from bench import archive_input, databases, machine
from bench.report import of_machine, table
from bench.rules import PYTHON
from bench.runs import RunFailed
from consumers.ingest import ingest
from engine import events
from engine.rules.check import check
from engine.settlement.recording import Message, Readable, Slice
from engine.store import copies, intake, log, recorder
from engine.store import facts as fact_store
from engine.store.database import Store
from replay import history, known
from replay.archive.reading import Archive
from replay.compare import compare
from replay.known import Known

_ROOT = Path(__file__).parents[1]
_SAMPLE = 1_000_000
_PARTS = (10, 5, 2, 1)
_DECEMBER = "2026-12-01"
_TURNS = 10


class Turn(NamedTuple):
    """One run: what it came to, seconds, processor seconds, megabytes at the peak."""

    rows: int
    seconds: float
    cpu: float
    peak: int


def main(number: int, rounds: int, date: str, results: Path) -> None:
    """Measures, prints the table and writes it to `results`. Raises RunFailed, also where facts differ in number."""
    facts = machine.computer()
    with tempfile.TemporaryDirectory(prefix="settle-bench-archive-") as made:
        folder = Path(made) / "archive"
        _say(f"writing an archive of {number:,} events")
        last = archive_input.write(folder, number)
        size = sum(segment.bytes for segment in Archive(str(folder)).segments("events"))
        kinds = ["fold", "replay", "polars", *(["duckdb"] if PYTHON.exists() else [])]
        turns: dict[str, list[Turn]] = {kind: [] for kind in kinds}
        for round_ in range(rounds):
            _say(f"round {round_ + 1} of {rounds}")
            for kind in kinds:
                turns[kind].append(_turn(kind, folder, last))
        if len({turns[kind][0].rows for kind in kinds if kind != "replay"} - {turns["fold"][0].rows}) != 0:
            raise RunFailed(f"not the same number of groups: { ({kind: t[0].rows for kind, t in turns.items()}) }")
        _say("parts of it, and the loop")
        parts = [(number // part, _turn("replay", folder, last - number + number // part)) for part in _PARTS]
        sample = _turn("loop", folder, min(_SAMPLE, number))
        stored = _stored(folder, last)
    text = _markdown(_Told(date, number, size, turns, parts, min(_SAMPLE, number), sample, stored, facts))
    print(text)
    results.mkdir(parents=True, exist_ok=True)
    (results / "replay.md").write_text(text)
    plain = {"date": date, "events": number, "machine": facts, "stored": stored}
    plain |= {kind: [turn._asdict() for turn in each] for kind, each in turns.items()}
    (results / "replay.json").write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2) + b"\n")
    _say(f"written to {results}/replay.md and replay.json")


def _turn(kind: str, folder: Path, to: int) -> Turn:
    python = str(PYTHON) if kind == "duckdb" else sys.executable
    arguments = [python, str(_ROOT / "bench" / "replay_work.py"), kind, str(folder), str(to)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=_ROOT)
    if done.returncode:
        raise RunFailed(f"{kind}: {done.stderr.strip().splitlines()[-1]}")
    return Turn(**json.loads(done.stdout))


def _stored(folder: Path, last: int) -> dict[str, Any]:
    """In a store that has the archive's contracts and facts: compare, and the fold over the log of a sample."""
    archive = Archive(str(folder))
    everything = known.of(archive.told(last), position=last, rules_position=last)
    with databases.started() as server, server.fresh(registered=False) as conninfo, Store(conninfo) as store:
        _say("recording the contracts")
        _record(store, archive_input.told())
        facts = pl.concat([archive.facts(everything, number) for number in range(archive.buckets)])
        with store.writing() as cursor:
            for month in facts.sort("period").partition_by("period", maintain_order=True):
                fact_store.add(cursor, month)  # one after the other, as a live store is told of them
        copies.keep(store, date(2027, 1, 1))  # as closing the year does
        _say("comparing")
        turns = {name: [_compared(store, name) for _ in range(_TURNS)] for name in archive_input.BOOKS}
        return {"compare": turns} | _from_log(store, archive, everything)


def _record(store: Store, told: Sequence[events.Event]) -> None:
    with store.writing() as cursor:
        intake.ensure(cursor, "bench", [(0, 0)])
    for at in range(0, len(told), 5_000):
        part = told[at : at + 5_000]
        read = [
            Readable(b"", event, events.encoded(event), f"{at + i:016}".encode(), b"c" * 16)
            for i, event in enumerate(part)
        ]
        messages = [Message("bench", 0, at + i, None, each) for i, each in enumerate(read)]
        ingest(store, [Slice("bench", 0, None, len(part))], messages, lambda: told[0].time)


def _compared(store: Store, name: str) -> dict[str, Any]:
    """A change of one rate, from December on."""
    text = archive_input.RULEBOOK.format(name=name, version=2, valid_from=_DECEMBER, rate="52%")
    book = check(text, "candidate").rulebook
    assert book is not None
    with store.reading() as cursor:
        first = time.perf_counter()
        found = compare(cursor, book, text)
        return {"seconds": time.perf_counter() - first, "changed": found.changed.height, "statements": found.statements}


def _from_log(store: Store, archive: Archive, everything: Known) -> dict[str, Any]:
    """The fold over PostgreSQL's log, of a sample."""
    rows = []
    for segment in archive.segments("events"):
        for entry in archive.entries(segment):
            rows.append((log.stream_id("contract", f"{len(rows)}"), 1, entry.name, entry.state))
            if len(rows) >= _SAMPLE:
                break
        if len(rows) >= _SAMPLE:
            break
    _say(f"folding {len(rows):,} events from the log")
    with store.writing() as cursor:
        recorder.lock(cursor)
        first = recorder.append(cursor, rows)
        intake.note_batch(cursor, first, first + len(rows) - 1, archive_input.told()[0].time)
    with store.reading() as cursor:
        begun = time.perf_counter()
        history.folded(cursor, everything, first + len(rows) - 1)
        return {"log_events": len(rows), "log_seconds": time.perf_counter() - begun}


class _Told(NamedTuple):
    date: str
    events: int
    bytes: int
    turns: dict[str, list[Turn]]
    parts: list[tuple[int, Turn]]
    sampled: int
    sample: Turn
    stored: dict[str, Any]
    machine: dict[str, str]


_LABELS = {
    "fold": "ours, the fold",
    "replay": "ours, whole: fold, settle, digests",
    "polars": "(b) the aggregation in Polars",
    "duckdb": "(a) the aggregation in DuckDB",
}


def _best(turns: Sequence[Turn]) -> float:
    return min(turn.seconds for turn in turns)


def _markdown(told: _Told) -> str:
    rows = [
        [_LABELS[kind], f"{told.events:,}", f"{_best(each):,.1f}", f"{median(t.seconds for t in each):,.1f}",
         f"{min(t.cpu for t in each):,.1f}", f"{max(t.peak for t in each):,}"]
        for kind, each in told.turns.items()
    ]  # fmt: skip
    seconds, events_ = told.stored["log_seconds"], told.stored["log_events"]
    rows.append(["(c) the fold over PostgreSQL's log, a sample", f"{events_:,}", f"{seconds:,.1f}", "", "", ""])
    rows.append(["(d) a plain Python loop, a sample", f"{told.sampled:,}", f"{told.sample.seconds:,.1f}", "", "", ""])
    hand = min(_best(told.turns[kind]) for kind in ("polars", "duckdb") if kind in told.turns)
    whole = _best(told.turns["replay"])
    compared = {name: min(turns, key=itemgetter("seconds")) for name, turns in told.stored["compare"].items()}
    ratios = [
        ["the fold / the better of (a) and (b)", f"{_best(told.turns['fold']) / hand:.2f}", "at most 1.5"],
        ["the whole replay / the better of (a) and (b)", f"{whole / hand:.2f}", "at most 1.5"],
        *(
            [f"the whole replay / compare from facts, {each['statements']:,} contracts", f"{whole / each['seconds']:.1f}", "at least 50"]
            for each in compared.values()
        ),
        ["(c), for as many events / the whole replay", f"{seconds / events_ * told.events / whole:.1f}", ""],
        ["(d), for as many events / the whole replay",
         f"{told.sample.seconds / told.sampled * told.events / whole:.1f}", ""],
        ["peak memory of the whole replay, MB", f"{max(t.peak for t in told.turns['replay']):,}", "below 4,000"],
    ]  # fmt: skip
    linear = [[f"{n:,}", f"{t.seconds:.1f}", f"{t.seconds / n * 1e6:.2f}", f"{t.peak:,}"] for n, t in told.parts]
    both = " and ".join(
        f"{each['statements']:,} statements with and without it, from facts, {each['seconds']:.2f} s ({each['changed']:,} amounts "
        "change)"
        for each in compared.values()
    )
    return (
        f"# Replay, {told.date}\n\n"
        f"An archive of {told.events:,} events ({told.bytes / 1e6:,.0f} MB) of {archive_input.CONTRACTS:,} contracts in a "
        "year, by province: a few products each, a fifth of the contracts with most of the volume. (a) and (b) do the "
        "aggregation alone; the whole replay reads what was told, folds, settles 240,000 statements and gives each its "
        f"digest.\n\n{table(['variant', 'events', 's, best', 'median', 'CPU s', 'peak MB'], rows)}\n\n"
        f"{table(['', 'measured', 'aim'], ratios)}\n\n"
        f"{table(['events', 's', 'us an event', 'peak MB'], linear)}\n\n"
        f"Compare: one rate of either rulebook from December on: {both}.\n\n{of_machine(told.machine)}\n"
    )


def _say(sentence: str) -> None:
    print(f"bench: {sentence}", file=sys.stderr, flush=True)
