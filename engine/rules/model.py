"""What a rulebook is: measures of facts, a waterfall of steps, and how the payable amount is split.

The models mirror the YAML field by field, and hold numbers, portions and expressions already read. They check each
field by itself; what must hold between fields is checked by `engine.rules.check`, which is how a rulebook is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from engine.facts import PRIMARY_FIELD
from engine.money import Rounding, UnknownCurrency, minor_digits, plain
from engine.rules import words
from engine.rules.expression import Binary, Constant, Expression, Extreme, Name, Negation, parse
from engine.rules.words import Unreadable, quoted

_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_TEXT_LENGTH_MAX = 200
STEPS_MAX = 200


def _attribute(value: object) -> str:
    if isinstance(value, str) and _ATTRIBUTE.fullmatch(value):
        return value
    raise Unreadable(f"{quoted(value)} is not the name of a field", "write small letters, digits and _, such as meter")


def _identifier(value: object) -> str:
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    raise Unreadable(f"{quoted(value)} is not an id", "write letters, digits and - . _, such as grocery-supplier")


def _text(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= _TEXT_LENGTH_MAX:
        return value
    raise Unreadable(f"{quoted(value)} is not a text of 1 to {_TEXT_LENGTH_MAX} characters", "write a short text")


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values:
        raise Unreadable("the list is empty, so nothing would be measured", "write a text or a list of texts")
    return tuple(_text(each) for each in values)


def _event(value: object) -> str:
    if isinstance(value, str) and value in PRIMARY_FIELD:
        return value
    raise Unreadable(f"{quoted(value)} is not an event that facts are made of", f"write {_choice(PRIMARY_FIELD)}")


def _currency(value: object) -> str:
    try:
        minor_digits(str(value))
    except UnknownCurrency as error:
        raise Unreadable(str(error), "write its three capital letters, such as USD") from None
    return str(value)


def _expression(value: object) -> Expression:
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, (Constant, Name, Negation, Binary, Extreme)):
        return value
    raise Unreadable(f"{quoted(value)} is not an expression", "write arithmetic on one line, such as sales - refunds")


def _above_zero(value: Decimal) -> Decimal:
    if value > 0:
        return value
    raise Unreadable(f"{plain(value)} is not above 0", "write a number above 0")


def _not_negative(value: Decimal) -> Decimal:
    if value >= 0:
        return value
    raise Unreadable(f"{plain(value)} is below 0", "write 0 or a number above it")


def _choice(values: Iterable[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


Attribute = Annotated[str, BeforeValidator(_attribute)]
Identifier = Annotated[str, BeforeValidator(_identifier)]
StepName = Annotated[str, BeforeValidator(words.name)]
Text = Annotated[str, BeforeValidator(_text)]
Number = Annotated[Decimal, PlainValidator(words.number)]
NumberAboveZero = Annotated[Decimal, PlainValidator(words.number), AfterValidator(_above_zero)]
NumberNotNegative = Annotated[Decimal, PlainValidator(words.number), AfterValidator(_not_negative)]
Formula = Annotated[Expression, PlainValidator(_expression)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measure(_Frozen):
    """The sum of a field, or the count, of the facts of one event type that match `where`."""

    event: Annotated[str, BeforeValidator(_event)]
    sum: Attribute | None = None
    count: Literal["events"] | None = None
    where: dict[Attribute, Annotated[tuple[str, ...], PlainValidator(_texts)]] = {}

    @model_validator(mode="after")
    def _one_aggregation(self) -> Measure:
        primary = PRIMARY_FIELD[self.event]
        if (self.sum is None) == (self.count is None):
            raise Unreadable("a measure has exactly one of sum and count", f"write sum: {primary}, or count: events")
        if self.event == "usage.recorded" and self.sum == "amount":
            raise Unreadable("usage.recorded has no amount", "write sum: quantity, or event: billing.charged")
        return self

    @cached_property
    def field(self) -> str:
        """The field of the facts that are read; a count reads those of the field that every event carries."""
        return self.sum or PRIMARY_FIELD[self.event]

    @cached_property
    def is_quantity(self) -> bool:
        """True where the value counts things; false where it is an amount of the rulebook's currency."""
        return self.sum is None or self.sum == "quantity"

    @cached_property
    def described(self) -> str:
        wanted = ", ".join(f"{name} is {_choice(texts)}" for name, texts in sorted(self.where.items()))
        what = f"count of {self.event}" if self.sum is None else f"sum of {self.event} {self.sum}"
        return f"{what} where {wanted}" if wanted else what


class Band(_Frozen):
    """One row of tiers: above the band before, up to and including `upto`."""

    upto: NumberAboveZero | None = None
    rate: Number
    flat: Number = Decimal(0)
    from_: NumberNotNegative | None = Field(default=None, alias="from")


