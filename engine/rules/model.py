"""What a rulebook is: measures of facts, a waterfall of steps, how the payable amount is split, points and assessment.

The models mirror the YAML field by field, and hold numbers, portions and expressions already read. They check each
field by itself; what must hold between fields is checked by `engine.rules.check`, which is how a rulebook is made.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Annotated

from pydantic import Field

from engine.facts import Grain
from engine.money import minor_digits
from engine.rules.dependencies import Graph, crossing, graph, order
from engine.rules.fields import Attribute, CurrencyCode, Day, Frozen, Identifier, Number, StepName, Whole
from engine.rules.measures import Measure
from engine.rules.programs import Program
from engine.rules.scorecards import Scorecard
from engine.rules.splitting import Split
from engine.rules.steps import Coefficient, Pool, Step
from engine.rules.units import units_of

STEPS_MAX = 200


class Contents(Frozen):
    """All that a rulebook's text states for one day: its dated values are those of that day."""

    rulebook: Identifier
    version: Whole
    valid_from: Day
    currency: CurrencyCode
    currencies: Annotated[tuple[CurrencyCode, ...], Field(max_length=50)] = ()
    dimensions: Annotated[tuple[Attribute, ...], Field(max_length=20)] = ()
    values: Annotated[dict[StepName, Number], Field(max_length=200)] = {}
    measures: Annotated[dict[StepName, Measure], Field(max_length=200)] = {}
    waterfall: Annotated[tuple[Step, ...], Field(min_length=1, max_length=STEPS_MAX)]
    split: Split | None = None
    points: Program | None = None
    assessment: Scorecard | None = None

    @cached_property
    def grain(self) -> Grain:
        """How facts must be kept: by the declared dimensions and those that measures and pools need."""
        measured = [each for each in self.measures.values() if not each.of_partner]
        dimensions = {*self.dimensions, *(name for each in measured for name in each.dimensions)}
        dimensions |= {step.rule.per for step in self.waterfall if isinstance(step.rule, Pool) and step.rule.per}
        if self.currencies:
            dimensions.add("currency")
        returns = {step.clawback.returns for step in self.waterfall if step.clawback}
        if returns:
            dimensions.add("charged_in")
        derived = {(each.event, each.field) for each in measured if each.derived}
        return Grain(tuple(sorted(dimensions)), tuple(sorted(derived)), tuple(sorted(self.currencies)))

    @cached_property
    def steps(self) -> dict[str, Step]:
        return {step.name: step for step in self.waterfall}

    @cached_property
    def payable_step(self) -> str:
        """The name of the step whose amount is paid."""
        return self.waterfall[-1].name if self.split is None else self.split.of

    @cached_property
    def units(self) -> dict[str, str]:
        """The unit of each value, measure, deduction and step: a currency, `quantity` or `number` (engine.rules.units)."""
        return units_of(self.values, self.measures, self.waterfall, self.currency)

    @cached_property
    def dependencies(self) -> Graph:
        """By step, and for the assessment, the steps that it needs (engine.rules.dependencies)."""
        return graph(self.waterfall, self.points, self.assessment)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The steps, and ASSESSED, in an order in which each finds what it needs."""
        return order(self.dependencies)

    @cached_property
    def payable_currency(self) -> str:
        """The currency of the payable step, which a conversion can make another than the rulebook's."""
        return self.units[self.payable_step]

    @cached_property
    def carries(self) -> bool:
        """Whether a period leaves something to the next: a balance, or the grade of the period before."""
        return any(step.carries or _takes_grade_before(step) for step in self.waterfall)

    @cached_property
    def looks_across(self) -> bool:
        """Whether a contract's outcome depends on other contracts: pools, shared advances, a grade of this period."""
        graded = any(isinstance(step.rule, Coefficient) and step.rule.grade == "this" for step in self.waterfall)
        return bool(crossing(self.waterfall)) or (graded and self.assessment is not None)

    def digits_of(self, name: str) -> int:
        """Digits after the point to which a step's amount is rounded: its currency's, none for what is counted."""
        unit = self.units[name]
        return 0 if unit == "quantity" else minor_digits(self.currency if unit == "number" else unit)


def _takes_grade_before(step: Step) -> bool:
    return step.coefficient is not None and step.coefficient.grade == "previous"


class Era(Frozen):
    """What a rulebook states from a day on, until the next era's."""

    since: date
    contents: Contents


class Rulebook(Contents):
    """A checked version of a rulebook. Two texts that state the same have the same digest.

    Its own fields are those of its first era; `on` gives those of a day.
    """

    digest: str
    eras: tuple[Era, ...] = ()

    def on(self, day: date) -> Contents:
        """What the rulebook states for periods that begin on the day."""
        found = [era for era in self.eras if era.since <= day]
        return found[-1].contents if found else self

    @cached_property
    def whole_grain(self) -> Grain:
        """The grain of all eras."""
        return Grain.union([self.grain, *(era.contents.grain for era in self.eras)])
