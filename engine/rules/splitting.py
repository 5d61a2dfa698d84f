"""How a rounded amount is shared among parties, as a rulebook writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Annotated

from pydantic import Field, model_validator

from engine.language import words
from engine.language.words import Unreadable
from engine.rules.fields import Frozen, NumberNotNegative, PortionOf, StepName, Text


class Among(Frozen):
    """What one party, or a group that shares further, gets: a fixed amount, a fraction, or what `remaining` leaves.

    Fixed amounts are taken first, from the top, each as far as the amount reaches; portions are of what they leave. What a
    portion exceeds its `cap` by goes to the party that gets what remains.
    """

    party: Text | None = None
    portion: PortionOf = None
    amount: NumberNotNegative | None = None
    cap: NumberNotNegative | None = None
    among: Annotated[tuple[Among, ...], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _fitting(self) -> Among:
        if (self.party is None) == (self.among is None):
            raise Unreadable(
                "what is shared goes to a party, or on among several", "write party: broker, or among: [...]"
            )
        if self.amount is not None and ("portion" in self.model_fields_set or self.cap is not None):
            raise Unreadable("a fixed amount has no portion and no cap", "leave them out")
        if self.amount is None and "portion" not in self.model_fields_set:
            raise Unreadable("what it gets is missing", "write portion: 95%, portion: remaining, or amount: 100")
        if self.cap is not None and self.portion is None:
            raise Unreadable("what remains has no cap: it takes what the others' caps leave", "leave cap out")
        return self

    @cached_property
    def described(self) -> str:
        """`95%`, `1/3`, `remaining` or `100 fixed`."""
        if self.amount is not None:
            return f"{self.amount} fixed"
        return "remaining" if self.portion is None else words.part(self.portion)


def portions(among: Sequence[Among]) -> tuple[Fraction, ...]:
    """The exact fractions, which sum to one, of those without a fixed amount; `remaining` is what the others leave."""
    sharing = [each for each in among if each.amount is None]
    remaining = 1 - sum(each.portion for each in sharing if each.portion is not None)
    return tuple(Fraction(remaining if each.portion is None else each.portion) for each in sharing)


class Split(Frozen):
    """How a rounded step's amount is shared, in whole minor units."""

    of: StepName
    among: Annotated[tuple[Among, ...], Field(min_length=1, max_length=100)]

    @cached_property
    def parties(self) -> tuple[str, ...]:
        """Everyone who gets something, from the top."""
        return tuple(_parties(self.among))


def _parties(among: Sequence[Among]) -> Iterator[str]:
    for each in among:
        if each.among is not None:
            yield from _parties(each.among)
        elif each.party is not None:
            yield each.party
