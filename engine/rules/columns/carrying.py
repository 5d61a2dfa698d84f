"""Steps that leave something to the next period, in columns: guarantees, advances and payouts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from engine.language.columns import compiled
from engine.rules.carrying import ACCUMULATED, HELD, SHORT_WORKINGS, UNPAID, UNRECOUPED
from engine.rules.columns.plan import ZERO, Key, Plan, Undecided
from engine.rules.model import Contents
from engine.rules.steps import Advance, BandTiers, Guarantee, PackageTiers, Payout, Step

_KINDS: dict[type, tuple[str, ...]] = {
    BandTiers: (ACCUMULATED,),
    PackageTiers: (ACCUMULATED,),
    Guarantee: (SHORT_WORKINGS,),
    Advance: (UNRECOUPED,),
    Payout: (HELD, UNPAID),
}
_UNITS_LIMIT = 10**38


def spread(contents: Contents, carried: pl.DataFrame) -> tuple[pl.LazyFrame, dict[Key, str]]:
    """The balances, each in the column of its step, kind and day, where a step asks for that; and those columns."""
    wanted = {(step.name, kind) for step in contents.waterfall for kind in _KINDS.get(type(step.rule), ())}
    present = carried.lazy().select("step", "kind", "day").unique().collect().sort("step", "kind", "day").iter_rows()
    keys = [(step, kind, day) for step, kind, day in present if (step, kind) in wanted]
    names = {key: f"carried:{index}" for index, key in enumerate(keys)}
    columns = [_only(*key).alias(name) for key, name in names.items()]
    return carried.lazy().select("contract", *columns), names


def _only(step: str, kind: str, day: date | None) -> pl.Expr:
    is_of = (pl.col("step") == step) & (pl.col("kind") == kind)
    return pl.when(is_of & pl.col("day").eq_missing(pl.lit(day, dtype=pl.Date))).then("amount")


def guarantee(plan: Plan, step: Step, rule: Guarantee) -> pl.Expr:
    """At least the minimum; what is earned above it recoups earlier short-workings, oldest first, until they lapse."""
    of = plan.known[rule.of]
    minimum = plan.keep(compiled(rule.minimum, plan.known))
    is_short = plan.keep(of < minimum)
    over = plan.keep(of - minimum)
    next_first = plan.period.next().first
    left = plan.keep(pl.max_horizontal(ZERO, over))
    for day, carried_in in plan.balances(step.name, SHORT_WORKINGS):
        if day <= plan.period.first:
            continue
        lot = plan.keep(carried_in)
        taking = plan.keep(pl.min_horizontal(lot, left))
        left = plan.keep(left - taking)
        if day > next_first:
            plan.carry(step.name, SHORT_WORKINGS, day, lot - taking)
    lapse = plan.period
    for _ in range(rule.recoup_within + 1):
        lapse = lapse.next()
    plan.carry(step.name, SHORT_WORKINGS, lapse.first, pl.max_horizontal(ZERO, -over))
    return pl.when(is_short).then(minimum).otherwise(minimum + left)


def advance(plan: Plan, step: Step, rule: Advance) -> pl.Expr:
    """`of` after the advances are recouped from it."""
    of = plan.known[rule.of]
    balance = plan.keep(pl.max_horizontal(ZERO, plan.balance(step.name, UNRECOUPED) + plan.known[rule.paid]))
    earned = plan.keep(pl.max_horizontal(ZERO, of))
    if rule.across == "contract":
        recouped = plan.keep(pl.min_horizontal(balance, earned))
        plan.carry(step.name, UNRECOUPED, None, balance - recouped)
        return of - recouped
    _check_sums(plan, [balance, earned])
    owed = plan.keep(balance.sum().over("partner"))
    recouped = plan.keep(_from_the_first(owed, earned))
    plan.carry(
        step.name, UNRECOUPED, None, balance - _from_the_first(plan.keep(recouped.sum().over("partner")), balance)
    )
    return of - recouped


def _from_the_first(amount: pl.Expr, parts: pl.Expr) -> pl.Expr:
    """How much of the amount, a partner's, each of its contracts' parts takes, in the order of their ids."""
    before = parts.cum_sum().over("partner", order_by="contract") - parts
    return pl.min_horizontal(parts, pl.max_horizontal(ZERO, amount - before))


def _check_sums(plan: Plan, summed: Sequence[pl.Expr]) -> None:
    """Sums within groups wrap silently: they are taken only where no sum over all contracts is too large."""
    frame = plan.gather()
    for each in summed:
        greatest = frame.select(each.to_physical().max()).item() or 0
        if greatest * frame.height >= _UNITS_LIMIT:
            raise Undecided


def payout(plan: Plan, step: Step, rule: Payout) -> pl.Expr:
    """What has matured, where it comes to the minimum; else it is carried."""
    of = plan.known[rule.of]
    end = plan.period.end
    matures = end + timedelta(days=rule.hold - 1)
    held: dict[date, list[pl.Expr]] = {matures: [of]}
    for day, lot in plan.balances(step.name, HELD):
        held.setdefault(day, []).insert(0, lot)
    balance = plan.balance(step.name, UNPAID)
    for day in sorted(held):
        if day < end:
            for lot in held[day]:
                balance = balance + lot
        else:
            plan.carry(step.name, HELD, day, _added(held[day]))
    balance = plan.keep(balance)
    enough = balance > ZERO
    if rule.minimum is not None:
        enough = enough & (balance >= compiled(rule.minimum, plan.known))
    paid = plan.keep(pl.when(enough).then(balance).otherwise(ZERO))
    plan.carry(step.name, UNPAID, None, balance - paid)
    return paid


def _added(lots: Sequence[pl.Expr]) -> pl.Expr:
    first, *others = lots
    for lot in others:
        first = first + lot
    return first
