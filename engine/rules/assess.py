"""Assessment: from what is known of each partner to its score, its grade and what follows from that, with reasons.

The metrics are taken one by one, each for the whole cohort, because a metric may be scored against all the others'. Then
each partner's score is put together, and its grade found: by the first veto that stands, else by the score; a person's
grade replaces it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from engine.language.expression import Expression, names
from engine.money import WORKING_DIGITS, AmountTooLarge, difference, of_units, plain, product, total, working
from engine.outcomes import How, ItemScore, MetricScore, Reason, Score
from engine.rules.formulas import Known, Unsettleable, evaluated
from engine.rules.scorecards import Consequence, Item, Metric, Point, ScoreBand, Scorecard, Stretch, Veto, between, cuts

_ZERO = Decimal(0)
_HUNDRED = Decimal(100)
_UNITS: int = 10**WORKING_DIGITS

Scoring = Callable[[Reason], Reason]


class Standing(NamedTuple):
    """What is known of one partner, by the names that formulas use; and the grade that a person gave it, if one did."""

    known: Known
    override: str | None = None


def assess(scorecard: Scorecard, standings: Mapping[str, Standing]) -> dict[str, Score]:
    """The score of each partner of the cohort, in the order of their ids; the scorecard must have passed its checks.

    Raises Unsettleable, naming the partner, where a metric or item divides by zero with nothing said for that and no veto
    standing, where a veto does, and where a person gave a grade that there is not; AmountTooLarge where a number
    has more than 26 digits before the point.
    """
    cohort = {partner: standings[partner] for partner in sorted(standings)}
    columns = [_metric_scores(metric, cohort, scorecard.range.upto) for metric in scorecard.metrics]
    grading = _Grading(scorecard)
    scores = {}
    for index, (partner, standing) in enumerate(cohort.items()):
        try:
            scores[partner] = grading.score(standing, [column[index] for column in columns])
        except AmountTooLarge as error:
            raise AmountTooLarge(f"partner {partner}, {error}") from None
        except Unsettleable as error:
            raise Unsettleable(f"partner {partner}: {error}") from None
    return scores


def _metric_scores(metric: Metric, cohort: Mapping[str, Standing], top: Decimal) -> list[MetricScore | None]:
    """By partner, in the cohort's order; None where the value divides by zero and nothing is said for that."""
    values: list[Reason | None] = []
    for partner, standing in cohort.items():
        try:
            values.append(_value(metric.value, standing.known))
        except AmountTooLarge as error:
            raise AmountTooLarge(f"partner {partner}, metric {metric.name!r}: {error}") from None
    try:
        scoring = _scoring(metric, [value for value in values if value is not None], top)
        weight = f"{plain(product(metric.weight, _HUNDRED))}% of "
        return [
            _metric_score(metric, value, scoring, weight, standing.known)
            for value, standing in zip(values, cohort.values(), strict=True)
        ]
    except AmountTooLarge as error:
        raise AmountTooLarge(f"metric {metric.name!r}: {error}") from None


def _metric_score(
    metric: Metric, value: Reason | None, scoring: Scoring, weight: str, known: Known
) -> MetricScore | None:
    scored = _otherwise(metric.otherwise, metric.value, known) if value is None else scoring(value)
    if scored is None:
        return None
    weighted, note = product(metric.weight, scored.value), weight + plain(scored.value)
    reason = Reason(metric.name, How.metric, weighted, note, metric.clause, (scored,))
    return MetricScore(metric.name, None if value is None else value.value, scored.value, metric.weight, reason)


def _value(formula: Expression, known: Known) -> Reason | None:
    """None where it divides by zero. Raises AmountTooLarge."""
    try:
        return evaluated(formula, known)
    except ZeroDivisionError:
        return None


def _otherwise(stated: Decimal | None, formula: Expression, known: Known) -> Reason | None:
    """What is stated for a formula that divides by zero, with the formula's operands; None where nothing is."""
    if stated is None:
        return None
    operands = tuple(known[name] for name in dict.fromkeys(name.text for name in names(formula)))
    return Reason("otherwise", How.band, stated, f"{formula.text} divides by zero", parts=operands)


def _scoring(metric: Metric, values: Sequence[Reason], top: Decimal) -> Scoring:
    if metric.bands is not None:
        return _by_bands(metric.bands)
    if metric.linear is not None:
        return _along(metric.linear)
    return _against(metric, values, top)


