"""How far an issued statement is on its way to the partner and to the bank, for a reader."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.events import joined
from engine.period import Period
from engine.store import relations
from engine.store.database import Rows


def standing_of(cursor: Rows, contract: str, period: Period) -> dict[str, Any] | None:
    """The note's state as JSON builtins, with the disputed lines that nobody has decided; None before it is published."""
    id_ = joined(contract, str(period))
    note = relations.known(cursor, [("note", id_)]).get(("note", id_))
    if note is None:
        return None
    keys = [("discrepancy", joined(id_, line)) for line in note.state.lines]
    decided = {
        relation.state.line
        for relation in relations.known(cursor, keys).values()
        if relation.state.state in {"resolved", "rejected"}
    }
    told: dict[str, Any] = msgspec.to_builtins(note.state)
    return told | {"open_discrepancies": [line for line in note.state.lines if line not in decided]}
