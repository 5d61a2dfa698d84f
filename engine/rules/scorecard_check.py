"""Checks of a scorecard: weights that make one, bands that cover every value or score exactly once, grades that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from engine.language.expression import Binary, Constant, Expression, Extreme, Name, Negation, Operator, names
from engine.money import WORKING_DIGITS, in_units, of_units, plain
from engine.rules.problems import Path, nearest
from engine.rules.scorecards import Cut, Item, Metric, Scorecard, Span, Stretch, between
from engine.rules.source import Source

_BOUNDS = ("from", "above", "upto", "below")
# 89.99, but not what is really meant where it is written: 0.99, and 99.99% of the time.
_NINES = re.compile(r"(?!99\.)([1-9][0-9]*)\.99+(%?)")
_ALL_IN_HUNDREDTHS = Fraction(100)
_ALL_IN_HUNDREDTHS_OF_PERCENT = Fraction(1, 100)
_COEFFICIENT_MAX = 10


def check_scorecard(card: Scorecard, path: Path, source: Source) -> None:
    """Adds the problems of a scorecard, which stands at the path, to the source's."""
    _check_names(card, path, source)
    _check_weights(card, path, source)
    if card.range.from_ >= card.range.upto:
        cause = f"the range begins at {plain(card.range.from_)} and ends at {plain(card.range.upto)}"
        source.error((*path, "range"), cause, "write the lower number in from, and the higher one in upto")
        return
    for index, metric in enumerate(card.metrics):
        _check_metric(metric, (*path, "metrics", index), source, card.range)
    for index, item in enumerate(card.items):
        _check_item(item, (*path, "items", index), source)
    for index, veto in enumerate(card.vetoes):
        here: Path = (*path, "vetoes", index, "of")
        _check_division(veto.of, here, source, "write max(..., 1) around what it divides by")
    _check_bands(_Bands(card.grades, (*path, "grades"), "score", card.range), source)
    _check_grades(card, path, source)


def _check_names(card: Scorecard, path: Path, source: Source) -> None:
    named = [("metrics", index, metric.name) for index, metric in enumerate(card.metrics)]
    named += [("items", index, item.name) for index, item in enumerate(card.items)]
    named += [("vetoes", index, veto.name) for index, veto in enumerate(card.vetoes)]
    taken: dict[str, str] = {}
    for section, index, name in named:
        if name in taken:
            cause = f"the name {name!r} is taken by {taken[name]}"
            source.error((*path, section, index, "name"), cause, "give this one another name")
        taken.setdefault(name, f"{section}[{index}]")


def _check_weights(card: Scorecard, path: Path, source: Source) -> None:
    together = sum((Fraction(metric.weight) for metric in card.metrics), start=Fraction(0))
    for index, metric in enumerate(card.metrics):
        here: Path = (*path, "metrics", index, "weight")
        written = source.raw(here)
        in_percent = isinstance(written, str) and written.endswith("%")
        if together == _ALL_IN_HUNDREDTHS and not in_percent:
            number = plain(metric.weight)
            source.error(here, f"the weights make 100, not 1: {number} counts {number} times", f"write {number}%")
        elif together == _ALL_IN_HUNDREDTHS_OF_PERCENT and in_percent:
            cause = f"the weights make 1%, not 100%: {_percent(metric.weight)} is a hundredth of what is meant"
            source.error(here, cause, f"write {_percent(100 * Fraction(metric.weight))}")
        elif metric.weight == 0:
            source.warn(here, f"metric {metric.name!r} counts nothing", "give it a weight, or take it out")
        elif together != 1 and metric.weight > 1 and not in_percent:
            number = plain(metric.weight)
            source.error(here, f"a weight of {number} counts {number} times", f"write {number}%")
    if together not in {1, _ALL_IN_HUNDREDTHS, _ALL_IN_HUNDREDTHS_OF_PERCENT}:
        kind = "more" if together > 1 else "less"
        cause = f"the weights make {_percent(together)}, {kind} than 100%"
        source.error((*path, "metrics"), cause, "change them until they make 100%")


def _check_metric(metric: Metric, path: Path, source: Source, span: Span) -> None:
    if metric.otherwise is None:
        _check_division(metric.value, (*path, "value"), source, "write otherwise: with a score for that")
    else:
        _check_score(metric.otherwise, (*path, "otherwise"), source, span)
    if metric.bands is not None:
        _check_bands(_Bands(metric.bands, (*path, "bands"), "value"), source)
        for index, band in enumerate(metric.bands):
            _check_score(band.score, (*path, "bands", index, "score"), source, span)
    if metric.linear is not None:
        _check_line(metric, (*path, "linear"), source)
        for index, point in enumerate(metric.linear):
            _check_score(point.score, (*path, "linear", index, "score"), source, span)
    if metric.cohort is not None and span.upto <= 0:
        cause = f"scores against the cohort are parts of the range's top, which is {plain(span.upto)}"
        source.error((*path, "cohort"), cause, "let the range end above 0")


