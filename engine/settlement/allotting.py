"""Events of agents counted against the volumes of their authorisations: when they are decided, and when the log is read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

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
from engine.store import log, registry, relations, suspense, volumes
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
    return _allotment(cursor, steps, own)


def _allotment(cursor: Rows, steps: dict[str, Steps], own: Mapping[str, Steps]) -> Allotment:
    """Of these authorisations and all within which they lie, of which `own` have changed meanwhile."""
    while missing := _parents(steps):
        known = relations.known(cursor, [(KIND, id_) for id_ in missing if id_ not in own])
        steps |= {id_: own.get(id_) or [(-1, known[KIND, id_].state)] for id_ in missing}
    return Allotment(
        steps, volumes.used(cursor, [id_ for id_, each in steps.items() if _latest(each).volume_max is not None])
    )


def _awaited(cursor: Rows, ids: Iterable[str]) -> Allotment:
    known = relations.known(cursor, [(KIND, id_) for id_ in ids])
    return _allotment(cursor, {id_: [(-1, relation.state)] for (_, id_), relation in known.items()}, {})


def ripe(cursor: Rows) -> list[str]:
    """The authorisations that have room for the least that any suspended message waits for."""
    least = suspense.volumes_awaited(cursor)
    if not least:
        return []
    allotment = _awaited(cursor, least)
    return [id_ for id_, micros in least.items() if micros <= allotment.room(id_)]


def fitting(cursor: Rows, ids: Sequence[str], limit: int) -> list[int]:
    """The suspended messages, by their ids, that wait for volume of the authorisations and have it: in their order, up to what
    there is.
    """
    allotment = _awaited(cursor, ids)
    rooms = {id_: allotment.room(id_) for id_ in ids}
    return allotment.first(suspense.waiting_for_volume(cursor, rooms, limit), limit)


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


class Beyond(NamedTuple):
    """The events for which there is no room: seq, code, sentence, waits_for, needs; and whether others gave volume back."""

    refused: list[tuple[int, str, str, str, tuple[tuple[str, int], ...]]]
    gave_back: bool


def beyond(cursor: Rows, accepted: pl.DataFrame, changed: History) -> Beyond:
    """Of events that are accepted otherwise those for which there is no room. Counts the others.

    `accepted`: EVENTS with contract_currency, day and the region. Only contracts under a volume cost anything.
    """
    allotment = loaded(cursor, accepted["contract"].unique(), changed)
    if allotment is None:
        return Beyond([], gave_back=False)
    refused = []
    for sale in _sales(accepted, allotment.limited):
        full = allotment.take(sale)
        if full is not None:
            or_else = " or have volume given back" if full.needs else ""
            sentence = (
                f"{full.why}; grant contract {sale.contract} a further one{or_else}, and this message is recycled by itself, or "
                "write it off"
            )
            refused.append((sale.seq, CLOSED[KIND].code, sentence, f"{KIND}:{sale.contract}", full.needs))
    volumes.save(cursor, {id_: allotment.used[id_] for id_ in allotment.changed})
    return Beyond(refused, allotment.gave_back)


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
        full = allotment.take(sale)
        assert full is None, (sale, full)
    volumes.save(cursor, {id_: allotment.used[id_] for id_ in allotment.changed})
