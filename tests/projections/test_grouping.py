"""Sums by key are those that Python's own integers come to, whatever stands for the key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from engine.projections.facts import FACTS, summed
from engine.projections.grouping import grouped

TEXTS = st.sampled_from([None, "", "a", "ü", "0"])
NUMBERS = st.integers(-(2**63), 2**63 - 1)
DAYS = st.dates() | st.sampled_from([date.min, date.max, date(1970, 1, 1)])
FIELD = pl.Enum(["amount", "quantity"])


def sums(rows: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], tuple[int, int]]:
    found: dict[tuple[Any, ...], tuple[int, int]] = {}
    for *key, value in rows:
        events, total = found.get(tuple(key), (0, 0))
        found[tuple(key)] = (events + 1, total + value)
    return found


def by_polars(
    rows: Sequence[tuple[Any, ...]], kinds: dict[str, Any], plain: dict[str, Any] | None = None
) -> dict[tuple[Any, ...], tuple[int, int]]:
    frame = pl.DataFrame(rows, schema={**(plain or kinds), "value": pl.Int64}, orient="row").cast(kinds)
    found = grouped(frame, list(kinds))
    assert found.schema == {**kinds, "events": pl.Int64(), "value": pl.Int128()}
    return {tuple(key): (events, value) for *key, events, value in found.iter_rows()}


@given(st.lists(st.tuples(TEXTS, DAYS, TEXTS, st.sampled_from(["amount", "quantity"]), NUMBERS)))
def test_numbered_keys(rows: list[tuple[Any, ...]]) -> None:
    plain = {"a": pl.String(), "b": pl.Date(), "c": pl.String(), "d": pl.String()}
    kinds = {"a": pl.Categorical(), "b": pl.Date(), "c": pl.Categorical(), "d": FIELD}
    assert by_polars(rows, kinds, plain) == sums(rows)
    assert by_polars(rows, plain) == sums(rows)


@given(st.lists(st.tuples(DAYS, DAYS, DAYS, NUMBERS)))
def test_keys_of_more_than_63_bits(rows: list[tuple[Any, ...]]) -> None:
    """Three columns with all days that there are have 10 to the 19 keys."""
    rows = [*rows, (date.min, date.min, date.min, 1), (date.max, date.max, date.max, 2)]
    assert by_polars(rows, {"a": pl.Date(), "b": pl.Date(), "c": pl.Date()}) == sums(rows)


def test_sums_past_64_bits() -> None:
    most = 2**63 - 1
    rows = [("x", most)] * 3 + [("y", -most - 1)] * 2
    assert by_polars(rows, {"a": pl.Categorical()}, {"a": pl.String()}) == {
        ("x",): (3, 3 * most),
        ("y",): (2, -2 * (most + 1)),
    }


def test_an_event_with_both_numbers_is_in_both_facts_and_one_with_none_in_neither() -> None:
    events = pl.LazyFrame(
        [("C", date(2026, 1, 1), "usage.recorded", *numbers) for numbers in [(5, 7), (None, 1), (2, None), (None, None)]],
        schema={"contract": pl.String, "period": pl.Date, "event": pl.String, "amount": pl.Int64, "quantity": pl.Int64},
        orient="row",
    )  # fmt: skip
    found = summed(events, ())
    assert found.schema == FACTS
    assert sorted(found.select("field", "dimensions", "events", "value", "at").rows()) == [
        ("amount", "{}", 2, 7, 0),
        ("quantity", "{}", 2, 8, 0),
    ]
