"""Rating a base by tiers, with each band that was entered as a reason.

A negative base (more refunded than sold) is rated wholly at the first band's rate and without flat fees: it is what was
paid too much at the lowest rate, and no band is entered by going back. Packages of a negative base are none.

Sources: graduated and volume as in Stripe's tiered pricing; a flat fee is due for each band entered, and the first is
entered always, also by a base of 0, as in Lago's graduated charges; packages as in Lago's package charge.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from engine.money import difference, plain, product, total
from engine.outcomes import How, Reason
from engine.rules.model import Band, BandTiers, PackageTiers

_ZERO = Decimal(0)


def rate(tiers: BandTiers | PackageTiers, base: Reason) -> Reason:
    """The rated amount and its reasons: the base, then each band entered. Raises AmountTooLarge."""
    if isinstance(tiers, PackageTiers):
        return _package(tiers, base)
    if base.value < 0:
        bands = [_band(tiers, 0, base.value, flat=False)]
    elif tiers.mode == "volume":
        bands = [_band(tiers, _reached(tiers, base.value), base.value, flat=True)]
    else:
        bands = _slices(tiers, base.value)
    amount = bands[0].value
    for band in bands[1:]:
        amount = total(amount, band.value)
    return Reason(f"{tiers.mode} tiers of {tiers.of}", How.tiers, amount, parts=(base, *bands))


def _slices(tiers: BandTiers, base: Decimal) -> list[Reason]:
    reasons = []
    for index, lower in enumerate(tiers.lower_bounds):
        if index > 0 and base <= lower:
            break
        upto = tiers.bands[index].upto
        end = base if upto is None or base < upto else upto
        reasons.append(_band(tiers, index, difference(end, lower), flat=True))
    return reasons


def _reached(tiers: BandTiers, base: Decimal) -> int:
    return max((index for index, lower in enumerate(tiers.lower_bounds) if base > lower), default=0)


def _band(tiers: BandTiers, index: int, base: Decimal, *, flat: bool) -> Reason:
    band = tiers.bands[index]
    amount = product(base, band.rate)
    note = f"{plain(base)} x {plain(band.rate)}"
    if flat and band.flat:
        amount = total(amount, band.flat)
        note = f"{note} + {plain(band.flat)} flat"
    return Reason(_named(band, tiers.lower_bounds[index], index), How.band, amount, note)


def _named(band: Band, lower: Decimal, index: int) -> str:
    upto = "" if band.upto is None else f" up to {plain(band.upto)}"
    return f"band {index + 1}: above {plain(lower)}{upto}"


def _package(tiers: PackageTiers, base: Reason) -> Reason:
    chargeable = max(_ZERO, difference(base.value, tiers.free))
    packages = math.ceil(Fraction(chargeable) / Fraction(tiers.size))
    amount = product(Decimal(packages), tiers.price)
    free = f" past {plain(tiers.free)} free" if tiers.free else ""
    note = f"{packages} packages of {plain(tiers.size)}{free} x {plain(tiers.price)}"
    return Reason(f"package tiers of {tiers.of}", How.tiers, amount, note, parts=(base,))
