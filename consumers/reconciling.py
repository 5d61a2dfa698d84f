"""Two-sided reconciliation: a partner's own figures are matched with its statement, and every line that differs is disputed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from consumers.commands import Asked, ask
from engine.events import joined
from engine.period import Period
from engine.settlement.reconciling import Differing, matched
from engine.settlement.recording import CommandRefused
from engine.store import relations, statements
from engine.store.database import Store


class Reconciled(NamedTuple):
    """`opened` are lines whose discrepancy is new, `known` those that had one before."""

    agreeing: int
    opened: tuple[Differing, ...]
    known: tuple[Differing, ...]


def reconcile(
    store: Store,
    contract: str,
    period: Period,
    theirs: Mapping[str, str],
    author: str,
    clock: Callable[[], datetime],
    *,
    tolerance: Decimal,
    reason: str,
    time: datetime | None = None,
) -> Reconciled:
    """Disputes the lines that differ by more than the tolerance, and opens a discrepancy for each that has none: all or nothing.

    Done again with the same figures, it adds nothing. Raises CommandRefused.
    """
    id_ = joined(contract, str(period))
    with store.reading() as cursor:
        issued = statements.issued(cursor, contract, str(period))
        note = relations.known(cursor, [("note", id_)]).get(("note", id_))
        if issued is None or note is None:
            raise CommandRefused(
                "not-there",
                f"the statement of {contract} for {period} is not published; publish it first (settle statement publish "
                f"{contract} {period})",
            )
        found = matched(msgspec.json.decode(issued.statement), note.state.party, theirs, tolerance)
        keys = {("discrepancy", joined(id_, each.line)): each for each in found.differing}
        known = {keys[key] for key in relations.known(cursor, keys)}
    new = tuple(each for each in found.differing if each not in known)
    if new:
        said = {"contract": contract, "period": str(period), "author": author}
        asked = [Asked("statement.disputed", said | {"reason": reason, "lines": [each.line for each in new]}, time)]
        asked += [
            Asked("discrepancy.opened", said | {"line": each.line, "ours": each.ours, "theirs": each.theirs}, time)
            for each in new
        ]
        ask(store, asked, clock)
    return Reconciled(found.agreeing, new, tuple(each for each in found.differing if each in known))
