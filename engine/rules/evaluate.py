"""The reference evaluator: from facts to an outcome in which every amount carries the tree of reasons that yields it.

It is written to be read beside the rulebook: one function a construct, exact decimals, no shortcuts.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import assert_never

from engine.facts import Dimensions, Fact, label
from engine.money import AmountTooLarge, difference, plain, product, round_to, total, working
from engine.outcomes import How, Line, Outcome, Reason
from engine.rules.expression import Binary, Constant, Expression, Extreme, Name, Negation, Operator, calculate
from engine.rules.model import BandTiers, Cap, Deduct, Floor, Measure, PackageTiers, Rule, Rulebook, Step
from engine.rules.shares import shares
from engine.rules.tiers import rate

_ZERO = Decimal(0)
_HOW = {
    Operator.plus: How.total,
    Operator.minus: How.difference,
    Operator.times: How.product,
    Operator.by: How.quotient,
}

_Known = dict[str, Reason]
_FactsByField = dict[tuple[str, str], dict[Dimensions, tuple[int, Decimal]]]


class Unsettleable(ArithmeticError):
    """A step of a rulebook has no amount for these facts."""


def settle(rulebook: Rulebook, facts: Iterable[Fact]) -> Outcome:
    """What the rulebook concludes from the facts of one contract and period.

    Neither the order of the facts nor whether they were merged before changes the outcome. An unrounded amount has 12
    digits after the point, a rounded one those of the currency's minor unit. Raises Unsettleable where a step divides
    by zero, and AmountTooLarge where an amount has more than 26 digits before the point; both name the step.
    """
    where = "the facts"
    try:
        by_field = _by_field(facts)
        known: _Known = {}
        for name, measure in rulebook.measures.items():
            where = f"measure {name!r}"
            known[name] = _measured(name, measure, by_field)
        lines: list[Line] = []
        for step in rulebook.waterfall:
            where = f"step {step.name!r}"
            line = _line(step, known, rulebook.minor_digits)
            lines.append(line)
            known[step.name] = Reason(step.name, How.step, line.amount, "line above", step.clause)
    except ZeroDivisionError:
        raise Unsettleable(f"{_named(rulebook)}, {where}: it divides by zero for these facts") from None
    except AmountTooLarge as error:
        raise AmountTooLarge(f"{_named(rulebook)}, {where}: {error}") from None
    payable = known[rulebook.payable_step].value
    return Outcome(tuple(lines), payable, shares(rulebook, payable))


def _named(rulebook: Rulebook) -> str:
    return f"rulebook {rulebook.rulebook} version {rulebook.version}"


def _by_field(facts: Iterable[Fact]) -> _FactsByField:
    grouped: _FactsByField = {}
    for event, field, dimensions, events, value in facts:
        group = grouped.setdefault((event, field), {})
        events_before, value_before = group.get(dimensions, (0, _ZERO))
        group[dimensions] = (events_before + events, total(value_before, value))
    return grouped


def _measured(name: str, measure: Measure, by_field: _FactsByField) -> Reason:
    facts = by_field.get((measure.event, measure.field), {})
    value = working(_ZERO)
    parts = []
    for dimensions in sorted(facts, key=_order):
        if not _matches(measure, dimensions):
            continue
        events, amount = facts[dimensions]
        value = total(value, Decimal(events) if measure.sum is None else amount)
        note = "1 event" if events == 1 else f"{events} events"
        parts.append(Reason(label(measure.event, measure.field, dimensions), How.fact, amount, note))
    return Reason(name, How.measure, _unsigned_zero(value), measure.described, parts=tuple(parts))


def _order(dimensions: Dimensions) -> list[tuple[str, bool, str]]:
    return [(name, text is not None, text or "") for name, text in dimensions]


def _matches(measure: Measure, dimensions: Dimensions) -> bool:
    if not measure.where:
        return True
    texts = dict(dimensions)
    return all(texts.get(name) in wanted for name, wanted in measure.where.items())


def _line(step: Step, known: _Known, digits: int) -> Line:
    reason = _applied(step.rule, known)
    amount = _unsigned_zero(working(reason.value))
    if step.round is not None:
        rounded = _unsigned_zero(round_to(amount, digits, step.round))
        working(rounded)
        note = f"{step.round} to {digits} digits after the point"
        reason = Reason("rounding", How.rounding, rounded, note, parts=(reason,))
        amount = rounded
    return Line(step.name, amount, step.clause, Reason(step.name, How.step, amount, "", step.clause, (reason,)))


def _unsigned_zero(value: Decimal) -> Decimal:
    return value or value.copy_abs()


def _applied(rule: Rule, known: _Known) -> Reason:
    match rule:
        case Constant() | Name() | Negation() | Binary() | Extreme():
            return _evaluated(rule, known)
        case BandTiers() | PackageTiers():
            return rate(rule, known[rule.of])
        case Deduct():
            return _deducted(rule, known)
        case Floor(of=of, at=at):
            return _extreme("max", f"{of}, at least {at.text}", (known[of], _evaluated(at, known)))
        case Cap(of=of, at=at):
            return _extreme("min", f"{of}, at most {at.text}", (known[of], _evaluated(at, known)))
        case _:
            assert_never(rule)


def _deducted(rule: Deduct, known: _Known) -> Reason:
    whole = known[rule.from_]
    if rule.amount is not None:
        deduction = _evaluated(rule.amount, known)
    else:
        assert rule.rate is not None, rule
        base = known[rule.of or rule.from_]
        rate_reason = Reason(plain(rule.rate), How.constant, rule.rate)
        name = f"{rate_reason.name} * {base.name}"
        deduction = Reason(name, How.product, product(rule.rate, base.value), parts=(rate_reason, base))
    name = f"{whole.name} less {deduction.name}"
    return Reason(name, How.difference, difference(whole.value, deduction.value), parts=(whole, deduction))


def _evaluated(expression: Expression, known: _Known) -> Reason:
    match expression:
        case Name(text=name):
            return known[name]
        case Constant(value=value, text=text):
            return Reason(text, How.constant, value)
        case Negation(operand=operand, text=text):
            inner = _evaluated(operand, known)
            return Reason(text, How.negation, inner.value.copy_negate(), parts=(inner,))
        case Binary(operator=operator, left=left, right=right, text=text):
            first, second = _evaluated(left, known), _evaluated(right, known)
            value = calculate(operator, first.value, second.value)
            return Reason(text, _HOW[operator], value, parts=(first, second))
        case Extreme(function=function, operands=operands, text=text):
            return _extreme(function, text, tuple(_evaluated(operand, known) for operand in operands))
        case _:
            assert_never(expression)


def _extreme(function: str, name: str, parts: tuple[Reason, ...]) -> Reason:
    values = [part.value for part in parts]
    if function == "min":
        return Reason(name, How.minimum, min(values), parts=parts)
    return Reason(name, How.maximum, max(values), parts=parts)
