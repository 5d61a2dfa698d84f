"""Expressions event by event: the columns agree with the reference to the last digit, and name the events that fail."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.money import AmountTooLarge
from engine.projections import derived
from engine.projections.derived import MeasureFails
from engine.projections.facts import FURTHER, fold
from tests.projections.test_fold import Grain, micros_of_each

Numbers = dict[str, int]
NAMES = ("amount", "quantity", "discount")

# Extremes, halves of the last digit, and the everyday.
micros = st.one_of(
    st.sampled_from([0, 1, -1, 5, 500_000, 1_500_000, 10**18 - 1, -(10**18) + 1]),
    st.integers(-(10**18) + 1, 10**18 - 1),
)
numbers = st.dictionaries(st.sampled_from(NAMES), micros)
constants = st.sampled_from(
    ["0", "1", "3", "2.99%", "0.5", "0.0000005", "0.000000000001", "99999999999999999999999999"]
)
expressions = st.recursive(
    st.one_of(st.sampled_from(NAMES), constants),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda text: f"-{text}"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
    ),
    max_leaves=6,
)


def frames(made: list[Numbers]) -> tuple[pl.DataFrame, pl.DataFrame]:
    events = pl.DataFrame(
        [(seq, n.get("amount"), n.get("quantity")) for seq, n in enumerate(made)],
        schema={"seq": pl.Int64, "amount": pl.Int64, "quantity": pl.Int64},
        orient="row",
    )
    further = [(seq, "discount", n["discount"]) for seq, n in enumerate(made) if "discount" in n]
    return events, pl.DataFrame(further, schema=FURTHER, orient="row")


def by_reference(text: str, known: Numbers) -> int | None:
    """None where there is no such number, or it has more than 18 digits before the point."""
    try:
        found = micros_of_each(text, known)
    except (ZeroDivisionError, AmountTooLarge):
        return None
    return found if abs(found) < 10**24 else None


@settings(max_examples=300)
@given(expressions, st.lists(numbers, max_size=6))
def test_the_columns_are_the_reference_to_the_last_digit(text: str, made: list[Numbers]) -> None:
    values, failures = derived.each(*frames(made), text)
    found = dict(values.rows())
    assert {seq: found.get(seq) for seq in range(len(made))} == {
        seq: by_reference(text, known) for seq, known in enumerate(made)
    }
    assert failures.keys() == set(range(len(made))) - found.keys()
    assert values.schema == derived.VALUES


@pytest.mark.parametrize(
    ("text", "known", "micros"),
    [
        ("max(2.99% * amount, 1.75)", {"amount": 100_000_000}, 2_990_000),
        ("max(2.99% * amount, 1.75)", {"amount": 10_000_000}, 1_750_000),
        ("min(max(2.99% * amount, 1.75), 12)", {"amount": 1_000_000_000}, 12_000_000),
        ("amount * quantity", {"amount": 2_500_000}, 0),
        ("amount - discount", {"amount": 2_500_000, "discount": 500_000}, 2_000_000),
        ("amount * 0.0000005", {"amount": 1_000_000}, 0),  # half of the last digit, to the even 0
        ("amount * 0.0000005", {"amount": 3_000_000}, 2),  # and to the even 2
        ("amount * 0.0000005", {"amount": 5_000_000}, 2),
        ("-amount * 0.0000005", {"amount": 3_000_000}, -2),
    ],
)
def test_one_event_by_hand(text: str, known: Numbers, micros: int) -> None:
    assert derived.each(*frames([known]), text).values.rows() == [(0, micros)]


def test_what_fails_is_named_and_the_rest_has_its_value() -> None:
    made: list[Numbers] = [
        {"amount": 1_000_000, "quantity": 2_000_000},
        {"amount": 1_000_000},
        {"amount": 10**18 - 1, "quantity": 1},
    ]
    values, failures = derived.each(*frames(made), "amount / quantity * 2")
    assert values.rows() == [(0, 1_000_000)]
    assert failures == {
        1: "it divides by zero",
        2: "2.000000E+18 has more than 18 digits before the point",
    }


def test_a_fold_with_a_failing_event_says_which_and_folds_nothing() -> None:
    rows: list[dict[str, Any]] = [
        {"seq": 7, "event": "billing.charged", "contract": "C-1", "amount": 1, "quantity": 0},
        {"seq": 8, "event": "usage.recorded", "contract": "C-1", "amount": None, "quantity": 0},
    ]
    grain = Grain(derived=(("billing.charged", "each amount / quantity"),))
    events = pl.DataFrame(rows).with_columns(
        pl.lit(date(2026, 10, 1)).alias("period"),
        pl.lit(0).cast(pl.Datetime("us", "UTC")).alias("time"),
        pl.lit(grain.text).alias("grain"),
    )
    with pytest.raises(MeasureFails) as failed:
        fold(events, FURTHER.to_frame())
    assert failed.value.failures == {7: ("each amount / quantity", "it divides by zero")}
