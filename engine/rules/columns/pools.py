"""Common pools divided over all contracts, in columns: exact floors, and what is left one unit each from the top."""

from __future__ import annotations

import polars as pl

from engine.language.columns import constant
from engine.money import WORKING_DIGITS, of_units
from engine.rules.columns.measures import by_dimension
from engine.rules.columns.plan import ZERO, Plan, Undecided
from engine.rules.steps import Pool

_INT128_LIMIT = 2**127
_UNITS_LIMIT = 10**38
_UNIT = constant(of_units(1, WORKING_DIGITS))


def pooled(plan: Plan, rule: Pool, facts: pl.DataFrame) -> pl.Expr:
    """What each contract gets of the pool, or with `per` of the pools of all members."""
    if rule.per is None:
        frame = plan.gather().select(
            "contract", pl.lit("").alias("member"), plan.known[rule.of].alias("of"), plan.known[rule.by].alias("by")
        )
        parts = _divided(frame)
    else:
        fees = by_dimension(plan.contents, facts, rule.of, rule.per).rename({"value": "of"})
        units = by_dimension(plan.contents, facts, rule.by, rule.per).rename({"value": "by"})
        both = fees.join(units, on=["contract", "member"], how="full", coalesce=True)
        mine = plan.frame.select("contract")
        frame = both.filter(pl.col("member").is_not_null()).join(mine, on="contract", how="semi").collect()
        parts = _divided(frame.with_columns(pl.col("of", "by").fill_null(ZERO)))
    name = f"pool:{len(plan.carried)}:{rule.of}:{rule.by}:{rule.per}"
    plan.frame = plan.frame.join(parts.lazy().rename({"part": name}), on="contract", how="left")
    return pl.col(name).fill_null(ZERO)


def _divided(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` has contract, member, of and by (WORKING): by contract, the sum of its parts of the members' pools."""
    _check_sums(frame)
    pool = pl.col("of").sum().over("member")
    units = pl.max_horizontal(ZERO, pl.col("by"))
    counted = (
        frame.lazy()
        .with_columns(pool.to_physical().alias("pool"), units.to_physical().alias("units"))
        .filter((pl.col("pool") > 0) & (pl.col("units") > 0))
        .with_columns(_coarsest(frame))
        .with_columns(pl.col("units").sum().over("member").alias("together"))
        .sort("contract")
        .collect()
    )
    floors = counted.with_columns(_floors(counted).alias("floor"))
    left = pl.col("pool") - pl.col("floor").sum().over("member")
    rank = pl.int_range(pl.len(), dtype=pl.Int128).over("member")
    return (
        floors.lazy()
        .with_columns((pl.col("floor") + (rank < left).cast(pl.Int128)).alias("part"))
        .group_by("contract")
        .agg(pl.col("part").sum())
        .with_columns(pl.col("part").cast(pl.Decimal(38, 0)) * _UNIT)
        .collect()
    )


def _check_sums(frame: pl.DataFrame) -> None:
    """Sums within groups wrap silently: they are taken only where no sum over all rows is too large."""
    for name in ("of", "by"):
        greatest = frame.select(pl.col(name).abs().to_physical().max()).item() or 0
        if greatest * frame.height >= _UNITS_LIMIT:
            raise Undecided


def _coarsest(frame: pl.DataFrame) -> pl.Expr:
    """The units without digits that none of them has, so that products with them stay small."""
    for digits in (WORKING_DIGITS, WORKING_DIGITS // 2):
        size = pl.lit(10**digits, dtype=pl.Int128)
        if frame.select((pl.col("by").to_physical() % size == 0).all()).item():
            return pl.col("units") // size
    return pl.col("units")


def _floors(counted: pl.DataFrame) -> pl.Series:
    pool, units = (counted.select(pl.col(name).max()).item() or 0 for name in ("pool", "units"))
    if pool * units < _INT128_LIMIT:
        return counted.select(pl.col("pool") * pl.col("units") // pl.col("together")).to_series()
    rows = counted.select("pool", "units", "together").iter_rows()
    return pl.Series([mine * part // whole for mine, part, whole in rows], dtype=pl.Int128)
