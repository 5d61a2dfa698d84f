"""Numbers summed by key, exactly; and fast where the key's values are numbered already: one whole number then stands for a key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod
from operator import add

import polars as pl

# Sums below this fit 64 bits, which are summed faster than 128; past it integers wrap silently.
_INT64_SAFE = 2**62
_INT32_SIZE = 2**32
_INT64_SIZE = 2**63
_KEY = "key:"


def grouped(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """A row a key: the keys' columns, `events` (how many rows have the key) and `value` (the sum of theirs, Int128).

    `rows` has the keys' columns, which may be null, and `value` (Int64), which may not.
    """
    sums = [pl.len().cast(pl.Int64).alias("events"), _summable(rows).sum()]
    digits = _digits(rows, keys)
    size = prod(digit.size for digit in digits)
    if not digits or size > _INT64_SIZE:
        found = rows.lazy().group_by(keys).agg(sums).collect(engine="streaming")
        return found.with_columns(pl.col("value").cast(pl.Int128))
    whole: pl.DataType = pl.UInt32() if size <= _INT32_SIZE else pl.UInt64()
    places = [pl.lit(prod(digit.size for digit in digits[at + 1 :]), whole) for at in range(len(digits))]
    number = reduce(add, (digit.of(whole) * place for digit, place in zip(digits, places, strict=True)))
    found = rows.lazy().group_by(number.alias(_KEY)).agg(sums).collect(engine="streaming")
    values = [
        digit.value(pl.col(_KEY) // place % pl.lit(digit.size, whole))
        for digit, place in zip(digits, places, strict=True)
    ]
    return found.select(*values, "events", pl.col("value").cast(pl.Int128))


def _summable(rows: pl.DataFrame) -> pl.Expr:
    least, most = rows.select(pl.col("value").min().alias("least"), pl.col("value").max().alias("most")).row(0)
    greatest = max(-(least or 0), most or 0)
    value = pl.col("value")
    return value if greatest * rows.height < _INT64_SAFE else value.cast(pl.Int128)


class _Digit:
    """A key's column as a digit of a whole number: its number less the least one; where some are null, 0 is for those."""

    def __init__(self, column: pl.Series) -> None:
        numbers = column.to_physical()
        self._least = pl.lit(numbers.min() or 0, numbers.dtype)
        self._nulls = int(column.null_count() > 0)
        self.size = int(numbers.max() or 0) - int(numbers.min() or 0) + 1 + self._nulls  # type: ignore[arg-type]
        self._name = column.name
        self._kind = column.dtype
        self._number = numbers.dtype

    def of(self, whole: pl.DataType) -> pl.Expr:
        number = (pl.col(self._name).to_physical() - self._least).cast(whole)
        return (number + pl.lit(1, whole)).fill_null(0) if self._nulls else number

    def value(self, digit: pl.Expr) -> pl.Expr:
        number = pl.when(digit >= self._nulls).then(digit - self._nulls).cast(self._number) + self._least
        stated = number.cast(self._kind) if self._kind == pl.Date else number.cat.to(self._kind)
        return stated.alias(self._name)


def _digits(rows: pl.DataFrame, keys: Sequence[str]) -> list[_Digit]:
    """None where a column is not numbered."""
    columns = [rows[name] for name in keys]
    numbered = all(column.dtype == pl.Date or isinstance(column.dtype, pl.Categorical | pl.Enum) for column in columns)
    return [_Digit(column) for column in columns] if numbered else []
