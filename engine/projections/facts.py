"""The fold from events to facts, in columns: the same code for a live batch and for the whole log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date

import polars as pl

from engine.facts import OWN_DIMENSIONS, Grain
from engine.period import located
from engine.projections import derived
from engine.projections.derived import MeasureFails
from engine.projections.grouping import grouped

# One row a fact. `value` is in micros; `dimensions` is the JSON object of the grain's dimensions in alphabetical order;
# `at` is in microseconds since 1970 for a `last` value, else 0.
FACTS = pl.Schema(
    [
        ("contract", pl.String),
        ("period", pl.Date),
        ("event", pl.String),
        ("field", pl.String),
        ("dimensions", pl.String),
        ("events", pl.Int64),
        ("value", pl.Int128),
        ("at", pl.Int64),
    ]
)
KEY = ["contract", "period", "event", "field", "dimensions"]
_KEY_OF_EVENT = ["contract", "period", "event", "dimensions"]

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
        ("charged_at", pl.Datetime("us", "UTC")),
    ]
)
# Further amounts of those events, one a row, joined by `seq`.
FURTHER = pl.Schema({"seq": pl.Int64, "field": pl.String, "value": pl.Int64})


def attribute(name: str) -> str:
    """The column that holds an attribute of the events."""
    return f"attribute:{name}"


def dimensions(grains: Iterable[str | None]) -> set[str]:
    """Every dimension that any of the grains, given as their texts, needs."""
    return {name for text in grains if text is not None for name in Grain.of(text).dimensions}


def fold(events: pl.DataFrame, further: pl.DataFrame) -> pl.DataFrame:
    """Facts of the events: columns FACTS, one row a key, in no order. Raises MeasureFails.

    `events` has the columns of EVENTS, those of the grain's attributes, and `period` (its first day), `calendar`,
    `time_zone`, `grain` (its text) and, where that has the dimension `phase`, `phases` (their text) beside them.
    A single number is below 10^24 micros and sums are of 128 bits, so no log that fits a disk can overflow them.
    """
    folded: list[pl.DataFrame] = []
    failures: dict[int, tuple[str, str]] = {}
    for grain, part in _by_grain(events):
        own = further.join(part.select("seq"), on="seq", how="semi")
        stated = with_dimensions(part, grain.dimensions)
        folded.append(summed(stated.lazy(), grain.dimensions))
        if own.height:
            folded.append(_summed_further(stated, own, grain.dimensions))
        if grain.derived:
            keyed = at_grain(part, grain.dimensions)
            folded.append(merged(_derived(keyed, own, _numbers(keyed, own), grain.derived, failures)))
    if failures:
        raise MeasureFails(failures)
    return pl.concat(folded) if folded else FACTS.to_frame()


def with_dimensions(events: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Adds the dimensions that have to be computed, `charged_in` and `phase`, where they are among the names."""
    if "phase" in names:
        events = _with_phase(events)
    if "charged_in" not in names:
        return events
    charged = located(events.select(pl.col("charged_at").alias("time"), "time_zone", "calendar"))
    return events.with_columns(charged["period"].cast(pl.String).alias("charged_in"))


# In which phase a contract's services are: (phase, product or None for all, first day, end or None).
Phases = Sequence[tuple[str, str | None, date, date | None]]
_PHASES = {"phases": pl.String, "phase": pl.String, "for_product": pl.String, "first": pl.Date, "end": pl.Date}


def phases_text(phases: Phases) -> str | None:
    """Their text, equal for equal phases; None where there are none."""
    rows = [(phase, product, str(first), end and str(end)) for phase, product, first, end in phases]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")) if rows else None


def _with_phase(events: pl.DataFrame) -> pl.DataFrame:
    # What is given back is of the phase in which it was charged, which is no later.
    days = located(events.select(pl.min_horizontal("time", "charged_at").alias("time"), "time_zone", "calendar"))["day"]
    known = events.select("seq", "product", "phases").with_columns(days.alias("day"))
    rows = [
        (text, phase, product, date.fromisoformat(first), end and date.fromisoformat(end))
        for text in known["phases"].drop_nulls().unique()
        for phase, product, first, end in json.loads(text)
    ]
    # Where one service is live and another on trial, live counts: it is the lesser word.
    found = (
        known.join(pl.DataFrame(rows, schema=_PHASES, orient="row"), on="phases")
        .filter(
            pl.col("for_product").is_null() | pl.col("product").eq_missing(pl.col("for_product")),
            pl.col("first") <= pl.col("day"),
            pl.col("end").is_null() | (pl.col("day") < pl.col("end")),
        )
        .group_by("seq")
        .agg(pl.col("phase").min())
    )
    return events.join(found, on="seq", how="left", maintain_order="left")


_FIELD = pl.Enum(["amount", "quantity"])


