"""The engine's own variants: the column evaluator, its tier step alone, and (d) the reference evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bench import rules_input
from bench.rules_input import PERIOD
from bench.rules_polars import PARTIES
from engine.language.columns import WORKING
from engine.money import in_units, minor_digits, working
from engine.outcomes import Outcome
from engine.rules.check import check
from engine.rules.columns.frames import CARRIED, Frames, Settled, cohort_of
from engine.rules.columns.plan import Plan, column
from engine.rules.columns.settle import settle_columns
from engine.rules.columns.tiers import tiered
from engine.rules.evaluate import settle_cohort
from engine.rules.model import Rulebook

Variant = tuple[Callable[[], Any], Callable[[Any, Path], None]]


def rulebook() -> Rulebook:
    checked = check(rules_input.RULEBOOK.read_text(), rules_input.RULEBOOK.name)
    assert checked.rulebook is not None, checked.problems
    return checked.rulebook


def columns(folder: Path) -> Variant:
    """Measured: from the frames of what is given to the frames of all outcomes, planning included."""
    book, frames = rulebook(), Frames(*rules_input.read(folder))
    return lambda: settle_columns(book, PERIOD, frames), _write_settled


def tiers(folder: Path) -> Variant:
    """Measured: the plan and the computation of the one step, over a column of net revenues."""
    contents, bases = rulebook().on(PERIOD.first), pl.read_parquet(folder / "base.parquet")
    step = contents.steps["graduated share"]
    assert step.tiers is not None
    frame, of = bases.rename({"base": column(step.tiers.of)}).lazy(), step.tiers

    def run() -> pl.DataFrame:
        plan = Plan(contents, PERIOD, frame, {}, ())
        plan.known[of.of] = pl.col(column(of.of))
        plan.line(step.name, tiered(plan, step, of))
        return plan.frame.select(column(step.name)).collect()

    return run, lambda shares, to: shares.to_series().rename("share").to_frame().write_parquet(to / "shares.parquet")


def reference(folder: Path) -> Variant:
    """Measured: from what is given of each contract to its outcome with all reasons. The facts are made before."""
    book = rulebook()
    cohort = cohort_of(PERIOD, Frames(*rules_input.read(folder)))
    return lambda: settle_cohort(book, cohort), _write_outcomes


def _write_settled(settled: Settled, folder: Path) -> None:
    contracts = settled.contracts.rename("contract").to_frame()
    for name, frame in (("lines", settled.lines), ("shares", settled.shares)):
        contracts.hstack(frame).write_parquet(folder / f"{name}.parquet")
    settled.carried.write_parquet(folder / "carried.parquet")


def _write_outcomes(outcomes: Mapping[str, Outcome], folder: Path) -> None:
    lines, shares, carried = [], [], []
    for contract, outcome in outcomes.items():
        lines.append({"contract": contract} | {line.name: working(line.amount) for line in outcome.lines})
        digits = minor_digits(outcome.currency)
        units = {share.party: in_units(share.amount, digits) for share in outcome.shares}
        shares.append({"contract": contract} | units)
        carried += [(contract, *balance) for balance in outcome.carried]
    pl.DataFrame(lines, schema_overrides=dict.fromkeys(lines[0].keys() - {"contract"}, WORKING)).write_parquet(
        folder / "lines.parquet"
    )
    pl.DataFrame(shares, schema_overrides=dict.fromkeys(PARTIES, pl.Int64)).write_parquet(folder / "shares.parquet")
    pl.DataFrame(carried, schema=CARRIED, orient="row").write_parquet(folder / "carried.parquet")
