"""Exact amounts: their limits, the working precision, the only rounding and the only splitting.

Three representations, and where each is used:

* **text** on the wire: a decimal string, at most 12 digits before and 6 after the point;
* **micros** in events and facts: an integer of millionths of the unit, so that sums are exact and columns are fast;
* **Decimal** in rules: fixed point with `WORKING_DIGITS` digits after the point, rounded half-even to them at each
  multiplication and division (`product`, `quotient`), and to the currency's minor unit only where a rulebook says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Context, Decimal, InvalidOperation, Overflow
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from iso4217 import Currency

MICRO_DIGITS = 6
MICROS: int = 10**MICRO_DIGITS
_AMOUNT = re.compile(r"-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?")

WORKING_DIGITS = 12
_WORKING_UNIT = Decimal(1).scaleb(-WORKING_DIGITS)
# 26 digits before the point and 12 after: what a Decimal(38, 12) column holds. Past it an amount is refused, not cut.
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
_LIMIT = Decimal(10) ** 26
_HUNDRED = Decimal(100)


class Rounding(StrEnum):
    """How an amount between two minor units is brought to one of them. `down` is towards zero, `up` away from it."""

    half_up = "half_up"
    half_even = "half_even"
    down = "down"
    up = "up"


_DECIMAL_ROUNDING = {
    Rounding.half_up: ROUND_HALF_UP,
    Rounding.half_even: ROUND_HALF_EVEN,
    Rounding.down: ROUND_DOWN,
    Rounding.up: ROUND_UP,
}


class AmountTooLarge(ArithmeticError):
    """An amount has more than 26 digits before the point."""


class UnknownCurrency(ValueError):
    """Not a currency of ISO 4217 with a minor unit."""


_MINOR_DIGITS = {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}
CURRENCIES = tuple(sorted(_MINOR_DIGITS))


def minor_digits(currency: str) -> int:
    """Digits after the point of the currency's minor unit: 2 for USD, 0 for JPY, 3 for KWD. Source: ISO 4217."""
    try:
        return _MINOR_DIGITS[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency[:40]!r} is not a currency of ISO 4217 with a minor unit") from None


@lru_cache(maxsize=65_536)  # amounts repeat: prices, ones and zeros
def micros_of(text: str) -> int:
    """Millionths of the unit that a wire amount states: `micros_of("2.5") == 2_500_000`.

    Raises ValueError where the text is not a plain decimal within the limits.
    """
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is not a decimal with at most 12 digits before and 6 after the point")
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(MICRO_DIGITS, "0"))


def decimal_of_micros(micros: int) -> Decimal:
    return Decimal(micros).scaleb(-MICRO_DIGITS, _WIDE)


def working(value: Decimal) -> Decimal:
    """The value at the working precision; raises AmountTooLarge past 26 digits before the point."""
    if value.copy_abs() >= _LIMIT:
        raise AmountTooLarge(f"{value:.6E} has more than 26 digits before the point")
    return value.quantize(_WORKING_UNIT, context=_WIDE)


def total(left: Decimal, right: Decimal) -> Decimal:
    return working(_WIDE.add(left, right))


def difference(left: Decimal, right: Decimal) -> Decimal:
    return working(_WIDE.subtract(left, right))


def product(left: Decimal, right: Decimal) -> Decimal:
    return working(_WIDE.multiply(left, right))


def quotient(left: Decimal, right: Decimal) -> Decimal:
    """Raises ZeroDivisionError where `right` is zero.

    The quotient is rounded once: it is computed as an exact fraction and brought half-even to the working precision.
    """
    exact = Fraction(left) / Fraction(right)
    return working(Decimal(round(exact * 10**WORKING_DIGITS)).scaleb(-WORKING_DIGITS, _WIDE))


def tax_on(base: Decimal, rate: Decimal, currency: str) -> Decimal:
    """So many percent of the base, rounded to the currency's minor unit as EN 16931 rounds VAT (BR-CO-17): half away from 0."""
    return round_to(product(base, quotient(rate, _HUNDRED)), minor_digits(currency), Rounding.half_up)


def in_units(value: Decimal, digits: int) -> int:
    """How many units of the digit `digits` behind the point an amount has; it must have no finer digits."""
    scaled = value.scaleb(digits, _WIDE)
    units = int(scaled)
    assert units == scaled, (value, digits)
    return units


def of_units(units: int, digits: int) -> Decimal:
    """The amount of so many units; it has `digits` as its exponent."""
    # From text, because arithmetic would round to the precision of whatever context the thread has.
    return Decimal(f"{units}E-{digits}")


def round_to(value: Decimal, digits: int, rounding: Rounding) -> Decimal:
    """The one place where money is rounded: `value` at `digits` digits after the point."""
    return value.quantize(Decimal(1).scaleb(-digits), rounding=_DECIMAL_ROUNDING[rounding], context=_WIDE)


def plain(value: Decimal) -> str:
    """A decimal as people and programs write it: no exponent, no trailing zeros behind the working precision."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def split(units: int, portions: Sequence[Fraction]) -> list[int]:
    """Whole units shared by portions that make one: each floored, then one unit at a time from the top until none is left.

    The shares of a negative amount are those of the positive one, negated. They sum to `units`, always. Source: Numscript's
    allotments (Formance); "remaining" there, as in our rulebooks, is the portion that the others leave of one.
    """
    assert sum(portions) == 1, portions
    if units < 0:
        return [-share for share in split(-units, portions)]
    shares = [units * portion.numerator // portion.denominator for portion in portions]
    for i in range(units - sum(shares)):
        shares[i] += 1
    assert sum(shares) == units, (units, portions, shares)
    return shares
