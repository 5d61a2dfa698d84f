"""Checks of numbers: bands that cover each base once, portions that make one, rounding where money leaves."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from engine.language.expression import Binary, Constant, Expression, Extreme, Name, Negation, Operator, calculate
from engine.language.words import Unreadable, number, part
from engine.money import AmountTooLarge, plain
from engine.rules.draft import Draft, expressions, formulas
from engine.rules.problems import Path
from engine.rules.source import Source
from engine.rules.splitting import Among
from engine.rules.steps import BandTiers, Step
from engine.rules.units import QUANTITY, add_step, measured

_HUNDRED = 100
_THOUSANDTH = Decimal("0.001")


def check(draft: Draft, source: Source) -> None:
    """Adds the problems of bands, rates, portions, rounding and constant divisions to the source's."""
    for index, step in enumerate(draft.steps):
        if step is not None:
            _check_step(draft, step, ("waterfall", index), source)
    for path, expression in formulas(draft.points, draft.assessment):
        _check_constants(expression, path, source)
    if draft.split is not None:
        _check_among(draft.split.among, ("split", "among"), source)
        _check_parties(draft.split.among, ("split", "among"), source, set())
    _check_payable(draft, source)


def _check_step(draft: Draft, step: Step, path: Path, source: Source) -> None:
    for field, expression in expressions(step):
        _check_constants(expression, (*path, *field), source)
    rates: list[Path] = []
    if isinstance(step.tiers, BandTiers):
        _check_bands(step.tiers, (*path, "tiers", "bands"), source)
        if not _counts(draft, step.tiers.of):
            rates += [("tiers", "bands", number, "rate") for number in range(len(step.tiers.bands))]
    if step.net is not None:
        rates += [("net", "less", number, "rate") for number, each in enumerate(step.net.less) if each.rate is not None]
    for field in rates:
        _check_rate((*path, *field), source)


def _counts(draft: Draft, name: str) -> bool:
    """Whether the tiers' base may count things, so that its rates are prices: all but plain amounts of money."""
    measure = draft.measures.get(name)
    return measure.is_quantity if measure is not None else name in draft.lines and _of_quantities(draft, name)


def _of_quantities(draft: Draft, name: str) -> bool:
    units = measured(draft.measures, draft.currency or "")
    for step in draft.steps:
        if step is not None:
            add_step(units, step, draft.currency or "", lambda *_: None)
    return units.get(name) == QUANTITY


def _check_bands(tiers: BandTiers, path: Path, source: Source) -> None:
    end: Decimal | None = Decimal(0)
    for index, band in enumerate(tiers.bands):
        here: Path = (*path, index)
        if end is None:
            source.error(here, "the band above has no end, so this one is never reached", "give that one an upto")
            return
        if band.from_ is not None and band.from_ != end:
            _report_seam(here, band.from_, end, is_first=index == 0, source=source)
        if band.end is not None and band.end <= end:
            cause = f"band ends at {plain(band.end)}, but it begins at {plain(end)}"
            field = "upto" if band.upto is not None else "below"
            source.error((*here, field), cause, "write the bands from the lowest to the highest")
        if tiers.mode == "flat" and source.has((*here, "rate")):
            source.error((*here, "rate"), "flat tiers have no rates", "write flat: with the fee, or mode: volume")
        elif tiers.mode != "flat" and not source.has((*here, "rate")):
            source.error(here, "field 'rate' is missing", "write rate: 60%")
        end = band.end
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
    try:
        stated = number(text)
    except Unreadable:
        return  # a value's name stands there, or nothing
    if isinstance(text, str) and not text.endswith("%") and 1 < stated < _HUNDRED:
        cause = f"a rate of {text} on an amount of money means {text} times the amount"
        source.warn(path, cause, f"write {text}% if a percentage is meant")
    elif isinstance(text, str) and text.startswith("0.") and text.endswith("%") and stated < _THOUSANDTH:
        cause = f"a rate of {text} is less than a thousandth of the amount"
        source.warn(path, cause, f"write {text.removesuffix('%')} if a fraction is meant")


def _check_among(among: Sequence[Among], path: Path, source: Source) -> None:
    sharing = [each for each in among if each.amount is None]
    remaining = [index for index, each in enumerate(among) if each.amount is None and each.portion is None]
    for index in remaining[1:]:
        source.error((*path, index, "portion"), "only one party can get what remains", "write its portion")
    together = sum((each.portion for each in sharing if each.portion is not None), start=Fraction(0))
    if not sharing:
        source.error(path, "fixed amounts alone leave a rest to nobody", "give one party portion: remaining")
    elif together == 1 and remaining:
        source.error(path, "the portions make one, so nothing remains", "take out the party that gets what remains")
    elif together > 1:
        source.error(path, f"the portions make {part(together)}, more than one", "lower them until they make one")
    elif together < 1 and not remaining:
        source.error(path, f"the portions make {part(together)}, less than one", "give one party portion: remaining")
    for index, each in enumerate(among):
        if each.cap is not None and not remaining:
            cause = "what exceeds a cap goes to the party that gets what remains, and there is none"
            source.error((*path, index, "cap"), cause, "give one party portion: remaining")
        if each.among is not None:
            _check_among(each.among, (*path, index, "among"), source)


def _check_parties(among: Sequence[Among], path: Path, source: Source, parties: set[str]) -> None:
    for index, each in enumerate(among):
        if each.among is not None:
            _check_parties(each.among, (*path, index, "among"), source, parties)
        elif each.party is not None and each.party in parties:
            source.error((*path, index, "party"), f"party {each.party!r} stands twice", "add its portions up")
        parties |= {each.party or ""}


def _check_payable(draft: Draft, source: Source) -> None:
    if draft.split is not None or "split" in draft.broken:
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
