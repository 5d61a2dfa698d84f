"""The process that one variant of the rules benchmark runs in: `python -m bench.rules_worker` with a task as JSON.

It loads its input, waits for the word, works as often as the task says, and tells seconds, processor time and peak memory.
Variants (a) and (c) are run by an interpreter that has nothing of the engine's.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench.gate import Gate, tell

_KIB = 1024


class Prepared(NamedTuple):
    """What is measured, how its result is written to a folder, and by whose code it is done."""

    run: Callable[[], Any]
    write: Callable[[Any, Path], None]
    packages: str


def prepared(kind: str, folder: Path) -> Prepared:
    """With the input in memory. Each variant imports only what it needs, so that its memory is its own."""
    match kind:
        case "ours" | "ours-tiers" | "reference":
            from bench import rules_ours  # noqa: PLC0415

            made = {"ours": rules_ours.columns, "ours-tiers": rules_ours.tiers, "reference": rules_ours.reference}
            return Prepared(*made[kind](folder), f"polars {version('polars')}")
        case "polars":
            from bench import rules_input, rules_polars  # noqa: PLC0415

            inputs = rules_input.read(folder)
            return Prepared(lambda: rules_polars.settle(*inputs), rules_polars.write, f"polars {version('polars')}")
        case "duckdb":
            from bench import rules_duckdb  # noqa: PLC0415

            connection = rules_duckdb.loaded(folder)
            return Prepared(lambda: rules_duckdb.settle(connection), rules_duckdb.write, f"duckdb {version('duckdb')}")
        case "openfisca":
            from bench import rules_openfisca  # noqa: PLC0415

            bases, scale = rules_openfisca.loaded(folder), rules_openfisca.scale()
            packages = f"openfisca-core {version('openfisca-core')} on numpy {version('numpy')}"
            return Prepared(lambda: scale.calc(bases), rules_openfisca.write, packages)
        case _:
            raise AssertionError(kind)


def run(task: dict[str, Any], gate: Gate) -> None:
    made = prepared(task["kind"], Path(task["folder"]))
    gate.pass_()
    spans = []
    result: Any = None
    for _ in range(task["repeats"]):
        result = None
        gc.collect()
        first, cpu = time.perf_counter(), time.process_time()
        result = made.run()
        spans.append((time.perf_counter() - first, time.process_time() - cpu))
    memory = memory_peak()
    if task["write_to"] is not None:
        made.write(result, Path(task["write_to"]))
    tell(done={"spans": spans, "memory": memory, "packages": made.packages})


def memory_peak() -> int:
    """The most that this process had resident, in bytes. Where the system knows no better, its parent's may be counted in."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


if __name__ == "__main__":
    run(orjson.loads(sys.argv[1]), Gate())