def _check_line(metric: Metric, path: Path, source: Source) -> None:
    assert metric.linear is not None, metric
    if len(metric.linear) == 1:
        source.error(path, "a line has two points or more, and this has one", "write another point")
    for index, point in enumerate(metric.linear[1:], start=1):
        before = metric.linear[index - 1].at
        if point.at <= before:
            cause = f"the point at {plain(point.at)} does not lie above the one before it, at {plain(before)}"
            source.error(
                (*path, index, "at"), cause, "write the points from the lowest to the highest, each place once"
            )
    _check_percents([(*path, index, "at") for index in range(len(metric.linear))], source)


def _check_item(item: Item, path: Path, source: Source) -> None:
    if item.otherwise is None:
        _check_division(item.of, (*path, "of"), source, "write otherwise: with what is added then, such as 0")
    if item.bands is not None:
        _check_bands(_Bands(item.bands, (*path, "bands"), "value"), source)


def _check_grades(card: Scorecard, path: Path, source: Source) -> None:
    known: list[str] = []
    for index, band in enumerate(card.grades):
        here: Path = (*path, "grades", index)
        if band.grade in known:
            source.error((*here, "grade"), f"grade {band.grade!r} stands twice", "give each grade one band")
        known.append(band.grade)
        for field in _BOUNDS:
            _is_fraction((*here, field), source, card.range)
    for index, veto in enumerate(card.vetoes):
        if veto.grade not in known:
            remedy = nearest(veto.grade, known, f"write one of {', '.join(known)[:300]}, or add it to grades")
            source.error((*path, "vetoes", index, "grade"), f"there is no grade {veto.grade!r}", remedy)
    for grade, consequence in card.consequences.items():
        here = (*path, "consequences", grade)
        if grade not in known:
            remedy = nearest(grade, known, f"the grades are {', '.join(known)[:300]}")
            source.error(here, f"there is no grade {grade!r}", remedy, source.keys.get(here))
        written = source.raw((*here, "coefficient"))
        coefficient = consequence.coefficient
        if coefficient is not None and coefficient >= _COEFFICIENT_MAX and not str(written).endswith("%"):
            number = plain(coefficient)
            cause = f"a coefficient of {number} multiplies by {number}"
            source.warn((*here, "coefficient"), cause, f"write {number}% if a percentage is meant")


class _Bands(NamedTuple):
    """Bands that must hold every number (those of the range, for grades) exactly once. `kind` says what the numbers are."""

    bands: Sequence[Stretch]
    path: Path
    kind: str
    span: Span | None = None

    @property
    def bottom(self) -> Cut | None:
        return None if self.span is None else Cut(self.span.from_, is_above=False)

    @property
    def top(self) -> Cut | None:
        return None if self.span is None else Cut(self.span.upto, is_above=True)


def _check_bands(table: _Bands, source: Source) -> None:
    bands, path = table.bands, table.path
    begins = [band.begin for band in bands if band.begin is not None]
    if len(set(begins)) > 1 and begins == sorted(begins, reverse=True):
        source.error(
            path, "the bands stand from the highest to the lowest", "write them from the lowest to the highest"
        )
        return
    natural = table.bottom
    for index, band in enumerate(bands):
        here: Path = (*path, index)
        if index and natural is None:
            source.error(
                here, "the band above has no end, so this one is never reached", "give that one an upto or below"
            )
            return
        if index and table.top is not None and natural is not None and natural >= table.top:
            cause = f"the band above reaches the range's top, {plain(table.top.at)}, so this one is never reached"
            source.error(here, cause, "let that one end earlier, or take this one out")
            return
        _check_begin(table, index, natural, source)
        begin = natural if band.begin is None else band.begin
        if begin is not None and band.end is not None and begin >= band.end:
            cause = f"the band holds nothing: no {table.kind} is {between(begin, band.end)}"
            source.error(here, cause, "write the bands from the lowest to the highest")
        natural = band.end
        _check_nines(table, index, source)
    _check_last(table, source)
    if table.span is None:
        _check_percents([(*path, index, field) for index in range(len(bands)) for field in _BOUNDS], source)


def _check_begin(table: _Bands, index: int, natural: Cut | None, source: Source) -> None:
    """Whether a band that says where it begins does so where the one before it ends, or where all begins."""
    begin, end = table.bands[index].begin, table.bands[index].end
    if begin is None or begin == natural:
        return
    here = (*table.path, index)
    gap = f"nothing is said where the {table.kind} is {between(natural, begin)}"
    if index == 0:
        if natural is not None and begin < natural:
            gap = f"the band holds where the {table.kind} is {between(begin, end)}, and the range begins at {plain(natural.at)}"
        source.error(here, gap, "leave from and above out of the first band")
        return
    assert natural is not None, "a band without end is the last that is looked at"
    if begin < natural:
        twice = between(begin, natural if end is None else min(natural, end))
        cause = f"two bands hold where the {table.kind} is {twice}"
    else:
        cause = gap
    source.error(here, cause, f"write {_ending(begin)} in the band above, or {_beginning(natural)} here")


