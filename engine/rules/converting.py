"""Amounts in another currency, by rates that were published for a day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from engine.money import plain, product, quotient
from engine.outcomes import How, Reason
from engine.period import Period
from engine.rules.formulas import RateMissing
from engine.rules.given import Rate
from engine.rules.steps import Convert


def converted(rule: Convert, of: Reason, unit: str, rates: Iterable[Rate], period: Period) -> Reason:
    """`of`, which is in `unit`, in the currency `rule.to`. Raises RateMissing and AmountTooLarge.

    A rate of the pair multiplies; where only its inverse was published, it divides.
    """
    if unit == rule.to or not of.value:
        return of  # nothing needs no rate
    found = list(rates)
    day = day_of(rule, period)
    rate = latest(rule, found, unit, rule.to, day)
    if rate is not None:
        reason = Reason(f"{unit}/{rule.to}", How.rate, rate.rate, f"{rate.publisher}, {rate.day}")
        return Reason(f"{of.name} in {rule.to}", How.product, product(of.value, rate.rate), parts=(of, reason))
    rate = latest(rule, found, rule.to, unit, day)
    if rate is not None:
        reason = Reason(f"{rule.to}/{unit}", How.rate, rate.rate, f"{rate.publisher}, {rate.day}, divided by")
        return Reason(f"{of.name} in {rule.to}", How.quotient, quotient(of.value, rate.rate), parts=(of, reason))
    since = f" or up to {rule.within} days before" if rule.within else ""
    raise RateMissing(
        f"{rule.publisher} published no rate of {unit} to {rule.to} for {day}{since}; send its fx.rate_published "
        f"({plain(of.value)} {unit} waits for it)"
    )


def day_of(rule: Convert, period: Period) -> date:
    """The day whose rate is wanted."""
    return period.first if rule.on == "first_day" else period.end - timedelta(days=1)


def latest(rule: Convert, rates: Iterable[Rate], base: str, quote: str, day: date) -> Rate | None:
    """The latest rate of the pair within the days that the rule allows."""
    wanted = (rule.publisher, base, quote)
    allowed = [rate for rate in rates if rate[:3] == wanted and day - timedelta(days=rule.within) <= rate.day <= day]
    return max(allowed, key=lambda rate: rate.day, default=None)
