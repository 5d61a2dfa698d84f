"""How far an issued statement is on its way to the partner and to the bank, for a reader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from engine.aggregates.discrepancy import Discrepancy
from engine.aggregates.note import Note
from engine.events import Sum, joined
from engine.money import decimal_of_micros, plain
from engine.period import Period
from engine.store import relations
from engine.store.database import Rows


def standing_of(cursor: Rows, contract: str, period: Period) -> dict[str, Any] | None:
    """The note's state as JSON builtins, with the disputed lines that nobody has decided and how far the notes of agents above
    are (`state` None: not published); None before it is published.
    """
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
    agents = [("note", joined(id_, each.party)) for each in note.state.agents]
    own = relations.known(cursor, agents)
    return told(note.state) | {
        "open_discrepancies": [line for line in note.state.lines if line not in decided],
        "agents": [
            {"party": each.party, "partner": each.partner, "state": own[key].state.state if key in own else None}
            for each, key in zip(note.state.agents, agents, strict=True)
        ],
    }


def told(state: Note | Discrepancy) -> dict[str, Any]:
    """A note or a discrepancy as JSON builtins, with its amounts as decimal texts; of a note also what is to pay for it,
    and what of that is open.
    """
    said: dict[str, Any] = msgspec.to_builtins(state)
    if isinstance(state, Note):
        sums = {"due": state.due, "taxes": state.taxes, "to_pay": state.to_pay, "open": state.unpaid}
        said |= {name: _sums(found) for name, found in sums.items()}
        if state.withdrawn:
            said["withdrawn"] = [msgspec.to_builtins(each) | {"taxes": _sums(each.taxes)} for each in state.withdrawn]
    for each in (said, *said.get("payments", ()), *said.get("returned", ())):
        if "amount" in each:
            each["amount"] = plain(decimal_of_micros(each["amount"]))
    return said


def _sums(sums: Iterable[Sum]) -> list[dict[str, str]]:
    return [{"currency": each.currency, "amount": each.amount} for each in sums]