def _by_bands(bands: Sequence[ScoreBand]) -> Scoring:
    ends = _inner_ends(bands)
    texts = [f"band {i}: {between(*pair)}" for i, pair in enumerate(cuts(bands), start=1)]

    def scored(value: Reason) -> Reason:
        index = bisect_right(ends, (value.value, False))
        return Reason(texts[index], How.band, bands[index].score, parts=(value,))

    return scored


def _inner_ends(bands: Sequence[Stretch]) -> list[tuple[Decimal, bool]]:
    """Where all but the last end: a number lies in the first band whose end is behind the cut just below the number."""
    ends = [band.end for band in bands[:-1]]
    return [end for end in ends if end is not None]


def _along(points: Sequence[Point]) -> Scoring:
    places = [point.at for point in points]
    stops = [f"point {plain(point.at)}" for point in points]
    lines = [
        f"line from {plain(left.at)} (score {plain(left.score)}) to {plain(right.at)} (score {plain(right.score)})"
        for left, right in pairwise(points)
    ]

    def scored(value: Reason) -> Reason:
        after = bisect_right(places, value.value)
        last = max(after - 1, 0)
        if after in {0, len(points)} or places[last] == value.value:
            note = "" if places[last] == value.value else "beyond it"
            return Reason(stops[last], How.band, points[last].score, note, parts=(value,))
        score = _interpolated(points[last], points[after], value.value)
        return Reason(lines[last], How.band, score, parts=(value,))

    return scored


def _interpolated(left: Point, right: Point, value: Decimal) -> Decimal:
    """The exact score between two points, brought half-even to the working precision once; so it never leaves the two."""
    way, width = _units(difference(value, left.at)), _units(difference(right.at, left.at))
    rise = _units(difference(right.score, left.score))
    return total(left.score, of_units(round(Fraction(way * rise, width)), WORKING_DIGITS))


