"""Why a statement comes out otherwise than it was issued: what it is given now against what it was given then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from engine.aggregates.contract import Contract
from engine.events import ReportedEvent, StreamedEvent, decoded
from engine.facts import PRIMARY_FIELD
from engine.period import Period, located
from engine.projections.columns import micros_since_1970
from engine.store import log, registry
from engine.store.database import Rows
from engine.store.statements import Issued

Json = dict[str, Any]
# So many late events a cause names; it counts them all.
NAMED_MAX = 20


def causes(cursor: Rows, contract: Contract, before: Issued, statement: Json, given: str) -> list[Json]:
    """JSON objects, each with its `cause`. `statement` and `given` are those of now."""
    period = Period.parse(before.period)
    was, now = (msgspec.json.decode(text) for text in (before.given, given))
    found = []
    if not statement["lines"]:
        return [{"cause": "contract not in force", "valid_to": str(contract.valid_to)}]
    late = _late(cursor, contract, period, before.position)
    if late["events"]:
        found.append(late)
    if _facts(was, streamed=False) != _facts(now, streamed=False):
        found.append(_about_partner(cursor, contract, before.position))
    if statement["rulebook"] != msgspec.json.decode(before.statement)["rulebook"]:
        found.append(_rulebook(cursor, statement["rulebook"]))
    if was["carried"] != now["carried"]:
        found.append({"cause": "balances", "period": str(period.previous())})
    grades = [name for name in ("grade", "grade_before") if was[name] != now[name]]
    found += [{"cause": name.replace("_", " "), "was": was[name], "now": now[name]} for name in grades]
    if was["rates"] != now["rates"]:
        found.append({"cause": "exchange rates"})
    if was["origins"] != now["origins"]:
        found.append({"cause": "charges of earlier periods"})
    return found or [{"cause": "contracts settled together"}]


def is_late(cause: Mapping[str, Any]) -> bool:
    """Whether the cause is an event that came late, so that the contract's policy on those counts."""
    return cause["cause"] in {"late events", "events about the partner"}


def _facts(given: Json, *, streamed: bool) -> list[Any]:
    own = [row for row in given["facts"] if (row[0] in PRIMARY_FIELD) is streamed]
    # Facts of one event and field differ in their dimensions, which are objects and have no order of their own.
    return sorted(own, key=lambda row: msgspec.json.encode(row, order="deterministic"))


def _late(cursor: Rows, contract: Contract, period: Period, position: int) -> Json:
    since = log.since(cursor, log.stream_id("contract", contract.contract), position)
    read = [(at, decoded(name, state)) for at, name, state in since]
    streamed = [(at, event) for at, event in read if isinstance(event, StreamedEvent)]
    frame = pl.DataFrame(
        {
            "index": range(len(streamed)),
            "time": [micros_since_1970(event.time) for _, event in streamed],
            "time_zone": [contract.time_zone] * len(streamed),
            "calendar": [str(contract.calendar)] * len(streamed),
        },
        schema={"index": pl.Int64, "time": pl.Datetime("us", "UTC"), "time_zone": pl.String, "calendar": pl.String},
    )
    own = located(frame).filter(pl.col("period") == period.first)["index"].to_list()
    named = [_named(*streamed[index]) for index in own[:NAMED_MAX]]
    return {"cause": "late events", "events": len(own), "named": named}


def _named(position: int, event: StreamedEvent | ReportedEvent) -> Json:
    return {
        "position": position,
        "source": event.source,
        "id": event.id,
        "type": event.NAME,
        "time": event.time.isoformat(),
    }


def _about_partner(cursor: Rows, contract: Contract, position: int) -> Json:
    since = log.since(cursor, log.stream_id("partner", contract.partner), position)
    read = [(at, decoded(name, state)) for at, name, state in since]
    about = [(at, event) for at, event in read if isinstance(event, ReportedEvent)]
    return {"cause": "events about the partner", "named": [_named(*each) for each in about[:NAMED_MAX]]}


def _rulebook(cursor: Rows, said: Json) -> Json:
    by = registry.published_by(cursor, said["id"], said["version"])
    return {"cause": "rulebook", "rulebook": said["id"], "version": said["version"], "digest": said["digest"]} | by
