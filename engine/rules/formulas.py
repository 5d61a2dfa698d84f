"""Expressions with their reasons: how a name, an operation or an extreme comes to its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from engine.language.expression import Binary, Constant, Expression, Extreme, Name, Negation, Operator, calculate
from engine.outcomes import How, Reason

Known = Mapping[str, Reason]

_HOW = {
    Operator.plus: How.total,
    Operator.minus: How.difference,
    Operator.times: How.product,
    Operator.by: How.quotient,
}


class Unsettleable(ArithmeticError):
    """A rule yields nothing for these facts: it divides by zero, or something that it needs is missing."""

    code = "cannot-settle"


class RateMissing(Unsettleable):
    """No exchange rate was published for the day that a conversion needs."""

    code = "rate-missing"


def evaluated(expression: Expression, known: Known) -> Reason:
    """The expression's value and reasons. Raises ZeroDivisionError and AmountTooLarge."""
    match expression:
        case Name(text=name):
            return known[name]
        case Constant(value=value, text=text):
            return Reason(text, How.constant, value)
        case Negation(operand=operand, text=text):
            inner = evaluated(operand, known)
            return Reason(text, How.negation, inner.value.copy_negate(), parts=(inner,))
        case Binary(operator=operator, left=left, right=right, text=text):
            first, second = evaluated(left, known), evaluated(right, known)
            value = calculate(operator, first.value, second.value)
            return Reason(text, _HOW[operator], value, parts=(first, second))
        case Extreme(function=function, operands=operands, text=text):
            return extreme(function, text, tuple(evaluated(operand, known) for operand in operands))
        case _:
            assert_never(expression)


def extreme(function: str, name: str, parts: tuple[Reason, ...]) -> Reason:
    """The least (`min`) or the greatest (`max`) of the parts."""
    values = [part.value for part in parts]
    if function == "min":
        return Reason(name, How.minimum, min(values), parts=parts)
    return Reason(name, How.maximum, max(values), parts=parts)
