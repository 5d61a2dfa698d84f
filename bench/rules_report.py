"""The rules benchmark as Markdown for people and JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson

from bench.report import of_machine, table

MEMORY_MB_MAX = 2_000
_MB = 1_000_000


class Turn(NamedTuple):
    """What one process measured: seconds and processor seconds of each of its runs, and its peak memory in bytes."""

    spans: Sequence[tuple[float, float]]
    memory: int
    packages: str

    @property
    def best(self) -> float:
        return min(seconds for seconds, _ in self.spans)


class Outcome(NamedTuple):
    """All turns of one variant; `memory` is the peak of a process that ran once, its input and result included."""

    kind: str
    label: str
    contracts: int
    memory: int
    turns: Sequence[Turn]

    def seconds(self) -> list[float]:
        return [seconds for turn in self.turns for seconds, _ in turn.spans]

    def cpu(self) -> float:
        """Processor seconds of the run that used the fewest."""
        return min(cpu for turn in self.turns for _, cpu in turn.spans)


class Report(NamedTuple):
    date: str
    contracts: int
    facts: int
    rounds: int
    repeats: int
    machine: dict[str, str]
    outcomes: list[Outcome]
    findings: dict[str, str]


class Goal(NamedTuple):
    """A ratio of times a contract, best by best, and round by round; the same of processor time; and what it should be.

    The verdict is on the first. Where the machine is not quiet, processor time is the steadier of the two.
    """

    label: str
    ratio: float
    paired: list[float]
    of_cpu: float
    most: float | None
    least: float | None

    @property
    def reached(self) -> bool:
        return (self.most is None or self.ratio <= self.most) and (self.least is None or self.ratio >= self.least)

    @property
    def aim(self) -> str:
        if self.most is not None:
            return f"at most {self.most:g}"
        return "" if self.least is None else f"at least {self.least:g}"


# What is divided by what, and between which bounds it should be.
_GOALS = (
    ("time of ours / (b)", "ours", "polars", 1.5, None),
    ("time of our tier step / (a)", "ours-tiers", "openfisca", 1.0, None),
    ("time of (d) / ours", "reference", "ours", None, 100.0),
    ("time of ours / (c)", "ours", "duckdb", None, None),
    ("time of (b) / (c)", "polars", "duckdb", None, None),
)


def goals(outcomes: Sequence[Outcome]) -> list[Goal]:
    """(d) counts by its time a contract, since it settles a sample."""
    known = {outcome.kind: outcome for outcome in outcomes}
    found = []
    for label, one, other, most, least in _GOALS:
        if one in known and other in known:
            above, below = _a_contract(known[one]), _a_contract(known[other])
            paired = [a / b for a, b in zip(above, below, strict=True)]
            of_cpu = (known[one].cpu() / known[one].contracts) / (known[other].cpu() / known[other].contracts)
            found.append(Goal(label, min(above) / min(below), paired, of_cpu, most, least))
    return found


def _a_contract(outcome: Outcome) -> list[float]:
    """By turn, the seconds a contract of its best run."""
    return [turn.best / outcome.contracts for turn in outcome.turns]


def markdown(report: Report) -> str:
    parts = [_headline(report), _times(report), _ratios(report), _findings(report), _notes(report), _machine(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.md").write_text(markdown(report))
    (folder / "rules.json").write_bytes(orjson.dumps(_plain(report), option=orjson.OPT_INDENT_2) + b"\n")


def _headline(report: Report) -> str:
    return (
        f"# Rules, {report.date}\n\n"
        f"{report.contracts:,} contracts with {report.facts:,} facts of one month through the rulebook "
        f"bench/eight-steps.yaml: eight steps and a split in three, seven contracts in ten with balances carried in. Every "
        f"variant once a round in a process of its own that runs it {report.repeats} times ((d) once); rounds: "
        f"{report.rounds}. Read ratios, not absolutes."
    )


def _times(report: Report) -> str:
    rows = [
        [
            outcome.label,
            f"{outcome.contracts:,}",
            f"{min(outcome.seconds()):,.3f}",
            f"{median(outcome.seconds()):,.3f}",
            f"{max(outcome.seconds()):,.3f}",
            f"{outcome.cpu():,.3f}",
            f"{outcome.contracts / min(outcome.seconds()):,.0f}",
            f"{outcome.memory / _MB:,.0f}",
        ]
        for outcome in report.outcomes
    ]
    head = ["variant", "contracts", "s, best", "median", "worst", "CPU s", "contracts/s, best", "peak MB"]
    return table(head, rows)


def _ratios(report: Report) -> str:
    rows = [
        [
            goal.label,
            f"{goal.ratio:.2f}",
            " ".join(f"{ratio:.2f}" for ratio in goal.paired),
            f"{goal.of_cpu:.2f}",
            goal.aim,
            "" if not goal.aim else "yes" if goal.reached else "no",
        ]
        for goal in goals(report.outcomes)
    ]
    ours = next((outcome for outcome in report.outcomes if outcome.kind == "ours"), None)
    if ours is not None:
        within = "yes" if ours.memory <= MEMORY_MB_MAX * _MB else "no"
        rows.append(
            ["peak memory of ours, MB", f"{ours.memory / _MB:,.0f}", "", "", f"at most {MEMORY_MB_MAX:,}", within]
        )
    return table(["", "of bests", "round by round", "of CPU", "aim", "reached"], rows)


def _findings(report: Report) -> str:
    return "\n".join(f"- {sentence}." for sentence in report.findings.values())


def _notes(report: Report) -> str:
    sample = next((outcome for outcome in report.outcomes if outcome.kind == "reference"), None)
    scaled = (
        f"- (d) settles the first {sample.contracts:,} contracts only, with all reasons; its time counts by the contract: all "
        f"{report.contracts:,} would take {min(sample.seconds()) * report.contracts / sample.contracts:,.0f} s.\n"
        if sample is not None
        else ""
    )
    return scaled + _NOTES


_NOTES = """\
- Measured is the settling: from facts, contracts and carried balances in memory to lines, shares and balances in memory.
  Loading is not in it; ours plans within it, and reads the rulebook before. The memory is that of the whole process, input
  and result included.
