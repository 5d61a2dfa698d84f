"""The fold from events to facts, in columns: the same code for a live batch and for the whole log."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from engine.facts import OWN_DIMENSIONS

# One row a fact. `value` is in micros; `dimensions` is the JSON object of the grain's dimensions in alphabetical order.
FACTS = pl.Schema(
    [
        ("contract", pl.String),
        ("period", pl.Date),
        ("event", pl.String),
        ("field", pl.String),
        ("dimensions", pl.String),
        ("events", pl.Int64),
        ("value", pl.Int128),
    ]
)
KEY = ["contract", "period", "event", "field", "dimensions"]

# What the fold needs of events: an attribute that is a dimension has a column of its own.
EVENTS = pl.Schema(
    [
        ("seq", pl.Int64),
        ("event", pl.String),
        ("contract", pl.String),
        ("time", pl.Datetime("us", "UTC")),
        ("product", pl.String),
        ("meter", pl.String),
        ("currency", pl.String),
        ("quantity", pl.Int64),
        ("amount", pl.Int64),
    ]
)
# Further amounts of those events, one a row, joined by `seq`.
FURTHER = pl.Schema({"seq": pl.Int64, "field": pl.String, "value": pl.Int64})


def attribute(name: str) -> str:
    """The column that holds an attribute of the events."""
    return f"attribute:{name}"


def fold(events: pl.DataFrame, further: pl.DataFrame) -> pl.DataFrame:
    """Facts of the events: columns FACTS, one row a key, in no order.

    `events` has the columns of EVENTS, those of the grain's attributes, and `period` (its first day) and
    `grain` (a list of dimensions) beside them.
    A single number is below 10^18 micros and sums are of 128 bits, so no log that fits a disk can overflow them.
    """
    folded = [
        _folded(part, further.join(part.select("seq"), on="seq", how="semi"), grain or ())
        for (grain,), part in _by_grain(events)
    ]
    return pl.concat(folded) if folded else FACTS.to_frame()


def merged(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts of the same key added up."""
    return facts.group_by(KEY).agg(pl.col("events").sum(), pl.col("value").sum()).select(FACTS.names())


def _by_grain(events: pl.DataFrame) -> list[tuple[tuple[tuple[str, ...]], pl.DataFrame]]:
    grains = events["grain"].unique().to_list()
    if len(grains) == 1:
        return [((tuple(grains[0] or ()),), events)]
    return [((tuple(grain or ()),), events.filter(pl.col("grain") == pl.lit(grain))) for grain in grains]


def at_grain(events: pl.DataFrame, grain: Sequence[str]) -> pl.DataFrame:
    """Adds `dimensions`: the JSON object of the event's values of the grain, null where it has none."""
    values = [pl.col(name if name in OWN_DIMENSIONS else attribute(name)).alias(name) for name in sorted(grain)]
    text = pl.struct(values).struct.json_encode() if values else pl.lit("{}")
    return events.with_columns(text.alias("dimensions"))


def _folded(events: pl.DataFrame, further: pl.DataFrame, grain: Sequence[str]) -> pl.DataFrame:
    keys = ["contract", "period", "event", "dimensions"]
    keyed = at_grain(events, grain).lazy()
    numbers = [
        keyed.filter(pl.col(field).is_not_null()).select(
            *keys, pl.lit(field).alias("field"), pl.col(field).alias("value")
        )
        for field in ("amount", "quantity")
    ]
    if further.height:
        numbers.append(further.lazy().join(keyed.select("seq", *keys), on="seq").select(*keys, "field", "value"))
    return (
        pl.concat(numbers)
        .group_by(KEY)
        .agg(pl.len().cast(pl.Int64).alias("events"), pl.col("value").cast(pl.Int128).sum())
        .select(FACTS.names())
        .collect()
    )