def _check_last(table: _Bands, source: Source) -> None:
    end, top = table.bands[-1].end, table.top
    here = (*table.path, len(table.bands) - 1)
    if end is None or end == top:
        return
    if top is None:
        source.error(
            here,
            f"nothing is said where the {table.kind} is {between(end, None)}",
            "leave the last band without an end",
        )
        return
    cause = f"nothing is said where the {table.kind} is {between(end, top)}"
    if end > top:
        cause = f"the band holds where the {table.kind} is {between(None, end)}, and the range ends at {plain(top.at)}"
    source.error(here, cause, f"write {_ending(top)} in the last band, or leave it without an end")


def _check_nines(table: _Bands, index: int, source: Source) -> None:
    """An end such as 89.99 that means `below: 90`; where the next band begins elsewhere, that is said instead."""
    upto = table.bands[index].upto
    path = (*table.path, index, "upto")
    written = source.raw(path)
    if upto is None or index + 1 == len(table.bands) or not isinstance(written, str):
        return
    following = table.bands[index + 1].begin
    matched = _NINES.fullmatch(written)
    if matched is None or (following is not None and following != table.bands[index].end):
        return
    whole = f"{int(matched[1]) + 1}{matched[2]}"
    source.warn(path, f"{written} leaves what lies between it and {whole} to the next band", f"write below: {whole}")


def _check_score(score: Decimal, path: Path, source: Source, span: Span) -> None:
    if not _is_fraction(path, source, span) and not span.from_ <= score <= span.upto:
        cause = f"a score of {plain(score)} is outside the range from {plain(span.from_)} to {plain(span.upto)}"
        source.warn(path, cause, "write one within it, or widen the range")


def _is_fraction(path: Path, source: Source, span: Span) -> bool:
    """Whether a score is written in percent although the range ends above 1; says so."""
    written = source.raw(path)
    if not isinstance(written, str) or not written.endswith("%") or span.upto <= 1:
        return False
    cause = f"{written} is a part of one, and the range is from {plain(span.from_)} to {plain(span.upto)}"
    source.warn(path, cause, f"write {written[:-1]}")
    return True


def _check_percents(paths: Sequence[Path], source: Source) -> None:
    """Numbers of one table of which some are written in percent, and some are not."""
    written = {path: text for path in paths if isinstance(text := source.raw(path), str)}
    if not any(text.endswith("%") for text in written.values()):
        return
    for path, text in written.items():
        if text[-1:].isdigit() and text.strip("-0."):
            cause = f"{text} stands beside numbers in percent"
            source.warn(path, cause, f"write {text}% if a percentage is meant, else write none of them in percent")


def _check_division(formula: Expression, path: Path, source: Source, remedy: str) -> None:
    for divisor in _divisors(formula):
        cause = f"where {divisor} is 0, it divides by zero, and the partner cannot be assessed"
        source.warn(path, cause, remedy)


def _divisors(formula: Expression) -> Iterator[str]:
    """What the formula divides by that facts can make 0, as far as can be seen."""
    match formula:
        case Constant() | Name():
            return
        case Negation(operand=operand):
            yield from _divisors(operand)
        case Extreme(operands=operands):
            for operand in operands:
                yield from _divisors(operand)
        case Binary(operator=operator, left=left, right=right):
            yield from _divisors(left)
            yield from _divisors(right)
            if operator is Operator.by and any(names(right)) and not _is_above_zero(right):
                yield right.text


def _is_above_zero(divisor: Expression) -> bool:
    """Whether it reads `max(..., 1)`."""
    if not isinstance(divisor, Extreme) or divisor.function != "max":
        return False
    return any(isinstance(operand, Constant) and operand.value > 0 for operand in divisor.operands)


def _percent(part: Decimal | Fraction) -> str:
    """A number of at most 12 digits after the point, in percent; exact whatever its size."""
    units = in_units(part, WORKING_DIGITS) if isinstance(part, Decimal) else round(part * 10**WORKING_DIGITS)
    return f"{plain(of_units(units, WORKING_DIGITS - 2))}%"


def _beginning(cut: Cut) -> str:
    return f"above: {plain(cut.at)}" if cut.is_above else f"from: {plain(cut.at)}"


def _ending(cut: Cut) -> str:
    return f"upto: {plain(cut.at)}" if cut.is_above else f"below: {plain(cut.at)}"
