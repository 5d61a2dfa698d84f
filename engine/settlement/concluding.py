"""What a rulebook concludes of many contracts at once: by the column evaluator, and by the reference where it must explain.

The columns settle a whole group in one go. Where one contract cannot be settled they cannot tell, and where partners are
assessed or earn points the reasons are needed; then the reference evaluator is asked.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from engine.aggregates.refusal import Refused
from engine.money import AmountTooLarge, in_units, minor_digits, of_units, plain
from engine.outcomes import Balance, Outcome, Score
from engine.rules.columns.frames import frames_of
from engine.rules.columns.settle import settle_columns
from engine.rules.evaluate import conclude
from engine.rules.formulas import Unsettleable
from engine.rules.given import Cohort
from engine.rules.model import Contents
from engine.settlement.gathering import Group, passed_on
from engine.settlement.statements import Lines, lines_of, refusal_of


class Concluded(NamedTuple):
    """By contract what its statement says, or why there is none; by partner its score."""

    lines: dict[str, Lines]
    refused: dict[str, Refused]
    scores: dict[str, Score]


def concluded(group: Group) -> Concluded:
    """Raises CannotSettle, RateNotPublished where contracts that belong together cannot be settled."""
    contents = group.rulebook.on(group.period.first)
    together = contents.looks_across or contents.assessment is not None
    try:
        if contents.assessment is not None:
            found = conclude(group.rulebook, group.cohort)
            return Concluded(_lines(group, found.contracts), {}, found.scores)
        return Concluded(_in_columns(group, contents), {}, {})
    except (AmountTooLarge, Unsettleable) as error:
        if together:
            raise refusal_of(error, group.period) from error
    return _one_by_one(group)


def _in_columns(group: Group, contents: Contents) -> dict[str, Lines]:
    settled = settle_columns(group.rulebook, group.period, frames_of(group.cohort))
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
    carried = _carried(settled.carried)
    return {
        name: Lines(
            lines[index],
            payable[index],
            tuple((party, format(of_units(units, digits), "f"))
                  for party, units in zip(settled.shares.columns, shares[index], strict=True)),
            settled.currency,
            (*carried.get(name, ()), *passed_on(group.rulebook, group.period, group.cohort.contracts[name])),
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


def _carried(balances: pl.DataFrame) -> dict[str, list[Balance]]:
    found: dict[str, list[Balance]] = {}
    for name, step, kind, day, amount in balances.sort("step", "kind", "day").iter_rows():
        found.setdefault(name, []).append(Balance(step, kind, day, amount))
    return found


def _one_by_one(group: Group) -> Concluded:
    lines: dict[str, Lines] = {}
    refused: dict[str, Refused] = {}
    for name, given in group.cohort.contracts.items():
        try:
            found = conclude(group.rulebook, Cohort({name: given})).contracts
        except (AmountTooLarge, Unsettleable) as error:
            refused[name] = refusal_of(error, group.period)
        else:
            lines |= _lines(group, found)
    return Concluded(lines, refused, {})


def _lines(group: Group, outcomes: dict[str, Outcome]) -> dict[str, Lines]:
    return {name: lines_of(group, name, outcome) for name, outcome in outcomes.items()}
