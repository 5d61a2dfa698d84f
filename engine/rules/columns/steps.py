"""Steps that need no other contract, compiled."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from engine.language.columns import compiled, constant
from engine.language.expression import Binary, Constant, Extreme, Name, Negation
from engine.money import difference
from engine.rules.columns import carrying
from engine.rules.columns.plan import ZERO, Plan
from engine.rules.columns.tiers import tiered
from engine.rules.converting import day_of, latest
from engine.rules.steps import (
    Advance,
    BandTiers,
    Cap,
    Clawback,
    Coefficient,
    Convert,
    Floor,
    Guarantee,
    Net,
    PackageTiers,
    Payout,
    Pool,
    Step,
    Tax,
    TopUp,
)

_ONE = Decimal(1)


def value_of(plan: Plan, step: Step) -> pl.Expr:  # noqa: C901, PLR0911, PLR0912 - one return a rule
    """The step's amount before it is rounded. Raises Undecided."""
    known = plan.known
    match step.rule:
        case Constant() | Name() | Negation() | Binary() | Extreme():
            return compiled(step.rule, known)
        case Floor(of=of, at=at):
            return pl.max_horizontal(known[of], compiled(at, known))
        case Cap(of=of, at=at):
            return pl.min_horizontal(known[of], compiled(at, known))
        case TopUp(of=of, commitment=commitment):
            return pl.max_horizontal(ZERO, compiled(commitment, known) - known[of])
        case Tax(of=of, rate=rate, method=method):
            taken = known[of] * constant(rate)
            return taken if method == "withhold" else taken / constant(difference(_ONE, rate))
        case BandTiers() | PackageTiers():
            return tiered(plan, step, step.rule)
        case Net():
            return _net(plan, step.rule)
        case Guarantee():
            return carrying.guarantee(plan, step, step.rule)
        case Advance():
            return carrying.advance(plan, step, step.rule)
        case Payout():
            return carrying.payout(plan, step, step.rule)
        case Coefficient():
            return _coefficient(plan, step.rule)
        case Convert():
            return _converted(plan, step.rule)
        case Pool() | Clawback():
            raise AssertionError(step)


def _net(plan: Plan, rule: Net) -> pl.Expr:
    gross = rest = plan.known[rule.of]
    for each in rule.less:
        if each.amount is not None:
            taken = compiled(each.amount, plan.known)
        else:
            assert each.rate is not None, each
            taken = constant(each.rate) * (gross if each.on == "gross" else rest)
        plan.line(each.name, -taken)
        rest = plan.keep(rest + plan.known[each.name])
    return rest


def _coefficient(plan: Plan, rule: Coefficient) -> pl.Expr:
    grade = pl.col("grade" if rule.grade == "this" else "grade_before")
    factors = rule.factors
    if not factors and plan.contents.assessment is not None:
        stated = plan.contents.assessment.consequences
        factors = {name: each.coefficient for name, each in stated.items() if each.coefficient is not None}
    if rule.ungraded is None:
        plan.doubt(~grade.is_in(list(factors), nulls_equal=True) | grade.is_null())
    factor = constant(rule.ungraded or Decimal(0))
    for name, each in factors.items():
        factor = pl.when(grade == name).then(constant(each)).otherwise(factor)
    return plan.known[rule.of] * factor


def _converted(plan: Plan, rule: Convert) -> pl.Expr:
    of, unit = plan.known[rule.of], plan.contents.units[rule.of]
    if unit == rule.to:
        return of
    day = day_of(rule, plan.period)
    if (rate := latest(rule, plan.rates, unit, rule.to, day)) is not None:
        return of * constant(rate.rate)
    if (rate := latest(rule, plan.rates, rule.to, unit, day)) is not None:
        return of / constant(rate.rate)
    plan.doubt(of != ZERO)  # nothing needs no rate
    return of
