"""From facts to the events that they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import polars as pl

from engine.aggregates import service
from engine.aggregates.service import Service
from engine.events import ServiceEvent, StreamedEvent, decoded
from engine.facts import Dimensions, Fact, merging
from engine.money import MICRO_DIGITS, decimal_of_micros, in_units, plain
from engine.period import Period, located
from engine.projections import derived
from engine.projections.columns import columns, micros_since_1970
from engine.projections.facts import at_grain, phases_text
from engine.store import log, registry
from engine.store.database import Rows


class Witness(NamedTuple):
    """One event behind a fact: where it stands in the log, its identity, and its value in the fact."""

    position: int
    source: str
    id: str
    time: datetime
    value: str


def witnesses(
    cursor: Rows, contract: str, period: Period, facts: Sequence[Fact], *, to: int, each: int
) -> dict[Fact, list[Witness]]:
    """Of every fact the first `each` events recorded up to position `to`, in the order in which they were learned.

    A greatest, least or last value has one: the first event that has it. One pass over the contract's stream, which ends
    as soon as every fact has its events.
    """
    found: dict[Fact, list[Witness]] = {fact: [] for fact in facts}
    wanted = {fact for fact in facts if each}
    with_phase = any(name == "phase" for fact in wanted for name, _ in fact.dimensions)
    terms = registry.terms(cursor, [contract]).select("contract", "calendar", "time_zone")
    terms = terms.with_columns(pl.lit(_phases(cursor, contract, to) if with_phase else None, pl.String).alias("phases"))
    for page in log.of_streams(cursor, [log.stream_id("contract", contract)]):
        if not wanted:
            break
        for fact, values in _values(page, terms, period, to, wanted).items():
            enough = min(each, 1 if merging(fact.field) != "sum" else fact.events)
            for position, event, micros in values[: enough - len(found[fact])]:
                value = plain(decimal_of_micros(micros))
                found[fact].append(Witness(position, event.source, event.id, event.time, value))
            if len(found[fact]) == enough:
                wanted.discard(fact)
    return found


def _phases(cursor: Rows, contract: str, to: int) -> str | None:
    """The text of the phases in which the contract's services were, as known at the position."""
    services: dict[str, Service] = {}
    partner = registry.contracts(cursor, [contract])[contract].partner
    for page in log.of_streams(cursor, [log.stream_id("partner", partner)], to=to):
        for _, name, state in page:
            event = decoded(name, state) if name.startswith("service.") else None
            if isinstance(event, ServiceEvent) and event.contract == contract:
                services[event.service] = service.AGGREGATE.evolve(services.get(event.service), event)
    return phases_text(service.phases(services.values()))


# Position, event, and its value in micros.
_Valued = tuple[int, StreamedEvent, int]


def _values(
    page: Sequence[tuple[int, str, bytes]], terms: pl.DataFrame, period: Period, to: int, wanted: set[Fact]
) -> dict[Fact, list[_Valued]]:
    """The events of the page behind each of the facts, in order."""
    read = {
        position: event
        for position, name, state in page
        if position <= to and isinstance(event := decoded(name, state), StreamedEvent)
    }
    if not read:
        return {}
    every = sorted({name for fact in wanted for name, _ in fact.dimensions})
    events, further = columns(list(read), list(read.values()), every)
    within = located(events.join(terms, on="contract", maintain_order="left")).filter(pl.col("period") == period.first)
    found: dict[Fact, list[_Valued]] = {}
    for names in {tuple(name for name, _ in fact.dimensions) for fact in wanted}:
        keyed = at_grain(within, names)
        for fact in [fact for fact in wanted if tuple(name for name, _ in fact.dimensions) == names]:
            own = keyed.filter((pl.col("event") == fact.event) & (pl.col("dimensions") == _text(fact.dimensions)))
            found[fact] = _of_fact(fact, read, own, further)
    return found


def _of_fact(fact: Fact, read: Mapping[int, StreamedEvent], own: pl.DataFrame, further: pl.DataFrame) -> list[_Valued]:
    how, _, of = fact.field.partition(" ")
    if how == "each" and of:
        values = derived.each(own, further, of).values.sort("seq")
        return [(position, read[position], micros) for position, micros in values.iter_rows()]
    field = of or how
    stated = [(position, read[position], _stated(read[position], field)) for position in own["seq"]]
    valued = [(position, event, micros) for position, event, micros in stated if micros is not None]
    if merging(fact.field) == "sum":
        return valued
    value = in_units(fact.value, MICRO_DIGITS)
    return [
        (position, event, micros)
        for position, event, micros in valued
        if micros == value and fact.at in {0, micros_since_1970(event.time)}
    ]


def _stated(event: StreamedEvent, field: str) -> int | None:
    match field:
        case "amount":
            return event.amount
        case "quantity":
            return event.quantity
        case _:
            return (event.amounts or {}).get(field)


def _text(dimensions: Dimensions) -> str:
    """As the fold writes them: the JSON object of sorted names."""
    return msgspec.json.encode(dict(dimensions)).decode()
