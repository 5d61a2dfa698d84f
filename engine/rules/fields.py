"""The kinds of fields that a rulebook's models are made of: each reads its text exactly, or refuses it with a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator

from engine.language import words
from engine.language.expression import Binary, Constant, Expression, Extreme, Name, Negation, parse
from engine.language.words import Unreadable, quoted
from engine.money import UnknownCurrency, minor_digits, plain

_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_TEXT_LENGTH_MAX = 200


def choice(values: Iterable[str]) -> str:
    """`a, b or c`."""
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


def _attribute(value: object) -> str:
    if isinstance(value, str) and _ATTRIBUTE.fullmatch(value):
        return value
    raise Unreadable(f"{quoted(value)} is not the name of a field", "write small letters, digits and _, such as meter")


def _identifier(value: object) -> str:
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    raise Unreadable(f"{quoted(value)} is not an id", "write letters, digits and - . _, such as grocery-supplier")


def text(value: object) -> str:
    """A short text; raises Unreadable."""
    if isinstance(value, str) and 0 < len(value) <= _TEXT_LENGTH_MAX:
        return value
    raise Unreadable(f"{quoted(value)} is not a text of 1 to {_TEXT_LENGTH_MAX} characters", "write a short text")


def _currency(value: object) -> str:
    try:
        minor_digits(str(value))
    except UnknownCurrency as error:
        raise Unreadable(str(error), "write its three capital letters, such as USD") from None
    return str(value)


def _expression(value: object) -> Expression:
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, (Constant, Name, Negation, Binary, Extreme)):
        return value
    raise Unreadable(f"{quoted(value)} is not an expression", "write arithmetic on one line, such as sales - refunds")


def _above_zero(value: Decimal) -> Decimal:
    if value > 0:
        return value
    raise Unreadable(f"{plain(value)} is not above 0", "write a number above 0")


def _not_negative(value: Decimal) -> Decimal:
    if value >= 0:
        return value
    raise Unreadable(f"{plain(value)} is below 0", "write 0 or a number above it")


def _below_one(value: Decimal) -> Decimal:
    if 0 <= value < 1:
        return value
    raise Unreadable(f"{plain(value)} is not from 0 to below 1", "write a percentage from 0% to below 100%")


Attribute = Annotated[str, BeforeValidator(_attribute)]
Identifier = Annotated[str, BeforeValidator(_identifier)]
StepName = Annotated[str, BeforeValidator(words.name)]
Text = Annotated[str, BeforeValidator(text)]
Number = Annotated[Decimal, PlainValidator(words.number)]
NumberAboveZero = Annotated[Decimal, PlainValidator(words.number), AfterValidator(_above_zero)]
NumberNotNegative = Annotated[Decimal, PlainValidator(words.number), AfterValidator(_not_negative)]
TaxRate = Annotated[Decimal, PlainValidator(words.number), AfterValidator(_below_one)]
Formula = Annotated[Expression, PlainValidator(_expression)]
CurrencyCode = Annotated[str, BeforeValidator(_currency)]
Day = Annotated[date, BeforeValidator(words.day)]
Whole = Annotated[int, BeforeValidator(words.whole)]
PortionOf = Annotated[Fraction | None, PlainValidator(words.portion)]


class Frozen(BaseModel):
    """What every part of a rulebook is: immutable, and without fields that the language does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid")
