"""Steps that leave something to the next period: minimum guarantees, advances and payouts.

Each takes the value that it works on and the balances carried in, and gives its reason and the balances that it leaves.

Sources: a minimum guarantee with recoupable short-workings as in royalty accounting; recoupable advances, separate or
cross-collateralised, as in recording contracts; holds and minimum payouts as in marketplaces' terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from engine.money import difference, plain, total
from engine.outcomes import Balance, How, Reason
from engine.period import Period

_ZERO = Decimal(0)
ACCUMULATED, SHORT_WORKINGS, UNRECOUPED = "accumulated", "short-workings", "unrecouped"
HELD, UNPAID, RETURNED = "held", "unpaid", "returned"


class Left(NamedTuple):
    """What a step comes to, why, and what it carries to the next period."""

    reason: Reason
    carried: tuple[Balance, ...]


def kept(balances: Iterable[Balance]) -> tuple[Balance, ...]:
    """Balances as they are carried: without those of 0."""
    return tuple(balance for balance in balances if balance.amount)


def lots(carried: Sequence[Balance], step: str, kind: str) -> list[Balance]:
    """The step's balances of the kind, oldest first."""
    found = [balance for balance in carried if balance.step == step and balance.kind == kind]
    return sorted(found, key=lambda balance: (balance.day is not None, balance.day or date.min))


def balance_of(carried: Sequence[Balance], step: str, kind: str, day: date | None = None) -> Decimal | None:
    """The one balance of the step, kind and day; None where nothing was carried."""
    return next((each.amount for each in carried if each[:3] == (step, kind, day)), None)


def guarantee(step: str, of: Reason, minimum: Reason, within: int, carried: Sequence[Balance], period: Period) -> Left:
    """At least the minimum; what is earned above it recoups earlier short-workings, oldest first, until they lapse.

    A lot's day is the first day of the period in which it can no longer be recouped. Raises AmountTooLarge.
    """
    found = lots(carried, step, SHORT_WORKINGS)
    live = [lot for lot in found if lot.day is not None and lot.day > period.first]
    lapsed = [lot for lot in found if lot not in live]
    parts = [of, minimum, *(_carried(lot, "short-workings, to be recouped before") for lot in live)]
    parts += [Reason(lot.step, How.lapsed, lot.amount, f"short-workings, lapsed on {lot.day}") for lot in lapsed]
    if of.value < minimum.value:
        short = difference(minimum.value, of.value)
        lapse = _periods_later(period, within + 1)
        live = [*live, Balance(step, SHORT_WORKINGS, lapse.first, short)]
        parts.append(Reason("short-workings", How.difference, short, f"recouped before {lapse.first}, or lapsed"))
        amount = minimum.value
    else:
        excess = difference(of.value, minimum.value)
        live, taken = _recouped(live, excess)
        together = _ZERO
        for part in taken:
            together = total(together, part.value)
        parts += taken
        amount = difference(of.value, together)
    next_first = period.next().first
    carried_on = kept(lot for lot in live if lot.day is not None and lot.day > next_first)
    reason = Reason(f"{of.name}, at least {minimum.name}", How.maximum, amount, parts=tuple(parts))
    return Left(reason, carried_on)


def _recouped(live: Sequence[Balance], excess: Decimal) -> tuple[list[Balance], list[Reason]]:
    left, taken = [], []
    for lot in live:
        taking = min(lot.amount, excess)
        excess = difference(excess, taking)
        if taking:
            taken.append(Reason("recouped", How.recouped, taking, f"of the short-workings until {lot.day}"))
        left.append(lot._replace(amount=difference(lot.amount, taking)))
    return left, taken


def _periods_later(period: Period, number: int) -> Period:
    for _ in range(number):
        period = period.next()
    return period


def _carried(balance: Balance, note: str) -> Reason:
    day = f" {balance.day}" if balance.day else ""
    return Reason(balance.step, How.carried, balance.amount, f"{note}{day}")


def unrecouped(step: str, paid: Reason, carried: Sequence[Balance]) -> Decimal:
    """What is to be recouped of a contract's advances. Raises AmountTooLarge."""
    return max(_ZERO, total(balance_of(carried, step, UNRECOUPED) or _ZERO, paid.value))


def advances(step: str, of: Sequence[Reason], paid: Sequence[Reason], balances: Sequence[Decimal]) -> list[Left]:
    """What contracts that recoup together get, in order: all of them for one balance. Raises AmountTooLarge.

    What each earns recoups what is left of the sum of the balances; what was recouped lowers the balances from the first.
    """
    owed = _ZERO
    for balance in balances:
        owed = total(owed, balance)
    recouped: list[Decimal] = []
    left = owed
    for earned in of:
        taking = min(left, max(_ZERO, earned.value))
        left = difference(left, taking)
        recouped.append(taking)
    covered = difference(owed, left)
    together = len(of) > 1
    result = []
    for earned, paid_now, balance, taken in zip(of, paid, balances, recouped, strict=True):
        lowered = min(balance, covered)
        covered = difference(covered, lowered)
        remaining = difference(balance, lowered)
        before = difference(balance, paid_now.value) if balance else _ZERO
        parts = [earned, paid_now, Reason(step, How.carried, before, "unrecouped before")]
        parts.append(Reason("recouped", How.recouped, taken, f"of {plain(owed)} unrecouped" + (
            f" over {len(of)} contracts of the partner" if together else "")))  # fmt: skip
        parts.append(Reason("unrecouped", How.carried, remaining, "left to later periods"))
        amount = difference(earned.value, taken)
        reason = Reason(f"{earned.name} less recouped advances", How.difference, amount, parts=tuple(parts))
        result.append(Left(reason, kept([Balance(step, UNRECOUPED, None, remaining)])))
    return result


def payout(
    step: str, of: Reason, hold: int, minimum: Reason | None, carried: Sequence[Balance], period: Period
) -> Left:
    """What has matured is paid when it comes to the minimum; else it is carried. Raises AmountTooLarge.

    A lot's day is the one on which it matures: `hold` days after the period's last day.
    """
    matures = period.end + timedelta(days=hold - 1)
    held = lots([*carried, Balance(step, HELD, matures, of.value)], step, HELD)
    unpaid = balance_of(carried, step, UNPAID) or _ZERO
    parts = [of, Reason(step, How.carried, unpaid, "unpaid before")]
    balance, waiting = unpaid, dict[date, Decimal]()
    for lot in held:
        assert lot.day is not None, lot
        if lot.day < period.end:
            balance = total(balance, lot.amount)
            parts.append(_carried(lot, "matured on"))
        else:
            waiting[lot.day] = total(waiting.get(lot.day, _ZERO), lot.amount)
            parts.append(_carried(lot, "held until"))
    least = _ZERO if minimum is None else minimum.value
    if minimum is not None:
        parts.append(minimum)
    paid = balance if balance > 0 and balance >= least else _ZERO
    note = "" if paid else f"{plain(balance)} has matured, which is carried" if balance else "nothing has matured"
    rest = kept(
        [Balance(step, UNPAID, None, difference(balance, paid)),
         *(Balance(step, HELD, day, amount) for day, amount in sorted(waiting.items()))]
    )  # fmt: skip
    return Left(Reason(f"what has matured of {of.name}", How.total, paid, note, parts=tuple(parts)), rest)
