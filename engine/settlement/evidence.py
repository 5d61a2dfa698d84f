"""From facts to the events that they sum."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import polars as pl

from engine.events import StreamedEvent, decoded
from engine.facts import Fact
from engine.money import decimal_of_micros
from engine.period import Period, located
from engine.projections.columns import columns
from engine.store import log, registry
from engine.store.database import Rows


class Witness(NamedTuple):
    """One event behind a fact: where it stands in the log, its identity, and what it adds."""

    position: int
    source: str
    id: str
    time: datetime
    value: str


def witnesses(
    cursor: Rows, contract: str, period: Period, facts: Sequence[Fact], *, to: int, each: int
) -> dict[Fact, list[Witness]]:
    """Of every fact the first `each` events recorded up to position `to`, in the order in which they were learned.

    One pass over the contract's stream, which ends as soon as every fact has its events.
    """
    found: dict[Fact, list[Witness]] = {fact: [] for fact in facts}
    wanted = {fact for fact in facts if each}
    terms = registry.terms(cursor, [contract]).select("contract", "calendar", "time_zone")
    for page in log.of_streams(cursor, [log.stream_id("contract", contract)]):
        if not wanted:
            break
        for position, event in _of_period(page, terms, period, to):
            for fact in [fact for fact in wanted if _belongs(event, fact)]:
                micros = _value(event, fact.field)
                if micros is not None:
                    value = format(decimal_of_micros(micros).normalize(), "f")
                    found[fact].append(Witness(position, event.source, event.id, event.time, value))
                    if len(found[fact]) == min(each, fact.events):
                        wanted.discard(fact)
    return found


def _of_period(
    page: Sequence[tuple[int, str, bytes]], terms: pl.DataFrame, period: Period, to: int
) -> list[tuple[int, StreamedEvent]]:
    read = {
        position: event
        for position, name, state in page
        if position <= to and isinstance(event := decoded(name, state), StreamedEvent)
    }
    if not read:
        return []
    events, _ = columns(list(read), list(read.values()))
    within = located(events.join(terms, on="contract", maintain_order="left")).filter(pl.col("period") == period.first)
    return [(position, read[position]) for position in within["seq"]]


def _belongs(event: StreamedEvent, fact: Fact) -> bool:
    return fact.event == event.NAME and all(_dimension(event, name) == value for name, value in fact.dimensions)


def _value(event: StreamedEvent, field: str) -> int | None:
    match field:
        case "amount":
            return event.amount
        case "quantity":
            return event.quantity
        case _:
            return (event.amounts or {}).get(field)


def _dimension(event: StreamedEvent, name: str) -> str | None:
    match name:
        case "product":
            return event.product
        case "meter":
            return event.meter
        case _:
            return (event.attributes or {}).get(name)
