"""Facts that are folded only where a rulebook asks for them: extremes, last values, and expressions event by event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, assert_never

import polars as pl

from engine.language.columns import WORKING, compiled, constant
from engine.language.expression import Binary, Constant, Expression, Extreme, Name, Negation, calculate, names, parse
from engine.money import MICRO_DIGITS, AmountTooLarge, Rounding, in_units, round_to

# A value of one event is below 10^18 units, that is 10^24 micros, so that no log that fits a disk overflows their sum.
DIGITS_MAX = 18
_LIMIT = Decimal(10) ** DIGITS_MAX

VALUES = pl.Schema({"seq": pl.Int64, "value": pl.Int128})


class MeasureFails(ArithmeticError):
    """Measures that yield nothing for some of the events: by seq, the fact's field and why."""

    def __init__(self, failures: Mapping[int, tuple[str, str]]) -> None:
        super().__init__(failures)
        self.failures = dict(failures)


class Values(NamedTuple):
    """An expression's value for each event in micros (columns VALUES), and by seq why some have none."""

    values: pl.DataFrame
    failures: dict[int, str]


def extremes(numbers: pl.LazyFrame, derived: Sequence[tuple[str, str]]) -> list[pl.LazyFrame]:
    """The rows of `numbers` (event, field, value ...) that count for a greatest, least or last value, under its field."""
    return [
        numbers.filter((pl.col("event") == event) & (pl.col("field") == of)).with_columns(pl.lit(field).alias("field"))
        for event, field in derived
        for how, _, of in [field.partition(" ")]
        if how != "each"
    ]


def each(events: pl.DataFrame, further: pl.DataFrame, text: str) -> Values:
    """The expression that `text` states, for each of the events: rounded half-even to micros.

    Its names are `amount`, `quantity` and further amounts; 0 where an event has none. Events that divide by zero or whose
    numbers grow too large have a reason instead of a value.
    """
    expression = parse(text)
    used = sorted({name.text for name in names(expression)})
    numbers = _numbers(events, further, used)
    try:
        exact = numbers.select("seq", value=compiled(expression, {name: pl.col(_column(name)) for name in used}))
        micros = exact.select("seq", pl.col("value").round(MICRO_DIGITS, mode="half_to_even"))
    except pl.exceptions.ComputeError:
        return _row_by_row(numbers, expression, used)
    if micros.select((pl.col("value").abs() >= constant(_LIMIT)).any()).item():
        return _row_by_row(numbers, expression, used)
    return Values(micros.select("seq", pl.col("value").cast(pl.Decimal(38, MICRO_DIGITS)).to_physical()), {})


def _column(name: str) -> str:
    return f"number:{name}"


def _numbers(events: pl.DataFrame, further: pl.DataFrame, used: Sequence[str]) -> pl.DataFrame:
    """`seq` and a column of working precision for each name."""
    found = events.select("seq", *{"amount", "quantity"}.intersection(used))
    for name in used:
        if name not in found.columns:
            stated = further.filter(pl.col("field") == name).select("seq", pl.col("value").alias(name))
            found = found.join(stated, on="seq", how="left", maintain_order="left")
    micro = constant(Decimal(1).scaleb(-MICRO_DIGITS))
    return found.select(
        "seq", *[(pl.col(name).fill_null(0).cast(WORKING) * micro).alias(_column(name)) for name in used]
    )


def _row_by_row(numbers: pl.DataFrame, expression: Expression, used: Sequence[str]) -> Values:
    """Slow, and only where the columns as a whole fail: it knows which rows fail, and why."""
    values: list[tuple[int, int]] = []
    failures: dict[int, str] = {}
    for seq, *row in numbers.select("seq", *map(_column, used)).iter_rows():
        try:
            values.append((seq, _micros(_valued(expression, dict(zip(used, row, strict=True))))))
        except ZeroDivisionError:
            failures[seq] = "it divides by zero"
        except AmountTooLarge as error:
            failures[seq] = str(error)
    return Values(pl.DataFrame(values, schema=VALUES, orient="row"), failures)


def _micros(value: Decimal) -> int:
    """Raises AmountTooLarge."""
    rounded = round_to(value, MICRO_DIGITS, Rounding.half_even)
    if rounded.copy_abs() >= _LIMIT:
        raise AmountTooLarge(f"{rounded:.6E} has more than {DIGITS_MAX} digits before the point")
    return in_units(rounded, MICRO_DIGITS)


def _valued(expression: Expression, known: Mapping[str, Decimal]) -> Decimal:
    """Raises AmountTooLarge and ZeroDivisionError."""
    match expression:
        case Constant(value=value):
            return value
        case Name(text=name):
            return known[name]
        case Negation(operand=operand):
            return _valued(operand, known).copy_negate()
        case Binary(operator=operator, left=left, right=right):
            return calculate(operator, _valued(left, known), _valued(right, known))
        case Extreme(function=function, operands=operands):
            values = [_valued(operand, known) for operand in operands]
            return min(values) if function == "min" else max(values)
        case _:
            assert_never(expression)
