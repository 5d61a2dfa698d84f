"""Dividing a common pool by units: exactly, at the working precision, so that the shares sum to the pool.

Sources: pro-rata and user-centric division as in streaming services' royalty terms; floors and the remainder from the top
as in Numscript's allotments (Formance).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from engine.money import WORKING_DIGITS, in_units, of_units, plain, split, total, working
from engine.outcomes import How, Reason

_ZERO = Decimal(0)


def divided(pool: Decimal, units: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Each one's part of the pool, in the mapping's order; nobody gets anything of a pool that is not above 0, or without
    units. Units below 0 count as none. The parts are floors of 10^-12, and what is left goes one unit each from the top.
    """
    counted = {name: number for name, number in units.items() if number > 0}
    if pool <= 0 or not counted:
        return dict.fromkeys(units, _ZERO)
    together = sum((Fraction(number) for number in counted.values()), start=Fraction(0))
    portions = [Fraction(number) / together for number in counted.values()]
    parts = split(in_units(working(pool), WORKING_DIGITS), portions)
    shares = {name: of_units(part, WORKING_DIGITS) for name, part in zip(counted, parts, strict=True)}
    return {name: working(shares.get(name, _ZERO)) for name in units}


def share(pool: Decimal, units: Decimal, together: Decimal, got: Decimal, of: str, by: str) -> Reason:
    """Why a contract gets its part of a pool."""
    note = f"{plain(units)} of {plain(together)} {by}"
    return Reason(f"share of the pool of {of}", How.pool, got, note, parts=(Reason(of, How.total, pool, "the pool"),))


def user_centric(
    fees: Mapping[str | None, Decimal], units: Mapping[str, Mapping[str | None, Decimal]]
) -> dict[str, dict[str, tuple[Decimal, Decimal, Decimal, Decimal]]]:
    """By contract and member (such as a customer): what the contract gets of the member's fee, the fee, and the
    contract's units of all the member's. A member that used nothing, and what is of no member, goes to nobody.
    """
    found: dict[str, dict[str, tuple[Decimal, Decimal, Decimal, Decimal]]] = {contract: {} for contract in units}
    for member in sorted(name for name in fees if name is not None):
        used = {contract: each.get(member, _ZERO) for contract, each in units.items()}
        counted = {contract: number for contract, number in used.items() if number > 0}
        together = _ZERO
        for number in counted.values():
            together = total(together, number)
        for contract, got in divided(fees[member], counted).items():
            if got:
                found[contract][member] = (got, fees[member], used[contract], together)
    return found
