"""The grades that an assessment gives, on the way through the steps: partners are few, so that the scorecard itself is
taken by the reference evaluator; what it is told of each partner is summed in columns.
"""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from engine.facts import PARTNER_FIELDS
from engine.money import total
from engine.outcomes import How, Reason
from engine.rules.accounts import earned_points
from engine.rules.assess import Standing, assess
from engine.rules.columns.frames import PARTNER_FACTS, Frames
from engine.rules.columns.measures import measured
from engine.rules.columns.plan import Plan, Undecided, column
from engine.rules.draft import POINTS_EARNED

_ZERO = Decimal(0)
_UNITS_LIMIT = 10**38


def graded(plan: Plan, frames: Frames) -> Frames:
    """Gives every contract the grade of its partner, in the plan and in the frames. Raises Unsettleable, Undecided."""
    assert plan.contents.assessment is not None, plan.contents.rulebook
    frame = plan.gather()
    standings = {
        partner: Standing(_with_points(plan, known), frames.overrides.get(partner))
        for partner, known in _known(plan, frame, frames).items()
    }
    scores = assess(plan.contents.assessment, standings)
    grades = pl.LazyFrame(
        {"partner": list(scores), "grade": [score.grade for score in scores.values()]},
        schema={"partner": pl.String(), "grade": pl.String()},
    )
    plan.frame = frame.lazy().drop("grade").join(grades, on="partner", how="left", maintain_order="left")
    return frames._replace(contracts=plan.frame.select(frames.contracts.columns).collect())


def _known(plan: Plan, frame: pl.DataFrame, frames: Frames) -> dict[str, dict[str, Reason]]:
    """By partner: values, measures over all its facts, and lines so far, over its contracts."""
    contents = plan.contents
    lines = [name for name in plan.known if name not in contents.values and name not in contents.measures]
    for name in lines:
        greatest = frame.select(pl.col(column(name)).abs().to_physical().max()).item() or 0
        if greatest * frame.height >= _UNITS_LIMIT:
            raise Undecided
    sums = frame.lazy().group_by("partner").agg(pl.col(column(name)).sum() for name in lines)
    if contents.measures:
        sums = sums.join(measured(contents, _facts(frame, frames), ("partner",)), on="partner", how="left")
    names = [*contents.measures, *lines]
    rows = sums.select("partner", *(pl.col(column(name)) for name in names)).sort("partner").collect().iter_rows()
    stated = {name: Reason(name, How.value, value) for name, value in contents.values.items()}
    return {
        partner: stated
        | {name: Reason(name, How.total, value or _ZERO) for name, value in zip(names, values, strict=True)}
        for partner, *values in rows
    }


def _facts(frame: pl.DataFrame, frames: Frames) -> pl.DataFrame:
    """The facts of the partners' contracts, and those of their own events, each once."""
    of_contracts = frames.facts.lazy().filter(~pl.col("event").is_in(list(PARTNER_FIELDS)))
    named = of_contracts.join(frame.lazy().select("contract", "partner"), on="contract")
    own = frames.partner_facts.lazy()
    return pl.concat([named.select(PARTNER_FACTS.names()), own.select(PARTNER_FACTS.names())]).collect()


def _with_points(plan: Plan, known: dict[str, Reason]) -> dict[str, Reason]:
    if plan.contents.points is None:
        return known
    value = _ZERO
    for _, reason in earned_points(plan.contents.points, known):
        value = total(value, reason.value)
    return known | {POINTS_EARNED: Reason(POINTS_EARNED, How.total, value)}
