"""What the aggregates say to a batch of new events, in the order in which they arrived.

Events of partners, contracts, rulebooks and rates are decided one by one; volume events are screened in columns, each by the
terms that its contract had at its place in the batch.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

import polars as pl

from engine.aggregates.screening import SENTENCES, screened, shut_out
from engine.events import (
    AdvancePaid,
    CaseEvent,
    ContractSigned,
    ContractTerminated,
    Event,
    PartnerRegistered,
    PointsBurned,
    PointsRedemptionApproved,
    PointsRedemptionRequested,
    ReportedEvent,
    RulebookPublished,
    ServiceEvent,
    ServiceExited,
    ServiceReviewed,
    StreamedEvent,
    encoded,
)
from engine.projections.columns import columns
from engine.projections.derived import MeasureFails
from engine.projections.facts import FACTS, dimensions, fold
from engine.settlement.desk import Desk, Refusal
from engine.settlement.relating import GATE_ATTRIBUTES
from engine.store import log
from engine.store.database import Rows
from engine.store.relations import Relation


class Decision(NamedTuple):
    """`accepted` are (stream id, stored name, state) in order of arrival; `facts` are those of the volume among them.

    `told` are the others among them, `advances` those of the volume that pay one, each with its index; `changed` are the relations as
    they leave them. `gave_back` is whether any gave volume of an authorisation back.
    """

    accepted: list[tuple[bytes, str, bytes]]
    told: list[tuple[int, Event]]
    advances: list[tuple[int, AdvancePaid]]
    changed: list[Relation]
    refusals: list[Refusal]
    facts: pl.DataFrame
    arrived: tuple[str, ...]
    gave_back: bool


def runs(fresh: list[tuple[int, Event, bytes]]) -> list[list[tuple[int, Event, bytes]]]:
    """(seq, event, state) cut before whatever is decided by what is in the tables: so all that came before it has to be there,
    and the end of a history does not depend on how it was cut into batches.

    A rulebook folds its contracts again, and is refused where it cannot. Who spends points must have them. A service that ends its
    contract must not do so before what is recorded; but steps of services record nothing of it.
    """
    cuts, services = [0], True
    for index, (_, event, _) in enumerate(fresh):
        if isinstance(event, _ALONE) or (_may_end(event) and not services):
            cuts.append(index)
            services = True
        services = services and isinstance(event, ServiceEvent)
    return [fresh[start:end] for start, end in pairwise(sorted({*cuts, len(fresh)}))]


_ALONE = (RulebookPublished, PointsBurned, PointsRedemptionRequested, PointsRedemptionApproved)


def _may_end(event: Event) -> bool:
    """Whether a contract may end with the step."""
    return isinstance(event, ServiceExited) or (isinstance(event, ServiceReviewed) and not event.approved)


def decide(cursor: Rows, fresh: Sequence[tuple[int, Event, bytes]], waited: Container[int], now: datetime) -> Decision:
    """Decides one run of (seq, event, state) in order. Saves what changed in the registry.

    `waited` are those, by their seq, that waited for the step before theirs; `now` is when they are recorded. The caller holds the
    writers' lock.
    """
    streamed = [(seq, event) for seq, event, _ in fresh if isinstance(event, StreamedEvent)]
    told = (
        [(seq, event) for seq, event, _ in fresh if not isinstance(event, StreamedEvent)]
        if len(streamed) < len(fresh)
        else []
    )
    desk = Desk(cursor, told, [seq for seq, _ in streamed], waited, now)
    for seq, event in told:
        desk.decide(seq, event)
    desk.save()
    refused = {refusal.seq: refusal for refusal in desk.refusals}
    facts = FACTS.to_frame()
    if streamed:
        refused_volume, facts = _screen(streamed, desk)
        refused |= refused_volume
    stream_id = log.stream_id
    accepted = [
        (
            stream_id("contract", event.contract) if isinstance(event, StreamedEvent) else stream_of(event),
            event.NAME,
            encoded(desk.decided[seq]) if seq in desk.decided else state,
        )
        for seq, event, state in fresh
        if seq not in refused
    ]
    told_accepted: list[tuple[int, Event]] = []
    advances: list[tuple[int, AdvancePaid]] = []
    for index, (seq, event) in enumerate((seq, event) for seq, event, _ in fresh if seq not in refused):
        if not isinstance(event, StreamedEvent):
            told_accepted.append((index, desk.decided.get(seq, event)))
        elif isinstance(event, AdvancePaid):
            advances.append((index, event))
    return Decision(
        accepted, told_accepted, advances, desk.changed, list(refused.values()), facts, tuple(desk.arrived), desk.gave_back
    )  # fmt: skip


def stream_of(event: Event) -> bytes:
    """The 16-byte id of the stream that the event is told on."""
    match event:
        case ContractSigned() | ContractTerminated():
            return log.stream_id("contract", event.contract)
        case PartnerRegistered():
            return log.stream_id("partner", event.partner)
        case CaseEvent():
            return log.stream_id("case", event.case)
        case ReportedEvent():
            return log.stream_id("partner", event.partner)
        case _:
            assert event.KIND, event
            return log.stream_id(event.KIND, event.named)


def _screen(streamed: Sequence[tuple[int, StreamedEvent]], desk: Desk) -> tuple[dict[int, Refusal], pl.DataFrame]:
    named = list({event.contract for _, event in streamed})
    terms = desk.terms(named).sort("since")
    gates = desk.gates()
    names = dimensions(terms["grain"].unique()) | (GATE_ATTRIBUTES if gates else set())
    events, further = columns([seq for seq, _ in streamed], [event for _, event in streamed], names)
    judged = shut_out(screened(events, terms), desk.shut(named))
    refused = judged.filter(pl.col("refusal").is_not_null())
    refusals = {row["seq"]: _refusal(row) for row in refused.iter_rows(named=True)}
    accepted = judged.filter(pl.col("refusal").is_null())
    if gates:
        stopped = desk.stopped(accepted)
        refusals |= {row[0]: Refusal(*row) for row in stopped.iter_rows()}
        accepted = accepted.join(stopped, on="seq", how="anti", maintain_order="left")
    try:
        facts = fold(accepted, further)
    except MeasureFails as failure:
        fails = pl.col("seq").is_in(list(failure.failures))
        for row in accepted.filter(fails).iter_rows(named=True):
            field, why = failure.failures[row["seq"]]
            refusals[row["seq"]] = _refusal(row | {"refusal": "measure-fails", "field": field, "why": why})
        accepted = accepted.filter(~fails)
        facts = fold(accepted, further)
    # Last, since what is counted here is recorded.
    beyond = {refusal.seq: refusal for refusal in (desk.beyond(accepted) if gates else ())}
    if beyond:
        facts = fold(accepted.filter(~pl.col("seq").is_in(list(beyond))), further)
    return refusals | beyond, facts


def _refusal(row: dict[str, Any]) -> Refusal:
    code = row["refusal"]
    said = row | {"valid_to": row["valid_to"] or "further notice"}
    waits_for = f"contract:{row['contract']}" if code == "unknown-contract" else None
    return Refusal(row["seq"], code, SENTENCES[code].format_map(said), waits_for)
