"""Steps: each rule that a line of a waterfall can have, as a rulebook writes it."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.language.expression import Expression
from engine.language.words import Unreadable
from engine.money import Rounding
from engine.rules.fields import (
    CurrencyCode,
    Formula,
    Frozen,
    Number,
    NumberAboveZero,
    NumberNotNegative,
    StepName,
    TaxRate,
    Text,
    Whole,
    choice,
)

Over = Literal["period", "year", "life"]
Prorate = Literal["months", "days"]


class Band(Frozen):
    """One row of tiers: from the end of the band before to `upto` (closed: it belongs here) or `below` (open)."""

    upto: NumberAboveZero | None = None
    below: NumberAboveZero | None = None
    rate: Number = Decimal(0)
    flat: Number = Decimal(0)
    from_: NumberNotNegative | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _one_end(self) -> Band:
        if self.upto is not None and self.below is not None:
            raise Unreadable("a band ends once", "write upto where the bound belongs to it, else below")
        return self

    @property
    def end(self) -> Decimal | None:
        """Where it ends; None for the last band."""
        return self.below if self.upto is None else self.upto


class BandTiers(Frozen):
    """Rates by bands: each slice at its band's rate (graduated), everything at the rate reached (volume), or the flat fee
    of the band reached alone (flat).

    `over` year or life: the base is accumulated over the calendar year or the contract's life, and the period gets what
    its part of it adds: tiers of the whole, less tiers of what was before. `prorate` lowers every bound of the year in
    which the contract begins to the part of it that is left, in months begun or in days.
    """

    of: StepName
    mode: Literal["graduated", "volume", "flat"]
    bands: Annotated[tuple[Band, ...], Field(min_length=1, max_length=100)]
    over: Over = "period"
    prorate: Prorate | None = None

    @model_validator(mode="after")
    def _fitting(self) -> BandTiers:
        if self.prorate is not None and self.over != "year":
            raise Unreadable("prorate is for bounds of a year", "write over: year, or leave prorate out")
        return self

    @cached_property
    def lower_bounds(self) -> tuple[Decimal, ...]:
        """Where each band begins."""
        return (Decimal(0), *(band.end for band in self.bands[:-1] if band.end is not None))


class PackageTiers(Frozen):
    """A price for every package of `size` that is begun, past the `free` ones. `over` as for bands."""

    of: StepName
    mode: Literal["package"]
    size: NumberAboveZero
    price: Number
    free: NumberNotNegative = Decimal(0)
    over: Over = "period"


class Deduction(Frozen):
    """One line of a net base: a rate of the gross or of the rest, or an amount. On the statement it is negative."""

    name: StepName
    rate: Number | None = None
    on: Literal["gross", "rest"] | None = None
    amount: Formula | None = None
    clause: Text | None = None

    @model_validator(mode="after")
    def _one_deduction(self) -> Deduction:
        if (self.rate is None) == (self.amount is None):
            raise Unreadable("a deduction has exactly one of rate and amount", "write rate: 8%, or amount: fee + 5")
        if (self.rate is None) != (self.on is None):
            raise Unreadable(
                "whether a rate is taken of the gross or of the rest must be said, and only of a rate",
                "write on: gross (additive), or on: rest (compound)",
            )
        return self


class Net(Frozen):
    """What is left of a gross after deductions in order, each a line of its own."""

    of: StepName
    less: Annotated[tuple[Deduction, ...], Field(min_length=1, max_length=50)]


class Floor(Frozen):
    """The greater of a name and an expression."""

    of: StepName
    at: Formula


class Cap(Frozen):
    """The lesser of a name and an expression."""

    of: StepName
    at: Formula


class Guarantee(Frozen):
    """At least `minimum` each period. What is paid above `of` (short-workings) is recouped from what later periods earn
    above the minimum, oldest first, within so many periods after its own; then it lapses.
    """

    of: StepName
    minimum: Formula
    recoup_within: Whole


class Advance(Frozen):
    """`of` after the partner's advances are recouped from it: never below 0 by them, and `of` itself where it is negative.

    `paid` is what was advanced in the period. `across` partner: the advances of all contracts of the partner under this
    rulebook are recouped from all of them together, in the order of their ids.
    """

    of: StepName
    paid: StepName
    across: Literal["contract", "partner"] = "contract"


class Pool(Frozen):
    """A common pool, the sum of `of` over all contracts of the rulebook, divided by their units `by`.

    With `per`, a dimension such as customer, the pool of each of its values is divided by that value's own units
    (user-centric); `of` and `by` are then measures. Units below 0 count as none. Shares have the working precision and sum
    to the pool: floors, then one unit of it each from the top, in the order of the contracts' ids.
    """

    of: StepName
    by: StepName
    per: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")] | None = None


class Coefficient(Frozen):
    """`of` times the factor of the partner's grade, of this period or of the one before it.

    Without `factors`, the coefficients that the assessment's consequences state. `ungraded` is for a partner without one.
    """

    of: StepName
    grade: Literal["this", "previous"]
    factors: Annotated[dict[Text, Number], Field(max_length=50)] = {}
    ungraded: Number | None = None


class Clawback(Frozen):
    """What returned charges take back: for each period in which they were made, the step `of` as it would have come out
    there without them, less as it did; under that period's rulebook. `base` and `returns` are measures: of the charges,
    and of what is returned of them (their dimension `charged_in` says when they were made).
    """

    of: StepName
    base: StepName
    returns: StepName


class TopUp(Frozen):
    """What is missing to a commitment: `commitment` less `of`, never below 0."""

    of: StepName
    commitment: Formula


class Payout(Frozen):
    """What is paid out of `of`: it matures `hold` days after its period ends, and is paid when at least `minimum` has
    matured; else it is carried. A negative balance is carried until later amounts make up for it.
    """

    of: StepName
    hold: Annotated[int, Field(ge=0, le=3660)] = 0
    minimum: Formula | None = None


class Tax(Frozen):
    """The tax on `of`: withheld out of it, or, grossed up, on top of it so that `of` is what is left after tax."""

    of: StepName
    rate: TaxRate
    method: Literal["withhold", "gross_up"]


class Convert(Frozen):
    """`of` in another currency, by the rate that `publisher` published for the period's first or last day, or, `within` so
    many days before it, the latest. A missing rate is a refusal, never a guess.
    """

    of: StepName
    to: CurrencyCode
    publisher: Text
    on: Literal["first_day", "last_day"]
    within: Annotated[int, Field(ge=0, le=366)] = 0


Tiers = BandTiers | PackageTiers
Rule = (
    Expression
    | BandTiers
    | PackageTiers
    | Net
    | Floor
    | Cap
    | Guarantee
    | Advance
    | Pool
    | Coefficient
    | Clawback
    | TopUp
    | Payout
    | Tax
    | Convert
)


class Step(Frozen):
    """One named amount, by exactly one rule."""

    name: StepName
    clause: Text | None = None
    round: Rounding | None = None
    amount: Formula | None = None
    tiers: Annotated[BandTiers | PackageTiers, Field(discriminator="mode")] | None = None
    net: Net | None = None
    floor: Floor | None = None
    cap: Cap | None = None
    guarantee: Guarantee | None = None
    advance: Advance | None = None
    pool: Pool | None = None
    coefficient: Coefficient | None = None
    clawback: Clawback | None = None
    topup: TopUp | None = None
    payout: Payout | None = None
    tax: Tax | None = None
    convert: Convert | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Step:
        given = [field for field in RULE_FIELDS if getattr(self, field) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none of them"
            raise Unreadable(f"a step has exactly one of {choice(RULE_FIELDS)}, and this has {found}", "write one")
        return self

    @cached_property
    def rule(self) -> Rule:
        """The one rule that the step has."""
        found: Rule = next(rule for field in RULE_FIELDS if (rule := getattr(self, field)) is not None)
        return found

    @property
    def carries(self) -> frozenset[str]:
        """The kinds of balances that it leaves to the next period."""
        match self.rule:
            case BandTiers(over=over) | PackageTiers(over=over) if over != "period":
                return frozenset({"accumulated"})
            case Guarantee():
                return frozenset({"short-workings"})
            case Advance():
                return frozenset({"unrecouped"})
            case Payout():
                return frozenset({"held", "unpaid"})
            case Clawback():
                return frozenset({"returned"})
            case _:
                return frozenset()

    @property
    def lines(self) -> tuple[str, ...]:
        """The names of its lines: its own, and before it one a deduction."""
        return (*(each.name for each in self.net.less), self.name) if self.net else (self.name,)


RULE_FIELDS = (
    "amount", "tiers", "net", "floor", "cap", "guarantee", "advance", "pool", "coefficient", "clawback", "topup",
    "payout", "tax", "convert",
)  # fmt: skip
