"""Reading cases that a contract manager can read: rulebooks as texts, facts as `EVENT FIELD [dimension=value ...]`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from engine.facts import Fact
from engine.outcomes import Outcome
from engine.period import Calendar, Period
from engine.rules.check import check
from engine.rules.evaluate import settle
from engine.rules.given import Given
from engine.rules.model import Rulebook

HERE = Path(__file__).parent

# The worked example of the language: one measure of each kind, one step of most kinds.
EXAMPLE = """\
rulebook: grocery-supplier
version: 1
valid_from: 2017-01-01
currency: USD
dimensions: [department]
measures:
  sales:     {event: billing.charged, sum: amount}
  refunds:   {event: billing.refunded, sum: amount}
  drug uses: {event: usage.recorded, count: events, where: {meter: sms-mt, product: [a, b]}}
waterfall:
  - {name: net sales, amount: sales - refunds, clause: "3.1"}
  - name: share
    clause: "3.2"
    tiers: {of: net sales, mode: graduated, bands: [{upto: 10000, rate: 60%}, {upto: 50000, rate: 65%}, {rate: 70%}]}
  - {name: marketing fund, amount: -2% * net sales, clause: "3.4"}
  - {name: uses, tiers: {of: drug uses, mode: package, size: 10, price: 1}}
  - {name: payable, amount: "max(share + marketing fund - uses, 25)", round: half_up, clause: "3.5"}
split:
  of: payable
  among: [{party: supplier, portion: 95%}, {party: broker, portion: remaining}]
"""


def read(path: Path) -> Any:
    """All scalars as text, so that no number becomes a binary float."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - it makes only texts


def accepted(text: str) -> Rulebook:
    checked = check(text)
    assert checked.rulebook is not None, "\n".join(map(str, checked.problems))
    return checked.rulebook


def facts_of(given: dict[str, Any]) -> list[Fact]:
    return [_fact(key, value) for key, value in given.items()]


def settled(rulebook: Rulebook, facts: list[Fact]) -> Outcome:
    """One contract by itself, in the month from which the rulebook is valid."""
    return settle(rulebook, Given(Period.containing(rulebook.valid_from, Calendar.monthly), tuple(facts)))


def amounts_of(outcome: Outcome) -> dict[str, Decimal]:
    """Lines by their names, shares by `party NAME`."""
    lines = {line.name: line.amount for line in outcome.lines}
    return lines | {f"party {share.party}": share.amount for share in outcome.shares}


def _fact(key: str, value: Any) -> Fact:
    event, field, *dimensions = key.split(" ")
    pairs = tuple(sorted(tuple(pair.split("=")) for pair in dimensions))
    if isinstance(value, dict):
        return Fact(event, field, pairs, int(value["events"]), Decimal(value["value"]))
    return Fact(event, field, pairs, 1, Decimal(value))
