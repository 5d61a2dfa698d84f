"""From runs to the table, as Markdown for people and JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson

from bench.runs import Run

MEMORY_MB_MAX = 400
_MB = 1_000_000

# What is compared with what; below 1 the first is slower.
_RATIOS = (
    ("ours / (a), Kafka", "ours-kafka-1", "bare-kafka"),
    ("ours / (a), file", "ours-file", "bare-file"),
    ("ours, Kafka / (b)", "ours-kafka-1", "library-1"),
    ("ours, file / (b)", "ours-file", "library-1"),
    ("ours, Kafka / (c)", "ours-kafka-1", "library-n"),
    ("ours, file / (c)", "ours-file", "library-n"),
    ("two consumers / one", "ours-kafka-2", "ours-kafka-1"),
)


class Outcome(NamedTuple):
    """All runs of one variant."""

    key: str
    label: str
    events: int
    runs: Sequence[Run]

    def rates(self) -> list[float]:
        return [run.rate for run in self.runs]

    def cpu_micros(self) -> float:
        """Processor time of the variant's own processes, an event, in microseconds; PostgreSQL and Kafka not counted."""
        return median(run.cpu / run.events for run in self.runs) * 1e6


class Memory(NamedTuple):
    """Peak memory in bytes of one run by the time each number of events was committed."""

    key: str
    label: str
    peaks: dict[int, int]


class Ratio(NamedTuple):
    """`paired` are the ratios of each round's own two runs."""

    label: str
    of_medians: float
    of_bests: float
    paired: list[float]


class Report(NamedTuple):
    date: str
    events: int
    event_bytes: int
    contracts: int
    rounds: int
    machine: dict[str, str]
    outcomes: list[Outcome]
    memory: list[Memory]
    without_kafka: bool


def ratios(outcomes: Sequence[Outcome]) -> list[Ratio]:
    rates = {outcome.key: outcome.rates() for outcome in outcomes}
    return [
        Ratio(
            label,
            median(rates[one]) / median(rates[other]),
            max(rates[one]) / max(rates[other]),
            [a / b for a, b in zip(rates[one], rates[other], strict=True)],
        )
        for label, one, other in _RATIOS
        if one in rates and other in rates
    ]


def markdown(report: Report) -> str:
    parts = [_headline(report), _rates(report), _ratios(report), _memory(report), _NOTES, _machine(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "intake.md").write_text(markdown(report))
    (folder / "intake.json").write_bytes(orjson.dumps(_plain(report), option=orjson.OPT_INDENT_2) + b"\n")


def _headline(report: Report) -> str:
    missing = " Without Kafka: no broker could be had." if report.without_kafka else ""
    return (
        f"# Intake, {report.date}\n\n"
        f"{report.events:,} events of {report.event_bytes} bytes under {report.contracts:,} contracts; every "
        f"variant once a round, rounds: {report.rounds}, each on a fresh database of one server.{missing} "
        "Read ratios, not absolutes."
    )


def _rates(report: Report) -> str:
    rows = [
        [
            outcome.label,
            f"{outcome.events:,}",
            f"{median(outcome.rates()):,.0f}",
            f"{max(outcome.rates()):,.0f}",
            f"{min(outcome.rates()):,.0f}",
            f"{outcome.cpu_micros():,.0f}",
        ]
        for outcome in report.outcomes
    ]
    return table(["variant", "events", "events/s, median", "best", "worst", "own CPU, us/event"], rows)


def _ratios(report: Report) -> str:
    rows = [
        [ratio.label, f"{ratio.of_medians:.2f}", f"{ratio.of_bests:.2f}", " ".join(f"{r:.2f}" for r in ratio.paired)]
        for ratio in ratios(report.outcomes)
    ]
    return table(["ratio", "of medians", "of bests", "round by round"], rows)


def _memory(report: Report) -> str:
    counts = list(report.memory[0].peaks)
    rows = [[memory.label, *(f"{memory.peaks[count] / _MB:,.0f} MB" for count in counts)] for memory in report.memory]
    return (
        table(["peak memory by the time that were committed", *(f"{count:,}" for count in counts)], rows)
        + f"\n\nProportional set size of the consuming process and its children; it should stay below {MEMORY_MB_MAX} MB."
    )


def _machine(report: Report) -> str:
    return of_machine(report.machine)


def of_machine(machine: dict[str, str]) -> str:
    return table(["machine", ""], [[name, value] for name, value in machine.items()])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns but the first are to the right, if they hold numbers."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    right = [i > 0 and all(row[i][:1].isdigit() for row in rows) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        + " |"
        for row in [head, *rows]
    ]  # fmt: skip
    rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _plain(report: Report) -> dict[str, Any]:
    return {
        "date": report.date,
        "events": report.events,
        "event_bytes": report.event_bytes,
        "contracts": report.contracts,
        "rounds": report.rounds,
        "machine": report.machine,
        "variants": {
            outcome.key: {
                "label": outcome.label,
                "events": outcome.events,
                "events_a_second": [round(rate, 1) for rate in outcome.rates()],
                "median": round(median(outcome.rates()), 1),
                "best": round(max(outcome.rates()), 1),
                "own_cpu_micros_an_event": round(outcome.cpu_micros(), 2),
            }
            for outcome in report.outcomes
        },
        "ratios": {
            ratio.label: {
                "of_medians": round(ratio.of_medians, 3),
                "of_bests": round(ratio.of_bests, 3),
                "round_by_round": [round(r, 3) for r in ratio.paired],
            }
            for ratio in ratios(report.outcomes)
        },
        "memory_peak_bytes": {
            memory.key: {str(count): peak for count, peak in memory.peaks.items()} for memory in report.memory
        },
    }


_NOTES = """\
- A run is measured from the first request for records (or the opening of the file) to the last commit. Starting,
  connecting and joining the group are not in it; two consumers start together, when both have their partitions.
- Ours does everything: decoding, strict validation, dedupe, the aggregates' decisions, log, facts, offsets. (a) parses
  with orjson and COPYs into one table without an index, a commit a poll or 10,000 lines, and does nothing else; its Kafka
  consumer is made by ours, settings and all. (b) and (c) are the eventsourcing library's own Application, mapper and
  recorder, one new aggregate an event, on fewer events, since they are slower.
- (c) saves as many aggregates a call as keep it below 256 KiB: the library's insert_events can hang for ever where one
  call sends more than some 512 KiB over a Unix socket, which is all that the embedded server listens on."""
