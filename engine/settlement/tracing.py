"""Where that comes from which a final statement clears: a balance from the periods that changed it, the deposit from its events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from engine.events import DepositEvent, decoded
from engine.money import total
from engine.outcomes import Balance
from engine.period import Period
from engine.settlement.finishing import SIGNS
from engine.settlement.statements import View, view
from engine.store import log
from engine.store import statements as statement_store
from engine.store.database import Rows

_ZERO = Decimal(0)


class Change(NamedTuple):
    """What one period did to a balance of `step`; `seen` is the period's statement on which the later ones stand."""

    seen: View
    step: str
    before: Decimal
    after: Decimal


class Cleared(NamedTuple):
    """A line of a final statement. A balance has `changes`, the earliest first, which sum to it; a deposit has `events`.

    `sign` is 1 for what is paid out, -1 for what is claimed back, and 0 for what lapses.
    """

    line: dict[str, Any]
    sign: int
    changes: tuple[Change, ...] = ()
    events: tuple[tuple[int, DepositEvent], ...] = ()


def cleared(cursor: Rows, seen: View, name: str) -> Cleared:
    """What the line of that name of a final statement comes from."""
    lines = seen.statement["final"]["lines"]
    place = next(place for place, line in enumerate(lines) if line["name"] == name)
    left = seen.calculated.left
    if place == len(left):
        return Cleared(lines[place], 1, events=tuple(_deposits(cursor, seen)))
    balance = left[place]
    changes = list(_changes(cursor, seen, balance))
    return Cleared(lines[place], SIGNS.get(balance.kind, 0), tuple(reversed(changes)))


def _changes(cursor: Rows, seen: View, balance: Balance) -> Iterator[Change]:
    """The latest first: back to the period before which there was nothing of it."""
    after = _held(seen.calculated.left, balance[:3])
    position = seen.statement["evidence"]["positions"][1]
    while after:
        before = _held(seen.calculated.given.carried, balance[:3])
        if before != after:
            yield Change(seen, balance.step, before, after)
        if before:
            seen = _standing(cursor, seen.statement["contract"], seen.calculated.given.period.previous(), position)
            assert _held(seen.calculated.left, balance[:3]) == before, (balance, seen.calculated.given.period)
        after = before


def _held(balances: Iterable[Balance], key: tuple[str, str, date | None]) -> Decimal:
    held = _ZERO
    for each in balances:
        if each[:3] == key:
            held = total(held, each.amount)
    return held


def _standing(cursor: Rows, contract: str, period: Period, position: int) -> View:
    """The statement of the period in the version that stood at the position; the open one where none did."""
    issued = [each for each in statement_store.versions(cursor, contract, str(period)) if each.position <= position]
    return view(cursor, contract, period, issued[-1].version if issued else 1)


def _deposits(cursor: Rows, seen: View) -> Iterator[tuple[int, DepositEvent]]:
    """What was paid of the deposit and given back, as known to the statement."""
    contract, to = seen.calculated.contract, seen.statement["evidence"]["positions"][1]
    for page in log.of_streams(cursor, [log.stream_id("partner", contract.partner)], to=to):
        for position, name, state in page:
            event = decoded(name, state) if name.startswith("deposit.") else None
            if isinstance(event, DepositEvent) and event.contract == contract.contract:
                yield position, event