def summed(events: pl.LazyFrame, names: Sequence[str]) -> pl.DataFrame:
    """Facts of the events' amounts and quantities at one grain: columns FACTS, one row a key.

    Grouped by the dimensions' own columns; only the few groups are given their JSON.
    """
    keys = ["contract", "period", "event", *map(column_of, sorted(names))]
    amount, quantity = pl.col("amount"), pl.col("quantity")
    field = pl.when(amount.is_null()).then(pl.lit("quantity", _FIELD)).otherwise(pl.lit("amount", _FIELD))
    has_both = amount.is_not_null() & quantity.is_not_null()
    rows = events.select(
        *keys, field.alias("field"), pl.coalesce(amount, quantity).alias("value"), has_both.alias("both")
    ).collect(engine="streaming")
    if rows["both"].any():
        quantities = events.filter(has_both).select(*keys, pl.lit("quantity", _FIELD).alias("field"), value=quantity)
        rows = pl.concat([rows.drop("both"), quantities.collect()])
    if rows["value"].null_count():
        rows = rows.drop_nulls("value")
    return encoded(grouped(rows, [*keys, "field"]), names)


def _summed_further(events: pl.DataFrame, further: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    keys = ["contract", "period", "event", *map(column_of, sorted(names))]
    rows = further.join(events.select("seq", *keys), on="seq")
    return encoded(grouped(rows, [*keys, "field"]), names)


def encoded(groups: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Groups by the dimensions' own columns as FACTS."""
    columns = [column_of(name) for name in sorted(names)]
    # Few groups differ in their dimensions: each text is written once.
    texts = groups.select(columns).unique().with_columns(_text(names).alias("dimensions")) if columns else None
    stated = (
        groups.with_columns(_text(names).alias("dimensions"))
        if texts is None
        else groups.join(texts, on=columns, how="left", nulls_equal=True)
    )
    return stated.select(
        pl.col("contract").cast(pl.String),
        "period",
        pl.col("event", "field").cast(pl.String),
        "dimensions",
        "events",
        "value",
        pl.lit(0, dtype=pl.Int64).alias("at"),
    )


def column_of(dimension: str) -> str:
    """The column of the events that holds the dimension."""
    return dimension if dimension in OWN_DIMENSIONS else attribute(dimension)


def _text(names: Sequence[str]) -> pl.Expr:
    """The JSON object of the dimensions, null where an event has none."""
    values = [pl.col(column_of(name)).cast(pl.String).alias(name) for name in sorted(names)]
    return pl.struct(values).struct.json_encode() if values else pl.lit("{}")


def merged(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts of the same key made one, each as its field says (engine.facts.merging)."""
    how = pl.col("field").str.extract("^(max|min|last) ").fill_null("sum")
    parts = [
        part.group_by(KEY).agg(pl.col("events").sum(), _MERGED[str(kind)], pl.col("at").max())
        for (kind,), part in facts.group_by(how.alias("how"))
    ]
    return pl.concat(parts).select(FACTS.names()) if parts else FACTS.to_frame()


_MERGED = {
    "sum": pl.col("value").sum(),
    "max": pl.col("value").max(),
    "min": pl.col("value").min(),
    "last": pl.col("value").filter(pl.col("at") == pl.col("at").max()).max(),
}


def _by_grain(events: pl.DataFrame) -> list[tuple[Grain, pl.DataFrame]]:
    texts = events["grain"].unique().to_list()
    if len(texts) == 1:
        return [(Grain.of(texts[0]), events)]
    return [(Grain.of(text), events.filter(pl.col("grain") == text)) for text in texts]


def at_grain(events: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Adds `dimensions`: the JSON object of the event's values of the grain, null where it has none."""
    return with_dimensions(events, names).with_columns(_text(names).alias("dimensions"))


def _numbers(keyed: pl.DataFrame, further: pl.DataFrame) -> pl.LazyFrame:
    """Every number of the events, one a row: seq, the event's key, field, value."""
    events = keyed.lazy()
    numbers = [
        events.filter(pl.col(field).is_not_null()).select(
            "seq", *_KEY_OF_EVENT, pl.lit(field).alias("field"), pl.col(field).alias("value")
        )
        for field in ("amount", "quantity")
    ]
    if further.height:
        keys = events.select("seq", *_KEY_OF_EVENT)
        numbers.append(further.lazy().join(keys, on="seq").select("seq", *_KEY_OF_EVENT, "field", "value"))
    return pl.concat(numbers)


def _derived(
    keyed: pl.DataFrame,
    further: pl.DataFrame,
    numbers: pl.LazyFrame,
    asked: Sequence[tuple[str, str]],
    failures: dict[int, tuple[str, str]],
) -> pl.DataFrame:
    """Derived facts of single events, columns FACTS; events for which a measure fails are told in `failures`."""
    parts = [rows.collect().with_columns(pl.col("value").cast(pl.Int128)) for rows in derived.extremes(numbers, asked)]
    for event, field in asked:
        how, _, text = field.partition(" ")
        if how == "each":
            of_type = keyed.filter(pl.col("event") == event)
            found = derived.each(of_type, further, text)
            failures |= {seq: (field, why) for seq, why in found.failures.items()}
            rows = of_type.select("seq", *_KEY_OF_EVENT, pl.lit(field).alias("field"))
            parts.append(rows.join(found.values, on="seq"))
    times = keyed.select("seq", pl.col("time").dt.timestamp("us").alias("at"))
    is_last = pl.col("field").str.starts_with("last ")
    return (
        pl.concat(parts)
        .join(times, on="seq")
        .with_columns(pl.lit(1, dtype=pl.Int64).alias("events"), pl.when(is_last).then("at").otherwise(0).alias("at"))
        .select(FACTS.names())
    )
