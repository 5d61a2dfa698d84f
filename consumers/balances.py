"""What partners have in points when a period is closed, as messages: one a partner and program."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from consumers.outgoing import POINTS, Outgoing
from engine.events import PeriodClosed, decoded
from engine.money import plain
from engine.period import Period
from engine.projections.seals import Entry
from engine.settlement import points
from engine.settlement.books import Books
from engine.store import registry
from engine.store import statements as statement_store
from engine.store.database import Rows


def balances(cursor: Rows, entry: Entry) -> Iterator[Outgoing]:
    """Of the partners whose statements the closing issued, under rulebooks with points: their accounts on the period's last day.

    Raises what computing an account refuses.
    """
    event = decoded(entry.name, entry.state)
    assert isinstance(event, PeriodClosed), event
    period = Period.parse(event.period)
    last = period.end - timedelta(days=1)
    issued = [
        each
        for each in statement_store.of_period(cursor, event.period)
        if each.version == 1 and each.closing == event.number
    ]
    books = Books(cursor, {each.rulebook for each in issued})
    programs = {
        name
        for name in {each.rulebook for each in issued}
        if any(book.on(last).points is not None for book in books.versions(name))
    }
    contracts = registry.contracts(cursor, [each.contract for each in issued if each.rulebook in programs])
    for partner in sorted({each.partner for each in contracts.values()}):
        for found in points.accounts(cursor, partner, last):
            account = found.account
            said = {
                "partner": partner,
                "program": found.program,
                "at": last.isoformat(),
                "balance": plain(account.balance),
                "level": account.level,
                "period": event.period,
                "position": entry.position,
            }
            id_ = f"{entry.position}/{partner}/{found.program}"
            yield Outgoing(POINTS, partner.encode(), id_, "loyalty_balance.stated", event.time, said)
