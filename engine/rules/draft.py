"""A rulebook while it is checked: the parts that could be read, and the names of those that could not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.rules.expression import Binary, Constant, Expression, Extreme, Name, Negation, Operator, names
from engine.rules.model import BandTiers, Cap, Deduct, Floor, Measure, PackageTiers, Split, Step
from engine.rules.problems import Path


@dataclass(frozen=True)
class Draft:
    """`names` and `steps` run side by side; a name is empty, and a measure or step None, where it is unreadable."""

    measures: dict[str, Measure | None]
    names: list[str]
    steps: list[Step | None]
    split: Split | None
    has_split: bool

    @property
    def is_whole(self) -> bool:
        """True where every step could be read, so that what is not used is known."""
        return None not in self.steps and (self.split is not None or not self.has_split)

    def quantities(self) -> set[str]:
        """The names that count things; every other name is an amount of money. Products count as money."""
        found = {name for name, measure in self.measures.items() if measure is not None and measure.is_quantity}
        for step in self.steps:
            if step is not None and step.amount is not None and _is_quantity(step.amount, found):
                found.add(step.name)
        return found


def expressions(step: Step) -> Iterator[tuple[Path, Expression]]:
    """The expressions that a step holds, each with where it stands within the step."""
    match step.rule:
        case Constant() | Name() | Negation() | Binary() | Extreme():
            yield ("amount",), step.rule
        case Deduct(amount=amount):
            if amount is not None:
                yield ("deduct", "amount"), amount
        case Floor(at=at):
            yield ("floor", "at"), at
        case Cap(at=at):
            yield ("cap", "at"), at
        case BandTiers() | PackageTiers():
            return


def references(step: Step) -> Iterator[tuple[Path, Name]]:
    """The names that a step uses, each with the field it stands in, within the step."""
    match step.rule:
        case BandTiers(of=of) | PackageTiers(of=of):
            yield ("tiers", "of"), Name(of)
        case Deduct(from_=from_, of=of):
            yield ("deduct", "from"), Name(from_)
            if of is not None:
                yield ("deduct", "of"), Name(of)
        case Floor(of=of):
            yield ("floor", "of"), Name(of)
        case Cap(of=of):
            yield ("cap", "of"), Name(of)
        case Constant() | Name() | Negation() | Binary() | Extreme():
            pass
    for path, expression in expressions(step):
        for name in names(expression):
            yield path, name


def _is_quantity(expression: Expression, quantities: set[str]) -> bool:
    match expression:
        case Constant():
            return False
        case Name(text=name):
            return name in quantities
        case Negation(operand=operand):
            return _is_quantity(operand, quantities)
        case Extreme(operands=operands):
            return any(_is_quantity(operand, quantities) for operand in operands)
        case Binary(operator=Operator.plus | Operator.minus, left=left, right=right):
            return _is_quantity(left, quantities) or _is_quantity(right, quantities)
        case Binary():
            return False
