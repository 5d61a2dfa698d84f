"""The adjustments that wait for a contract's next statement: those of restated versions, then what resolved discrepancies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.events import DiscrepancyResolved
from engine.period import Period
from engine.settlement.adjusting import resolution
from engine.settlement.keeping import canonical
from engine.store import resolutions, statements
from engine.store.database import Rows
from engine.store.resolutions import Resolution


def waiting(cursor: Rows, period: Period, contracts: Sequence[str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """By contract, of those or of all, the adjustments of earlier periods that a statement of the period takes up."""
    found: dict[str, list[dict[str, Any]]] = {}
    for by_contract in (statements.waiting(cursor, contracts), resolutions.waiting(cursor, contracts)):
        for name, own in by_contract.items():
            texts = [each.adjustment for each in own if each.end <= period.first]
            if texts:
                found.setdefault(name, []).extend(map(msgspec.json.decode, texts))
    return found


def resolution_of(position: int, event: DiscrepancyResolved) -> Resolution:
    """What the event at the position leaves to be taken up."""
    end = Period.parse(event.period).end
    return Resolution(position, event.contract, event.period, end, canonical(resolution(event)).decode())