class BandTiers(_Frozen):
    """Rates by bands: each slice at its band's rate (graduated), or everything at the rate reached (volume)."""

    of: StepName
    mode: Literal["graduated", "volume"]
    bands: Annotated[tuple[Band, ...], Field(min_length=1, max_length=100)]

    @cached_property
    def lower_bounds(self) -> tuple[Decimal, ...]:
        """Where each band begins; a base must exceed it to enter the band, except for the first."""
        return (Decimal(0), *(band.upto for band in self.bands[:-1] if band.upto is not None))


class PackageTiers(_Frozen):
    """A price for every package of `size` that is begun, past the `free` ones."""

    of: StepName
    mode: Literal["package"]
    size: NumberAboveZero
    price: Number
    free: NumberNotNegative = Decimal(0)


class Deduct(_Frozen):
    """What a name leaves after a rate of `of` (default: of itself), or after an amount."""

    from_: StepName = Field(alias="from")
    rate: Number | None = None
    of: StepName | None = None
    amount: Formula | None = None

    @model_validator(mode="after")
    def _one_deduction(self) -> Deduct:
        if (self.rate is None) == (self.amount is None):
            raise Unreadable("a deduction has exactly one of rate and amount", "write rate: 8%, or amount: fee + 5")
        if self.of is not None and self.rate is None:
            raise Unreadable("of says what a rate is taken of, and there is none", "write rate: 8%, or leave of out")
        return self


class Floor(_Frozen):
    """The greater of a name and an expression."""

    of: StepName
    at: Formula


class Cap(_Frozen):
    """The lesser of a name and an expression."""

    of: StepName
    at: Formula


Tiers = BandTiers | PackageTiers
Rule = Expression | BandTiers | PackageTiers | Deduct | Floor | Cap
RULE_FIELDS = ("amount", "tiers", "deduct", "floor", "cap")


class Step(_Frozen):
    """One named amount, by exactly one rule."""

    name: StepName
    clause: Text | None = None
    round: Rounding | None = None
    amount: Formula | None = None
    tiers: Annotated[BandTiers | PackageTiers, Field(discriminator="mode")] | None = None
    deduct: Deduct | None = None
    floor: Floor | None = None
    cap: Cap | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Step:
        given = [field for field in RULE_FIELDS if getattr(self, field) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none of them"
            raise Unreadable(f"a step has exactly one of {_choice(RULE_FIELDS)}, and this has {found}", "write one")
        return self

    @cached_property
    def rule(self) -> Rule:
        """The one rule that the step has."""
        found = self.amount or self.tiers or self.deduct or self.floor or self.cap
        assert found is not None, self.name
        return found


class Portion(_Frozen):
    """What one party gets: an exact fraction, or, where it is None, what the others leave."""

    party: Text
    portion: Annotated[Fraction | None, PlainValidator(words.portion)]

    @cached_property
    def described(self) -> str:
        """`95%`, `1/3` or `remaining`."""
        return "remaining" if self.portion is None else words.part(self.portion)


class Split(_Frozen):
    """How a rounded step's amount is shared, in whole minor units."""

    of: StepName
    among: Annotated[tuple[Portion, ...], Field(min_length=1, max_length=100)]

    @cached_property
    def portions(self) -> tuple[Fraction, ...]:
        """The parties' exact fractions, which sum to one; `remaining` is what the others leave of it."""
        remaining = 1 - sum(each.portion for each in self.among if each.portion is not None)
        return tuple(Fraction(remaining if each.portion is None else each.portion) for each in self.among)


class Contents(_Frozen):
    """All that a rulebook's text states."""

    rulebook: Identifier
    version: Annotated[int, BeforeValidator(words.whole)]
    valid_from: Annotated[date, BeforeValidator(words.day)]
    currency: Annotated[str, BeforeValidator(_currency)]
    dimensions: Annotated[tuple[Attribute, ...], Field(max_length=20)] = ()
    measures: Annotated[dict[StepName, Measure], Field(max_length=200)] = {}
    waterfall: Annotated[tuple[Step, ...], Field(min_length=1, max_length=STEPS_MAX)]
    split: Split | None = None


class Rulebook(Contents):
    """A checked version of a rulebook. Two texts that state the same have the same digest."""

    digest: str

    @cached_property
    def grain(self) -> tuple[str, ...]:
        """The dimensions by which facts must be kept: those declared, and those that a measure filters on."""
        return tuple(sorted({*self.dimensions, *(name for each in self.measures.values() for name in each.where)}))

    @cached_property
    def payable_step(self) -> str:
        """The name of the step whose amount is paid."""
        return self.waterfall[-1].name if self.split is None else self.split.of

    @cached_property
    def minor_digits(self) -> int:
        return minor_digits(self.currency)