def _against(metric: Metric, values: Sequence[Reason], top: Decimal) -> Scoring:
    """The part of the cohort's sum, or of its best, that a value is: values below 0 count as 0, and so does any part of 0.

    Scores are rounded down to the working precision, so that shares never make more than the top of the range, and equal
    values have equal scores.
    """
    counted = [max(_ZERO, value.value) for value in values]
    if metric.cohort == "share":
        measure, how, whole = "sum", How.total, _summed(counted)
    else:
        measure, how, whole = "best", How.maximum, max(counted, default=_ZERO)
    units, of = _units(whole), Reason(f"{measure} of the cohort", how, whole, f"{len(counted)} partners")
    top_units, top_text = _units(top), plain(top)

    def scored(value: Reason) -> Reason:
        part = max(_ZERO, value.value)
        score = of_units(_units(part) * top_units // units, WORKING_DIGITS) if units else _ZERO
        below = ", as it is below 0" if value.value < 0 else ""
        note = f"{top_text} x {plain(part)}{below} / {plain(whole)}"
        return Reason(f"part of the cohort's {measure}", How.share, working(score), note, parts=(value, of))

    return scored


def _units(value: Decimal) -> int:
    """How many units of the working precision a value has."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * _UNITS // denominator


def _summed(values: Sequence[Decimal]) -> Decimal:
    together = _ZERO
    for value in values:
        together = total(together, value)
    return together


class _Graded(NamedTuple):
    """A grade before a person's: by which veto, if by one."""

    grade: str
    veto: str | None
    reason: Reason


class _Grading:
    """A scorecard, ready to put each partner's score together and to find its grade."""

    def __init__(self, card: Scorecard) -> None:
        self._card = card
        self._ends = _inner_ends(card.grades)
        self._texts = [between(*pair) for pair in cuts(card.grades, card.range)]
        self._grades = tuple(dict.fromkeys(band.grade for band in card.grades))
        self._items = [(item, None if item.bands is None else _by_bands(item.bands)) for item in card.items]

    def score(self, standing: Standing, metrics: Sequence[MetricScore | None]) -> Score:
        """Raises Unsettleable and AmountTooLarge."""
        items = [_item_score(item, scoring, standing.known) for item, scoring in self._items]
        missing = self._missing(metrics, items)
        there, added = [each for each in metrics if each is not None], [each for each in items if each is not None]
        reason = None if missing else self._together([each.reason for each in (*there, *added)])
        assessed = self._graded(standing.known, reason, missing)
        grade, why = self._final(standing.override, assessed)
        consequence = self._card.consequences.get(grade, Consequence())
        return Score(
            total=None if reason is None else reason.value,
            metrics=tuple(there),
            items=tuple(added),
            assessed=assessed.grade,
            grade=grade,
            veto=assessed.veto,
            override=standing.override,
            coefficient=consequence.coefficient,
            points=consequence.points,
            action=consequence.action,
            reason=why._replace(clause=consequence.clause) if consequence.clause else why,
        )

    def _missing(self, metrics: Sequence[MetricScore | None], items: Sequence[ItemScore | None]) -> str:
        """What of the score divides by zero, as a sentence; empty where nothing does."""
        for metric, score in zip(self._card.metrics, metrics, strict=True):
            if score is None:
                return f"metric {metric.name!r} divides by zero ({metric.value.text})"
        for item, added in zip(self._card.items, items, strict=True):
            if added is None:
                return f"item {item.name!r} divides by zero ({item.of.text})"
        return ""

    def _together(self, parts: Sequence[Reason]) -> Reason:
        try:
            together = _summed([part.value for part in parts])
        except AmountTooLarge as error:
            raise AmountTooLarge(f"the score: {error}") from None
        span = self._card.range
        value = working(min(max(together, span.from_), span.upto))
        note = ""
        if value != together:
            note = f"{plain(together)}, brought into the range from {plain(span.from_)} to {plain(span.upto)}"
        return Reason("score", How.score, value, note, parts=tuple(parts))

    def _graded(self, known: Known, score: Reason | None, missing: str) -> _Graded:
        """By the first veto that stands, else by the score; the vetoes that were looked at are among the reasons."""
        parts: list[Reason] = []
        for veto in self._card.vetoes:
            reason = _vetoed(veto, known)
            parts.append(reason)
            if reason.value > 0:
                note = f"by veto {veto.name!r}" + (f"; there is no score: {missing}" if missing else "")
                found = (*parts, score) if score is not None else tuple(parts)
                return _Graded(
                    veto.grade, veto.name, Reason(f"grade {veto.grade}", How.grade, reason.value, note, parts=found)
                )
        if score is None:
            raise Unsettleable(f"{missing}, and nothing is said for that; write otherwise: with a score")
        index = bisect_right(self._ends, (score.value, False))
        grade, note = self._card.grades[index].grade, f"a score {self._texts[index]}"
        return _Graded(grade, None, Reason(f"grade {grade}", How.grade, score.value, note, parts=(*parts, score)))

    def _final(self, override: str | None, assessed: _Graded) -> tuple[str, Reason]:
        if override is None:
            return assessed.grade, assessed.reason
        if override not in self._grades:
            there = ", ".join(self._grades)
            raise Unsettleable(f"a person gave grade {override!r}, and the grades are {there}")
        note = f"given by a person instead of {assessed.grade}"
        reason = Reason(f"grade {override}", How.grade, assessed.reason.value, note, parts=(assessed.reason,))
        return override, reason


def _item_score(item: Item, scoring: Scoring | None, known: Known) -> ItemScore | None:
    """None where it divides by zero and nothing is said for that."""
    try:
        value = _value(item.of, known)
        found = _otherwise(item.otherwise, item.of, known) if value is None else _item_scored(item, scoring, value)
    except AmountTooLarge as error:
        raise AmountTooLarge(f"item {item.name!r}: {error}") from None
    if found is None:
        return None
    added, note = found.value, ""
    if item.cap is not None and added.copy_abs() > item.cap:
        added, note = item.cap.copy_sign(added), f"{plain(added)}, capped at {plain(item.cap)}"
    # Added to 0, so that 0 times a penalty is no -0.
    reason = Reason(item.name, How.points, total(_ZERO, added), note, item.clause, (found,))
    return ItemScore(item.name, None if value is None else value.value, reason.value, reason)


def _item_scored(item: Item, scoring: Scoring | None, value: Reason) -> Reason:
    if scoring is not None:
        return scoring(value)
    assert item.rate is not None, item
    note = f"{plain(value.value)} x {plain(item.rate)}"
    return Reason(f"{item.of.text} x rate", How.product, product(value.value, item.rate), note, parts=(value,))


def _vetoed(veto: Veto, known: Known) -> Reason:
    """Why a veto stands, with a value above 0, or does not."""
    try:
        value = _value(veto.of, known)
    except AmountTooLarge as error:
        raise AmountTooLarge(f"veto {veto.name!r}: {error}") from None
    if value is None:
        raise Unsettleable(f"veto {veto.name!r} divides by zero ({veto.of.text})")
    note = f"above 0: grade {veto.grade}" if value.value > 0 else "not above 0"
    return Reason(veto.name, How.grade, value.value, note, veto.clause, (value,))
