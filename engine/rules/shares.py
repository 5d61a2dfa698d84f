"""The payable amount shared between parties in whole minor units, with each share's floor and remainder.

`remaining` is the exact fraction that the others leave, and is floored like every other: 15 by 80%, 15% and remaining
is 13, 2 and 0. Source: Numscript's interpreter (Formance), makeAllotment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

from engine.language.words import part
from engine.money import Rounding, in_units, minor_digits, of_units, plain, round_to, split
from engine.outcomes import How, Reason, Share
from engine.rules.model import Contents
from engine.rules.splitting import Among, portions

SOLE_PARTY = "partner"


def shares(contents: Contents, payable: Decimal, currency: str) -> tuple[Share, ...]:
    """What each party gets; the amounts sum to `payable`, which has the exponent of the currency's minor unit.

    A rulebook without a split gives everything to one party, `partner`. Shares of a negative amount are those of the
    positive one, negated.
    """
    line = Reason(contents.payable_step, How.step, payable, "line above")
    if contents.split is None:
        return (Share(SOLE_PARTY, payable, Reason(SOLE_PARTY, How.share, payable, "everything", parts=(line,))),)
    digits = minor_digits(currency)
    units = in_units(payable, digits)
    found = tuple(_Sharing(digits, -1 if units < 0 else 1).among(contents.split.among, abs(units), line))
    assert sum(in_units(share.amount, digits) for share in found) == units, (payable, found)
    return found


class _Sharing:
    """Units of one currency on their way to the parties; all are positive here, and get their sign as they leave."""

    def __init__(self, digits: int, sign: int) -> None:
        self._digits = digits
        self._sign = sign

    def among(self, among: Sequence[Among], units: int, base: Reason) -> Iterator[Share]:
        for each, got, reasons in self._portioned(among, units):
            amount = self._money(got)
            note = f"{each.described} of {plain_money(base.value)}"
            name = each.party or f"{each.described} of {base.name}"
            reason = Reason(name, How.share, amount, note, parts=(base, *reasons))
            if each.among is not None:
                yield from self.among(each.among, got, reason)
            else:
                assert each.party is not None, each
                yield Share(each.party, amount, reason)

    def _portioned(self, among: Sequence[Among], units: int) -> Iterator[tuple[Among, int, tuple[Reason, ...]]]:
        """Each with its units and why: fixed amounts first, then portions of the rest, and what exceeds caps."""
        left = units
        fixed = {}
        for index, each in enumerate(among):
            if each.amount is not None:
                fixed[index] = min(left, self._units(each.amount))
                left -= fixed[index]
        fractions = portions(among)
        gets = iter(zip(fractions, split(left, fractions) if fractions else [], strict=True))
        shared = {index: next(gets) for index in range(len(among)) if index not in fixed}
        capped = {
            index: self._units(among[index].cap or Decimal(0))
            for index, (_, got) in shared.items()
            if among[index].cap is not None and got > self._units(among[index].cap or Decimal(0))
        }
        exceeding = sum(shared[index][1] - cap for index, cap in capped.items())
        for index, each in enumerate(among):
            if index in fixed:
                yield each, fixed[index], (self._fixed(each, fixed[index]),)
                continue
            fraction, got = shared[index]
            reasons = self._floored(fraction, left, got)
            if index in capped:
                over = self._reason("capped", capped[index] - got, f"at most {plain(each.cap or Decimal(0))}")
                yield each, capped[index], (*reasons, over)
            elif each.portion is None and exceeding:
                yield each, got + exceeding, (*reasons, self._reason("capped", exceeding, "over the caps of others"))
            else:
                yield each, got, reasons

    def _fixed(self, each: Among, got: int) -> Reason:
        return self._reason("fixed", got, f"{plain(each.amount or Decimal(0))}, as far as the amount reaches")

    def _floored(self, fraction: Fraction, units: int, got: int) -> tuple[Reason, ...]:
        floor = units * fraction.numerator // fraction.denominator
        reasons = (self._reason("floor", floor, f"{part(fraction)} down to whole minor units", How.rounding),)
        if got == floor:
            return reasons
        note = "left by the floors, one unit each from the top"
        return (*reasons, self._reason("remainder", got - floor, note, How.remainder))

    def _reason(self, name: str, units: int, note: str, how: How = How.share) -> Reason:
        return Reason(name, how, self._money(units), note)

    def _units(self, amount: Decimal) -> int:
        return in_units(round_to(amount, self._digits, Rounding.down), self._digits)

    def _money(self, units: int) -> Decimal:
        return of_units(self._sign * units, self._digits)


def plain_money(amount: Decimal) -> str:
    return format(amount, "f")
