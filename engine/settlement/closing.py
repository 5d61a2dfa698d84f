"""Closing a period: each contract's statement frozen with what it was computed from, at one position of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from engine import events
from engine.aggregates import contract as contracts
from engine.aggregates import statement as statements
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.period import Period, day_in
from engine.rules.given import Given
from engine.rules.model import Rulebook
from engine.settlement import scoring, sealing, taking_up
from engine.settlement.adjusting import is_resolution
from engine.settlement.books import Books
from engine.settlement.concluding import Concluded, belong_together, concluded
from engine.settlement.gathering import Group, gathered, of_rulebook
from engine.settlement.issuing import issued_of, keep_closed
from engine.settlement.keeping import balances_text, canonical, given_text
from engine.settlement.statements import checked, count_events, count_streamed, ended_statement, found, statement_of
from engine.store import copies, intake, log, recorder, registry, suspense
from engine.store import statements as statement_store
from engine.store.database import Rows, Store

# One transaction closes so many contracts: the writers' lock is held for about a second. Contracts that have to be settled
# together, since their rulebook looks across them, are closed together however many they are.
CONTRACTS_A_TRANSACTION = 1_000
SOURCE = "tantieme/close"


class PeriodNotOver(Refused):
    code = "period-not-over"


class ClosesTogether(Refused):
    code = "closes-together"


class Refusal(NamedTuple):
    """Why a contract's statement could not be closed."""

    contract: str
    code: str
    sentence: str


class Closed(NamedTuple):
    """What a closing did: how many statements it closed, how many were closed before, and which it could not.

    `root` commits to all that it issued; None where that is nothing.
    """

    closed: int
    already: int
    refused: tuple[Refusal, ...]
    root: str | None = None


class _Part(NamedTuple):
    """Contracts that one transaction closes. Those that belong `together` are closed all or not at all.

    Those that have `ended` are not in force in the period: their statements hold nothing but adjustments.
    """

    rulebook: Rulebook
    contracts: Sequence[Contract]
    together: bool
    ended: bool = False


