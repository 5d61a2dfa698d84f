"""Checks of numbers: bands that cover each base once, portions that make one, rounding where money leaves."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from engine.money import AmountTooLarge, plain
from engine.rules.draft import Draft, expressions
from engine.rules.expression import Binary, Constant, Expression, Extreme, Name, Negation, Operator, calculate
from engine.rules.model import BandTiers, Split
from engine.rules.problems import Path
from engine.rules.source import Source
from engine.rules.words import part

_HUNDRED = 100


def check(draft: Draft, source: Source) -> None:
    """Adds the problems of bands, rates, portions, rounding and constant divisions to the source's."""
    quantities = draft.quantities()
    for index, step in enumerate(draft.steps):
        if step is None:
            continue
        path: Path = ("waterfall", index)
        for field, expression in expressions(step):
            _check_constants(expression, (*path, *field), source)
        if isinstance(step.tiers, BandTiers):
            _check_bands(step.tiers, (*path, "tiers", "bands"), source)
            if step.tiers.of not in quantities:
                for number in range(len(step.tiers.bands)):
                    _check_rate((*path, "tiers", "bands", number, "rate"), source)
        deduct = step.deduct
        if deduct is not None and deduct.rate is not None and (deduct.of or deduct.from_) not in quantities:
            _check_rate((*path, "deduct", "rate"), source)
    if draft.split is not None:
        _check_portions(draft.split, source)
    _check_payable(draft, source)


def _check_bands(tiers: BandTiers, path: Path, source: Source) -> None:
    end: Decimal | None = Decimal(0)
    for index, band in enumerate(tiers.bands):
        here: Path = (*path, index)
        if end is None:
            source.error(here, "the band above has no end, so this one is never reached", "give that one an upto")
            return
        if band.from_ is not None and band.from_ != end:
            _report_seam(here, band.from_, end, is_first=index == 0, source=source)
        if band.upto is not None and band.upto <= end:
            cause = f"band ends at {plain(band.upto)}, but it begins at {plain(end)}"
            source.error((*here, "upto"), cause, "write the bands from the lowest to the highest")
        end = band.upto
    if end is not None:
        cause = f"nothing is said above {plain(end)}"
        source.error((*path, len(tiers.bands) - 1), cause, "leave upto out of the last band")


def _report_seam(here: Path, start: Decimal, end: Decimal, *, is_first: bool, source: Source) -> None:
    if is_first:
        source.error(here, f"the first band starts at {plain(start)}", "write from: 0, or leave from out")
        return
    kind = "nothing is said between" if start > end else "two bands hold between"
    cause = f"band starts at {plain(start)} but the one above ends at {plain(end)}: {kind}"
    source.error(here, cause, f"write upto: {plain(start)} above, or from: {plain(end)} here")


def _check_rate(path: Path, source: Source) -> None:
    text = source.raw(path)
    if isinstance(text, str) and not text.endswith("%") and 1 < Decimal(text) < _HUNDRED:
        cause = f"a rate of {text} on an amount of money means {text} times the amount"
        source.warn(path, cause, f"write {text}% if a percentage is meant")


def _check_portions(split: Split, source: Source) -> None:
    path: Path = ("split", "among")
    parties: set[str] = set()
    has_remaining = False
    for index, each in enumerate(split.among):
        if each.party in parties:
            source.error((*path, index, "party"), f"party {each.party!r} stands twice", "add its portions up")
        parties.add(each.party)
        if each.portion is None and has_remaining:
            source.error((*path, index, "portion"), "only one party can get what remains", "write its portion")
        has_remaining = has_remaining or each.portion is None
    together = sum((each.portion for each in split.among if each.portion is not None), start=Fraction(0))
    if together == 1 and has_remaining:
        source.error(path, "the portions make one, so nothing remains", "take out the party that gets what remains")
    elif together > 1:
        source.error(path, f"the portions make {part(together)}, more than one", "lower them until they make one")
    elif together < 1 and not has_remaining:
        source.error(path, f"the portions make {part(together)}, less than one", "give one party portion: remaining")


def _check_payable(draft: Draft, source: Source) -> None:
    if draft.has_split:
        of = draft.split.of if draft.split is not None else None
        for index, step in enumerate(draft.steps):
            if step is not None and step.name == of and step.round is None:
                cause = f"step {of!r} is not rounded, so it cannot be split in whole minor units"
                source.error(("split", "of"), cause, f"write round: half_up in waterfall[{index}]")
    elif draft.steps and (last := draft.steps[-1]) is not None and last.round is None:
        cause = f"the last step {last.name!r} is what is paid, and it is not rounded"
        source.error(("waterfall", len(draft.steps) - 1), cause, "write round: half_up in it")


def _check_constants(expression: Expression, path: Path, source: Source) -> None:
    try:
        _constant(expression)
    except ZeroDivisionError:
        source.error(path, "the expression divides by zero, whatever the facts", "divide by something else")
    except AmountTooLarge as error:
        source.error(path, f"a constant part of the expression is too large: {error}", "write a smaller one")


def _constant(expression: Expression) -> Decimal | None:
    """The value of an expression without names, None for one with names; raises what its evaluation would."""
    match expression:
        case Constant(value=value):
            return value
        case Name():
            return None
        case Negation(operand=operand):
            value_or_none = _constant(operand)
            return None if value_or_none is None else value_or_none.copy_negate()
        case Extreme(function=function, operands=operands):
            values = [_constant(operand) for operand in operands]
            known = [value for value in values if value is not None]
            return None if len(known) < len(values) else min(known) if function == "min" else max(known)
        case Binary(operator=operator, left=left, right=right):
            first, second = _constant(left), _constant(right)
            if operator is Operator.by and second is not None and second == 0:
                raise ZeroDivisionError
            return None if first is None or second is None else calculate(operator, first, second)
