"""Splits in columns: whole minor units, by the same floors and the same order as engine.money.split."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from engine.money import WORKING_DIGITS, Rounding, in_units, minor_digits, round_to
from engine.rules.columns.plan import Undecided
from engine.rules.model import Contents
from engine.rules.shares import SOLE_PARTY
from engine.rules.splitting import Among, portions

# Products below these fit, with one addition to spare; past them integers wrap silently.
_INT64_SAFE = 2**62
_INT128_SAFE = 2**126


class _Group:
    """Amounts on their way to the parties, in columns that are computed level by level. `greatest` is of all of them."""

    def __init__(self, payable: pl.DataFrame, whole: pl.DataType, greatest: int, digits: int) -> None:
        self.frame = payable.lazy()
        self.parties: dict[str, str] = {}
        self._whole = whole
        self._greatest = greatest
        self._digits = digits
        self._kept = 0

    def keep(self, value: pl.Expr) -> pl.Expr:
        self._kept += 1
        name = f"units:{self._kept}"
        self.frame = self.frame.with_columns(value.cast(self._whole).alias(name))
        return pl.col(name)

    def whole(self, value: int) -> pl.Expr:
        return pl.lit(value, dtype=self._whole)

    def minor(self, amount: Decimal) -> pl.Expr:
        """The amount down to whole minor units; one that nobody reaches is as good as the greatest of all."""
        units = in_units(round_to(amount, self._digits, Rounding.down), self._digits)
        return self.whole(min(units, self._greatest))

    def share(self, among: Sequence[Among], units: pl.Expr) -> None:
        """Fixed amounts first, from the top; then portions of the rest, and what exceeds their caps."""
        left = units
        gets: dict[int, pl.Expr] = {}
        for index, each in enumerate(among):
            if each.amount is not None:
                gets[index] = self.keep(pl.min_horizontal(left, self.minor(each.amount)))
                left = self.keep(left - gets[index])
        gets |= self._capped(among, self._portioned(among, left))
        for index, each in enumerate(among):
            if each.among is not None:
                self.share(each.among, gets[index])
            else:
                assert each.party is not None, each
                self.parties[each.party] = gets[index].meta.output_name()

    def _portioned(self, among: Sequence[Among], units: pl.Expr) -> dict[int, pl.Expr]:
        indexes = [index for index, each in enumerate(among) if each.amount is None]
        fractions = portions(among)
        floors = [self.keep(units * self.whole(each.numerator) // self.whole(each.denominator)) for each in fractions]
        if len(floors) == 1:
            return dict(zip(indexes, floors, strict=True))
        left = self.keep(units - pl.sum_horizontal(floors))
        return {
            index: self.keep(floor + (left > self.whole(place)).cast(self._whole))
            for place, (index, floor) in enumerate(zip(indexes, floors, strict=True))
        }

    def _capped(self, among: Sequence[Among], gets: dict[int, pl.Expr]) -> dict[int, pl.Expr]:
        caps = {index: cap for index in gets if (cap := among[index].cap) is not None}
        if not caps:
            return gets
        found = {
            index: self.keep(pl.min_horizontal(got, self.minor(caps[index]))) if index in caps else got
            for index, got in gets.items()
        }
        exceeding = pl.sum_horizontal(gets[index] - found[index] for index in caps)
        return {
            index: self.keep(got + exceeding) if among[index].portion is None else got for index, got in found.items()
        }


def shared(contents: Contents, payable: pl.Series) -> pl.DataFrame:
    """A column of minor units (Int128) for each party, from the top. Raises Undecided where 128 bits do not hold them."""
    digits = minor_digits(contents.payable_currency)
    size = pl.lit(10 ** (WORKING_DIGITS - digits), dtype=pl.Int128)
    units = payable.to_frame("payable").select((pl.col("payable").to_physical() // size).alias("payable"))
    if contents.split is None:
        return units.rename({"payable": SOLE_PARTY})
    greatest = units.select(pl.col("payable").abs().max()).item() or 0
    reach = max(1, greatest) * _factor(contents.split.among)
    if reach >= _INT128_SAFE:
        raise Undecided
    whole: pl.DataType = pl.Int64() if reach < _INT64_SAFE else pl.Int128()
    group = _Group(units.select(pl.col("payable").cast(whole)), whole, greatest, digits)
    group.share(contents.split.among, group.keep(pl.col("payable").abs()))
    sign = pl.when(pl.col("payable") < 0).then(group.whole(-1)).otherwise(group.whole(1))
    columns = [(pl.col(name) * sign).cast(pl.Int128).alias(party) for party, name in group.parties.items()]
    return group.frame.select(columns).collect()


def _factor(among: Sequence[Among]) -> int:
    """No number by which the portions multiply or divide is greater."""
    own = [max(each.numerator, each.denominator) for each in portions(among)]
    return max([1, *own, *(_factor(each.among) for each in among if each.among is not None)])
