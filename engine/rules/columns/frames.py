"""What is given, and what is concluded, as frames: one row a contract, a fact or a balance.

`frames_of` makes them of what the reference evaluator takes, `cohort_of` is its inverse.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from engine.facts import Dimensions, Fact
from engine.language.columns import WORKING
from engine.money import MICRO_DIGITS, decimal_of_micros, in_units
from engine.outcomes import Balance
from engine.period import Period
from engine.rules.given import Cohort, Given, Origin, PartnerGiven, Rate
from engine.rules.model import Rulebook

CONTRACTS = pl.Schema(
    {
        "contract": pl.String(),
        "partner": pl.String(),
        "begins": pl.Date(),
        "grade": pl.String(),
        "grade_before": pl.String(),
    }
)
# `value` is in micros; `dimensions` is the JSON object of the dimensions' texts.
_FACT = {
    "event": pl.String(),
    "field": pl.String(),
    "dimensions": pl.String(),
    "events": pl.Int64(),
    "value": pl.Int128(),
    "at": pl.Int64(),
}
FACTS = pl.Schema({"contract": pl.String(), **_FACT})
PARTNER_FACTS = pl.Schema({"partner": pl.String(), **_FACT})
CARRIED = pl.Schema(
    {"contract": pl.String(), "step": pl.String(), "kind": pl.String(), "day": pl.Date(), "amount": WORKING}
)


class Frames(NamedTuple):
    """All contracts of a rulebook in one period: the columns of CONTRACTS, FACTS and CARRIED, in any order of rows.

    `origins` are the earlier periods whose charges are returned in this one, for clawbacks. `partner_facts`
    (PARTNER_FACTS) and `overrides` (the grade that a person gave, by partner) are for an assessment. `memo` keeps what is
    measured, for another version of the rulebook that asks the same of the same facts.
    """

    contracts: pl.DataFrame
    facts: pl.DataFrame
    carried: pl.DataFrame = CARRIED.to_frame()
    rates: tuple[Rate, ...] = ()
    origins: tuple[Origins, ...] = ()
    partner_facts: pl.DataFrame = PARTNER_FACTS.to_frame()
    overrides: Mapping[str, str] = {}
    memo: list[Measured] | None = None


class Measured(NamedTuple):
    """What was measured: of these contracts and facts, as `asked`; a row a contract, a column a measure."""

    contracts: pl.Series
    facts: pl.DataFrame
    asked: tuple[object, ...]
    values: pl.DataFrame


class Origins(NamedTuple):
    """An earlier period as it was settled by this rulebook: of those contracts whose charges are returned now."""

    rulebook: Rulebook
    period: Period
    frames: Frames


class Settled(NamedTuple):
    """The outcomes of all contracts. Row i of `lines`, `payable` and `shares` is of contract i.

    `lines` has a column a line, in the waterfall's order, and `shares` one a party, in whole minor units of `currency`
    (Int128). `carried` has the columns of CARRIED, sorted by step, kind and day; no amount is 0.
    """

    contracts: pl.Series
    lines: pl.DataFrame
    payable: pl.Series
    shares: pl.DataFrame
    carried: pl.DataFrame
    currency: str


def frames_of(cohort: Cohort) -> Frames:
    """The frames of what is given of each contract; rates are those of any of them."""
    givens = cohort.contracts.items()
    contracts = [(name, given.partner, given.begins, given.grade, given.grade_before) for name, given in givens]
    facts = [_row(name, fact) for name, given in givens for fact in given.facts]
    carried = [(name, *balance) for name, given in givens for balance in given.carried]
    partner_facts = [_row(name, fact) for name, given in cohort.partners.items() for fact in given.facts]
    return Frames(
        pl.DataFrame(contracts, schema=CONTRACTS, orient="row"),
        pl.DataFrame(facts, schema=FACTS, orient="row"),
        pl.DataFrame(carried, schema=CARRIED, orient="row"),
        tuple(dict.fromkeys(rate for _, given in givens for rate in given.rates)),
        tuple(_origins(cohort.contracts)),
        pl.DataFrame(partner_facts, schema=PARTNER_FACTS, orient="row"),
        {name: given.override for name, given in cohort.partners.items() if given.override is not None},
    )


def _row(owner: str, fact: Fact) -> tuple[str, str, str, str, int, int, int]:
    dimensions = json.dumps(dict(fact.dimensions), ensure_ascii=False, separators=(",", ":"))
    return (owner, fact.event, fact.field, dimensions, fact.events, in_units(fact.value, MICRO_DIGITS), fact.at)


def _origins(contracts: Mapping[str, Given]) -> Iterable[Origins]:
    found: dict[tuple[str, str, int, Period], tuple[Rulebook, dict[str, Given]]] = {}
    for name, given in contracts.items():
        for rulebook, origin in given.origins:
            key = (rulebook.digest, rulebook.rulebook, rulebook.version, origin.period)
            found.setdefault(key, (rulebook, {}))[1][name] = origin
    for (*_, period), (rulebook, givens) in found.items():
        yield Origins(rulebook, period, frames_of(Cohort(givens)))


def cohort_of(period: Period, frames: Frames) -> Cohort:
    """What the frames say, as the reference evaluator takes it."""
    facts = _facts_by("contract", frames.facts)
    carried: dict[str, list[Balance]] = {}
    for contract, *balance in frames.carried.select(CARRIED.names()).iter_rows():
        carried.setdefault(contract, []).append(Balance(*balance))
    origins: dict[str, list[Origin]] = {}
    for each in frames.origins:
        for contract, given in cohort_of(each.period, each.frames).contracts.items():
            origins.setdefault(contract, []).append(Origin(each.rulebook, given))
    contracts = {}
    begins: date | None
    for contract, partner, begins, grade, before in frames.contracts.select(CONTRACTS.names()).iter_rows():
        contracts[contract] = Given(
            period,
            tuple(facts.get(contract, ())),
            tuple(carried.get(contract, ())),
            begins,
            partner or "",
            grade,
            before,
            frames.rates,
            tuple(origins.get(contract, ())),
        )
    partners = _facts_by("partner", frames.partner_facts)
    return Cohort(
        contracts,
        {
            name: PartnerGiven(tuple(partners.get(name, ())), frames.overrides.get(name))
            for name in sorted({*partners, *frames.overrides})
        },
    )


def _facts_by(owner: str, facts: pl.DataFrame) -> dict[str, list[Fact]]:
    found: dict[str, list[Fact]] = {}
    for name, event, field, dimensions, events, value, at in facts.select(owner, *_FACT).iter_rows():
        fact = Fact(event, field, dimensions_of(dimensions), events, _value(value), at)
        found.setdefault(name, []).append(fact)
    return found


def _value(micros: int) -> Decimal:
    return decimal_of_micros(micros)


def dimensions_of(text: str) -> Dimensions:
    """The dimensions that a fact's JSON text states, sorted."""
    stated: dict[str, str | None] = json.loads(text)
    return tuple(sorted(stated.items()))
