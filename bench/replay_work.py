"""The process that one variant of the replay benchmark runs in: `python -m bench.replay_work KIND ARCHIVE POSITION`.

It imports what it needs, then works once and tells seconds, processor time and peak memory. `duckdb` is run by an interpreter
that has nothing of the engine's.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path


def fold(location: str, to: int) -> Callable[[], int]:
    """Ours: events to facts, a bucket after the other."""
    from replay import known
    from replay.archive.reading import Archive

    def run() -> int:
        archive = Archive(location)
        everything = known.of(archive.told(to), position=to, rules_position=to)
        return sum(archive.facts(everything, number, to=to).height for number in range(archive.buckets))

    return run


def replay(location: str, to: int) -> Callable[[], int]:
    """Ours, whole: what was told, the fold, every statement settled again, with its digest."""
    from datetime import date

    from engine.projections.facts import FACTS
    from replay import known
    from replay.archive.reading import Archive
    from replay.spread import Job, here, settled

    def run() -> int:
        archive = Archive(location)
        everything = known.of(archive.told(to), position=to, rules_position=to)
        job = Job(everything, to, None, date(2027, 1, 1), None)
        return settled(job, here(archive, job, FACTS.to_frame()))[0].height

    return run


def polars(location: str, _: int) -> Callable[[], int]:
    """The same aggregation written by hand: of amounts and quantities by contract, month, type and province."""
    import polars as pl

    def run() -> int:
        sums = [pl.col(name).cast(pl.Int128).sum() for name in ("amount", "quantity")]
        counts = [pl.col(name).count().alias(f"{name}s") for name in ("amount", "quantity")]
        events = pl.scan_parquet(f"{location}/events/*.parquet")
        keys = ["contract", "period", "event", "attribute:province"]
        return events.group_by(keys).agg(*sums, *counts).collect(engine="streaming").height

    return run


def duckdb(location: str, _: int) -> Callable[[], int]:
    """The same in SQL."""
    import duckdb as db

    def run() -> int:
        db.sql(
            'CREATE TEMP TABLE facts AS SELECT contract, period, event, "attribute:province", count(amount), sum(amount), '
            f"count(quantity), sum(quantity) FROM read_parquet('{location}/events/*.parquet') GROUP BY ALL"
        )
        return int(db.sql("SELECT count(*) FROM facts").fetchall()[0][0])

    return run


def loop(location: str, to: int) -> Callable[[], int]:
    """A plain Python loop over the first events as JSON texts, made before the clock starts."""
    from datetime import datetime

    from replay.archive.reading import Archive

    archive = Archive(location)
    states = []
    for segment in archive.segments("events"):
        states += [(entry.name, entry.state) for entry in archive.entries(segment)]
        if len(states) >= to:
            break

    def run() -> int:
        found: dict[tuple[str, int, str, str | None], list[int]] = {}
        for name, state in states[:to]:
            event = json.loads(state)
            month = datetime.fromisoformat(event["time"]).month
            key = (event["contract"], month, name, event.get("attributes", {}).get("province"))
            fact = found.setdefault(key, [0, 0])
            fact[0] += 1
            fact[1] += event.get("amount", event.get("quantity", 0))
        return len(found)

    return run


KINDS = {"fold": fold, "replay": replay, "polars": polars, "duckdb": duckdb, "loop": loop}


def main(kind: str, location: str, to: str) -> None:
    run = KINDS[kind](location, int(to))
    cpu, first = time.process_time(), time.perf_counter()
    rows = run()
    seconds, cpu = time.perf_counter() - first, time.process_time() - cpu
    # Not the resource module's peak: that one begins with the memory of the process that forked this one.
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu": cpu, "peak": peak}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(*sys.argv[1:])
