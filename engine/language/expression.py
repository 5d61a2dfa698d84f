"""Arithmetic between names, as a rulebook writes it: `max(share + marketing fund, 25)`, `-2% * net sales`.

    expression = term { ("+" | "-") term }
    term       = factor { ("*" | "/") factor }
    factor     = "-" factor | number | name | ("min" | "max") "(" expression { "," expression } ")" | "(" expression ")"

A name is the longest run of words; `2%` is 0.02. The tree's `text` is canonical: texts that differ only in spaces,
needless parentheses or the writing of a number have equal trees and equal `text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from engine.language.words import FUNCTIONS, NAME_LENGTH_MAX, NAME_PATTERN, Unreadable, number
from engine.money import difference, plain, product, quotient, total

LENGTH_MAX = 1000
DEPTH_MAX = 32

_TOKEN = re.compile(
    rf"\s*(?:(?P<number>[0-9][0-9._]*%?)|(?P<name>{NAME_PATTERN})|(?P<sign>[-+*/(),])|(?P<end>$)|(?P<other>.))",
    re.DOTALL,
)


class Operator(StrEnum):
    """What stands between two operands."""

    plus = "+"
    minus = "-"
    times = "*"
    by = "/"


_BINDS = {Operator.plus: 1, Operator.minus: 1, Operator.times: 2, Operator.by: 2}
_BINDS_TIGHTEST = 3


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, never negative: a minus before it is a Negation."""

    value: Decimal
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", plain(self.value))


@dataclass(frozen=True, slots=True)
class Name:
    """A measure or a step above. `column` counts from 0 in the text that was parsed."""

    text: str
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Negation:
    """The operand with the other sign."""

    operand: Expression
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", f"-{_within(self.operand, _BINDS_TIGHTEST)}")


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and what stands between them."""

    operator: Operator
    left: Expression
    right: Expression
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        binds = _BINDS[self.operator]
        left, right = _within(self.left, binds), _within(self.right, binds + 1)
        object.__setattr__(self, "text", f"{left} {self.operator} {right}")


@dataclass(frozen=True, slots=True)
class Extreme:
    """The least (`min`) or the greatest (`max`) of one or more operands."""

    function: str
    operands: tuple[Expression, ...]
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", f"{self.function}({', '.join(operand.text for operand in self.operands)})")


Expression = Constant | Name | Negation | Binary | Extreme


def _within(operand: Expression, binds: int) -> str:
    """The operand's text, in parentheses where it would otherwise be read apart."""
    if isinstance(operand, Binary) and _BINDS[operand.operator] < binds:
        return f"({operand.text})"
    return operand.text


class ExpressionError(Unreadable):
    """A text that is no expression. `column` counts from 0 in it."""

    def __init__(self, cause: str, remedy: str, column: int) -> None:
        super().__init__(f"{cause} at character {column + 1}", remedy)
        self.column = column


def parse(text: str) -> Expression:
    """The tree of an expression; raises ExpressionError with the column and what was expected there."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError(
            f"the expression is longer than {LENGTH_MAX} characters", "give a part of it a step of its own", LENGTH_MAX
        )
    return _Parser(text).whole()


def names(expression: Expression) -> Iterator[Name]:
    """The names that the expression uses, from left to right, with repeats."""
    match expression:
        case Constant():
            return
        case Name():
            yield expression
        case Negation():
            yield from names(expression.operand)
        case Binary():
            yield from names(expression.left)
            yield from names(expression.right)
        case Extreme():
            for operand in expression.operands:
                yield from names(operand)


def calculate(operator: Operator, left: Decimal, right: Decimal) -> Decimal:
    """At the working precision; raises AmountTooLarge, and ZeroDivisionError where the divisor is zero."""
    match operator:
        case Operator.plus:
            return total(left, right)
        case Operator.minus:
            return difference(left, right)
        case Operator.times:
            return product(left, right)
        case Operator.by:
            return quotient(left, right)


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while True:
        matched = _TOKEN.match(text, position)
        assert matched is not None, "the pattern's last branch takes any character"
        kind = str(matched.lastgroup)
        yield _Token(kind, matched[kind], matched.start(kind))
        if kind == "end":
            return
        position = matched.end()


class _Parser:
    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self._token = next(self._rest)

    def whole(self) -> Expression:
        expression, _ = self._sum(1)
        if self._token.kind != "end":
            raise self._expected("an operator (+ - * /) or the end")
        return expression

    def _sum(self, depth: int) -> tuple[Expression, int]:
        return self._chain(depth, (Operator.plus, Operator.minus))

    def _chain(self, depth: int, operators: tuple[Operator, ...]) -> tuple[Expression, int]:
        """The tree of a row of operands, and its height: the number of nodes on the longest way down."""
        tighter = Operator.plus in operators
        left, height = self._chain(depth, (Operator.times, Operator.by)) if tighter else self._factor(depth)
        while self._token.kind == "sign" and self._token.text in operators:
            operator = Operator(self._advance().text)
            right, beside = self._chain(depth, (Operator.times, Operator.by)) if tighter else self._factor(depth)
            left, height = Binary(operator, left, right), self._limited(max(height, beside) + 1)
        return left, height

    def _factor(self, depth: int) -> tuple[Expression, int]:
        self._limited(depth)
        token = self._advance()
        match token.kind, token.text:
            case "number", digits:
                return self._constant(token, digits), 1
            case "name", word if word in FUNCTIONS and self._token.text == "(":
                return self._extreme(word, depth)
            case "name", words:
                return self._name(token, words), 1
            case "sign", "-":
                operand, height = self._factor(depth + 1)
                return Negation(operand), self._limited(height + 1)
            case "sign", "(":
                inner, height = self._sum(depth + 1)
                self._closed("an operator or ')'")
                return inner, height
            case _:
                self._token = token
                raise self._expected("a name, a number, '-' or '('")

    def _extreme(self, function: str, depth: int) -> tuple[Expression, int]:
        operands: list[Expression] = []
        heights: list[int] = []
        while not operands or self._token.text == ",":
            self._advance()
            operand, height = self._sum(depth + 1)
            operands.append(operand)
            heights.append(height)
        self._closed("an operator, ',' or ')'")
        return Extreme(function, tuple(operands)), self._limited(max(heights) + 1)

    def _constant(self, token: _Token, digits: str) -> Constant:
        try:
            return Constant(number(digits))
        except Unreadable as error:
            raise ExpressionError(error.cause, error.remedy, token.column) from None

    def _name(self, token: _Token, words: str) -> Name:
        name = " ".join(words.split())
        if name in FUNCTIONS:
            raise ExpressionError(f"expected '(' behind {name}", f"write {name}(a, b)", token.column + len(words))
        if len(name) > NAME_LENGTH_MAX:
            raise ExpressionError(f"a name is longer than {NAME_LENGTH_MAX} characters", "shorten it", token.column)
        return Name(name, token.column)

    def _advance(self) -> _Token:
        token = self._token
        if token.kind != "end":
            self._token = next(self._rest)
        return token

    def _closed(self, expected: str) -> None:
        if self._token.text != ")":
            raise self._expected(expected)
        self._advance()

    def _limited(self, depth: int) -> int:
        if depth > DEPTH_MAX:
            raise ExpressionError(
                f"more than {DEPTH_MAX} operations deep", "give a part of it a step of its own", self._token.column
            )
        return depth

    def _expected(self, what: str) -> ExpressionError:
        found = "the text ends" if self._token.kind == "end" else f"there is {self._token.text[:40]!r}"
        return ExpressionError(
            f"expected {what}, but {found}", "an expression reads like max(sales - refunds, 25)", self._token.column
        )