- (b) and (c) are written for this rulebook and this month alone: they check nothing, and name no step when a number is
  missing. (a) computes one scale in binary floats; ours computes the same step in decimals, over the same net revenues.
- (c) rounds where its decimals are cast, a half away from zero; our arithmetic rounds a half to the even digit."""


def _machine(report: Report) -> str:
    packages = sorted({turn.packages for outcome in report.outcomes for turn in outcome.turns})
    return of_machine(report.machine | {"packages": ", ".join(packages)})


def _plain(report: Report) -> dict[str, Any]:
    return {
        "date": report.date,
        "contracts": report.contracts,
        "facts": report.facts,
        "rounds": report.rounds,
        "machine": report.machine,
        "variants": {
            outcome.kind: {
                "label": outcome.label,
                "contracts": outcome.contracts,
                "seconds": [round(seconds, 4) for seconds in outcome.seconds()],
                "best": round(min(outcome.seconds()), 4),
                "median": round(median(outcome.seconds()), 4),
                "cpu_seconds_least": round(outcome.cpu(), 4),
                "memory_peak_bytes": outcome.memory,
                "packages": outcome.turns[0].packages,
            }
            for outcome in report.outcomes
        },
        "ratios": {
            goal.label: {
                "of_bests": round(goal.ratio, 3),
                "round_by_round": [round(ratio, 3) for ratio in goal.paired],
                "of_cpu": round(goal.of_cpu, 3),
                "at_most": goal.most,
                "at_least": goal.least,
                "reached": goal.reached if goal.aim else None,
            }
            for goal in goals(report.outcomes)
        },
        "memory_peak_bytes_max": MEMORY_MB_MAX * _MB,
        "findings": report.findings,
    }
