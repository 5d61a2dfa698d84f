"""Units: which amounts are of which currency, what counts things, and what fits together.

A unit is an ISO 4217 currency, `quantity`, or `number` (a ratio). A constant has none of its own (None) and takes that of
what it stands beside; so has a quantity times a constant, since the constant may be a price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from engine.language.expression import Binary, Constant, Expression, Extreme, Name, Negation, Operator
from engine.rules.measures import Measure
from engine.rules.problems import Path
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

QUANTITY, NUMBER = "quantity", "number"
Unit = str | None
Report = Callable[[Path, str, str], None]
Units = dict[str, Unit]


def units_of(
    values: Iterable[str], measures: Mapping[str, Measure], steps: Iterable[Step], currency: str
) -> dict[str, str]:
    """The unit of every name; what has none of its own is an amount of the rulebook's currency."""
    units = dict.fromkeys(values) | measured(measures, currency)
    for step in steps:
        add_step(units, step, currency, lambda *_: None)
    return {name: unit or currency for name, unit in units.items()}


def measured(measures: Mapping[str, Measure | None], currency: str) -> Units:
    """The units of measures; an unreadable one has none."""
    return {
        name: None if measure is None else QUANTITY if measure.is_quantity else measure.currency or currency
        for name, measure in measures.items()
    }


def add_step(units: Units, step: Step, currency: str, report: Report) -> None:
    """Adds the units of the step's lines; reports, by where it stands in the step, what does not fit."""
    units[step.name] = _of_rule(units, step, currency, report)


def _of_rule(  # noqa: C901, PLR0911, PLR0912 - one case a rule
    units: Units, step: Step, currency: str, report: Report
) -> Unit:
    match step.rule:
        case Constant() | Name() | Negation() | Binary() | Extreme():
            return of_expression(step.rule, units, partial(report, ("amount",)))
        case BandTiers(of=of) | PackageTiers(of=of):
            unit = units.get(of)
            return currency if unit in {None, QUANTITY, NUMBER} else unit
        case Net(of=of, less=less):
            for index, each in enumerate(less):
                units[each.name] = units.get(of)
                if each.amount is not None:
                    path: Path = ("net", "less", index, "amount")
                    _same(of, units, each.amount, path, "deducted from", report)
            return units.get(of)
        case Floor(of=of, at=at):
            return _same(of, units, at, ("floor", "at"), "compared with", report)
        case Cap(of=of, at=at):
            return _same(of, units, at, ("cap", "at"), "compared with", report)
        case Guarantee(of=of, minimum=minimum):
            return _same(of, units, minimum, ("guarantee", "minimum"), "compared with", report)
        case TopUp(of=of, commitment=commitment):
            return _same(of, units, commitment, ("topup", "commitment"), "compared with", report)
        case Payout(of=of, minimum=minimum):
            if minimum is None:
                return units.get(of)
            return _same(of, units, minimum, ("payout", "minimum"), "compared with", report)
        case Advance(of=of, paid=paid):
            return _same(of, units, Name(paid), ("advance", "paid"), "recouped from", report)
        case Clawback(of=of, base=base, returns=returns):
            _same(base, units, Name(returns), ("clawback", "returns"), "taken back from", report)
            return units.get(of)
        case Convert(of=of, to=to):
            if units.get(of) in {QUANTITY, NUMBER}:
                report(("convert", "of"), f"{of!r} is a {units[of]}, not an amount of money", "convert an amount")
            return to
        case Pool(of=of) | Coefficient(of=of) | Tax(of=of):
            return units.get(of)


def _same(of: str, units: Units, other: Expression, path: Path, verb: str, report: Report) -> Unit:
    beside = of_expression(other, units, partial(report, path))
    mine = units.get(of)
    if mine is not None and beside is not None and mine != beside:
        cause = f"{_said(beside)} is {verb} {_said(mine)}"
        report(path, cause, "bring both to one unit first: convert a currency, multiply a quantity by its price")
    return mine or beside


def of_expression(  # noqa: C901, PLR0911 - one case a kind
    expression: Expression, units: Mapping[str, Unit], report: Callable[[str, str], None]
) -> Unit:
    """The expression's unit; reports what is added or compared and does not fit."""
    match expression:
        case Constant():
            return None
        case Name(text=name):
            return units.get(name)
        case Negation(operand=operand):
            return of_expression(operand, units, report)
        case Extreme(operands=operands):
            unit: Unit = None
            for operand in operands:
                unit = _fitting(unit, of_expression(operand, units, report), "compared with", report)
            return unit
        case Binary(operator=operator, left=left, right=right):
            first, second = of_expression(left, units, report), of_expression(right, units, report)
            match operator:
                case Operator.plus:
                    return _fitting(first, second, "added to", report)
                case Operator.minus:
                    return _fitting(first, second, "subtracted from", report)
                case Operator.times:
                    return _product(first, second, report)
                case Operator.by:
                    return _quotient(first, second, report)


def _fitting(first: Unit, second: Unit, verb: str, report: Callable[[str, str], None]) -> Unit:
    if first is not None and second is not None and first != second:
        remedy = "bring both to one unit first: convert a currency, multiply a quantity by its price"
        report(f"{_said(second)} is {verb} {_said(first)}", remedy)
    return first or second


def _product(first: Unit, second: Unit, report: Callable[[str, str], None]) -> Unit:
    kinds = {first, second}
    money = [unit for unit in (first, second) if unit not in {None, QUANTITY, NUMBER}]
    if len(money) == 2:  # noqa: PLR2004 - both
        report(f"{_said(first)} is multiplied by {_said(second)}", "multiply an amount by a rate or a quantity")
        return first
    if money:
        return money[0]
    if kinds == {NUMBER}:
        return NUMBER
    return QUANTITY if kinds == {QUANTITY, NUMBER} else None


def _quotient(first: Unit, second: Unit, report: Callable[[str, str], None]) -> Unit:
    if second is None:
        return first
    if first == second:
        return NUMBER
    if second in {QUANTITY, NUMBER}:
        return first
    if first not in {None, QUANTITY, NUMBER}:
        report(f"{_said(first)} is divided by {_said(second)}", "convert one of them to the other's currency first")
    return NUMBER


def _said(unit: Unit) -> str:
    match unit:
        case None:
            return "a number"
        case "quantity":
            return "a quantity"
        case "number":
            return "a ratio"
        case currency:
            return f"an amount of {currency}"
