"""The fold over stored events: for facts at a new grain, and for the proof that the live ones are right.

And what events about partners and exchange rates leave where readers look for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date

import polars as pl

from engine.events import (
    AssessmentDecided,
    AssessmentOverridden,
    AssessmentReassessed,
    CountedEvent,
    DiscrepancyResolved,
    Event,
    FxRatePublished,
    PointsAdjusted,
    PointsBurned,
    PointsRedemptionApproved,
    ServiceStep,
    StreamedEvent,
    decoded,
)
from engine.facts import Grain
from engine.period import Calendar, Period, located
from engine.projections import facts as projection
from engine.projections import partner_facts
from engine.projections.columns import columns
from engine.projections.facts import FACTS
from engine.settlement import relating, taking_up
from engine.store import assessments, facts, log, points, rates, registry, relations, resolutions
from engine.store import partner_facts as partner_fact_store
from engine.store.database import Rows
from engine.store.registry import Published
from engine.store.relations import Relation

# Merging costs as much as the facts so far; this often, it stays small beside the fold.
_PAGES_A_MERGE = 16


def fold_pages(
    pages: Iterable[Sequence[tuple[int, str, bytes]]], terms_of: Callable[[set[str]], pl.DataFrame]
) -> pl.DataFrame:
    """Facts of the volume events in the pages of (position, stored name, state), columns FACTS. Raises MeasureFails.

    `terms_of` gives the terms of contracts, columns engine.store.registry.TERMS.
    """
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
            terms = pl.concat([terms, terms_of(new)])
        names = projection.dimensions(terms["grain"].unique())
        events, further = columns([position for position, _ in volume], [event for _, event in volume], names)
        parts.append(fold_accepted(events, further, terms))
        if len(parts) >= _PAGES_A_MERGE:
            parts = [projection.merged(pl.concat(parts))]
    return projection.merged(pl.concat(parts)) if parts else FACTS.to_frame()


def fold_accepted(events: pl.DataFrame, further: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """Facts of events that were accepted: what the log holds. A calendar and a time zone never change once signed."""
    own = terms.select("contract", "calendar", "time_zone", "grain", "phases")
    with_terms = events.join(own, on="contract", how="left")
    return projection.fold(located(with_terms), further)


def publish(cursor: Rows, published: Published, before: Grain, after: Grain) -> None:
    """Keeps a rulebook version; where its rulebook's grain grows with it, its contracts are folded again up to its position.

    Raises MeasureFails.
    """
    registry.save_version(cursor, published)
    if after != before:
        under = registry.all_contracts(cursor, rulebook=published.rulebook)
        refold(cursor, [contract.contract for contract in under], published.position)


def refold(cursor: Rows, contracts: Sequence[str], to: int) -> None:
    """Folds the contracts' streams again up to the position, at the grain that their rulebooks have now. Raises MeasureFails."""
    streams = [log.stream_id("contract", contract) for contract in contracts]
    pages = log.of_streams(cursor, streams, to=to)
    facts.replace(cursor, contracts, fold_pages(pages, lambda names: registry.terms(cursor, names)))


def refold_phases(cursor: Rows, told: Iterable[Event], to: int) -> list[str]:
    """Folds those contracts again up to the position whose services took steps that change in which phase their events are.

    Returns them. What was told, and the events up to the position, are kept already.
    """
    days: dict[str, date] = {}
    for event in told:
        if isinstance(event, ServiceStep) and event.contract is not None:
            days[event.contract] = min(event.day, days.get(event.contract, event.day))
    if not days:
        return []
    terms = registry.terms(cursor, days)
    latest = facts.latest(cursor, days)
    again = [
        name
        for name, calendar, grain in terms.select("contract", "calendar", "grain").iter_rows()
        if "phase" in Grain.of(grain).dimensions
        and name in latest
        # A step changes nothing of the days before it.
        and Period.containing(latest[name], Calendar(calendar)).end > days[name]
    ]
    if again:
        refold(cursor, again, to)
    return again


def fold_counted(cursor: Rows, events: Sequence[CountedEvent]) -> pl.DataFrame:
    """Facts of events about partners, columns engine.projections.partner_facts.FACTS."""
    named = {event.contract for event in events if event.contract is not None}
    contracts = registry.contracts(cursor, named) if named else {}
    return partner_facts.fold(events, {name: contract.time_zone for name, contract in contracts.items()})


def keep(cursor: Rows, told: Sequence[tuple[int, Event]], changed: Sequence[Relation] | None = None) -> None:
    """What (position, event) tell of partners, relations and exchange rates. The caller holds the writers' lock.

    `changed` are the relations as the events leave them, where deciding has found that already.
    """
    if changed is None:
        relating.keep(cursor, [event for _, event in told])
    else:
        relations.save(cursor, changed)
    resolved = [(at, event) for at, event in told if isinstance(event, DiscrepancyResolved)]
    if resolved:
        resolutions.save(cursor, [taking_up.resolution_of(at, event) for at, event in resolved])
    counted = [event for _, event in told if partner_facts.is_counted(event)]
    if counted:
        partner_fact_store.add(cursor, fold_counted(cursor, counted))
    rates.save(cursor, [(at, event) for at, event in told if isinstance(event, FxRatePublished)])
    by_hand = (PointsAdjusted, PointsBurned, PointsRedemptionApproved)
    points.save(cursor, [(at, event) for at, event in told if isinstance(event, by_hand)])
    overrides = [
        (at, event)
        for at, event in told
        if isinstance(event, AssessmentOverridden) or (isinstance(event, AssessmentDecided) and event.granted)
    ]
    assessments.save_overrides(cursor, overrides)
    wishes = [(at, event) for at, event in told if isinstance(event, AssessmentReassessed)]
    assessments.save_reassessments(cursor, wishes)
