"""Tiers in columns: the band of each base is looked up, and one product is taken.

What the bands below the one reached come to is a constant of the rulebook, computed by engine.money band by band; so the
amount equals the sum of the rounded products of all bands entered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

import polars as pl

from engine.language.columns import WORKING, constant
from engine.money import WORKING_DIGITS, AmountTooLarge, difference, in_units, product, total
from engine.rules.carrying import ACCUMULATED
from engine.rules.columns.plan import ZERO, Plan
from engine.rules.steps import BandTiers, PackageTiers, Step, Tiers

_ZERO = Decimal(0)
_MONTHS = 12


def tiered(plan: Plan, step: Step, tiers: Tiers) -> pl.Expr:
    """The rated amount; where the base is accumulated, what the period adds to it, and the accumulation is carried."""
    base = plan.known[tiers.of]
    bounds = _bounds(plan, tiers) if isinstance(tiers, BandTiers) else []
    if tiers.over == "period":
        return _rated(plan, tiers, base, bounds)
    day = date(plan.period.first.year, 1, 1) if tiers.over == "year" else None
    carried_in = plan.carried_in(step.name, ACCUMULATED, day)
    before = plan.balance(step.name, ACCUMULATED, day)
    whole = plan.keep(before + base)
    plan.carry(step.name, ACCUMULATED, day, whole)
    amount = plan.keep(_rated(plan, tiers, whole, bounds))
    if carried_in is None:
        return amount
    earlier = _rated(plan, tiers, plan.keep(before), bounds)
    return amount - pl.when(carried_in.is_null()).then(ZERO).otherwise(earlier)


def _rated(plan: Plan, tiers: Tiers, base: pl.Expr, bounds: Sequence[pl.Expr]) -> pl.Expr:
    if isinstance(tiers, PackageTiers):
        return _packages(plan, tiers, base)
    entered = [
        base > bound if band.upto is not None else base >= bound
        for band, bound in zip(tiers.bands[:-1], bounds, strict=True)
    ]
    flats = [constant(band.flat) for band in tiers.bands]
    has_flats = any(band.flat for band in tiers.bands)
    flat = pl.when(base < ZERO).then(ZERO).otherwise(_reached(entered, flats)) if has_flats else None
    if tiers.mode == "flat":
        return ZERO if flat is None else flat
    rate = _reached(entered, [constant(band.rate) for band in tiers.bands])
    if tiers.mode == "volume":
        amount = base * rate
        return amount if flat is None else amount + flat
    below = _below(plan, tiers, bounds, entered)
    amount = (base - _reached(entered, [ZERO, *bounds])) * rate
    amount = amount if flat is None else amount + flat
    return amount if len(tiers.bands) == 1 else _reached(entered, below) + amount


def _reached(entered: Sequence[pl.Expr], values: Sequence[pl.Expr]) -> pl.Expr:
    """The value of the last band that is entered: a band is entered only where the one before it is."""
    found = values[-1]
    for is_entered, value in zip(reversed(entered), reversed(values[:-1]), strict=True):
        found = pl.when(is_entered).then(found).otherwise(value)
    return found


def _below(plan: Plan, tiers: BandTiers, bounds: Sequence[pl.Expr], entered: Sequence[pl.Expr]) -> list[pl.Expr]:
    """By band, what all bands below it come to when each is full."""
    if tiers.prorate is not None:
        return [ZERO, *(plan.keep(each) for each in _summed(tiers, bounds))]
    full = [_ZERO]
    for index, band in enumerate(tiers.bands[:-1]):
        assert band.end is not None, tiers
        try:
            amount = product(difference(band.end, tiers.lower_bounds[index]), band.rate)
            amount = total(amount, band.flat) if band.flat else amount
            full.append(total(full[-1], amount))
        except AmountTooLarge:
            # Whoever gets past this band has an amount that is too large; whoever does not, has not.
            plan.doubt(entered[index])
            full += [_ZERO] * (len(tiers.bands) - len(full))
            break
    return [constant(each) for each in full]


def _summed(tiers: BandTiers, bounds: Sequence[pl.Expr]) -> Iterator[pl.Expr]:
    lower = together = ZERO
    for band, bound in zip(tiers.bands[:-1], bounds, strict=True):
        amount = (bound - lower) * constant(band.rate)
        together = together + (amount + constant(band.flat) if band.flat else amount)
        yield together
        lower = bound


def _bounds(plan: Plan, tiers: BandTiers) -> list[pl.Expr]:
    """Where each band but the last ends: for a contract that begins in this year, in the part of it that is left."""
    ends = [constant(band.end) for band in tiers.bands[:-1] if band.end is not None]
    if tiers.prorate is None:
        return ends
    year, begins = plan.period.first.year, pl.col("begins")
    if tiers.prorate == "months":
        whole, left = _MONTHS, _MONTHS + 1 - begins.dt.month().cast(pl.Int64)
    else:
        end = date(year + 1, 1, 1)
        whole, left = (end - date(year, 1, 1)).days, (pl.lit(end) - begins).dt.total_days()
    months_or_days = pl.when(begins.dt.year() == year).then(left).otherwise(pl.lit(whole, dtype=pl.Int64))
    part = plan.keep(months_or_days.cast(WORKING))
    return [plan.keep(bound * part / constant(Decimal(whole))) for bound in ends]


def _packages(plan: Plan, tiers: PackageTiers, base: pl.Expr) -> pl.Expr:
    chargeable = plan.keep(pl.max_horizontal(ZERO, base - constant(tiers.free)).to_physical())
    size = pl.lit(in_units(tiers.size, WORKING_DIGITS), dtype=pl.Int128)
    packages = chargeable // size + (chargeable % size > 0).cast(pl.Int128)
    return packages.cast(WORKING) * constant(tiers.price)
