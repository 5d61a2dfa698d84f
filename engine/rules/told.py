"""What worked cases tell: contracts, partners, periods, rates, and what is expected of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple, get_args

from engine.facts import Dimensions, Fact
from engine.outcomes import Balance
from engine.period import Period
from engine.rules.given import Rate

Status = Literal["published", "derived", "own", "published and wrong"]
STATUSES: tuple[Status, ...] = get_args(Status)


class Happened(NamedTuple):
    """One event as a case tells it: `at` is its place in the list, counted from 1."""

    event: str
    dimensions: Dimensions
    fields: Mapping[str, Decimal]
    at: int


Recorded = tuple[Fact | Happened, ...]


class ContractTold(NamedTuple):
    """What a case says of one contract in one period; what it leaves out follows from the period before."""

    recorded: Recorded = ()
    partner: str = ""
    begins: date | None = None
    grade: str | None = None
    grade_before: str | None = None
    carried: tuple[Balance, ...] | None = None


class PartnerTold(NamedTuple):
    """What a case says of one partner in one period, beside its contracts."""

    recorded: Recorded = ()
    override: str | None = None


class Expected(NamedTuple):
    """What a period is to come to: amounts by contract, scores and earned points by partner, as texts and as numbers.

    `wrong` are amounts that were published, and that must not come out. `refused` is what the refusal says, if any.
    """

    amounts: Mapping[str, Mapping[str, Decimal]]
    wrong: Mapping[str, Mapping[str, Decimal]]
    scores: Mapping[str, Mapping[str, str]]
    points: Mapping[str, Mapping[str, Decimal]]
    refused: str | None = None


class Later(NamedTuple):
    """What was known of a period later, in all, and by how much that is to change each amount."""

    recorded: Recorded
    correction: Mapping[str, Decimal]


class Stage(NamedTuple):
    """One period of a case: without `period`, the one after the last. `rulebook` is the text in force from it on."""

    period: Period | None
    rulebook: str | None
    contracts: Mapping[str, ContractTold]
    partners: Mapping[str, PartnerTold]
    rates: tuple[Rate, ...]
    expected: Expected
    later: Later | None


class Case(NamedTuple):
    """One contract or a cohort of them, in one period or several that follow each other."""

    stages: tuple[Stage, ...]


class Entry(NamedTuple):
    """A rulebook with its cases and where they are from. `refused` is what the checker says of it, if it is to be refused."""

    name: str
    source: str
    status: Status
    rulebook: str
    cases: tuple[Case, ...]
    refused: tuple[str, ...] = ()
    file: str = ""


class Finding(NamedTuple):
    """One thing that a case expects, and what came out. `what` is such as `2020-03 payable` or `A party broker`."""

    entry: str
    case: int
    what: str
    expected: str
    found: str
    ok: bool
