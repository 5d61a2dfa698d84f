"""A waterfall being compiled: the frame so far, the columns that stand for names, and what is to be carried on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple, assert_never

import polars as pl

from engine.language.columns import constant
from engine.money import Rounding
from engine.period import Period
from engine.rules.given import Rate
from engine.rules.model import Contents
from engine.rules.steps import Step


class Undecided(ArithmeticError):
    """The columns cannot tell, or may not fit: the reference evaluator has to say what these contracts come to."""


class Carry(NamedTuple):
    """A balance of each contract, in a column; contracts where it is 0 carry none."""

    step: str
    kind: str
    day: date | None
    column: str


Key = tuple[str, str, date | None]
ZERO = constant(Decimal(0))


def column(name: str) -> str:
    """The column of a measure's or a line's value; no name has a colon."""
    return f"name:{name}"


class Plan:
    """All contracts on their way through the steps. `frame` has the columns of CONTRACTS beside those of the plan.

    `before` are the balances carried in, by step, kind and day: null where a contract has none.
    """

    def __init__(
        self, contents: Contents, period: Period, frame: pl.LazyFrame, before: dict[Key, str], rates: tuple[Rate, ...]
    ) -> None:
        self.contents = contents
        self.period = period
        self.frame = frame
        self.before = before
        self.rates = rates
        self.known: dict[str, pl.Expr] = {name: constant(value) for name, value in contents.values.items()}
        self.known |= {name: pl.col(column(name)) for name in contents.measures}
        self.carried: list[Carry] = []
        self.apart: list[pl.DataFrame] = []
        self.doubts: list[str] = []
        self._kept = 0

    def keep(self, value: pl.Expr) -> pl.Expr:
        """The value in a column of its own, so that it is computed once."""
        self._kept += 1
        name = f"kept:{self._kept}"
        self.frame = self.frame.with_columns(value.alias(name))
        return pl.col(name)

    def carry(self, step: str, kind: str, day: date | None, value: pl.Expr) -> None:
        """Carries the value on to the next period."""
        kept = self.keep(value)
        self.carried.append(Carry(step, kind, day, kept.meta.output_name()))

    def doubt(self, condition: pl.Expr) -> None:
        """Where the condition holds in any row, the columns are undecided."""
        self.doubts.append(self.keep(condition).meta.output_name())

    def settle(self, step: Step, value: pl.Expr) -> None:
        """The step's line is this, rounded where it says so."""
        if step.round is not None:
            value = rounded(
                value if value.meta.is_column() else self.keep(value), self.contents.digits_of(step.name), step.round
            )
        self.line(step.name, value)

    def line(self, name: str, value: pl.Expr) -> None:
        self.frame = self.frame.with_columns(value.alias(column(name)))
        self.known[name] = pl.col(column(name))

    def gather(self) -> pl.DataFrame:
        """Computes what is planned so far; further steps go on from there."""
        frame = self.computed()
        self.frame = frame.lazy()
        self.doubts = []
        return frame

    def computed(self, columns: Sequence[pl.Expr] | None = None) -> pl.DataFrame:
        """The columns, or all; raises Undecided where there is a doubt, and what Polars raises."""
        planned = self.frame if columns is None else self.frame.select(*columns, *self.doubts)
        frame = planned.collect()
        if self.doubts and frame.select(pl.any_horizontal(pl.col(self.doubts).any())).item():
            raise Undecided
        return frame.drop(self.doubts)

    def balances(self, step: str, kind: str) -> list[tuple[date, pl.Expr]]:
        """The step's lots of the kind, oldest first."""
        days = [day for each, of, day in self.before if (each, of) == (step, kind) and day is not None]
        return [(day, self.balance(step, kind, day)) for day in sorted(days)]

    def balance(self, step: str, kind: str, day: date | None = None) -> pl.Expr:
        """A balance carried in, 0 where there is none."""
        found = self.carried_in(step, kind, day)
        return ZERO if found is None else found.fill_null(ZERO)

    def carried_in(self, step: str, kind: str, day: date | None = None) -> pl.Expr | None:
        """A balance carried in, null in the row of a contract without; None where no contract has one."""
        name = self.before.get((step, kind, day))
        return None if name is None else pl.col(name)


def rounded(value: pl.Expr, digits: int, rounding: Rounding) -> pl.Expr:
    """As engine.money.round_to; the value should be a column, since it is used several times."""
    match rounding:
        case Rounding.half_up:
            return value.round(digits, mode="half_away_from_zero")
        case Rounding.half_even:
            return value.round(digits)
        case Rounding.down:
            return value.truncate(digits)
        case Rounding.up:
            cut = value.truncate(digits)
            unit = pl.when(value > cut).then(constant(Decimal(1).scaleb(-digits))).when(value < cut)
            return cut + unit.then(constant(-Decimal(1).scaleb(-digits))).otherwise(ZERO)
        case _:
            assert_never(rounding)
