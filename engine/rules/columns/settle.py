"""The column evaluator: all contracts of a rulebook in one period at once, equal to the reference evaluator.

A rulebook is compiled to one lazy Polars query of Decimal(38, 12) and integers, never floats; only steps that look across
contracts compute what is planned so far. Where the columns cannot tell (an amount is too large, a divisor is 0, a rate or
a factor is missing) the contracts at fault are narrowed down and handed to the reference evaluator, which says what is
wrong, or what they come to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from engine.language.columns import WORKING
from engine.money import in_units, minor_digits
from engine.outcomes import Outcome
from engine.period import Period
from engine.rules.columns.assessing import graded
from engine.rules.columns.clawback import taken_back
from engine.rules.columns.frames import CARRIED, Frames, Settled, cohort_of
from engine.rules.columns.opening import opened
from engine.rules.columns.plan import Plan, column
from engine.rules.columns.pools import pooled
from engine.rules.columns.splits import shared
from engine.rules.columns.steps import value_of
from engine.rules.dependencies import ASSESSED, crossing
from engine.rules.evaluate import settle_cohort
from engine.rules.model import Contents, Rulebook
from engine.rules.shares import SOLE_PARTY
from engine.rules.steps import Clawback, Pool, Step

# So many contracts the reference evaluator is asked about at once, where the columns cannot tell.
_ASKED_MAX = 64


def settle_columns(rulebook: Rulebook, period: Period, inputs: Frames) -> Settled:
    """What the rulebook concludes of each contract, in the order of `inputs.contracts`.

    Raises Unsettleable, RateMissing and AmountTooLarge as the reference evaluator does, naming contract and step.
    """
    contents = rulebook.on(period.first)
    try:
        return in_columns(rulebook, period, inputs)
    except (ArithmeticError, pl.exceptions.ComputeError, pl.exceptions.InvalidOperationError):
        if inputs.contracts.height <= _ASKED_MAX or crossing(contents.waterfall) or contents.assessment:
            return by_reference(rulebook, period, inputs)
    half = inputs.contracts.height // 2
    parts = [inputs.contracts[:half], inputs.contracts[half:]]
    return _together([settle_columns(rulebook, period, _only(part, inputs)) for part in parts])


def in_columns(rulebook: Rulebook, period: Period, inputs: Frames) -> Settled:
    """As `settle_columns`, by the columns alone: raises Undecided or what Polars raises where they cannot tell."""
    contents = rulebook.on(period.first)
    if not inputs.contracts.height:
        return by_reference(rulebook, period, inputs)
    plan = opened(contents, period, inputs)
    for name in contents.order:
        if name == ASSESSED:
            inputs = graded(plan, inputs)
        else:
            step = contents.steps[name]
            plan.settle(step, _value(plan, step, rulebook, inputs))
    names = _lines(contents)
    computed = plan.computed(
        [
            pl.col("contract"),
            *(pl.col(column(name)) for name in names),
            *(pl.col(carry.column) for carry in plan.carried),
        ]
    )
    lines = computed.select(pl.col(column(name)).alias(name) for name in names)
    payable = lines[contents.payable_step]
    return Settled(
        computed["contract"],
        lines,
        payable,
        shared(contents, payable),
        _carried(plan, computed),
        contents.payable_currency,
    )


def _value(plan: Plan, step: Step, rulebook: Rulebook, inputs: Frames) -> pl.Expr:
    match step.rule:
        case Pool():
            return pooled(plan, step.rule, inputs.facts)
        case Clawback():
            return taken_back(plan, step, step.rule, rulebook, inputs)
        case _:
            return value_of(plan, step)


def _lines(contents: Contents) -> list[str]:
    return [name for step in contents.waterfall for name in step.lines]


def _carried(plan: Plan, computed: pl.DataFrame) -> pl.DataFrame:
    lots = [
        computed.lazy()
        .filter(pl.col(carry.column) != 0)
        .select(
            "contract",
            pl.lit(carry.step).alias("step"),
            pl.lit(carry.kind).alias("kind"),
            pl.lit(carry.day, dtype=pl.Date).alias("day"),
            pl.col(carry.column).alias("amount"),
        )
        for carry in sorted(plan.carried, key=lambda each: (each.step, each.kind, str(each.day or "")))
    ]
    together = pl.concat([CARRIED.to_frame(eager=False), *lots]).collect()
    if not plan.apart:
        return together
    return pl.concat([together, *plan.apart]).sort("step", "kind", "day", maintain_order=True)


def _only(contracts: pl.DataFrame, inputs: Frames) -> Frames:
    mine = contracts.select("contract")
    return inputs._replace(
        contracts=contracts,
        facts=inputs.facts.join(mine, on="contract", how="semi"),
        carried=inputs.carried.join(mine, on="contract", how="semi"),
    )


def _together(parts: Sequence[Settled]) -> Settled:
    return Settled(
        pl.concat([part.contracts for part in parts]),
        pl.concat([part.lines for part in parts]),
        pl.concat([part.payable for part in parts]),
        pl.concat([part.shares for part in parts]),
        pl.concat([part.carried for part in parts]).sort("step", "kind", "day", maintain_order=True),
        parts[0].currency,
    )


def by_reference(rulebook: Rulebook, period: Period, inputs: Frames) -> Settled:
    """What the reference evaluator says. Raises as it does."""
    contents = rulebook.on(period.first)
    found = settle_cohort(rulebook, cohort_of(period, inputs))
    contracts = inputs.contracts["contract"]
    outcomes = [found[name] for name in contracts]
    amounts = [[line.amount for line in outcome.lines] for outcome in outcomes]
    parties = contents.split.parties if contents.split else (SOLE_PARTY,)
    digits = minor_digits(contents.payable_currency)
    units = [[in_units(share.amount, digits) for share in outcome.shares] for outcome in outcomes]
    lines = pl.DataFrame(amounts, schema=dict.fromkeys(_lines(contents), WORKING), orient="row")
    shares = pl.DataFrame(units, schema=dict.fromkeys(parties, pl.Int128()), orient="row")
    carried = pl.DataFrame(list(_balances(contracts, outcomes)), schema=CARRIED, orient="row")
    return Settled(
        contracts,
        lines,
        lines[contents.payable_step],
        shares,
        carried.sort("step", "kind", "day", maintain_order=True),
        contents.payable_currency,
    )


def _balances(contracts: Iterable[str], outcomes: Iterable[Outcome]) -> Iterable[tuple[object, ...]]:
    for contract, outcome in zip(contracts, outcomes, strict=True):
        yield from ((contract, *balance) for balance in outcome.carried)
