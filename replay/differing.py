"""Which closed statements of a period come out otherwise when one rulebook settles it again, and which go with them.

Where a rulebook looks across contracts, what a statement says depends on what every other contract was given. So that each
version can be computed again from what was issued, a statement that comes to other amounts takes with it every closed one of
its rulebook and period that is given something else than its latest version was, or is settled by another version: those get a
further version too, whose adjustment changes no amount.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.aggregates.refusal import Refused
from engine.outcomes import Balance
from engine.settlement import restating
from engine.settlement.closing import ClosesTogether
from engine.settlement.keeping import balances_text, given_text, is_same_given
from engine.settlement.restating import Restated
from engine.settlement.statements import count_streamed, statement_of
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.statements import Issued
from replay.causes import causes
from replay.recompute import Settlement

Json = dict[str, Any]


class Refusal(NamedTuple):
    """Why a closed statement cannot be computed again."""

    contract: str
    period: str
    code: str
    sentence: str


class Differing(NamedTuple):
    """`stopped` says why none of the period is restated, where that is so."""

    restated: list[Restated]
    refused: list[Refusal]
    stopped: Refused | None


class _Again(NamedTuple):
    """Closed statements, by contract, as one version settles them now: each with what it leaves to the next period."""

    settlement: Settlement
    statements: Mapping[str, tuple[Json, tuple[Balance, ...]]]
    changed: frozenset[str]

    @property
    def looks_across(self) -> bool:
        return self.settlement.rulebook.on(self.settlement.period.first).looks_across


def differing(cursor: Rows, settlements: Sequence[Settlement], before: Refused | None) -> Differing:
    """Of all settlements of one rulebook in one period. `before` says why an earlier period that this one needs was not
    restated.
    """
    period = str(settlements[0].period)
    closed = statement_store.latest(cursor, sorted({name for each in settlements for name in each.all_named}), period)
    refused = [
        Refusal(name, period, refusal.code, str(refusal))
        for each in settlements
        for name, refusal in each.found.refused.items()
        if name in closed
    ]
    again = [_again(each, closed) for each in settlements]
    across = [each for each in again if each.changed and each.looks_across]
    stopped = before or _hindrance(across, closed, refused)
    if stopped is not None:
        waiting = sorted(name for each in again for name in each.changed)
        return Differing([], refused + [Refusal(n, period, stopped.code, str(stopped)) for n in waiting], stopped)
    made = [one for each in again for one in _restated(cursor, each, closed, with_moved=bool(across))]
    return Differing(made, refused, None)


def _again(settlement: Settlement, closed: Mapping[str, Issued]) -> _Again:
    if not closed.keys() & settlement.contracts.keys():
        return _Again(settlement, {}, frozenset())
    events = settlement.events()
    statements = {
        name: (
            statement_of(settlement.contracts[name], settlement.rulebook, settlement.period, said, events[name]),
            said.carried,
        )
        for name, said in settlement.lines().items()
        if name in closed
    }
    changed = {
        name
        for name, (statement, left) in statements.items()
        if restating.differs(closed[name], statement, balances_text(left))
    }
    return _Again(settlement, statements, frozenset(changed))


def _hindrance(across: Sequence[_Again], closed: Mapping[str, Issued], refused: Sequence[Refusal]) -> Refused | None:
    """Why statements that depend on one another are not restated: all that they depend on has to be issued as well."""
    for each in across:
        period, name = each.settlement.period, each.settlement.rulebook.rulebook
        left_out = sorted(each.settlement.contracts.keys() - closed.keys())
        if left_out:
            signed = each.settlement.contracts[left_out[0]]
            return ClosesTogether(
                f"{name} settles all its contracts together, and {signed.contract} is in force in {period} without having been "
                f"closed with the others, so nobody would get its part; terminate it as of {signed.valid_from}, sign it anew "
                "from a later period, and restate again"
            )
        if refused:
            return ClosesTogether(
                f"{name} settles all its contracts together, and {refused[0].contract} cannot be settled again in {period}: "
                f"{refused[0].sentence}"
            )
    return None


def _restated(cursor: Rows, again: _Again, closed: Mapping[str, Issued], *, with_moved: bool) -> list[Restated]:
    """Those that come to other amounts; and `with_moved` those that are given something else."""
    givens = again.settlement.givens(again.statements if with_moved else again.changed)
    made = []
    for name in sorted(givens):
        contract, before, given = again.settlement.contracts[name], closed[name], givens[name]
        statement, left = again.statements[name]
        text = given_text(given)
        if name in again.changed or _moved(before, statement, text):
            why = causes(cursor, contract, before, statement, text)
            events = count_streamed(given.facts)
            made.append(Restated(contract, before, statement, text, balances_text(left), events, tuple(why)))
    return made


def _moved(before: Issued, statement: Json, given: str) -> bool:
    return restating.own(before)["rulebook"] != statement["rulebook"] or not is_same_given(before.given, given)
