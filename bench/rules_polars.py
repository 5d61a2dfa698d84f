"""(b) The eight steps of eight-steps.yaml written in Polars by hand, exact to the last digit, for this rulebook and this period alone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

LINES = (
    "given back", "platform fee", "net revenue", "graduated share", "floored share", "capped share", "guaranteed share",
    "after advances", "withheld tax", "payable",
)  # fmt: skip
PARTIES = ("provider", "agent", "guild")

_WORKING = pl.Decimal(38, 12)
_SOLD = (pl.col("event") == "billing.charged") & (
    (pl.col("dimensions") == '{"channel":"web"}') | (pl.col("dimensions") == '{"channel":"app"}')
)
# Where a slice begins, what the slices before it come to, and its rate.
_BANDS = (
    ("0", "0", "0.5"),
    ("1000", "500", "0.525"),
    ("10000", "5225", "0.55"),
    ("50000", "27225", "0.575"),
    ("250000", "142225", "0.6"),
)
_NEXT = date(2026, 11, 1)
_LAPSES = (_NEXT, date(2026, 12, 1), date(2027, 1, 1))
_NEW_LAPSE = date(2027, 2, 1)
_MEASURES = ("sales", "discounts", "refunds", "advances")
_GUARANTEED, _ADVANCED = "guaranteed share", "after advances"


class Settled(NamedTuple):
    """Lines and shares of each contract, and the balances that it carries on, one a row."""

    lines: pl.DataFrame
    shares: pl.DataFrame
    carried: pl.DataFrame


def settle(contracts: pl.DataFrame, facts: pl.DataFrame, carried: pl.DataFrame) -> Settled:
    """In no order. One grouping of everything that is known of a contract: tried as well, and half as slow again, was to
    group facts and balances apart and join them to the contracts.
    """
    everything = pl.concat(
        [contracts.lazy().select("contract"), _measured(facts.lazy()), _brought(carried.lazy())], how="diagonal"
    )
    known = everything.group_by("contract").agg(pl.all().sum())
    settled = _stepped(known.with_columns(pl.col(_MEASURES).cast(_WORKING) * _number("0.000001"))).collect()
    return Settled(settled.select("contract", *LINES), settled.select("contract", *PARTIES), _left(settled))


def rate(base: pl.Expr) -> pl.Expr:
    """The graduated share of a base: one look-up, one product."""
    start, before, rate = (_of_band(base, column) for column in range(3))
    return before + (base - start) * rate


def _of_band(base: pl.Expr, column: int) -> pl.Expr:
    found: Any = pl
    for band, after in pairwise(_BANDS):
        found = found.when(base <= _number(after[0])).then(_number(band[column]))
    whole: pl.Expr = found.otherwise(_number(_BANDS[-1][column]))
    return whole


def _measured(facts: pl.LazyFrame) -> pl.LazyFrame:
    amount, discount = pl.col("field") == "amount", pl.col("field") == "discount"
    return facts.select(
        "contract",
        _where(_SOLD & amount, "value").alias("sales"),
        _where(_SOLD & discount, "value").alias("discounts"),
        _where((pl.col("event") == "billing.refunded") & amount, "value").alias("refunds"),
        _where((pl.col("event") == "advance.paid") & amount, "value").alias("advances"),
    )


def _brought(carried: pl.LazyFrame) -> pl.LazyFrame:
    short = (pl.col("step") == _GUARANTEED) & (pl.col("kind") == "short-workings")
    unrecouped = (pl.col("step") == _ADVANCED) & (pl.col("kind") == "unrecouped")
    lots = [_where(short & (pl.col("day") == day), "amount").alias(f"lot {i}") for i, day in enumerate(_LAPSES)]
    return carried.select("contract", *lots, _where(unrecouped, "amount").alias("unrecouped"))


def _where(found: pl.Expr, column: str) -> pl.Expr:
    return pl.when(found).then(pl.col(column))


def _stepped(known: pl.LazyFrame) -> pl.LazyFrame:
    zero, minimum, column = _number("0"), _number("150"), pl.col
    earned = column("excess")
    cents = column("payable units")
    return (
        known.with_columns((-(column("discounts") + column("refunds"))).alias("given back"))
        .with_columns((column("sales") + column("given back")).alias("rest"))
        .with_columns((-(column("rest") * _number("0.125"))).alias("platform fee"))
        .with_columns((column("rest") + column("platform fee")).alias("net revenue"))
        .with_columns(rate(column("net revenue")).alias("graduated share"))
        .with_columns(pl.max_horizontal("graduated share", zero).alias("floored share"))
        .with_columns(pl.min_horizontal("floored share", _number("500000")).alias("capped share"))
        .with_columns(
            pl.max_horizontal(column("capped share") - minimum, zero).alias("excess"),
            pl.max_horizontal(minimum - column("capped share"), zero).alias("short"),
        )
        .with_columns(pl.min_horizontal("lot 0", earned).alias("taken 0"))
        .with_columns(pl.min_horizontal("lot 1", earned - column("taken 0")).alias("taken 1"))
        .with_columns(pl.min_horizontal("lot 2", earned - column("taken 0") - column("taken 1")).alias("taken 2"))
        .with_columns(
            (
                column("capped share") + column("short") - column("taken 0") - column("taken 1") - column("taken 2")
            ).alias("guaranteed share"),
            pl.max_horizontal(column("unrecouped") + column("advances"), zero).alias("owed"),
        )
        .with_columns(pl.min_horizontal("owed", pl.max_horizontal("guaranteed share", zero)).alias("recouped"))
        .with_columns((column("guaranteed share") - column("recouped")).alias("after advances"))
        .with_columns((column("after advances") * _number("0.0663")).alias("withheld tax"))
        .with_columns(
            (column("after advances") - column("withheld tax")).round(2, mode="half_away_from_zero").alias("payable")
        )
        .with_columns((column("payable") * _number("100")).cast(pl.Int64).alias("payable units"))
        .with_columns(
            (cents.abs() * 825 // 1000).alias("provider"),
            (cents.abs() // 8).alias("agent"),
            (cents.abs() * 50 // 1000).alias("guild"),
        )
        .with_columns((cents.abs() - column("provider") - column("agent") - column("guild")).alias("over"))
        .with_columns(
            (column("provider") + (column("over") > 0)) * cents.sign(),
            (column("agent") + (column("over") > 1)) * cents.sign(),
            column("guild") * cents.sign(),
        )
    )


def _left(settled: pl.DataFrame) -> pl.DataFrame:
    column = pl.col
    kept = [
        (_GUARANTEED, "short-workings", _LAPSES[1], column("lot 1") - column("taken 1")),
        (_GUARANTEED, "short-workings", _LAPSES[2], column("lot 2") - column("taken 2")),
        (_GUARANTEED, "short-workings", _NEW_LAPSE, column("short")),
        (_ADVANCED, "unrecouped", None, column("owed") - column("recouped")),
    ]
    parts = [
        settled.lazy()
        .select(
            "contract",
            pl.lit(step).alias("step"),
            pl.lit(kind).alias("kind"),
            pl.lit(day, pl.Date).alias("day"),
            amount.alias("amount"),
        )
        .filter(pl.col("amount") != 0)
        for step, kind, day, amount in kept
    ]
    return pl.concat(parts).collect()


def _number(text: str) -> pl.Expr:
    return pl.lit(Decimal(text), _WORKING)


def write(settled: Settled, folder: Path) -> None:
    for name, frame in settled._asdict().items():
        frame.write_parquet(folder / f"{name}.parquet")
