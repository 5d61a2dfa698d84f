"""The payable amount shared between parties in whole minor units, with each share's floor and remainder.

`remaining` is the exact fraction that the others leave, and is floored like every other: 15 by 80%, 15% and remaining
is 13, 2 and 0. Source: Numscript's interpreter (Formance), makeAllotment.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from engine.money import split
from engine.outcomes import How, Reason, Share
from engine.rules.model import Rulebook
from engine.rules.words import part

SOLE_PARTY = "partner"


def shares(rulebook: Rulebook, payable: Decimal) -> tuple[Share, ...]:
    """What each party gets; the amounts sum to `payable`, which has the exponent of the currency's minor unit.

    A rulebook without a split gives everything to one party, `partner`.
    """
    line = Reason(rulebook.payable_step, How.step, payable, "line above")
    if rulebook.split is None:
        return (Share(SOLE_PARTY, payable, Reason(SOLE_PARTY, How.share, payable, "everything", parts=(line,))),)
    digits = rulebook.minor_digits
    units = int(format(payable, "f").replace(".", ""))
    portions = rulebook.split.portions
    rows = zip(rulebook.split.among, portions, split(units, portions), strict=True)
    return tuple(_share(each.party, each.described, portion, units, got, line, digits) for each, portion, got in rows)


def _share(party: str, described: str, portion: Fraction, units: int, got: int, line: Reason, digits: int) -> Share:
    floor = abs(units) * portion.numerator // portion.denominator
    floor = floor if units >= 0 else -floor
    value = _money(got, digits)
    note = f"{described} of {line.value}"
    parts = [line, Reason("floor", How.rounding, _money(floor, digits), f"{part(portion)} down to whole minor units")]
    if got != floor:
        unit = _money(got - floor, digits)
        parts.append(Reason("remainder", How.remainder, unit, "left by the floors, one unit each from the top"))
    return Share(party, value, Reason(party, How.share, value, note, parts=tuple(parts)))


def _money(units: int, digits: int) -> Decimal:
    # From text, because arithmetic would round to the precision of whatever context the thread has.
    return Decimal(f"{units}E-{digits}")
