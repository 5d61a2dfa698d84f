"""The VAT of a settlement note, and what is to pay with it: one category and rate for all that is due, in every currency."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from engine.events import Sum, Tax
from engine.money import in_units, minor_digits, of_units, tax_on


def taxes_on(due: Iterable[Sum], tax: Tax | None) -> tuple[Sum, ...]:
    """The VAT on each amount that is due, where there is any. That of a negative one is that of the positive one, negated."""
    rate = Decimal(tax.rate if tax else 0)
    found = ((each.currency, tax_on(Decimal(each.amount), rate, each.currency)) for each in due)
    return tuple(Sum(currency, format(amount, "f")) for currency, amount in found if amount)


def to_pay(due: Iterable[Sum], taxes: Iterable[Sum]) -> tuple[Sum, ...]:
    """What is due, with its VAT."""
    further = {each.currency: Decimal(each.amount) for each in taxes}
    return tuple(
        Sum(each.currency, _added(each.currency, Decimal(each.amount), further[each.currency]))
        if each.currency in further
        else each
        for each in due
    )


def _added(currency: str, left: Decimal, right: Decimal) -> str:
    """In minor units: a statement pays no finer ones, and a sum of them has no limit."""
    digits = minor_digits(currency)
    return format(of_units(in_units(left, digits) + in_units(right, digits), digits), "f")
