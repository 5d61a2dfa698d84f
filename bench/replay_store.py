"""What a replay does with a store: rebuild alone and while events are taken in; audit, pack and verify beside closing and replay.

The events are those of the intake's benchmark, through the whole intake into the engine's own PostgreSQL. The section that this
writes stands at the end of the replay's results.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson

from bench import databases, machine
from bench.events import charges, registrations
from bench.report import of_machine, table
from bench.runs import RunFailed
from console.session import clock
from consumers.files import ingest_file
from engine.period import Period
from engine.settlement import closing
from engine.store import recorder
from engine.store.database import Store
from replay import again
from replay.audit.auditing import audit
from replay.audit.packing import pack
from replay.audit.verifying import verify
from replay.rebuild.running import rebuild

_HEADING = "## Rebuild and audit"
_CONTRACTS = 3_000
_PERIOD = Period.parse("2026-09")
_BEGIN = datetime(2026, 9, 2, tzinfo=UTC)
_SECONDS = 28 * 24 * 3600
_NOW = datetime(2026, 11, 1, tzinfo=UTC)
# The pace at which events are taken in beside a rebuild, a batch at a time; there are enough for so many seconds a round.
PACE = 5_000
_BATCH = 500
_FEED_SECONDS = 30
_FEED_BEGINS_SECONDS_MAX = 60.0
_ROOT = Path(__file__).parents[1]
_COMMANDS = {
    "close": "settle close",
    "replay": "settle replay, from the log",
    "audit": "settle audit",
    "pack": "settle audit pack",
    "verify": "settle audit verify",
}


class Rebuilt(NamedTuple):
    """One rebuild: the events that it read, its seconds, how many events were taken in meanwhile, and milliseconds of lock."""

    events: int
    seconds: float
    taken: int
    locked: int


class Audited(NamedTuple):
    """Seconds by command, of which closing was done once; and what they were about."""

    statements: int
    events: int
    bytes: int
    seconds: dict[str, list[float]]


def main(events: int, closed: int, rounds: int, date: str, results: Path) -> None:
    """Measures, prints the section and puts it into replay.md. Raises RunFailed."""
    facts = machine.computer()
    with databases.started() as server, tempfile.TemporaryDirectory(prefix="settle-bench-input-") as made:
        folder = Path(made)
        with server.fresh(registered=True) as conninfo:
            alone, beside = _rebuilds(conninfo, folder, events, rounds)
        with server.fresh(registered=False) as conninfo:
            audited = _audited(conninfo, folder, closed, rounds)
    text = _markdown(date, alone, beside, audited, facts)
    print(text)
    results.mkdir(parents=True, exist_ok=True)
    path = results / "replay.md"
    before = path.read_text().partition(_HEADING)[0] if path.exists() else "# Replay\n\n"
    path.write_text(f"{before.rstrip()}\n\n{text}")
    plain = {"date": date, "machine": facts, "audited": audited._asdict()}
    plain |= {"rebuilt": [each._asdict() for each in alone], "beside_ingest": [each._asdict() for each in beside]}
    (results / "replay_store.json").write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2) + b"\n")
    _say(f"written to {results}/replay.md and replay_store.json")


def _rebuilds(conninfo: str, folder: Path, events: int, rounds: int) -> tuple[list[Rebuilt], list[Rebuilt]]:
    """In turns: alone, and while another process takes events in."""
    first, feed = folder / "first.jsonl", folder / "feed"
    feed.mkdir()
    batches = PACE * _FEED_SECONDS * rounds // _BATCH
    every = charges(events + batches * _BATCH)
    paths = {first: events} | {feed / f"{number:06}.jsonl": _BATCH for number in range(batches)}
    for path, number in paths.items():
        path.write_bytes(b"".join(line + b"\n" for line in islice(every, number)))
    alone, beside = [], []
    with Store(conninfo) as store:
        _recorded(store, first)
        for number in range(1, rounds + 1):
            _say(f"rebuild, round {number} of {rounds}")
            alone.append(_rebuilt(store))
            with _fed(store, feed) as feeding:
                beside.append(_rebuilt(store))
                if feeding.poll() is not None:
                    raise RunFailed("all events were taken in before the rebuild ended")
    return alone, beside


def _rebuilt(store: Store) -> Rebuilt:
    before, first = _last(store), time.perf_counter()
    done = rebuild(store)
    seconds = time.perf_counter() - first
    if not done.swapped:
        raise RunFailed(f"the rebuilt tables differ: {done.differing}")
    return Rebuilt(done.position, seconds, _last(store) - before, done.locked)


@contextmanager
def _fed(store: Store, feed: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes events in, from where it stopped before; it has begun, and is stopped afterwards."""
    before = _last(store)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.feed", store.conninfo, str(feed), str(PACE)], stdout=subprocess.DEVNULL, cwd=_ROOT
    )
    try:
        deadline = time.monotonic() + _FEED_BEGINS_SECONDS_MAX
        while _last(store) == before:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RunFailed("nothing was taken in")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait()


