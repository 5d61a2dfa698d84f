"""What is known of all contracts before the first step: their measures and the balances that they carry in."""

from __future__ import annotations

import polars as pl

from engine.period import Period
from engine.rules.columns.carrying import spread
from engine.rules.columns.frames import CONTRACTS, Frames, Measured
from engine.rules.columns.measures import masked, surely_small, working_values
from engine.rules.columns.plan import Key, Plan
from engine.rules.model import Contents

_ORDER = "order:"


def opened(contents: Contents, period: Period, frames: Frames) -> Plan:
    """A plan in which the measures are known, in the order of the contracts. Raises Undecided, and what Polars raises.

    All that is known of a contract is put below each other and grouped once: joins of long frames cost more.
    """
    asked = (contents.currency, contents.currencies, contents.measures)
    values, before = _remembered(frames, asked), dict[Key, str]()
    if values is None:
        values, before = _measured(contents, frames)
        if frames.memo is not None and not frames.carried.height:
            frames.memo.append(Measured(frames.contracts["contract"], frames.facts, asked, values))
    named = frames.contracts.select(CONTRACTS.names()).with_columns(pl.col("partner").fill_null(""))
    frame = named.hstack(values).lazy().with_columns(working_values(contents))
    plan = Plan(contents, period, frame, before, frames.rates)
    if not surely_small(frames.facts):
        plan.gather()  # what no step asks for must fit, too
    return plan


def _measured(contents: Contents, frames: Frames) -> tuple[pl.DataFrame, dict[Key, str]]:
    facts = masked(contents, frames.facts)
    carried, before = spread(contents, frames.carried)
    contracts = frames.contracts.lazy().select("contract", pl.int_range(pl.len()).alias(_ORDER))
    # A contract has one balance of a step, kind and day, so that the greatest is that one.
    once = pl.col(_ORDER, *before.values()).max()
    grouped = (
        pl.concat([contracts, facts.rows, carried], how="diagonal")
        .group_by("contract")
        .agg(once, *facts.sums)
        .filter(pl.col(_ORDER).is_not_null())
        .sort(_ORDER)
    )
    values = facts.joined(grouped, ["contract"]).drop(_ORDER, "contract").collect()
    assert values.height == frames.contracts.height, "a contract stands twice"
    return values, before


def _remembered(frames: Frames, asked: tuple[object, ...]) -> pl.DataFrame | None:
    if frames.carried.height:
        return None
    contracts = frames.contracts["contract"]
    for each in frames.memo or ():
        if each.facts is frames.facts and each.asked == asked and each.contracts.equals(contracts):
            return each.values
    return None
