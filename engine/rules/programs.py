"""Points, as a rulebook writes them: what earns and costs them, how long they live, and which levels they give."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, model_validator

from engine.language.words import Unreadable, quoted
from engine.money import Rounding
from engine.period import months_after
from engine.rules.fields import Formula, Frozen, Number, NumberAboveZero, NumberNotNegative, StepName, Text


def _months(value: object) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str) and (found := re.fullmatch(r"P([1-9][0-9]{0,2})([MY])", value)):
        return int(found[1]) * (12 if found[2] == "Y" else 1)
    raise Unreadable(f"{quoted(value)} is not a time in months or years", "write P12M, or P1Y")


Months = Annotated[int, PlainValidator(_months)]


class Earn(Frozen):
    """Points for `of`, an expression over measures and steps (those summed over the partner's contracts): times `rate`, at
    most `cap` in a period, then rounded to whole points. A negative rate is a penalty, and `cap` its greatest size. Where
    `multiplied` is yes, the multiplier of the level applies that holds when the day begins, before the cap.
    """

    name: StepName
    of: Formula
    rate: Number
    cap: NumberAboveZero | None = None
    multiplied: Literal["yes", "no"] = "no"
    round: Rounding = Rounding.down
    clause: Text | None = None


class Expiry(Frozen):
    """A lot lives `after` so many months, to the end of that month, or to the day. Source: ISO 8601 durations."""

    after: Months
    to: Literal["end_of_month", "day"]

    def of(self, earned: date) -> date | None:
        """The first day without the points: P12M after 2020-07-06 is 2021-08-01 to the end of the month, 2021-07-06 to the
        day. None where that is past the end of the calendar: they stay.
        """
        if self.to == "day":
            return months_after(earned, self.after)
        return months_after(earned.replace(day=1), self.after + 1)

    @property
    def described(self) -> str:
        to = "to the day" if self.to == "day" else "to the end of the month"
        return f"{self.after} months, {to}" if self.after > 1 else f"1 month, {to}"


class Level(Frozen):
    """Reached from so many points on; its multiplier applies to what is earned while it holds. `grants` names what the
    partner may have while it does.
    """

    name: Text
    from_: NumberNotNegative = Field(alias="from")
    multiplier: NumberNotNegative = Decimal(1)
    grants: tuple[Text, ...] = ()


class Levels(Frozen):
    """By the balance at the end of the day, or by what rules earned `within` so many months up to the day (without: ever).

    What was earned on 31 March within P1M counts up to 29 April. Penalties, adjustments, burns and expiry don't lower what
    was earned. Below the first level the first level holds.
    """

    of: Literal["balance", "earned"]
    within: Months | None = None
    bands: Annotated[tuple[Level, ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _fitting(self) -> Levels:
        if self.of == "balance" and self.within is not None:
            raise Unreadable("within is for levels by what was earned", "write of: earned, or leave within out")
        return self


class Program(Frozen):
    """A points program: the account of each partner with contracts under the rulebook."""

    earn: Annotated[tuple[Earn, ...], Field(max_length=100)] = ()
    expiry: Expiry | None = None
    levels: Levels | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Program:
        if not self.earn and self.expiry is None and self.levels is None:
            raise Unreadable("the points say nothing", "write earn, expiry or levels, or leave points out")
        return self
