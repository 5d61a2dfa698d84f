"""The final statement of a contract whose services have all ended: whatever its periods carried is cleared on it.

What waits for payment (held, unpaid) is paid out, what was paid ahead (unrecouped) is claimed back, and the deposit is
returned. Short-workings, counts and returns can only be used in later periods, of which there are none: they lapse. All of it
is one sum with what is payable, so what remains of penalties and claims is taken out of what is returned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from engine.aggregates.contract import Contract
from engine.aggregates.deposit import Deposit
from engine.aggregates.service import Service, left_on
from engine.money import (
    Rounding,
    decimal_of_micros,
    difference,
    in_units,
    minor_digits,
    of_units,
    plain,
    round_to,
    total,
)
from engine.outcomes import Balance
from engine.period import Period
from engine.rules.carrying import HELD, UNPAID, UNRECOUPED
from engine.rules.given import Final
from engine.rules.model import Contents
from engine.rules.shares import SOLE_PARTY, shares

Json = dict[str, Any]
_ZERO = Decimal(0)
# What becomes of a balance by its kind; every other kind lapses.
SIGNS = {HELD: 1, UNPAID: 1, UNRECOUPED: -1}


def final_of(contract: Contract, period: Period, services: Iterable[Service], deposit: Deposit | None) -> Final | None:
    """What makes the contract's statement of the period the final one; None where it is not.

    It is that of the day on which the last service ended, or of the contract's last day in force where that was before it.
    """
    left = left_on(services)
    if left is None:
        return None
    day = max(contract.valid_from, left)
    if contract.valid_to is not None:
        day = min(day, contract.valid_to - timedelta(days=1))
    if not period.first <= day < period.end:
        return None
    return Final(left, decimal_of_micros(deposit.held) if deposit else _ZERO, contract.currency)


def block(contents: Contents, payable: Decimal, currency: str, balances: Sequence[Balance], final: Final) -> Json:
    """What a final statement says beside its lines. `payable` is in `currency`, `balances` are all that the period leaves.

    The parties get of what was carried as much as they would of a payable amount that is so much greater. Raises
    AmountTooLarge.
    """
    cleared = [_line(contents, currency, each) for each in balances]
    moved = _ZERO
    for line in cleared:
        if line["currency"] == currency:
            moved = total(moved, Decimal(line["amount"]))
    others = [line for line in cleared if line["currency"] != currency]
    if final.deposit:
        amount = _shown(final.deposit, final.currency)
        returned = {"name": "deposit", "balance": plain(final.deposit), "amount": amount, "currency": final.currency}
        cleared.append(returned)
        others.append(returned)
    return {
        "left": final.day.isoformat(),
        "lines": cleared,
        "parties": list(_parties(contents, payable, currency, moved, others)),
    }


def _line(contents: Contents, currency: str, balance: Balance) -> Json:
    sign = SIGNS.get(balance.kind, 0)
    step = contents.steps.get(balance.step)
    unit = contents.units[balance.step] if sign and step is not None else currency
    rounding = step.round if step is not None and step.round is not None else Rounding.half_up
    rounded = round_to(balance.amount, minor_digits(unit), rounding) if sign else _ZERO
    return {
        "name": " ".join([balance.kind, "of", balance.step, *([str(balance.day)] if balance.day else [])]),
        "balance": plain(balance.amount),
        "amount": _shown(-rounded if sign < 0 else rounded, unit),
        "currency": unit,
    }


def _parties(
    contents: Contents, payable: Decimal, currency: str, moved: Decimal, others: Iterable[Json]
) -> Iterator[Json]:
    """By currency and party what the cleared amounts come to; the deposit, and other currencies, are the partner's alone."""
    before = {each.party: each.amount for each in shares(contents, payable, currency)}
    after = shares(contents, total(payable, moved), currency)
    gets = {(currency, each.party): difference(each.amount, before[each.party]) for each in after}
    for line in others:
        key = (line["currency"], SOLE_PARTY)
        gets[key] = total(gets.get(key, _ZERO), Decimal(line["amount"]))
    for (unit, party), amount in gets.items():
        yield {"party": party, "currency": unit, "amount": _shown(amount, unit)}


def _shown(amount: Decimal, currency: str) -> str:
    digits = minor_digits(currency)
    return format(of_units(in_units(amount, digits), digits), "f")
