"""Assessment, as a rulebook writes it: metrics, how each is scored, vetoes, items, grades and their consequences."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from engine.language.expression import names
from engine.language.words import Unreadable
from engine.money import plain
from engine.rules.fields import Formula, Frozen, Number, NumberNotNegative, StepName, Text, choice

SCORINGS = ("bands", "linear", "cohort")


class Cut(NamedTuple):
    """A place between two numbers: just below `at`, or just above it. Cuts sort as they lie on the line of numbers."""

    at: Decimal
    is_above: bool


class Stretch(Frozen):
    """Numbers up to `upto` (closed: it belongs here) or `below` (open). `from` (closed) or `above` (open) may restate where
    it begins, which is where the one before it ends.
    """

    upto: Number | None = None
    below: Number | None = None
    from_: Number | None = Field(default=None, alias="from")
    above: Number | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.upto is not None and self.below is not None) or (self.from_ is not None and self.above is not None):
            raise Unreadable(
                "a band begins once and ends once",
                "write upto or from where the bound belongs to it, else below or above",
            )
        return self

    @property
    def begin(self) -> Cut | None:
        """Where it says that it begins."""
        return _cut(self.from_, is_above=False) or _cut(self.above, is_above=True)

    @property
    def end(self) -> Cut | None:
        """Where it ends; None where it says nothing."""
        return _cut(self.upto, is_above=True) or _cut(self.below, is_above=False)


def _cut(at: Decimal | None, *, is_above: bool) -> Cut | None:
    return None if at is None else Cut(at, is_above)


def between(begin: Cut | None, end: Cut | None) -> str:
    """The numbers between two cuts, as people write them: `from 80 to below 90`, `above 94`, `exactly 70`."""
    if begin is not None and end is not None and begin.at == end.at and end.is_above > begin.is_above:
        return f"exactly {plain(begin.at)}"
    start = "" if begin is None else f"{'above' if begin.is_above else 'from'} {plain(begin.at)}"
    stop = "" if end is None else f"{'up to' if end.is_above else 'below'} {plain(end.at)}"
    if begin is None or end is None:
        return start or stop or "any"
    joined = " and " if begin.is_above else " " if end.is_above else " to "
    return f"{start}{joined}{stop}"


class ScoreBand(Stretch):
    """A score for the values of a stretch. The first has no beginning, and the last no end."""

    score: Number


class Point(Frozen):
    """One point of a line: at this value, this score. Between two points it is interpolated, beyond them it is theirs."""

    at: Number
    score: Number


class Metric(Frozen):
    """One number of a partner and how it becomes a score, which counts with its weight.

    `value` is over measures of the partner, steps summed over its contracts, and `points earned`. It is scored by bands,
    along a line, or against the cohort: its `share` of the cohort's sum, or its part of the cohort's `best`, times the top
    of the scorecard's range; a value below 0 counts as 0 there. `otherwise` is the score where the value divides by zero.
    """

    name: StepName
    weight: NumberNotNegative
    value: Formula
    bands: Annotated[tuple[ScoreBand, ...], Field(min_length=1, max_length=100)] | None = None
    linear: Annotated[tuple[Point, ...], Field(min_length=1, max_length=100)] | None = None
    cohort: Literal["share", "best"] | None = None
    otherwise: Number | None = None
    clause: Text | None = None

    @model_validator(mode="after")
    def _one_scoring(self) -> Metric:
        if sum(getattr(self, name) is not None for name in SCORINGS) != 1:
            raise Unreadable(f"a metric is scored by exactly one of {choice(SCORINGS)}", "write bands: [...]")
        return self


class Veto(Frozen):
    """Where `of` is above 0, the grade is this one, whatever the score. Vetoes come first, from the top."""

    name: StepName
    of: Formula
    grade: Text
    clause: Text | None = None


class Item(Frozen):
    """A bonus or a penalty, added to the score: `of` times `rate`, or the score of the band that `of` reaches; at most `cap`
    in size. `otherwise` is what is added where `of` divides by zero.
    """

    name: StepName
    of: Formula
    rate: Number | None = None
    bands: Annotated[tuple[ScoreBand, ...], Field(min_length=1, max_length=100)] | None = None
    cap: NumberNotNegative | None = None
    otherwise: Number | None = None
    clause: Text | None = None

    @model_validator(mode="after")
    def _one_scoring(self) -> Item:
        if (self.rate is None) == (self.bands is None):
            raise Unreadable("an item has exactly one of rate and bands", "write rate: -3, or bands: [...]")
        return self


class GradeBand(Stretch):
    """A grade for the scores of a stretch. The first begins where the range does, and the last ends at the range's top, which
    belongs to it.
    """

    grade: Text


class Consequence(Frozen):
    """What follows from a grade; other parts act on it."""

    coefficient: Number | None = None
    points: Number | None = None
    action: Literal["warning", "suspend", "terminate"] | None = None
    clause: Text | None = None


class Span(Frozen):
    """The scores that there are, both ends included."""

    from_: Number = Field(default=Decimal(0), alias="from")
    upto: Number = Decimal(100)


class Scorecard(Frozen):
    """How the partners with contracts under the rulebook are assessed, period by period."""

    range: Span = Span()
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=50)]
    items: Annotated[tuple[Item, ...], Field(max_length=50)] = ()
    vetoes: Annotated[tuple[Veto, ...], Field(max_length=50)] = ()
    grades: Annotated[tuple[GradeBand, ...], Field(min_length=1, max_length=50)]
    consequences: Annotated[dict[Text, Consequence], Field(max_length=50)] = {}


def cuts(bands: Sequence[Stretch], span: Span | None = None) -> list[tuple[Cut | None, Cut | None]]:
    """Where each band begins and ends, each beginning where the one before it ends; None where it is unbounded."""
    begin = None if span is None else Cut(span.from_, is_above=False)
    pairs = []
    for band in bands:
        pairs.append((begin, band.end))
        begin = band.end
    if span is not None:
        pairs[-1] = (pairs[-1][0], Cut(span.upto, is_above=True))
    return pairs


def names_used(card: Scorecard) -> set[str]:
    """The names that its formulas use."""
    formulas = [metric.value for metric in card.metrics]
    formulas += [item.of for item in card.items]
    formulas += [veto.of for veto in card.vetoes]
    return {name.text for formula in formulas for name in names(formula)}


def uses_cohort(card: Scorecard) -> bool:
    """Whether one partner's score depends on the others'."""
    return any(metric.cohort is not None for metric in card.metrics)
