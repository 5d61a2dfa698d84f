"""What a rulebook concludes of many contracts at once: by the column evaluator, and by the reference where it must explain.

The columns settle a whole group in one go. Where one contract cannot be settled they cannot tell, and where partners are
assessed or earn points the reasons are needed; then the reference evaluator is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

import polars as pl

from engine.aggregates.refusal import Refused
from engine.language.columns import WORKING, constant
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
from engine.settlement.statements import Lines, finished, lines_of, refusal_of


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

    def amounts(self) -> pl.DataFrame:
        """Every amount: contract, kind (line, payable or share), name, unit, and amount at the working precision."""
        if self.settled is not None:
            return _amounts_in_columns(self.contents, self.settled)
        rows = [
            (name, *row)
            for name, outcome in self.outcomes.items()
            for row in (
                *(("line", line.name, line.unit, line.amount) for line in outcome.lines),
                ("payable", "payable", outcome.currency, outcome.payable),
                *(("share", share.party, outcome.currency, share.amount) for share in outcome.shares),
            )
        ]
        return pl.DataFrame(rows, schema=_AMOUNTS, orient="row")


_AMOUNTS = pl.Schema(
    {"contract": pl.String(), "kind": pl.String(), "name": pl.String(), "unit": pl.String(), "amount": WORKING}
)


def _amounts_in_columns(contents: Contents, settled: Settled) -> pl.DataFrame:
    """A line after the other, in the order of kind and name; of each the contracts in their order."""
    currency = settled.currency
    unit = constant(Decimal(1).scaleb(-minor_digits(currency)))
    shares = settled.shares.select(pl.all().cast(WORKING) * unit)
    parts = [
        *(("line", line.name, contents.units[line.name], line) for line in settled.lines),
        ("payable", "payable", currency, settled.payable),
        *(("share", share.name, currency, share) for share in shares),
    ]
    frames = [
        pl.select(
            settled.contracts.alias("contract"), pl.lit(kind).alias("kind"), pl.lit(name).alias("name"),
            pl.lit(of).alias("unit"), column.alias("amount"),
        )
        for kind, name, of, column in sorted(parts, key=itemgetter(0, 1))
    ]  # fmt: skip
    return pl.concat(frames)


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
    givens = group.cohort.contracts
    lines = {
        name: finished(said, group.rulebook, group.period, givens[name].final)
        for name, said in found.lines(left).items()
    }
    return Concluded(lines, found.refused, found.scores)


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
    columns = [_texts(settled.lines[line.name], line, contents) for line in shown_lines(contents)]
    names = [(line.name, line.clause, contents.units[line.name]) for line in shown_lines(contents)]
    lines = [
        tuple((name, amount, clause, unit) for (name, clause, unit), amount in zip(names, row, strict=True))
        for row in zip(*columns, strict=True)
    ]
    payable = next(
        column
        for column, line in zip(columns, shown_lines(contents), strict=True)
        if line.name == contents.payable_step
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


class Shown(NamedTuple):
    """A line of a statement: a step, or one of its deductions, which are never rounded."""

    name: str
    clause: str | None
    is_rounded: bool


def shown_lines(contents: Contents) -> list[Shown]:
    """The lines of a statement, in order."""
    return [
        line
        for step in contents.waterfall
        for line in (
            *(Shown(each.name, each.clause or step.clause, False) for each in (step.net.less if step.net else ())),  # noqa: FBT003
            Shown(step.name, step.clause, step.round is not None),
        )
    ]


def _texts(amounts: pl.Series, line: Shown, contents: Contents) -> list[str]:
    """Each amount as a statement shows it; a column holds the working digits also of what is rounded."""
    if not line.is_rounded:
        return [plain(amount) for amount in amounts]
    digits = contents.digits_of(line.name)
    return [format(of_units(in_units(amount, digits), digits), "f") for amount in amounts]
