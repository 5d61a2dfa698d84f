"""What the rules are asked about: one contract, or all contracts of a rulebook, in one period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from engine.facts import Fact
from engine.outcomes import Balance
from engine.period import Period
from engine.rules.model import Rulebook


class Rate(NamedTuple):
    """One unit of `base` is `rate` of `quote`, as `publisher` published it for the day."""

    publisher: str
    base: str
    quote: str
    day: date
    rate: Decimal


class Final(NamedTuple):
    """That all services of a contract have ended, the last on `day`; what is held of its deposit is in `currency`."""

    day: date
    deposit: Decimal
    currency: str


class Given(NamedTuple):
    """What may be known of one contract in one period.

    `facts` are those of the contract, and those of its partner's events that name it. `carried` is what the outcome of
    the period before left. `begins` is the contract's first day in force. `grade` is the partner's of this period, where
    the rulebook does not assess it itself; `grade_before` that of the period before. `origins` are the earlier periods of
    this contract whose charges are returned in this one, for clawbacks. `final` makes its statement the contract's final one:
    no rule looks at it.
    """

    period: Period
    facts: tuple[Fact, ...] = ()
    carried: tuple[Balance, ...] = ()
    begins: date | None = None
    partner: str = ""
    grade: str | None = None
    grade_before: str | None = None
    rates: tuple[Rate, ...] = ()
    origins: tuple[Origin, ...] = ()
    final: Final | None = None


class Origin(NamedTuple):
    """An earlier period as it was settled: by this rulebook, on this."""

    rulebook: Rulebook
    given: Given


class PartnerGiven(NamedTuple):
    """What may be known of one partner in one period, beside its contracts.

    `facts` are those of its own events. `override` is the grade that a person gave instead of the assessed one.
    """

    facts: tuple[Fact, ...] = ()
    override: str | None = None


class Cohort(NamedTuple):
    """All contracts of a rulebook in one period, by their ids, and their partners."""

    contracts: Mapping[str, Given]
    partners: Mapping[str, PartnerGiven] = {}
