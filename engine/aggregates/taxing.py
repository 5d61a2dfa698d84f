"""The VAT of a settlement note, and what is to pay with it: one category and rate for all that is due, in every currency.

A deposit that is returned is due as well, and no supply: there is no VAT on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from engine.events import Sum, Tax
from engine.money import difference, in_units, minor_digits, of_units, tax_on


def taxes_on(due: Iterable[Sum], deposit: Iterable[Sum], tax: Tax | None) -> tuple[Sum, ...]:
    """The VAT on each amount that is due, where there is any. That of a negative one is that of the positive one, negated."""
    rate = Decimal(tax.rate if tax else 0)
    bases = _added(due, ((each.currency, -Decimal(each.amount)) for each in deposit))
    found = ((each.currency, tax_on(Decimal(each.amount), rate, each.currency)) for each in bases)
    return tuple(Sum(currency, shown(amount, currency)) for currency, amount in found if amount)


def to_pay(due: Iterable[Sum], taxes: Iterable[Sum]) -> tuple[Sum, ...]:
    """What is due, with its VAT."""
    return _added(due, ((each.currency, Decimal(each.amount)) for each in taxes))


def open_of(to_pay: Iterable[Sum], paid: Iterable[tuple[str, Decimal]]) -> tuple[Sum, ...]:
    """What is to pay less what was paid, by currency, where there is any."""
    sums: dict[str, Decimal] = {}
    for currency, amount in paid:
        sums[currency] = difference(sums.get(currency, Decimal(0)), amount)
    return tuple(each for each in _added(to_pay, sums.items()) if Decimal(each.amount))


def _added(sums: Iterable[Sum], further: Iterable[tuple[str, Decimal]]) -> tuple[Sum, ...]:
    """In minor units: a statement pays no finer ones, and a sum of them has no limit."""
    known = dict(further)
    return tuple(
        Sum(each.currency, shown(Decimal(each.amount), each.currency, known[each.currency]))
        if each.currency in known
        else each
        for each in sums
    )


def shown(amount: Decimal, currency: str, further: Decimal = Decimal(0)) -> str:
    """The amount, and the further one, with the currency's digits."""
    digits = minor_digits(currency)
    return format(of_units(in_units(amount, digits) + in_units(further, digits), digits), "f")