def close(
    store: Store,
    period: Period,
    now: datetime,
    contract: str | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Closed:
    """Closes the period for one contract, or for all that settle by such periods and are in force in it.

    Killed in the middle, it leaves whole statements closed and the others open; run again, it closes those. `progress` is
    told how many of how many are done. Raises PeriodNotOver, UnknownContract, OtherCalendar, NotInForce.
    """
    with store.reading() as cursor:
        if contract is not None:
            chosen = [found(cursor, contract)]
            if contract not in _waiting(cursor, period, [contract]):
                checked(chosen[0], period)
        else:
            every = registry.all_contracts(cursor, calendar=period.calendar)
            waiting = _waiting(cursor, period)
            chosen = [c for c in every if contracts.in_force(c, period.first, period.end) or c.contract in waiting]
        over, refused = _over(chosen, period, now)
        parts, unsettled = _parts(Books(cursor, {each.rulebook for each in over}), over, period)
    sealing.catch_up(store)
    done = Closed(0, 0, (*refused, *unsettled))
    for part in parts:
        with store.writing() as cursor:
            recorder.lock(cursor)
            closed = _close(cursor, part, period, now)
        done = Closed(done.closed + closed.closed, done.already + closed.already, done.refused + closed.refused)
        progress(done.closed + done.already + len(done.refused), len(chosen))
    completed = sealing.complete(store, period, now)
    if contract is None:
        copies.keep(store, period.end)
    return done._replace(root=completed.root if completed else None)


def _waiting(cursor: Rows, period: Period, named: Sequence[str] | None = None) -> set[str]:
    """The contracts for which adjustments of earlier periods wait for a statement."""
    return set(taking_up.waiting(cursor, period, named))


def _over(chosen: Sequence[Contract], period: Period, now: datetime) -> tuple[list[Contract], list[Refusal]]:
    """The contracts for which the period is over where they settle, and refusals for the others.

    Raises PeriodNotOver where it is over for none.
    """
    today = {zone: day_in(zone, now) for zone in {contract.time_zone for contract in chosen} | {"UTC"}}
    over = [contract for contract in chosen if period.end <= today[contract.time_zone]]
    sentence = "{} ends with the day before {}, and today is {} in {}; close it then"
    if not over and (chosen or today["UTC"] < period.end):
        zone = chosen[0].time_zone if chosen else "UTC"
        raise PeriodNotOver(sentence.format(period, period.end, today[zone], zone))
    return over, [
        Refusal(c.contract, PeriodNotOver.code, sentence.format(period, period.end, today[c.time_zone], c.time_zone))
        for c in chosen
        if today[c.time_zone] < period.end
    ]


def _parts(books: Books, over: Sequence[Contract], period: Period) -> tuple[list[_Part], list[Refusal]]:
    """The contracts by the rulebook version that settles them, and refusals for those that none does."""
    by_version: dict[tuple[str, int], list[Contract]] = {}
    ended: dict[tuple[str, int], list[Contract]] = {}
    refused = []
    for each in over:
        try:
            rulebook = books.for_period(each, period)
        except Refused as refusal:
            refused.append(Refusal(each.contract, refusal.code, str(refusal)))
        else:
            chosen = by_version if contracts.in_force(each, period.first, period.end) else ended
            chosen.setdefault((rulebook.rulebook, rulebook.version), []).append(each)
    parts = [_Part(books.version(*key), members, together=False, ended=True) for key, members in ended.items()]
    for key, members in by_version.items():
        rulebook = books.version(*key)
        together = belong_together(rulebook.on(period.first))
        size = len(members) if together else CONTRACTS_A_TRANSACTION
        parts += [_Part(rulebook, members[at : at + size], together) for at in range(0, len(members), size)]
    return parts, refused


def _close(cursor: Rows, part: _Part, period: Period, now: datetime) -> Closed:
    ids = [contract.contract for contract in part.contracts]
    before = statement_store.closed_contracts(cursor, ids, str(period))
    still_open = [contract for contract in part.contracts if contract.contract not in before]
    if not still_open:
        return Closed(0, len(before), ())
    sealing.catch_up_to(cursor, recorder.last_position(cursor))
    books = Books(cursor, [part.rulebook.rulebook])
    if part.ended:
        return Closed(_issue_ended(cursor, part.rulebook, period, still_open, now), len(before), ())
    try:
        if part.together:
            _check_whole(cursor, books, part, period, already=bool(before))
        group = gathered(cursor, books, part.rulebook, period, still_open, closing=True)
        result = concluded(group)
    except Refused as refusal:
        if len(still_open) == 1 or part.together:
            told = [Refusal(each.contract, refusal.code, str(refusal)) for each in still_open]
            return Closed(0, len(before), tuple(told))
        # One of them waits for an earlier period: each is asked by itself.
        alone = [_close(cursor, part._replace(contracts=[each]), period, now) for each in still_open]
        refused = tuple(each for one in alone for each in one.refused)
        return Closed(sum(one.closed for one in alone), len(before), refused)
    issued = _issue(cursor, group, result, now)
    refused = tuple(Refusal(name, refusal.code, str(refusal)) for name, refusal in result.refused.items())
    return Closed(issued, len(before), refused)


def _check_whole(cursor: Rows, books: Books, part: _Part, period: Period, *, already: bool) -> None:
    """Raises ClosesTogether where only some of those that belong together would be closed."""
    name = f"{part.rulebook.rulebook} settles or assesses all its contracts together"
    if already:
        raise ClosesTogether(
            f"{name}, and the others are closed in {period}; let this contract begin in a later period"
        )
    every = {each.contract for each in of_rulebook(cursor, books, part.rulebook, period)}
    missing = sorted(every - {each.contract for each in part.contracts})
    if missing:
        raise ClosesTogether(
            f"{name}, and {missing[0]} would be left out of {period}; close the whole period when it is over"
        )


def _issue(cursor: Rows, group: Group, result: Concluded, now: datetime) -> int:
    """Writes the statements and scores to the log; returns how many statements there are."""
    position = recorder.last_position(cursor)
    settled = [group.contracts[name] for name in result.lines]
    adjustments = taking_up.waiting(cursor, group.period, [each.contract for each in settled])
    given = group.cohort.contracts
    drafts = [
        _Draft(
            group.contracts[name],
            statement_of(
                group.contracts[name], group.rulebook, group.period, said, count_events(given[name].facts),
                adjustments.get(name, ()),
            ),
            given_text(given[name]),
            balances_text(said.carried),
            count_streamed(given[name].facts),
        )
        for name, said in sorted(result.lines.items())
    ]  # fmt: skip
    scored = scoring.score_rows(group, result.scores, position, now)
    issued = _write(cursor, group.rulebook, group.period, drafts, now)
    scoring.issue(cursor, scored, now)
    return issued


def _issue_ended(cursor: Rows, rulebook: Rulebook, period: Period, ended: Sequence[Contract], now: datetime) -> int:
    adjustments = taking_up.waiting(cursor, period, [each.contract for each in ended])
    drafts = [
        _Draft(
            each,
            ended_statement(each, rulebook, period, adjustments.get(each.contract, ())),
            given_text(Given(period, partner=each.partner)),
            balances_text(()),
            0,
        )
        for each in ended
        if each.contract in adjustments
    ]
    return _write(cursor, rulebook, period, drafts, now)


class _Draft(NamedTuple):
    """A statement about to be issued; `events` are those of the contract alone."""

    contract: Contract
    statement: dict[str, Any]
    given: str
    carried: str
    events: int


def _write(cursor: Rows, rulebook: Rulebook, period: Period, drafts: Sequence[_Draft], now: datetime) -> int:
    """Appends the statements to the log and keeps them. The log is sealed up to its end. Returns how many there are."""
    if not drafts:
        return 0
    position = recorder.last_position(cursor)
    name = str(period)
    own = [draft.contract for draft in drafts]
    with_rates = {d.contract.contract for d in drafts if msgspec.json.decode(d.given)["rates"]}
    disputed = {d.contract.contract for d in drafts if any(map(is_resolution, d.statement["adjustments"]))}
    seals = sealing.seals_of(cursor, period, own, with_rates, disputed)
    issued, rows = [], []
    for number, draft in enumerate(drafts, position + 1):
        contract = draft.contract.contract
        command = events.StatementClosed(
            source=SOURCE,
            id=f"{contract}/{name}",
            time=now,
            contract=contract,
            period=name,
            position=position,
            digest=draft.statement["digest"],
            statement=canonical(draft.statement).decode(),
            given=draft.given,
            carried=draft.carried,
            seals=seals[contract],
        )
        (event,) = statements.decide(None, command)
        rows.append((log.stream_id("statement", f"{contract}\0{name}"), 1, event.NAME, events.encoded(event)))
        issued.append(issued_of(event, number, rulebook.rulebook, draft.events))
    first = recorder.append(cursor, rows)
    assert first == position + 1, (first, position)
    intake.note_batch(cursor, first, first + len(rows) - 1, now)
    keep_closed(cursor, period, issued)
    closed = [f"statement:{events.joined(each.contract, name)}" for each in issued]
    suspense.note_arrivals(cursor, closed, first + len(rows) - 1)
    return len(issued)
