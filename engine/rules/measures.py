"""Measures: which facts are put together to one number, and how."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from engine.facts import PARTNER_DIMENSIONS, PARTNER_FIELDS, PARTNER_MONEY, PRIMARY_FIELD
from engine.language.words import Unreadable, number, quoted
from engine.money import plain
from engine.rules.fields import Attribute, CurrencyCode, Formula, Frozen, Number, choice, text
from engine.rules.problems import nearest

EVENTS = (*PRIMARY_FIELD, *PARTNER_FIELDS)
AGGREGATIONS = ("sum", "count", "distinct", "max", "min", "last", "each")


class Range(Frozen):
    """Numbers between two bounds: `from` and `upto` belong to it, `above` and `below` do not."""

    from_: Number | None = Field(default=None, alias="from")
    above: Number | None = None
    upto: Number | None = None
    below: Number | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Range:
        if (self.from_ is not None and self.above is not None) or (self.upto is not None and self.below is not None):
            raise Unreadable("a range has one lower and one upper bound at most", "write from or above, upto or below")
        if (self.from_, self.above, self.upto, self.below) == (None, None, None, None):
            raise Unreadable("the range has no bound", "write {from: 10, below: 60}")
        return self

    def __contains__(self, value: str | None) -> bool:
        """Whether the text states a number within the range; a text that states none is outside."""
        try:
            stated = number(value)
        except Unreadable:
            return False
        return (
            (self.from_ is None or stated >= self.from_)
            and (self.above is None or stated > self.above)
            and (self.upto is None or stated <= self.upto)
            and (self.below is None or stated < self.below)
        )

    @cached_property
    def described(self) -> str:
        bounds = (("from", self.from_), ("above", self.above), ("up to", self.upto), ("below", self.below))
        return " ".join(f"{word} {plain(bound)}" for word, bound in bounds if bound is not None)


def _wanted(value: object) -> Range | tuple[str, ...]:
    if isinstance(value, Range):
        return value
    if isinstance(value, dict):
        return Range.model_validate(value)
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values:
        raise Unreadable("the list is empty, so nothing would be measured", "write a text or a list of texts")
    return tuple(text(each) for each in values)


def _event(value: object) -> str:
    if isinstance(value, str) and value in EVENTS:
        return value
    remedy = nearest(str(value), EVENTS, f"write {choice(EVENTS)}")
    raise Unreadable(f"{quoted(value)} is not an event that facts are made of", remedy)


Wanted = Annotated[Range | tuple[str, ...], PlainValidator(_wanted)]


class Measure(Frozen):
    """One number of the facts of one event type that match `where`, put together in exactly one way.

    `sum`, `max`, `min` and `last` are of a field of the events; `count` is their number; `distinct` is the number of
    different texts of a dimension; `each` sums an expression that is evaluated event by event, over the fields `amount`,
    `quantity` and further amounts (0 where the event lacks one), rounded half-even to 6 digits.
    """

    event: Annotated[str, BeforeValidator(_event)]
    sum: Attribute | None = None
    count: Literal["events"] | None = None
    distinct: Attribute | None = None
    max: Attribute | None = None
    min: Attribute | None = None
    last: Attribute | None = None
    each: Formula | None = None
    where: dict[Attribute, Wanted] = {}
    currency: CurrencyCode | None = None

    @model_validator(mode="after")
    def _one_aggregation(self) -> Measure:
        given = [name for name in AGGREGATIONS if getattr(self, name) is not None]
        example = self.primary
        if len(given) != 1:
            raise Unreadable(
                f"a measure has exactly one of {choice(AGGREGATIONS)}", f"write sum: {example}, or count: events"
            )
        if self.event == "usage.recorded" and "amount" in {self.sum, self.max, self.min, self.last}:
            raise Unreadable("usage.recorded has no amount", "write sum: quantity, or event: billing.charged")
        if self.event in PARTNER_FIELDS:
            self._check_partner_event()
        return self

    def _check_partner_event(self) -> None:
        fields = PARTNER_FIELDS[self.event]
        if self.count is None and self.distinct is None and self.sum not in fields:
            raise Unreadable(
                f"{self.event} can be counted, and summed by {choice(fields)}", "write count: events, or such a sum"
            )
        unknown = sorted({*self.where, *([self.distinct] if self.distinct else [])} - PARTNER_DIMENSIONS)
        if unknown:
            raise Unreadable(
                f"facts of {self.event} are not kept by {unknown[0]}", f"write {choice(sorted(PARTNER_DIMENSIONS))}"
            )

    @cached_property
    def primary(self) -> str:
        """The field that every event of the type carries."""
        return PRIMARY_FIELD.get(self.event) or PARTNER_FIELDS[self.event][0]

    @cached_property
    def of_partner(self) -> bool:
        """True where the events are about a partner, not a contract alone."""
        return self.event in PARTNER_FIELDS

    @cached_property
    def field(self) -> str:
        """The field of the facts that are read; counts read those of the field that every event carries."""
        for how in ("max", "min", "last"):
            if (of := getattr(self, how)) is not None:
                return f"{how} {of}"
        if self.each is not None:
            return f"each {self.each.text}"
        return self.sum or self.primary

    @cached_property
    def derived(self) -> bool:
        """True where the facts are folded only because a rulebook asks for them."""
        return " " in self.field

    @cached_property
    def is_quantity(self) -> bool:
        """True where the value counts things; false where it is an amount of money."""
        if self.count is not None or self.distinct is not None:
            return True
        of = self.sum or self.max or self.min or self.last
        if self.of_partner:
            return of not in PARTNER_MONEY
        return of == "quantity" or self.event == "usage.recorded"

    @cached_property
    def dimensions(self) -> frozenset[str]:
        """The dimensions by which facts must be kept for this measure."""
        return frozenset({*self.where, *([self.distinct] if self.distinct else [])})

    @cached_property
    def described(self) -> str:
        wanted = ", ".join(f"{name} is {_described(texts)}" for name, texts in sorted(self.where.items()))
        match self:
            case Measure(count=None, distinct=None, each=None):
                how = next(how for how in ("sum", "max", "min", "last") if getattr(self, how) is not None)
                what = f"{how} of {self.event} {getattr(self, how)}"
            case Measure(distinct=str()):
                what = f"number of different {self.distinct} of {self.event}"
            case Measure(each=None):
                what = f"count of {self.event}"
            case _:
                assert self.each is not None, self
                what = f"sum over each {self.event} of {self.each.text}"
        if self.currency is not None:
            what = f"{what} in {self.currency}"
        return f"{what} where {wanted}" if wanted else what


def _described(wanted: Range | tuple[str, ...]) -> str:
    return wanted.described if isinstance(wanted, Range) else choice(wanted)
