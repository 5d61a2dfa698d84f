"""What the events that the engine itself issues leave in the projections: as it issues them, and when they are read again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec

from engine.aggregates.statement import version_of
from engine.events import AssessmentCompleted, Event, PeriodClosed, StatementClosed, StatementEvent, StatementRestated
from engine.period import Period
from engine.settlement import journaling, scoring, sealing
from engine.settlement.keeping import facts_of
from engine.settlement.statements import count_streamed
from engine.store import assessments, resolutions
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.statements import Issued


def issued_of(event: StatementEvent, own_position: int, rulebook: str, events: int) -> Issued:
    """The version of a statement that the event at the position issued, from so many `events` of the contract alone."""
    period = Period.parse(event.period)
    return Issued(
        event.contract,
        event.period,
        version_of(event),
        period.first,
        period.end,
        rulebook,
        event.position,
        events,
        event.digest,
        event.statement,
        event.given,
        event.carried,
        event.seals,
        event.adjustment if isinstance(event, StatementRestated) else "",
        own_position,
    )


def keep_closed(cursor: Rows, period: Period, issued: Sequence[Issued]) -> None:
    """Keeps closed statements of one period, which take up what waited for their contracts."""
    statement_store.save(cursor, issued)
    statement_store.taken(cursor, period, [each.contract for each in issued])
    resolutions.taken(cursor, period, [(each.contract, each.position) for each in issued])
    journaling.keep(cursor, issued)


def keep_restated(cursor: Rows, issued: Sequence[Issued]) -> None:
    """Keeps further versions of closed statements."""
    statement_store.save(cursor, issued)
    journaling.keep(cursor, issued)


def keep_issued(cursor: Rows, told: Sequence[tuple[int, Event]]) -> None:
    """What (position, event) of the engine's own, in the order of the log, leave behind. Other events leave nothing here."""
    own = [each for each in told if isinstance(each[1], (StatementEvent, PeriodClosed, AssessmentCompleted))]
    for (kind, period), run in groupby(own, key=lambda each: (type(each[1]), getattr(each[1], "period", ""))):
        events = list(run)
        if kind is StatementClosed:
            keep_closed(cursor, Period.parse(period), [_read(at, event) for at, event in events])
        elif kind is StatementRestated:
            keep_restated(cursor, [_read(at, event) for at, event in events])
        elif kind is AssessmentCompleted:
            scores = [scoring.issued_of(e, at) for at, e in events if isinstance(e, AssessmentCompleted)]
            assessments.save(cursor, scores)
        else:
            for _, event in events:
                assert isinstance(event, PeriodClosed), event
                sealing.keep_closing(cursor, event)


def _read(position: int, event: Event) -> Issued:
    """An issued version of a statement, from its event alone."""
    assert isinstance(event, (StatementClosed, StatementRestated)), event
    rulebook = msgspec.json.decode(event.statement)["rulebook"]["id"]
    given = facts_of(msgspec.json.decode(event.given)["facts"])
    return issued_of(event, position, rulebook, count_streamed(given))
