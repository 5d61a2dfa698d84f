"""Closing a period: each contract's statement frozen with its facts, at one position of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from engine import events
from engine.aggregates import contract as contracts
from engine.aggregates import statement as statements
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.period import Period, day_in
from engine.settlement.statements import Books, calculate, canonical, checked, count_events, facts_text, found
from engine.store import facts as fact_store
from engine.store import intake, log, recorder, registry
from engine.store import statements as statement_store
from engine.store.database import Rows, Store
from engine.store.statements import Issued

# One transaction closes so many contracts: the writers' lock is held for about a second.
CONTRACTS_A_TRANSACTION = 1_000
SOURCE = "tantieme/close"


class PeriodNotOver(Refused):
    code = "period-not-over"


class Closed(NamedTuple):
    """What a closing did: how many statements it closed, how many were closed before, and which it could not."""

    closed: int
    already: int
    refused: tuple[tuple[str, str, str], ...]  # contract, code, sentence


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
    done = Closed(0, 0, tuple(refused))
    for at in range(0, len(over), CONTRACTS_A_TRANSACTION):
        part = over[at : at + CONTRACTS_A_TRANSACTION]
        with store.writing() as cursor:
            recorder.lock(cursor)
            closed = _close(cursor, part, period, now)
        done = Closed(*(a + b for a, b in zip(done, closed, strict=True)))  # type: ignore[operator]
        progress(done.closed + done.already + len(done.refused), len(chosen))
    return done


def _over(
    chosen: Sequence[Contract], period: Period, now: datetime
) -> tuple[list[Contract], list[tuple[str, str, str]]]:
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
        (c.contract, PeriodNotOver.code, sentence.format(period, period.end, today[c.time_zone], c.time_zone))
        for c in chosen
        if today[c.time_zone] < period.end
    ]


def _close(cursor: Rows, chosen: Sequence[Contract], period: Period, now: datetime) -> Closed:
    ids = [contract.contract for contract in chosen]
    before = statement_store.closed_contracts(cursor, ids, str(period))
    position = recorder.last_position(cursor)
    books = Books(cursor, {contract.rulebook for contract in chosen})
    facts = fact_store.of_period(cursor, ids, period.first)
    issued: list[Issued] = []
    rows: list[recorder.Row] = []
    refused: list[tuple[str, str, str]] = []
    for contract in chosen:
        if contract.contract in before:
            continue
        known = facts.get(contract.contract, [])
        try:
            statement = calculate(contract, period, books.for_period(contract, period), known).statement
        except Refused as refusal:
            refused.append((contract.contract, refusal.code, str(refusal)))
            continue
        command = events.StatementClosed(
            source=SOURCE,
            id=f"{contract.contract}/{period}",
            time=now,
            contract=contract.contract,
            period=str(period),
            position=position,
            digest=statement["digest"],
            statement=canonical(statement).decode(),
            facts=facts_text(known),
        )
        for event in statements.decide(None, command):
            stream = log.stream_id("statement", f"{contract.contract}\0{period}")
            rows.append((stream, 1, event.NAME, events.encoded(event)))
            issued.append(
                Issued(contract.contract, str(period), period.first, period.end, contract.rulebook, position,
                       count_events(known), event.digest, event.statement, event.facts)
            )  # fmt: skip
    if rows:
        first = recorder.append(cursor, rows)
        intake.note_batch(cursor, first, first + len(rows) - 1, now)
        statement_store.save(cursor, issued)
    return Closed(len(rows), len(before), tuple(refused))
