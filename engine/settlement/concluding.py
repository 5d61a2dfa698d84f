"""What a rulebook concludes of many contracts at once: by the column evaluator, and by the reference where it must explain.

The columns settle a whole group in one go. Where one contract cannot be settled they cannot tell, and where partners are
assessed or earn points the reasons are needed; then the reference evaluator is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from engine.aggregates.refusal import Refused
from engine.money import AmountTooLarge, in_units, minor_digits, of_units, plain
from engine.outcomes import Balance, Outcome, Score
from engine.period import Period
from engine.rules.columns.frames import CARRIED, Frames, Settled, cohort_of, frames_of
from engine.rules.columns.settle import settle_columns
from engine.rules.evaluate import conclude
from engine.rules.formulas import Unsettleable
from engine.rules.given import Cohort
from engine.rules.model import Contents, Rulebook
from engine.settlement.gathering import Group, passed_on
from engine.settlement.statements import Lines, lines_of, refusal_of


class Concluded(NamedTuple):
    """By contract what its statement says, or why there is none; by partner its score."""

    lines: dict[str, Lines]
    refused: dict[str, Refused]
    scores: dict[str, Score]


class Found(NamedTuple):
    """What was found for all contracts of some frames: in columns, or outcome by outcome; and why some have none.

    `carried` has the columns of engine.rules.columns.frames.CARRIED, sorted by step, kind and day.
    """

    contents: Contents
    settled: Settled | None
    outcomes: dict[str, Outcome]
    carried: pl.DataFrame
    refused: dict[str, Refused]
    scores: dict[str, Score]

    def lines(self, left: Mapping[str, tuple[Balance, ...]]) -> dict[str, Lines]:
        """What the statements say. `left` is all that the period leaves of each contract."""
        if self.settled is not None:
            return _lines_in_columns(self.contents, self.settled, left)
        return {name: lines_of(outcome, left.get(name, ())) for name, outcome in self.outcomes.items()}


def concluded(group: Group) -> Concluded:
    """Raises CannotSettle, RateNotPublished where contracts that belong together cannot be settled."""
    found = settled_frames(group.rulebook, group.period, frames_of(group.cohort))
    if found.refused and belong_together(found.contents):
        raise next(iter(found.refused.values()))
    own: dict[str, list[Balance]] = {}
    for name, *balance in found.carried.iter_rows():
        own.setdefault(name, []).append(Balance(*balance))
    left = {
        name: (*own.get(name, ()), *passed_on(group.rulebook, group.period, given))
        for name, given in group.cohort.contracts.items()
    }
    return Concluded(found.lines(left), found.refused, found.scores)


def belong_together(contents: Contents) -> bool:
    """Whether contracts are settled together, all or none: the rulebook looks across them, or assesses their partners."""
    return contents.looks_across or contents.assessment is not None


def settled_frames(rulebook: Rulebook, period: Period, frames: Frames) -> Found:
    """What the rulebook concludes of all contracts of the frames: the one way from what is given to what is issued."""
    contents = rulebook.on(period.first)
    try:
        if contents.assessment is not None:
            found = conclude(rulebook, cohort_of(period, frames))
            return _of_outcomes(contents, found.contracts, {}, found.scores)
        settled = settle_columns(rulebook, period, frames)
        return Found(contents, settled, {}, settled.carried, {}, {})
    except (AmountTooLarge, Unsettleable) as error:
        if belong_together(contents):
            refusal = refusal_of(error, period)
            return _of_outcomes(contents, {}, dict.fromkeys(frames.contracts["contract"], refusal), {})
    outcomes: dict[str, Outcome] = {}
    refused: dict[str, Refused] = {}
    for name, given in cohort_of(period, frames).contracts.items():
        try:
            outcomes |= conclude(rulebook, Cohort({name: given})).contracts
        except (AmountTooLarge, Unsettleable) as error:
            refused[name] = refusal_of(error, period)
    return _of_outcomes(contents, outcomes, refused, {})


def _of_outcomes(
    contents: Contents, outcomes: dict[str, Outcome], refused: dict[str, Refused], scores: dict[str, Score]
) -> Found:
    rows = [(name, *balance) for name, outcome in outcomes.items() for balance in outcome.carried]
    carried = pl.DataFrame(rows, schema=CARRIED, orient="row").sort("step", "kind", "day", maintain_order=True)
    return Found(contents, None, outcomes, carried, refused, scores)


def _lines_in_columns(
    contents: Contents, settled: Settled, left: Mapping[str, tuple[Balance, ...]]
) -> dict[str, Lines]:
    digits = minor_digits(settled.currency)
    columns = [_texts(settled.lines[line.name], line, contents) for line in _shown(contents)]
    names = [(line.name, line.clause, contents.units[line.name]) for line in _shown(contents)]
    lines = [
        tuple((name, amount, clause, unit) for (name, clause, unit), amount in zip(names, row, strict=True))
        for row in zip(*columns, strict=True)
    ]
    payable = next(
        column for column, line in zip(columns, _shown(contents), strict=True) if line.name == contents.payable_step
    )
    shares = settled.shares.rows()
    return {
        name: Lines(
            lines[index],
            payable[index],
            tuple((party, format(of_units(units, digits), "f"))
                  for party, units in zip(settled.shares.columns, shares[index], strict=True)),
            settled.currency,
            left.get(name, ()),
        )
        for index, name in enumerate(settled.contracts)
    }  # fmt: skip


class _Shown(NamedTuple):
    """A line of a statement: a step, or one of its deductions, which are never rounded."""

    name: str
    clause: str | None
    is_rounded: bool


def _shown(contents: Contents) -> list[_Shown]:
    return [
        line
        for step in contents.waterfall
        for line in (
            *(_Shown(each.name, each.clause or step.clause, False) for each in (step.net.less if step.net else ())),  # noqa: FBT003
            _Shown(step.name, step.clause, step.round is not None),
        )
    ]


def _texts(amounts: pl.Series, line: _Shown, contents: Contents) -> list[str]:
    """Each amount as a statement shows it; a column holds the working digits also of what is rounded."""
    if not line.is_rounded:
        return [plain(amount) for amount in amounts]
    digits = contents.digits_of(line.name)
    return [format(of_units(in_units(amount, digits), digits), "f") for amount in amounts]
