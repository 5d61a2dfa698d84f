"""Adjustments after the past has changed: what closed statements come to now, less all that was issued for them before.

First everything is computed again without a lock, to find what differs; then only that, in a transaction each under the
writers' lock. Killed in between, it leaves whole adjustments; run again, it makes the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from engine.aggregates import contract as contracts
from engine.aggregates.persons import same_person
from engine.aggregates.refusal import Refused
from engine.aggregates.reported import ApproverIsAuthor
from engine.events import LatePolicy
from engine.period import Calendar, Period
from engine.rules.given import Given
from engine.settlement import restating, sealing
from engine.settlement.books import Books
from engine.settlement.gathering import EarlierPeriodOpen, settled_by
from engine.settlement.keeping import balances_text, given_text
from engine.settlement.restating import Approval, Restated
from engine.settlement.statements import ended_statement
from engine.store import facts as fact_store
from engine.store import recorder
from engine.store import statements as statement_store
from engine.store.database import Rows, Store
from replay import known
from replay.causes import causes, is_late
from replay.differing import Refusal, differing
from replay.known import Known
from replay.recompute import recomputed

# One transaction restates so many contracts, but for those that are settled together.
CONTRACTS_A_TRANSACTION = 1_000


class Outcome(NamedTuple):
    """What restating made, or would make. `held` wait for an approval: their contracts hold late events."""

    restated: tuple[Restated, ...]
    held: tuple[Restated, ...]
    refused: tuple[Refusal, ...]
    statements: int


def restate(
    store: Store,
    now: datetime,
    names: Sequence[str] | None = None,
    approval: Approval | None = None,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Outcome:
    """Makes adjustments for the contracts, or for all. With an `approval` also for those that wait for one.

    Contracts that are settled together with a named one are restated with it. Raises ApproverIsAuthor.
    """
    if approval is not None and same_person(approval.author, approval.approver):
        raise ApproverIsAuthor(f"{approval.author} cannot approve what {approval.author} asks for; name somebody else")
    if not dry_run:
        sealing.catch_up(store)
    with store.reading() as cursor:
        preview = _computed(cursor, names, approval)
    if dry_run or not preview.restated:
        return preview
    done: list[Restated] = []
    parts = list(_parts(preview.restated))
    for number, part in enumerate(parts, 1):
        with store.writing() as cursor:
            recorder.lock(cursor)
            again = _computed(cursor, part, approval)
            restating.issue(cursor, again.restated, now, approval)
        done += again.restated
        progress(number, len(parts))
    return preview._replace(restated=tuple(done))


def _parts(restated: Sequence[Restated]) -> Iterator[list[str]]:
    """The contracts in parts; those of one rulebook follow one another, and `_computed` adds whom they belong together with."""
    named = dict.fromkeys(
        each.contract.contract for each in sorted(restated, key=lambda r: (r.contract.rulebook, r.contract.contract))
    )
    names = list(named)
    for at in range(0, len(names), CONTRACTS_A_TRANSACTION):
        yield names[at : at + CONTRACTS_A_TRANSACTION]


def _computed(cursor: Rows, names: Sequence[str] | None, approval: Approval | None) -> Outcome:
    """What differs now from the latest versions of closed statements."""
    everything = known.live(cursor)
    asked = everything.contracts if names is None else everything.contracts.only(names)
    across = known.together(everything, asked)
    chosen = sorted({*asked, *everything.contracts.under(*across)})
    closed = statement_store.closed(cursor, None if names is None else chosen)
    if not closed:
        return Outcome((), (), (), 0)
    facts = fact_store.all_live(cursor, None if names is None else chosen)
    found, refused = [], []
    unseen = dict.fromkeys(closed)
    books = Books(cursor, {each.rulebook for each in everything.contracts.values()})
    stopped: dict[tuple[str, Calendar], Refused] = {}
    every = recomputed(everything, facts, max(closed.values()), chosen)
    for (rulebook, period), settlements in groupby(every, key=lambda each: (each.rulebook.rulebook, each.period)):
        together = list(settlements)
        made = differing(cursor, together, stopped.get((rulebook, period.calendar)))
        found += made.restated
        refused += made.refused
        if made.stopped is not None and books.carry(rulebook):
            sentence = f"{period} was not restated, and later periods need it: {made.stopped}"
            stopped.setdefault((rulebook, period.calendar), EarlierPeriodOpen(sentence))
        for name in {name for each in together for name in each.all_named}:
            unseen.pop((name, str(period)), None)
    found += _ended(cursor, everything, list(unseen))
    return _held(everything, found, across, approval)._replace(refused=tuple(refused), statements=len(closed))


def _ended(cursor: Rows, everything: Known, unseen: Sequence[tuple[str, str]]) -> list[Restated]:
    """Closed statements of periods in which their contract turns out not to be in force: nothing was earned."""
    made = []
    for name, period in unseen:
        contract, days = everything.contracts[name], Period.parse(period)
        assert not contracts.in_force(contract, days.first, days.end), (name, period)
        each = statement_store.latest(cursor, [name], period)[name]
        rulebook = settled_by(Books(cursor, [each.rulebook]), each)
        statement = ended_statement(contract, rulebook, days)
        if restating.differs(each, statement, balances_text(())):
            text = given_text(Given(days, partner=contract.partner))
            why = causes(cursor, contract, each, statement, text)
            made.append(Restated(contract, each, statement, text, balances_text(()), 0, tuple(why)))
    return made


def _held(everything: Known, found: Sequence[Restated], across: set[str], approval: Approval | None) -> Outcome:
    """Contracts that hold late events wait for an approval where such an event changed something, and with them all that is
    settled together with them.
    """
    waiting = {
        each.contract.contract
        for each in found
        if approval is None and each.contract.late_events is LatePolicy.hold and any(map(is_late, each.causes))
    }
    books = {everything.contracts[name].rulebook for name in waiting} & across
    held = [each for each in found if each.contract.contract in waiting or each.contract.rulebook in books]
    kept = [each for each in found if each not in held]
    return Outcome(tuple(kept), tuple(held), (), 0)
