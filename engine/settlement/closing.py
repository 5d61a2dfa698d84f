"""Closing a period: each contract's statement frozen with what it was computed from, at one position of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from engine import events
from engine.aggregates import contract as contracts
from engine.aggregates import statement as statements
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.period import Period, day_in
from engine.rules.model import Rulebook
from engine.settlement import scoring
from engine.settlement.books import Books
from engine.settlement.concluding import Concluded, concluded
from engine.settlement.gathering import Group, gathered, of_rulebook
from engine.settlement.keeping import balances_text, canonical, given_text
from engine.settlement.statements import checked, count_events, found, statement_of
from engine.store import intake, log, recorder, registry
from engine.store import statements as statement_store
from engine.store.database import Rows, Store
from engine.store.statements import Issued

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
    """What a closing did: how many statements it closed, how many were closed before, and which it could not."""

    closed: int
    already: int
    refused: tuple[Refusal, ...]


class _Part(NamedTuple):
    """Contracts that one transaction closes. Those that belong `together` are closed all or not at all."""

    rulebook: Rulebook
    contracts: Sequence[Contract]
    together: bool


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
            checked(chosen[0], period)
        else:
            every = registry.all_contracts(cursor, calendar=period.calendar)
            chosen = [c for c in every if contracts.in_force(c, period.first, period.end)]
        over, refused = _over(chosen, period, now)
        parts, unsettled = _parts(Books(cursor, {each.rulebook for each in over}), over, period)
    done = Closed(0, 0, (*refused, *unsettled))
    for part in parts:
        with store.writing() as cursor:
            recorder.lock(cursor)
            closed = _close(cursor, part, period, now)
        done = Closed(done.closed + closed.closed, done.already + closed.already, done.refused + closed.refused)
        progress(done.closed + done.already + len(done.refused), len(chosen))
    return done


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
    refused = []
    for each in over:
        try:
            rulebook = books.for_period(each, period)
        except Refused as refusal:
            refused.append(Refusal(each.contract, refusal.code, str(refusal)))
        else:
            by_version.setdefault((rulebook.rulebook, rulebook.version), []).append(each)
    parts = []
    for key, members in by_version.items():
        rulebook = books.version(*key)
        together = belongs_together(rulebook, period)
        size = len(members) if together else CONTRACTS_A_TRANSACTION
        parts += [_Part(rulebook, members[at : at + size], together) for at in range(0, len(members), size)]
    return parts, refused


def belongs_together(rulebook: Rulebook, period: Period) -> bool:
    """Whether all contracts of the rulebook are closed at once: it looks across them, or assesses their partners."""
    return rulebook.on(period.first).looks_across or rulebook.assessment is not None


def _close(cursor: Rows, part: _Part, period: Period, now: datetime) -> Closed:
    ids = [contract.contract for contract in part.contracts]
    before = statement_store.closed_contracts(cursor, ids, str(period))
    still_open = [contract for contract in part.contracts if contract.contract not in before]
    if not still_open:
        return Closed(0, len(before), ())
    books = Books(cursor, [part.rulebook.rulebook])
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
    rows = list(_statement_rows(group, result, position, now))
    scored = scoring.score_rows(group, result.scores, position, now)
    log_rows = [(stream, 1, event.NAME, events.encoded(event)) for stream, event, _ in rows]
    log_rows += [(stream, 1, event.NAME, events.encoded(event)) for stream, event in scored]
    if log_rows:
        first = recorder.append(cursor, log_rows)
        intake.note_batch(cursor, first, first + len(log_rows) - 1, now)
        statement_store.save(cursor, [issued for _, _, issued in rows])
        scoring.save(cursor, [event for _, event in scored])
    return len(rows)


def _statement_rows(
    group: Group, result: Concluded, position: int, now: datetime
) -> Iterator[tuple[bytes, events.StatementClosed, Issued]]:
    period = str(group.period)
    for name, said in result.lines.items():
        statement = statement_of(group, name, said)
        given = group.cohort.contracts[name]
        command = events.StatementClosed(
            source=SOURCE,
            id=f"{name}/{period}",
            time=now,
            contract=name,
            period=period,
            position=position,
            digest=statement["digest"],
            statement=canonical(statement).decode(),
            given=given_text(given),
            carried=balances_text(said.carried),
        )
        for event in statements.decide(None, command):
            issued = Issued(
                name, period, group.period.first, group.period.end, group.rulebook.rulebook, position,
                count_events(given.facts), event.digest, event.statement, event.given, event.carried,
            )  # fmt: skip
            yield log.stream_id("statement", f"{name}\0{period}"), event, issued
