"""Rules: how long a month of many contracts takes, in columns, by hand, in SQL, in binary floats, and one by one.

Every variant runs in a process of its own. First each runs once by itself, for its results, which are compared row by row,
and for its peak memory; then all take turns, round after round, so that a slow minute of the machine falls on all of them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bench import machine, rules_compare, rules_input, rules_report
from bench.rules_report import Outcome, Report, Turn
from bench.runs import RunFailed, Worker

# Where `make bench` installs what bench/requirements.lock pins.
PYTHON = Path(__file__).parents[1] / ".cache" / "bench" / "bin" / "python"
SAMPLE = 10_000

_REPEATS = 3
_START_SECONDS_MAX, _DONE_SECONDS_MAX = 300.0, 3_600.0


class Variant(NamedTuple):
    """`kind` names the worker's function; `foreign` asks for the interpreter that has nothing of the engine's."""

    kind: str
    label: str
    contracts: int
    foreign: bool = False


def variants(contracts: int) -> list[Variant]:
    sample = min(contracts, SAMPLE)
    return [
        Variant("ours", "ours", contracts),
        Variant("polars", "(b) Polars by hand", contracts),
        Variant("duckdb", "(c) DuckDB SQL", contracts, foreign=True),
        Variant("reference", "(d) reference evaluator, a sample", sample),
        Variant("ours-tiers", "ours, tier step alone", contracts),
        Variant("openfisca", "(a) OpenFisca, tier step alone", contracts, foreign=True),
    ]


def main(contracts: int, rounds: int, date: str, results: Path) -> None:
    """Measures, prints the table and writes it to `results`. Raises RunFailed, also where results differ."""
    told = variants(contracts)
    if not PYTHON.exists():
        _say("without (a) and (c): they are not installed; `make bench` installs them")
        told = [variant for variant in told if not variant.foreign]
    facts = machine.computer()
    with tempfile.TemporaryDirectory(prefix="settle-bench-rules-") as made:
        bench = _Bench(Path(made), contracts)
        first = bench.first(told)
        _say("comparing the results")
        findings = rules_compare.findings(bench.results, {variant.kind for variant in told})
        if not PYTHON.exists():
            findings["missing"] = "(a) and (c) were not measured: they were not installed"
        outcomes = bench.rounds(told, first, rounds)
    report = Report(date, contracts, bench.facts, rounds, _REPEATS, facts, outcomes, findings)
    print(rules_report.markdown(report))
    rules_report.write(report, results)
    _say(f"written to {results}/rules.md and rules.json")


class _Bench:
    def __init__(self, folder: Path, contracts: int) -> None:
        self._input, self._sample, self.results = folder / "input", folder / "sample", folder / "results"
        for each in (self._input, self._sample, self.results):
            each.mkdir()
        _say(f"making {contracts:,} contracts")
        self.facts = rules_input.write(self._input, contracts)
        rules_input.write(self._sample, min(contracts, SAMPLE))

    def first(self, told: list[Variant]) -> dict[str, Turn]:
        """Each once, results written. The tier step's bases are the net revenues that (b) found."""
        turns = {}
        for variant in told:
            folder = self.results / variant.kind
            folder.mkdir()
            turns[variant.kind] = self._turn(variant, 1, folder)
            _say(f"alone        {_told(variant, turns[variant.kind])}  {turns[variant.kind].memory / 1e6:>7,.0f} MB")
            if variant.kind == "polars":
                lines = pl.scan_parquet(folder / "lines.parquet")
                lines.select(base="net revenue").sink_parquet(self._input / "base.parquet")
        return turns

    def rounds(self, told: list[Variant], first: dict[str, Turn], rounds: int) -> list[Outcome]:
        """Odd rounds go forwards, even ones backwards, so that nobody always comes after the same one."""
        turns: dict[str, list[Turn]] = {variant.kind: [] for variant in told}
        for number in range(1, rounds + 1):
            for variant in told if number % 2 else reversed(told):
                turns[variant.kind].append(self._turn(variant, _REPEATS, None))
                _say(f"round {number}/{rounds}    {_told(variant, turns[variant.kind][-1])}")
        return [Outcome(v.kind, v.label, v.contracts, first[v.kind].memory, turns[v.kind]) for v in told]

    def _turn(self, variant: Variant, repeats: int, write_to: Path | None) -> Turn:
        folder = self._sample if variant.kind == "reference" else self._input
        # The reference is slow enough to be told apart from noise by one run a turn.
        task = {
            "kind": variant.kind,
            "folder": str(folder),
            "repeats": 1 if variant.kind == "reference" else repeats,
            "write_to": None if write_to is None else str(write_to),
        }
        worker = Worker(task, "bench.rules_worker", str(PYTHON) if variant.foreign else sys.executable)
        try:
            worker.until("ready", _START_SECONDS_MAX)
            worker.go()
            done = worker.until("done", _DONE_SECONDS_MAX)
        finally:
            worker.end()
        if not done["spans"]:
            raise RunFailed(f"{variant.label} measured nothing")
        spans = [(seconds, cpu) for seconds, cpu in done["spans"]]
        return Turn(spans, done["memory"], done["packages"])


def _told(variant: Variant, turn: Turn) -> str:
    return f"{variant.label:<36} {turn.best:>8.3f} s"


def _say(sentence: str) -> None:
    print(f"bench: {sentence}", file=sys.stderr, flush=True)
