"""Expressions as Polars expressions, to the same last digit as `calculate`.

Every operand is a Decimal(38, 12): Polars computes products and quotients of such columns without loss and brings them
half-even to 12 digits, and raises where a result has more than 26 digits before the point or a divisor is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import assert_never

import polars as pl

from engine.language.expression import Binary, Constant, Expression, Extreme, Name, Negation, Operator
from engine.money import WORKING_DIGITS

WORKING = pl.Decimal(38, WORKING_DIGITS)


def constant(value: Decimal) -> pl.Expr:
    """The number in every row."""
    return pl.lit(value, dtype=WORKING)


def compiled(  # noqa: PLR0911 - one return a kind
    expression: Expression, known: Mapping[str, pl.Expr]
) -> pl.Expr:
    """The expression over the columns that stand for its names."""
    match expression:
        case Constant(value=value):
            return constant(value)
        case Name(text=name):
            return known[name]
        case Negation(operand=operand):
            return -compiled(operand, known)
        case Extreme(function=function, operands=operands):
            columns = [compiled(operand, known) for operand in operands]
            return pl.min_horizontal(columns) if function == "min" else pl.max_horizontal(columns)
        case Binary(operator=operator, left=left, right=right):
            first, second = compiled(left, known), compiled(right, known)
            match operator:
                case Operator.plus:
                    return first + second
                case Operator.minus:
                    return first - second
                case Operator.times:
                    return first * second
                case Operator.by:
                    return first / second
        case _:
            assert_never(expression)
