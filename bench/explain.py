"""Explaining: how long it takes to say why one amount is what it is, in a store of many events.

Events go through the whole intake into the engine's own PostgreSQL. Then one line of one statement after the other is
explained: its statement is computed, and the tree of its reasons made, down to the ids of the events behind its facts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import orjson

from bench import databases, machine
from bench.events import CONTRACTS, write_charges
from bench.report import of_machine, table
from bench.runs import RunFailed
from console import explained
from console.session import clock
from consumers.files import ingest_file
from engine.period import Period
from engine.settlement.statements import view
from engine.store.database import Store

MILLISECONDS_MAX = 50

_PERIOD = Period.parse("2026-09")
_LINE = "payable"
_EVENTS_SHOWN = 3
# Contracts explained in this process, each another; and whole commands.
_EXPLAINED, _COMMANDS = 100, 5
_COMMAND = "import sys; from console.main import main; sys.argv[0] = 'settle'; main()"


class Measured(NamedTuple):
    """Milliseconds; what is explained first in a process is in no other number."""

    events: int
    first: float
    explained: list[float]
    commands: list[float]
    started: list[float]


def main(events: int, date: str, results: Path) -> None:
    """Measures, prints the table and writes it to `results`. Raises RunFailed."""
    facts = machine.computer()
    with databases.started() as server, tempfile.TemporaryDirectory(prefix="settle-bench-input-") as folder:
        path = Path(folder) / "events.jsonl"
        write_charges(path, events)
        with server.fresh(registered=True) as conninfo:
            measured = _measured(conninfo, path, events)
    text = _markdown(measured, date, facts)
    print(text)
    results.mkdir(parents=True, exist_ok=True)
    (results / "explain.md").write_text(text)
    plain = {"date": date, "machine": facts} | measured._asdict() | {"milliseconds_max": MILLISECONDS_MAX}
    (results / "explain.json").write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2) + b"\n")
    _say(f"written to {results}/explain.md and explain.json")


def _measured(conninfo: str, path: Path, events: int) -> Measured:
    with Store(conninfo) as store:
        _say(f"recording {events:,} events")
        recorded = ingest_file(store, str(path), clock).recorded
        if recorded != events:
            raise RunFailed(f"{recorded:,} of {events:,} events were recorded")
        # Contracts far apart, so that none finds what another has fetched.
        contracts = [f"C-{number * 7 % CONTRACTS}" for number in range(min(_EXPLAINED, CONTRACTS))]
        first, *further = [_milliseconds(partial(_explain, store, contract)) for contract in contracts]
    _say("running whole commands")
    told, empty = [], []
    for _ in range(_COMMANDS):
        told.append(_milliseconds(partial(_command, conninfo, "explain", "C-1", str(_PERIOD), _LINE)))
        empty.append(_milliseconds(partial(_command, conninfo, "--help")))
    return Measured(events, first, further, told, empty)


def _explain(store: Store, contract: str) -> None:
    """What `settle explain CONTRACT PERIOD LINE --json` does between opening the store and printing."""
    with store.reading() as cursor:
        seen = view(cursor, contract, _PERIOD)
        reason = explained.told(cursor, seen, _LINE, _EVENTS_SHOWN)
    assert b'"events"' in orjson.dumps(reason), "the explanation ends before the events"


def _command(conninfo: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, *arguments],
        env=os.environ | {"SETTLE_DATABASE_URL": conninfo},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RunFailed(f"settle {' '.join(arguments)} failed: {done.stderr.strip()}")


def _milliseconds(work: Callable[[], None]) -> float:
    first = time.perf_counter()
    work()
    return (time.perf_counter() - first) * 1_000


def _markdown(measured: Measured, date: str, facts: dict[str, str]) -> str:
    explained = sorted(measured.explained)
    reached = "yes" if median(explained) < MILLISECONDS_MAX else "no"
    rows = [
        ["one line, in a running process", *_spread(explained), f"{explained[len(explained) * 95 // 100]:,.1f}"],
        ["the first line of a process", f"{measured.first:,.1f}", "", "", ""],
        ["settle explain, the whole command", *_spread(measured.commands), ""],
        ["settle --help, for what starting costs", *_spread(measured.started), ""],
    ]
    return (
        f"# Explaining, {date}\n\n"
        f"One line of a statement, explained down to the ids of the events behind it, in a store of {measured.events:,} "
        f"events under {CONTRACTS:,} contracts and a rulebook of one step; {len(explained) + 1} contracts, each once.\n\n"
        f"{table(['milliseconds', 'median', 'best', 'worst', '95 in 100 within'], rows)}\n\n"
        f"Below {MILLISECONDS_MAX} ms in a running process, by the median: {reached}.\n\n"
        f"{of_machine(facts)}\n"
    )


def _spread(values: list[float]) -> list[str]:
    return [f"{value:,.1f}" for value in (median(values), min(values), max(values))]


def _say(sentence: str) -> None:
    print(f"bench: {sentence}", file=sys.stderr, flush=True)
