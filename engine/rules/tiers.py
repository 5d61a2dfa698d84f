"""Rating a base by tiers, with each band that was entered as a reason.

A negative base (more refunded than sold) is rated wholly at the first band's rate and without flat fees: it is what was
paid too much at the lowest rate, and no band is entered by going back. Packages of a negative base are none.

Sources: graduated and volume as in Stripe's tiered pricing; a flat fee is due for each band entered, and the first is
entered always, also by a base of 0, as in Lago's graduated charges; packages as in Lago's package charge; thresholds of a
year, prorated, as in app stores' reduced service fees.
"""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from engine.money import difference, plain, product, quotient, total
from engine.outcomes import How, Reason
from engine.rules.steps import BandTiers, PackageTiers, Prorate, Tiers

_ZERO = Decimal(0)
_MONTHS = 12


class Proration(NamedTuple):
    """The part of a year for which bounds hold: `numerator` of `denominator` months or days."""

    numerator: int
    denominator: int


WHOLE = Proration(1, 1)


def proration(prorate: Prorate | None, begins: date | None, first: date) -> Proration:
    """The part of the year of `first` that is left from the day on which the contract begins, where it begins in it."""
    if prorate is None or begins is None or begins.year != first.year:
        return WHOLE
    if prorate == "months":
        return Proration(_MONTHS + 1 - begins.month, _MONTHS)
    end = date(begins.year + 1, 1, 1)
    return Proration((end - begins).days, (end - date(begins.year, 1, 1)).days)


def rate(tiers: Tiers, base: Reason, before: Reason | None, part: Proration = WHOLE) -> Reason:
    """The rated amount and its reasons. Raises AmountTooLarge.

    `before` is what was accumulated earlier, None where nothing was: then the whole base is new. With it, the amount is
    that of the whole less that of what was before.
    """
    name = f"{tiers.mode} tiers of {tiers.of}"
    if before is None:
        amount, bands = _rated(tiers, base.value, part)
        return Reason(name, How.tiers, amount, _prorated(part), parts=(base, *bands))
    whole = total(before.value, base.value)
    reasons = []
    for text, value in (("the whole", whole), ("what was before", before.value)):
        amount, bands = _rated(tiers, value, part)
        note = f"of {plain(value)}" + (f", {_prorated(part)}" if part != WHOLE else "")
        reasons.append(Reason(f"tiers of {text}", How.tiers, amount, note, parts=bands))
    of_whole, of_before = reasons
    amount = difference(of_whole.value, of_before.value)
    return Reason(name, How.tiers, amount, "what the period adds", parts=(base, before, of_whole, of_before))


def _prorated(part: Proration) -> str:
    return "" if part == WHOLE else f"bounds prorated to {part.numerator}/{part.denominator} of the year"


def bound(of: Decimal, part: Proration) -> Decimal:
    """A bound of the year, lowered to the part of it that is left."""
    if part == WHOLE:
        return of
    return quotient(product(of, Decimal(part.numerator)), Decimal(part.denominator))


def _rated(tiers: Tiers, base: Decimal, part: Proration) -> tuple[Decimal, tuple[Reason, ...]]:
    if isinstance(tiers, PackageTiers):
        return _packages(tiers, base)
    if base < 0:
        bands = [_band(tiers, 0, base, part, flat=False)]
    elif tiers.mode == "graduated":
        bands = _slices(tiers, base, part)
    else:
        bands = [_band(tiers, _entered(tiers, base, part)[-1], base, part, flat=True)]
    amount = bands[0].value
    for reason in bands[1:]:
        amount = total(amount, reason.value)
    return amount, tuple(bands)


def _entered(tiers: BandTiers, base: Decimal, part: Proration) -> list[int]:
    """The bands that a base of at least 0 enters: the first always, another past the end of the one before it."""
    entered = [0]
    for index, band in enumerate(tiers.bands[:-1]):
        assert band.end is not None, tiers
        end = bound(band.end, part)
        if base < end or (base == end and band.upto is not None):
            break
        entered.append(index + 1)
    return entered


def _slices(tiers: BandTiers, base: Decimal, part: Proration) -> list[Reason]:
    entered = _entered(tiers, base, part)
    lower = [bound(tiers.lower_bounds[index], part) for index in entered]
    ends = [*lower[1:], base]
    return [
        _band(tiers, index, difference(end, start), part, flat=True)
        for index, start, end in zip(entered, lower, ends, strict=True)
    ]


def _band(tiers: BandTiers, index: int, base: Decimal, part: Proration, *, flat: bool) -> Reason:
    band = tiers.bands[index]
    name = _named(tiers, index, part)
    if tiers.mode == "flat":
        amount = band.flat if flat else _ZERO
        return Reason(name, How.band, amount, f"{plain(base)} reaches it" if flat else f"{plain(base)} is below 0")
    amount = product(base, band.rate)
    note = f"{plain(base)} x {plain(band.rate)}"
    if flat and band.flat:
        amount = total(amount, band.flat)
        note = f"{note} + {plain(band.flat)} flat"
    return Reason(name, How.band, amount, note)


def _named(tiers: BandTiers, index: int, part: Proration) -> str:
    band, lower = tiers.bands[index], bound(tiers.lower_bounds[index], part)
    end = "" if band.end is None else plain(bound(band.end, part))
    upto = f" up to {end}" if band.upto is not None else f" below {end}" if end else ""
    start = "from" if index and tiers.bands[index - 1].below is not None else "above"
    return f"band {index + 1}: {start} {plain(lower)}{upto}"


def _packages(tiers: PackageTiers, base: Decimal) -> tuple[Decimal, tuple[Reason, ...]]:
    chargeable = max(_ZERO, difference(base, tiers.free))
    packages = math.ceil(Fraction(chargeable) / Fraction(tiers.size))
    amount = product(Decimal(packages), tiers.price)
    free = f" past {plain(tiers.free)} free" if tiers.free else ""
    note = f"{packages} packages of {plain(tiers.size)}{free} x {plain(tiers.price)}"
    return amount, (Reason("packages", How.band, amount, note),)
