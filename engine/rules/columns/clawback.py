"""Clawbacks in columns: for each period whose charges are returned, its steps are taken again with a lowered base."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl

from engine.rules.carrying import RETURNED
from engine.rules.columns.frames import CARRIED, Frames, Origins
from engine.rules.columns.measures import by_dimension
from engine.rules.columns.opening import opened
from engine.rules.columns.plan import ZERO, Plan, Undecided, column
from engine.rules.columns.steps import value_of
from engine.rules.dependencies import needed
from engine.rules.model import Rulebook
from engine.rules.steps import Clawback, Step

_CHARGED_IN = "charged_in"


def taken_back(plan: Plan, step: Step, rule: Clawback, rulebook: Rulebook, frames: Frames) -> pl.Expr:
    """What this period's returns take back of each contract. What was returned so far of each period is carried."""
    first = plan.period.first
    lots = _returned(plan, step, rule, frames)
    plan.apart.append(
        lots.filter(pl.col("all") != 0).select(
            "contract",
            pl.lit(step.name).alias("step"),
            pl.lit(RETURNED).alias("kind"),
            "day",
            pl.col("all").alias("amount"),
        )
    )
    changed = lots.filter(pl.col("now") != 0)
    amounts: pl.Expr = ZERO
    for (day,), lot in sorted(changed.partition_by("day", as_dict=True).items()):
        origins = [Origins(rulebook, plan.period, frames)] if day == first else frames.origins
        found = pl.concat([_difference(rule, origin, lot) for origin in _of(day, origins)] or [_NOTHING])
        if found.height != lot.height:
            raise Undecided  # nothing is known of the period in which a charge was made
        name = f"returned:{step.name}:{day}"
        plan.frame = plan.frame.join(found.lazy().rename({"value": name}), on="contract", how="left")
        amounts = amounts + pl.col(name).fill_null(ZERO)
    return amounts


_NOTHING = CARRIED.to_frame().select("contract", pl.col("amount").alias("value"))


def _of(day: date, origins: list[Origins] | tuple[Origins, ...]) -> Iterator[Origins]:
    yield from (origin for origin in origins if origin.period.first == day)


def _returned(plan: Plan, step: Step, rule: Clawback, frames: Frames) -> pl.DataFrame:
    """By contract and day on which the period of the charges began: what is returned now, was before, and in all."""
    day = pl.coalesce(pl.col("member").str.to_date("%Y-%m-%d"), pl.lit(plan.period.first))
    now = by_dimension(plan.contents, frames.facts, rule.returns, _CHARGED_IN).with_columns(day.alias("day")).collect()
    if now.group_by("contract", "day").len().select((pl.col("len") > 1).any()).item():
        now = _added(now)
    before = frames.carried.filter(
        (pl.col("step") == step.name) & (pl.col("kind") == RETURNED) & pl.col("day").is_not_null()
    ).select("contract", "day", pl.col("amount").alias("before"))
    both = now.select("contract", "day", pl.col("value").alias("now")).join(
        before, on=["contract", "day"], how="full", coalesce=True
    )
    return (
        both.with_columns(pl.col("now", "before").fill_null(ZERO))
        .with_columns((pl.col("now") + pl.col("before")).alias("all"))
        .join(frames.contracts.select("contract"), on="contract", how="semi")
    )


def _added(now: pl.DataFrame) -> pl.DataFrame:
    """What names no period is of this one: at most two rows of one day, added without the silent sum of groups."""
    keys = ["contract", "day"]
    nameless = now.filter(pl.col("member").is_null()).select(*keys, pl.col("value").alias("nameless"))
    named = now.filter(pl.col("member").is_not_null())
    both = named.join(nameless, on=keys, how="full", coalesce=True)
    return both.with_columns(pl.col("value").fill_null(ZERO) + pl.col("nameless").fill_null(ZERO))


def _difference(rule: Clawback, origin: Origins, lot: pl.DataFrame) -> pl.DataFrame:
    """Contract and value: the step without what was returned in all, less the step as it was."""
    contents = origin.rulebook.on(origin.period.first)
    if rule.base not in contents.measures or rule.of not in contents.steps:
        raise Undecided
    contracts = origin.frames.contracts.join(lot.select("contract"), on="contract", how="semi")
    mine = origin.frames._replace(
        contracts=contracts, facts=origin.frames.facts.join(contracts.select("contract"), on="contract", how="semi")
    )
    was = _share(rule, origin._replace(frames=mine), lot.select("contract", pl.col("before").alias("less")))
    left = _share(rule, origin._replace(frames=mine), lot.select("contract", pl.col("all").alias("less")))
    return was.join(left, on="contract", suffix=" left").select(
        "contract", (pl.col("value left") - pl.col("value")).alias("value")
    )


def _share(rule: Clawback, origin: Origins, less: pl.DataFrame) -> pl.DataFrame:
    """The step's value in its period with its base lowered."""
    contents = origin.rulebook.on(origin.period.first)
    plan = opened(contents, origin.period, origin.frames)
    plan.frame = plan.frame.join(less.lazy(), on="contract", how="left").with_columns(
        pl.col(column(rule.base)) - pl.col("less")
    )
    wanted = needed(contents.dependencies, rule.of)
    for step in contents.waterfall:
        if step.name in wanted:
            plan.settle(step, value_of(plan, step))
    return plan.computed([pl.col("contract"), plan.known[rule.of].alias("value")])
