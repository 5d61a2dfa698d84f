"""Measures of all contracts at once, and of their facts by a dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from engine.facts import merging
from engine.language.columns import WORKING, constant
from engine.rules.columns.frames import dimensions_of
from engine.rules.columns.plan import Undecided, column
from engine.rules.measures import Measure
from engine.rules.measuring import matches
from engine.rules.model import Contents

_MICRO = constant(Decimal("0.000001"))
_NONE = constant(Decimal(0))
# Sums of Int128 wrap silently, so that they are taken only where no sum can come near to 2^127.
_SUM_LIMIT = 2**126
_WORKING_LIMIT_MICROS = 10**32


class Masked(NamedTuple):
    """Facts on their way to measures: `rows` has the owner's columns and one of micros or counts for each measure, null
    where the fact does not match; grouped by owner, `sums` are taken of them. What cannot be taken so is joined: `apart`.
    """

    rows: pl.LazyFrame
    sums: list[pl.Expr]
    apart: list[pl.LazyFrame]

    def joined(self, grouped: pl.LazyFrame, owner: Sequence[str]) -> pl.LazyFrame:
        for frame in self.apart:
            grouped = grouped.join(frame, on=list(owner), how="left", nulls_equal=True, maintain_order="left")
        return grouped


def masked(contents: Contents, facts: pl.DataFrame, owner: Sequence[str] = ("contract",)) -> Masked:
    """The facts masked for each measure. Raises Undecided where a sum might not fit 128 bits."""
    if _greatest(facts) >= _SUM_LIMIT:
        raise Undecided
    texts = _texts(contents, facts)
    rows = facts.lazy()
    found = Masked(rows, [], [])
    columns = []
    for name, measure in contents.measures.items():
        matching = _matching(measure, contents, texts)
        if measure.distinct is not None:
            found.apart.append(_distinct(name, measure.distinct, rows.filter(matching), texts, owner))
        elif measure.count is None and merging(measure.field) == "last":
            found.apart.append(_last(name, rows.filter(matching), owner))
        else:
            counted = pl.col("value" if measure.count is None else "events")
            columns.append(pl.when(matching).then(counted).alias(column(name)))
            found.sums.append(_summed(measure, pl.col(column(name))))
    return found._replace(rows=rows.select(*owner, *columns))


def _summed(measure: Measure, values: pl.Expr) -> pl.Expr:
    how = "sum" if measure.count is not None else merging(measure.field)
    return values.max() if how == "max" else values.min() if how == "min" else values.sum()


def measured(contents: Contents, facts: pl.DataFrame, owner: Sequence[str]) -> pl.LazyFrame:
    """A row for each owner that has facts: its columns, and one of WORKING for each measure. Raises Undecided."""
    found = masked(contents, facts, owner)
    grouped = found.rows.group_by(owner).agg(*found.sums)
    return found.joined(grouped, owner).with_columns(working_values(contents))


def working_values(contents: Contents) -> list[pl.Expr]:
    """The measures' columns, from micros and counts to WORKING; 0 where there is none."""
    return [_working(name, measure) for name, measure in contents.measures.items()]


def surely_small(facts: pl.DataFrame) -> bool:
    """Whether no sum of these facts can have more than 26 digits before the point."""
    return _greatest(facts) < _WORKING_LIMIT_MICROS


def _greatest(facts: pl.DataFrame) -> int:
    """No sum of facts is greater than this, in micros."""
    least, most = facts["value"].min(), facts["value"].max()
    assert isinstance(least, int | None)
    assert isinstance(most, int | None)
    return max(abs(least or 0), abs(most or 0)) * facts.height


def _texts(contents: Contents, facts: pl.DataFrame) -> Mapping[str, dict[str, str | None]]:
    """What each text of dimensions states; read once, because texts repeat. Empty where no measure asks for any."""
    asked = bool(contents.currencies) or any(measure.dimensions for measure in contents.measures.values())
    return texts_of(facts) if asked else {}


def texts_of(facts: pl.DataFrame) -> dict[str, dict[str, str | None]]:
    return {text: dict(dimensions_of(text)) for text in facts["dimensions"].unique()}


def _matching(measure: Measure, contents: Contents, texts: Mapping[str, dict[str, str | None]]) -> pl.Expr:
    found = (pl.col("event") == measure.event) & (pl.col("field") == measure.field)
    if not measure.where and (measure.of_partner or not contents.currencies):
        return found
    matching = [text for text, stated in texts.items() if matches(measure, contents, stated)]
    if len(matching) == len(texts):
        return found
    return found & pl.col("dimensions").is_in(pl.Series(matching, dtype=pl.String).implode())


def _distinct(
    name: str, dimension: str, rows: pl.LazyFrame, texts: Mapping[str, dict[str, str | None]], owner: Sequence[str]
) -> pl.LazyFrame:
    stated = pl.LazyFrame(
        {"dimensions": list(texts), "stated": [each.get(dimension) for each in texts.values()]},
        schema={"dimensions": pl.String(), "stated": pl.String()},
    ).drop_nulls()
    return (
        rows.filter(pl.col("events") > 0)
        .join(stated, on="dimensions")
        .group_by(owner)
        .agg(pl.col("stated").n_unique().alias(column(name)))
    )


def _last(name: str, rows: pl.LazyFrame, owner: Sequence[str]) -> pl.LazyFrame:
    last = pl.col("value").sort_by("at", "value").last()
    return rows.group_by(owner).agg(last.alias(column(name)))


def _working(name: str, measure: Measure) -> pl.Expr:
    value = pl.col(column(name))
    if measure.count is not None or measure.distinct is not None:
        return value.cast(WORKING).fill_null(_NONE)
    return (value.cast(pl.Decimal(38, 0)) * _MICRO).fill_null(_NONE)


def by_dimension(
    contents: Contents, facts: pl.DataFrame, name: str, dimension: str, owner: str = "contract"
) -> pl.LazyFrame:
    """The measure's value by contract and by the text of a dimension of its facts: owner, member (null without), value."""
    measure = contents.measures[name]
    texts = texts_of(facts)
    stated = pl.LazyFrame(
        {"dimensions": list(texts), "member": [each.get(dimension) for each in texts.values()]},
        schema={"dimensions": pl.String(), "member": pl.String()},
    )
    only = contents.model_copy(update={"measures": {name: measure}})
    rows = facts.lazy().filter(pl.col("event") == measure.event).join(stated, on="dimensions").collect()
    return measured(only, rows, (owner, "member")).select(owner, "member", pl.col(column(name)).alias("value"))
