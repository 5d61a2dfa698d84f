"""A rulebook while it is checked: the parts that could be read, and the names of those that could not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.language.expression import Binary, Constant, Expression, Extreme, Name, Negation, names
from engine.rules.measures import Measure
from engine.rules.problems import Path
from engine.rules.programs import Program
from engine.rules.scorecards import Scorecard
from engine.rules.splitting import Split
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

POINTS_EARNED = "points earned"


@dataclass(frozen=True)
class Draft:
    """`names` and `steps` run side by side; a name is empty, and a measure or step None, where it is unreadable."""

    values: frozenset[str]
    measures: dict[str, Measure | None]
    names: list[str]
    steps: list[Step | None]
    split: Split | None
    points: Program | None
    assessment: Scorecard | None
    broken: frozenset[str]  # sections that are there, but unreadable
    currency: str | None
    currencies: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """True where every step and section could be read, so that what is not used is known."""
        return None not in self.steps and not self.broken

    @property
    def lines(self) -> set[str]:
        """The names of all readable lines: steps and deductions."""
        return {*(name for name in self.names if name), *(line for step in self.steps if step for line in step.lines)}


def expressions(step: Step) -> Iterator[tuple[Path, Expression]]:  # noqa: C901 - one case a rule
    """The expressions that a step holds, each with where it stands within the step."""
    match step.rule:
        case Constant() | Name() | Negation() | Binary() | Extreme():
            yield ("amount",), step.rule
        case Net(less=less):
            for index, each in enumerate(less):
                if each.amount is not None:
                    yield ("net", "less", index, "amount"), each.amount
        case Floor(at=at):
            yield ("floor", "at"), at
        case Cap(at=at):
            yield ("cap", "at"), at
        case Guarantee(minimum=minimum):
            yield ("guarantee", "minimum"), minimum
        case TopUp(commitment=commitment):
            yield ("topup", "commitment"), commitment
        case Payout(minimum=least):
            if least is not None:
                yield ("payout", "minimum"), least
        case BandTiers() | PackageTiers() | Advance() | Pool() | Coefficient() | Clawback() | Tax() | Convert():
            return


def references(step: Step) -> Iterator[tuple[Path, Name]]:
    """The names that a step uses, each with the field it stands in, within the step."""
    match step.rule:
        case Constant() | Name() | Negation() | Binary() | Extreme():
            pass
        case BandTiers(of=of) | PackageTiers(of=of):
            yield ("tiers", "of"), Name(of)
        case Advance(of=of, paid=paid):
            yield ("advance", "of"), Name(of)
            yield ("advance", "paid"), Name(paid)
        case Pool(of=of, by=by):
            yield ("pool", "of"), Name(of)
            yield ("pool", "by"), Name(by)
        case Clawback(of=of, base=base, returns=returns):
            yield ("clawback", "of"), Name(of)
            yield ("clawback", "base"), Name(base)
            yield ("clawback", "returns"), Name(returns)
        case (
            Net(of=of)
            | Floor(of=of)
            | Cap(of=of)
            | Guarantee(of=of)
            | Coefficient(of=of)
            | TopUp(of=of)
            | Payout(of=of)
            | Tax(of=of)
            | Convert(of=of)
        ):
            yield (type(step.rule).__name__.lower(), "of"), Name(of)
    for path, expression in expressions(step):
        for name in names(expression):
            yield path, name


def formulas(draft_points: Program | None, assessment: Scorecard | None) -> Iterator[tuple[Path, Expression]]:
    """The expressions of points and assessment, each with where it stands in the rulebook."""
    if draft_points is not None:
        for index, earn in enumerate(draft_points.earn):
            yield ("points", "earn", index, "of"), earn.of
    if assessment is not None:
        for index, metric in enumerate(assessment.metrics):
            yield ("assessment", "metrics", index, "value"), metric.value
        for index, item in enumerate(assessment.items):
            yield ("assessment", "items", index, "of"), item.of
        for index, veto in enumerate(assessment.vetoes):
            yield ("assessment", "vetoes", index, "of"), veto.of
