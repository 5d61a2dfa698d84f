"""The fold over stored events: for facts at a new grain, and for the proof that the live ones are right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from engine.events import StreamedEvent, decoded
from engine.period import located
from engine.projections import facts as projection
from engine.projections.columns import columns
from engine.projections.facts import FACTS
from engine.store import facts, log, registry
from engine.store.database import Rows

# Merging costs as much as the facts so far; this often, it stays small beside the fold.
_PAGES_A_MERGE = 16


def fold_pages(cursor: Rows, pages: Iterable[Sequence[tuple[int, str, bytes]]]) -> pl.DataFrame:
    """Facts of the volume events in the pages of (position, stored name, state), columns FACTS."""
    terms = registry.TERMS.to_frame()
    known: set[str] = set()
    parts: list[pl.DataFrame] = []
    for page in pages:
        read = [(position, decoded(name, state)) for position, name, state in page]
        volume = [(position, event) for position, event in read if isinstance(event, StreamedEvent)]
        if not volume:
            continue
        new = {event.contract for _, event in volume} - known
        if new:
            known |= new
            terms = pl.concat([terms, registry.terms(cursor, new)])
        grain = terms["grain"].explode().unique().drop_nulls()
        events, further = columns([position for position, _ in volume], [event for _, event in volume], grain)
        parts.append(fold_accepted(events, further, terms))
        if len(parts) >= _PAGES_A_MERGE:
            parts = [projection.merged(pl.concat(parts))]
    return projection.merged(pl.concat(parts)) if parts else FACTS.to_frame()


def fold_accepted(events: pl.DataFrame, further: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """Facts of events that were accepted: what the log holds. A calendar and a time zone never change once signed."""
    with_terms = events.join(terms.select("contract", "calendar", "time_zone", "grain"), on="contract", how="left")
    return projection.fold(located(with_terms), further)


def refold(cursor: Rows, contracts: Sequence[str]) -> None:
    """Folds the contracts' streams again, at the grain that their rulebooks have now."""
    streams = [log.stream_id("contract", contract) for contract in contracts]
    facts.replace(cursor, contracts, fold_pages(cursor, log.of_streams(cursor, streams)))
