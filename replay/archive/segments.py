"""The shapes of an archive's segments, and the way from the log's rows to them and back, to the byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import polars as pl

from engine.events import VOLUME, StreamedEvent, decoded, encoded
from engine.facts import OWN_DIMENSIONS
from engine.period import located
from engine.projections.columns import micros_since_1970
from engine.projections.facts import attribute
from engine.projections.seals import Entry
from engine.store.log import stream_id

# What comes in volume: a row an event, by contract and position, in columns for the fold. `attributes` and `amounts` hold all
# of them; an attribute that is a dimension has a column of its own beside them (engine.projections.facts.attribute).
_PAIR = pl.Struct({"name": pl.String, "value": pl.String})
_AMOUNT = pl.Struct({"field": pl.String, "value": pl.Int64})
EVENTS = pl.Schema(
    {
        "position": pl.Int64(),
        "recorded_at": pl.Datetime("us", "UTC"),
        "version": pl.Int64(),
        "event": pl.String(),
        "source": pl.String(),
        "id": pl.String(),
        "time": pl.Datetime("us", "UTC"),
        "contract": pl.String(),
        "partner": pl.String(),
        "product": pl.String(),
        "meter": pl.String(),
        "currency": pl.String(),
        "quantity": pl.Int64(),
        "amount": pl.Int64(),
        "charged_at": pl.Datetime("us", "UTC"),
        "refunds": pl.String(),
        "attributes": pl.List(_PAIR),
        "amounts": pl.List(_AMOUNT),
        "period": pl.Date(),
    }
)
# Texts that repeat: written as numbers into a dictionary, and read as such, so that they are grouped as numbers.
REPEATED = ("event", "source", "contract", "partner", "product", "meter", "currency")
# Everything else, verbatim: told one by one, or issued by the engine.
ROWS = pl.Schema(
    {
        "position": pl.Int64(),
        "recorded_at": pl.Datetime("us", "UTC"),
        "stream": pl.Binary(),
        "version": pl.Int64(),
        "name": pl.String(),
        "state": pl.Binary(),
    }
)
# Statements travel in the bucket of their contract.
STATEMENTS = frozenset({"statement.closed", "statement.restated"})


def bucket_of(contract: str, buckets: int) -> int:
    """The bucket of a contract: the same on every machine, for ever."""
    return int.from_bytes(blake2b(contract.encode(), digest_size=8).digest()) % buckets


def events_frame(
    entries: Sequence[Entry], terms: pl.DataFrame, partners: Mapping[str, str], dimensions: Iterable[str]
) -> pl.DataFrame:
    """Volume events as EVENTS, with a column for each dimension that is an attribute. `terms` as engine.store.registry.TERMS."""
    events = [_streamed(entry) for entry in entries]
    names = sorted(set(dimensions) - OWN_DIMENSIONS)
    said = [event.attributes or {} for event in events]
    frame = pl.DataFrame(
        {
            "position": [entry.position for entry in entries],
            "recorded_at": [entry.recorded_at for entry in entries],
            "version": [entry.version for entry in entries],
            "event": [entry.name for entry in entries],
            "source": [event.source for event in events],
            "id": [event.id for event in events],
            "time": [micros_since_1970(event.time) for event in events],
            "contract": [event.contract for event in events],
            "partner": [partners[event.contract] for event in events],
            "product": [event.product for event in events],
            "meter": [event.meter for event in events],
            "currency": [event.currency for event in events],
            "quantity": [event.quantity for event in events],
            "amount": [event.amount for event in events],
            "charged_at": [None if e.charged_at is None else micros_since_1970(e.charged_at) for e in events],
            "refunds": [event.refunds for event in events],
            "attributes": [_pairs(event.attributes, "name") for event in events],
            "amounts": [_pairs(event.amounts, "field") for event in events],
            **{attribute(name): [each.get(name) for each in said] for name in names},
        },
        schema={
            **{name: kind for name, kind in EVENTS.items() if name != "period"},
            **{attribute(name): pl.String() for name in names},
        },
    )
    zones = terms.select("contract", "calendar", "time_zone")
    placed = located(frame.join(zones, on="contract", how="left", maintain_order="left"))
    return placed.select(*EVENTS.names(), *map(attribute, names))


def _streamed(entry: Entry) -> StreamedEvent:
    event = decoded(entry.name, entry.state)
    assert isinstance(event, StreamedEvent), entry
    return event


def _pairs(stated: Mapping[str, Any] | None, key: str) -> list[dict[str, Any]] | None:
    return None if stated is None else [{key: name, "value": value} for name, value in stated.items()]


def stored(events: pl.DataFrame) -> pl.DataFrame:
    """The events as they are written: texts that repeat numbered."""
    promoted = [name for name in events.columns if name.startswith(attribute(""))]
    return events.with_columns(pl.col(*REPEATED, *promoted).cast(pl.Categorical))


def stored_schema(promoted: Iterable[str]) -> pl.Schema:
    """The columns of a segment of events, with those of the promoted attributes."""
    numbered = dict.fromkeys([*REPEATED, *map(attribute, promoted)], pl.Categorical())
    return pl.Schema({**EVENTS, **numbered})


def extent(frame: pl.DataFrame, kind: str) -> dict[str, Any]:
    """What the manifest says of a segment's rows (replay.archive.manifest.Segment)."""
    found: dict[str, Any] = {
        "rows": frame.height,
        "first": frame["position"].min(),
        "last": frame["position"].max(),
    }
    if kind != "events":
        return found | {"attributes": (), "further": 0, "period_first": None, "period_last": None}
    return found | {
        "attributes": tuple(n.removeprefix(attribute("")) for n in frame.columns if n.startswith(attribute(""))),
        "further": frame.select((pl.col("amounts").list.len() > 0).sum()).item(),
        "period_first": str(frame["period"].min()),
        "period_last": str(frame["period"].max()),
    }


def rows_frame(entries: Sequence[Entry]) -> pl.DataFrame:
    """Rows of the log as ROWS."""
    return pl.DataFrame(
        [(e.position, e.recorded_at, e.stream, e.version, e.name, e.state) for e in entries],
        schema=ROWS | {"recorded_at": pl.Int64()},
        orient="row",
    ).with_columns(pl.col("recorded_at").cast(pl.Datetime("us", "UTC")))


def entries_of(frame: pl.DataFrame, kind: str) -> Iterator[Entry]:
    """The rows of the log that a segment was made of."""
    if kind != "events":
        for position, recorded_at, *rest in frame.select(ROWS.names()).iter_rows():
            yield Entry(position, micros_since_1970(recorded_at), *rest)
        return
    for row in frame.select(EVENTS.names()).iter_rows(named=True):
        yield Entry(
            row["position"],
            micros_since_1970(row["recorded_at"]),
            stream_id("contract", row["contract"]),
            row["version"],
            row["event"],
            encoded(_event(row)),
        )


def _event(row: Mapping[str, Any]) -> StreamedEvent:
    stated = {name: row[name] for name in _PLAIN if row[name] is not None}
    if row["attributes"] is not None:
        stated["attributes"] = {pair["name"]: pair["value"] for pair in row["attributes"]}
    if row["amounts"] is not None:
        stated["amounts"] = {pair["field"]: pair["value"] for pair in row["amounts"]}
    return VOLUME[row["event"]](**stated)


_PLAIN = (
    "source", "id", "time", "contract", "product", "meter", "currency", "quantity", "amount", "charged_at", "refunds",
)  # fmt: skip