def _last(store: Store) -> int:
    with store.reading() as cursor:
        return recorder.last_position(cursor)


def _recorded(store: Store, path: Path) -> int:
    _say(f"recording {path.name}")
    return ingest_file(store, str(path), clock).recorded


def _audited(conninfo: str, folder: Path, closed: int, rounds: int) -> Audited:
    told, path, packed = folder / "told.jsonl", folder / "period.jsonl", folder / "pack"
    told.write_bytes(b"\n".join(registrations(_CONTRACTS)) + b"\n")
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in charges(closed, _CONTRACTS, _BEGIN, _SECONDS))
    with Store(conninfo) as store:
        _recorded(store, told)
        if _recorded(store, path) != closed:
            raise RunFailed(f"not all of {closed:,} events were recorded")
        seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
        seconds["close"].append(_seconds(lambda: closing.close(store, _PERIOD, _NOW)))
        work: dict[str, Callable[[], Any]] = {
            "replay": lambda: _replayed(store),
            "audit": lambda: audit(store, _PERIOD),
            "pack": lambda: pack(store, _PERIOD, packed),
            "verify": lambda: verify(packed),
        }
        for number in range(1, rounds + 1):
            _say(f"audit, round {number} of {rounds}")
            for name, each in work.items():
                seconds[name].append(_seconds(each))
        proof = verify(packed).proof
        if not proof.ok or proof.statements != _CONTRACTS:
            raise RunFailed(f"{proof.statements:,} statements, {len(proof.failed):,} checks fail")
    return Audited(proof.statements, closed, packed.stat().st_size, seconds)


def _replayed(store: Store) -> None:
    with store.reading() as cursor:
        (found,) = again.replay(cursor, first=_PERIOD, last=_PERIOD).periods
    if found.equal != _CONTRACTS:
        raise RunFailed(f"{found.equal:,} statements come out as they were issued")


def _seconds(work: Callable[[], Any]) -> float:
    first = time.perf_counter()
    work()
    return time.perf_counter() - first


def _markdown(date: str, alone: list[Rebuilt], beside: list[Rebuilt], audited: Audited, facts: dict[str, str]) -> str:
    labels = (("rebuild alone", alone), ("rebuild, while events are taken in", beside))
    rebuilds = [
        [label, f"{max(r.events for r in each):,}", f"{min(r.seconds for r in each):,.1f}",
         f"{median(r.events / r.seconds for r in each):,.0f}", f"{median(r.taken / r.seconds for r in each):,.0f}",
         f"{max(r.locked for r in each):,}"]
        for label, each in labels
    ]  # fmt: skip
    paired = [one.events / one.seconds / (two.events / two.seconds) for one, two in zip(alone, beside, strict=True)]
    best = {name: min(each) for name, each in audited.seconds.items()}
    commands = [
        [label, f"{best[name]:,.2f}", f"{median(audited.seconds[name]):,.2f}", f"{best[name] / best['close']:.2f}",
         f"{best[name] / best['replay']:.2f}"]
        for name, label in _COMMANDS.items()
    ]  # fmt: skip
    rebuilt_head = ["", "events, most", "s, best", "events/s, median", "taken in/s, median", "locked ms, worst"]
    return (
        f"{_HEADING}, {date}\n\n"
        "(e) All projections anew, compared with the live ones and exchanged, in turns alone and while another process takes "
        f"in {PACE:,} events a second; what is taken in meanwhile is read, too, so there are more events each time.\n\n"
        f"{table(rebuilt_head, rebuilds)}\n\n"
        f"Alone it is {median(paired):.2f} times as fast (round by round {' '.join(f'{each:.2f}' for each in paired)}).\n\n"
        f"(f) One closed period of {audited.statements:,} statements and {audited.events:,} events in a store of its own; a pack "
        f"has {audited.bytes / 1e6:,.1f} MB. Closing was done once, the others round after round.\n\n"
        f"{table(['', 's, best', 'median', '/ close', '/ replay'], commands)}\n\n"
        f"{of_machine(facts)}\n"
    )


def _say(sentence: str) -> None:
    print(f"bench: {sentence}", file=sys.stderr, flush=True)
