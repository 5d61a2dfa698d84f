"""Everything that the checks of an audit look things up in, brought together once all evidence is in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import polars as pl

from engine.aggregates import contract as contracts
from engine.aggregates.contract import Contract
from engine.events import DiscrepancyResolved
from engine.facts import Fact
from engine.money import decimal_of_micros
from engine.outcomes import Balance
from engine.period import Period
from engine.rules.columns.frames import dimensions_of
from engine.rules.given import Rate
from engine.rules.model import Rulebook
from engine.rules.steps import Convert
from replay.audit import world
from replay.audit.issued import Issued, Score, Statement
from replay.audit.scope import Scope, Told
from replay.audit.volume import Sealed
from replay.known import RATE_DAYS_MAX, Known

# Contract, period and line of a discrepancy.
Resolved = tuple[str, str, str]


class Basis(NamedTuple):
    """`known` is by position; `facts` are those of contracts' own events, by the key under which they were asked for.

    `resolved` are the events that resolved discrepancies, with their positions.
    """

    issued: Issued
    scope: Scope
    known: Mapping[int, Known]
    sealed: Sealed
    facts: pl.DataFrame
    unfolded: Mapping[str, str]
    versions: Mapping[tuple[str, str], list[Statement]]
    scores: Mapping[tuple[str, str, str], list[Score]]
    resolved: Mapping[Resolved, tuple[int, DiscrepancyResolved]]

    def contract(self, statement: Statement) -> Contract | None:
        """The contract's terms as the statement knew them."""
        return self.known[statement.position].contracts.get(statement.contract)

    def latest(self, contract: str, period: Period, before: int) -> Statement | None:
        """The latest version of the statement that was in the log before the position."""
        found = [each for each in self.versions.get((contract, str(period)), ()) if each.entry.position < before]
        return found[-1] if found else None

    def standing(self, contract: str, period: Period, position: int) -> Statement | None:
        """The latest version of the statement that knew the log up to the position and no further: what is issued at once has one
        position.
        """
        found = [each for each in self.versions.get((contract, str(period)), ()) if each.position <= position]
        return found[-1] if found else None

    def latest_score(self, scorecard: str, period: Period, partner: str, to: int) -> Score | None:
        """The latest version of the score that was in the log up to the position."""
        found = [each for each in self.scores.get((scorecard, str(period), partner), ()) if each.entry.position <= to]
        return found[-1] if found else None

    def rates(self, book: Rulebook, period: Period, position: int) -> tuple[Rate, ...]:
        """The rates that the version is given in the period, as known at the position."""
        publishers = {s.rule.publisher for s in book.on(period.first).waterfall if isinstance(s.rule, Convert)}
        if not publishers:
            return ()
        return self.known[position].rates_for(publishers, period.first - RATE_DAYS_MAX, period.end)

    def left(self, contract: Contract, period: Period, position: int, before: int) -> tuple[Balance, ...] | None:
        """The balances with which the contract begins the period: None where the evidence does not have them."""
        previous = period.previous()
        carries = world.carries(self.known[position], contract.rulebook)
        if not carries or not contracts.in_force(contract, previous.first, previous.end):
            return ()
        found = self.latest(contract.contract, previous, before)
        return None if found is None else found.carried

    def grade_before(self, scorecard: str, period: Period, partner: str, position: int) -> str | None:
        """The grade of the period before: that of a person, else as issued; None where the evidence has none."""
        previous = period.previous()
        given = self.known[position].overrides.get((scorecard, str(previous), partner))
        issued = self.latest_score(scorecard, previous, partner, position)
        return given or (None if issued is None else str(issued.said["grade"]))


def made(
    issued: Issued, scope: Scope, known: Mapping[int, Known], sealed: Sealed, facts: pl.DataFrame, unfolded: Mapping[str, str],
    told: Iterable[Told],
) -> Basis:  # fmt: skip
    versions: dict[tuple[str, str], list[Statement]] = {}
    for each in sorted((*issued.statements, *issued.cited_statements), key=lambda each: each.entry.position):
        versions.setdefault((each.contract, each.event.period), []).append(each)
    scores: dict[tuple[str, str, str], list[Score]] = {}
    for score in sorted((*issued.scores, *issued.cited_scores), key=lambda each: each.entry.position):
        event = score.event
        scores.setdefault((event.scorecard, event.period, event.partner), []).append(score)
    resolved = {
        (event.contract, event.period, event.line): (entry.position, event)
        for entry, event in told
        if isinstance(event, DiscrepancyResolved)
    }
    return Basis(issued, scope, known, sealed, facts, unfolded, versions, scores, resolved)


def key_of(contract: str, period: Period, position: int) -> str:
    """Under which the facts of the contract's period as known at the position are asked for."""
    return f"{contract}\0{period}\0{position}"


def named_facts(known: Known, names: Iterable[str], period: Period, whose: str) -> dict[str, list[Fact]]:
    """By contract or partner (`whose`) the facts of partners' events in the days of the period."""
    frame = known.partner_facts
    if not frame.height:
        return {}
    own = frame.filter(
        (pl.col("day") >= period.first) & (pl.col("day") < period.end) & pl.col(whose).is_in(list(names))
    )
    summed = own.group_by(whose, "event", "field", "dimensions").agg(pl.col("events").sum(), pl.col("value").sum())
    found: dict[str, list[Fact]] = {}
    for name, event, field, dimensions, events, value in summed.sort(whose, "event", "field", "dimensions").iter_rows():
        fact = Fact(event, field, dimensions_of(dimensions), events, decimal_of_micros(value))
        found.setdefault(name, []).append(fact)
    return found


def facts_by_key(facts: pl.DataFrame, keys: Iterable[str]) -> dict[str, list[Fact]]:
    """The folded facts under each of the keys."""
    found: dict[str, list[Fact]] = {}
    chosen = facts.filter(pl.col("contract").is_in(list(keys))).sort("contract", "event", "field", "dimensions")
    for key, event, field, dimensions, events, value, at in chosen.select(
        "contract", "event", "field", "dimensions", "events", "value", "at"
    ).iter_rows():
        fact = Fact(event, field, dimensions_of(dimensions), events, decimal_of_micros(value), at)
        found.setdefault(key, []).append(fact)
    return found
