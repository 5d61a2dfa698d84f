"""Events of agents counted against the volumes of their authorisations: when they are decided, and when the log is read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from engine.aggregates.allotment import Allotment, Sale, Steps
from engine.aggregates.authorisation import KIND, LIMITED
from engine.aggregates.standing import CLOSED, REGION
from engine.events import Event, StreamedEvent, decoded
from engine.period import located
from engine.projections.columns import columns
from engine.projections.facts import attribute
from engine.projections.seals import Entry
from engine.settlement.relating import History, steps_of
from engine.store import log, registry, relations, volumes
from engine.store.database import Rows


def loaded(cursor: Rows, contracts: Iterable[str], changed: History) -> Allotment | None:
    """The authorisations of those of the contracts that have a limited one, with all within which these lie, those that `changed`
    meanwhile at every point of it; None where there are none.
    """
    own = _authorisations(changed)
    named = set(contracts)
    limited = relations.contracts_in(cursor, KIND, LIMITED, named)
    limited |= named & {state.contract for each in own.values() if (state := _latest(each)).limited}
    if not limited:
        return None
    steps: dict[str, Steps] = {id_: each for id_, each in own.items() if _latest(each).contract in limited}
    for relation in relations.of_contracts(cursor, KIND, limited):
        steps.setdefault(relation.id, [(-1, relation.state)])
    while missing := _parents(steps):
        known = relations.known(cursor, [(KIND, id_) for id_ in missing if id_ not in own])
        steps |= {id_: own.get(id_) or [(-1, known[KIND, id_].state)] for id_ in missing}
    return Allotment(
        steps, volumes.used(cursor, [id_ for id_, each in steps.items() if _latest(each).volume_max is not None])
    )


def _authorisations(changed: History) -> dict[str, Steps]:
    return {
        id_: [(since, None if relation is None else relation.state) for since, relation in steps]
        for (kind, id_), steps in changed.items()
        if kind == KIND
    }


def _latest(steps: Steps) -> Any:  # noqa: ANN401 - an Authorisation
    return steps[-1][1]


def _parents(steps: Mapping[str, Steps]) -> set[str]:
    return {parent for each in steps.values() if (parent := _latest(each).parent) is not None} - set(steps)


def beyond(cursor: Rows, accepted: pl.DataFrame, changed: History) -> list[tuple[int, str, str, str]]:
    """Of events that are accepted otherwise those for which there is no room: seq, code, sentence, waits_for. Counts the others.

    `accepted`: EVENTS with contract_currency, day and the region. Only contracts under a volume cost anything.
    """
    allotment = loaded(cursor, accepted["contract"].unique(), changed)
    if allotment is None:
        return []
    refused = []
    for sale in _sales(accepted, allotment.limited):
        why = allotment.take(sale)
        if why is not None:
            sentence = f"{why}; grant contract {sale.contract} a further one, and this message is recycled by itself, or write it off"
            refused.append((sale.seq, CLOSED[KIND].code, sentence, f"{KIND}:{sale.contract}"))
    volumes.save(cursor, {id_: allotment.used[id_] for id_ in allotment.changed})
    return refused


def _sales(events: pl.DataFrame, limited: set[str]) -> Iterable[Sale]:
    """In their order."""
    chosen = events.filter(pl.col("contract").is_in(list(limited))).sort("seq")
    return (
        Sale(*row)
        for row in chosen.select(
            "seq", "contract", "day", "event", "product", attribute(REGION), "meter", "quantity", "amount",
            (pl.col("currency") != pl.col("contract_currency")).fill_null(value=False),
        ).iter_rows()
    )  # fmt: skip


def before(cursor: Rows, told: Sequence[tuple[int, Event]]) -> History:
    """The authorisations that the events (position, event) change, at every point of it; asked before these are kept."""
    return steps_of(cursor, [(at, event) for at, event in told if event.KIND == KIND])


def count(cursor: Rows, page: Sequence[Entry], changed: History) -> None:
    """Counts the events of a page of the log again. What is in the log had room when it was recorded."""
    streams = {log.stream_id("contract", name): name for name in relations.contracts_in(cursor, KIND, LIMITED)}
    mine = [entry for entry in page if entry.stream in streams]
    allotment = loaded(cursor, {streams[entry.stream] for entry in mine}, changed) if mine else None
    if allotment is None:
        return
    read = [(entry.position, decoded(entry.name, entry.state)) for entry in mine]
    volume = [(position, event) for position, event in read if isinstance(event, StreamedEvent)]
    if not volume:
        return
    events, _ = columns([position for position, _ in volume], [event for _, event in volume], [REGION])
    terms = registry.terms(cursor, sorted({event.contract for _, event in volume}))
    own = terms.select("contract", "contract_currency", "calendar", "time_zone")
    for sale in _sales(located(events.join(own, on="contract", how="left")), allotment.limited):
        why = allotment.take(sale)
        assert why is None, (sale, why)
    volumes.save(cursor, {id_: allotment.used[id_] for id_ in allotment.changed})
