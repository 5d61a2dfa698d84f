"""The steps of a replay as pure functions from Arrow table to Arrow table, for engines that are not ours.

`facts_of` maps a table of events (the columns of an archive's `events` segments) to facts, `merged` puts facts of parts
together, `statements_of` settles the facts of contracts again. Any engine that moves Arrow tables can run them (docs/scale.md).
Values are whole micros, in decimal128(38, 0): Arrow has no integer of 128 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from engine.facts import OWN_DIMENSIONS
from engine.period import located
from engine.projections import facts as projection
from engine.projections.facts import FACTS, FURTHER, attribute
from replay.archive.reading import stated
from replay.known import Known
from replay.spread import Job, statements

if TYPE_CHECKING:
    import pyarrow as pa


def to_arrow(facts: pl.DataFrame) -> pa.Table:
    """Facts as an Arrow table."""
    return facts.with_columns(pl.col("value").cast(pl.Decimal(38, 0))).to_arrow()


def from_arrow(table: Any) -> pl.DataFrame:  # noqa: ANN401 - an Arrow table or record batch
    """Facts from an Arrow table."""
    return pl.DataFrame(pl.from_arrow(table)).with_columns(pl.col("value").cast(pl.Int128)).select(FACTS.names())


def facts_of(events: Any, everything: Known) -> pa.Table:  # noqa: ANN401
    """Map: events to facts, whatever part of the log they are."""
    frame = pl.DataFrame(pl.from_arrow(events)).rename({"position": "seq"})
    frame = frame.with_columns(pl.col(pl.Categorical).cast(pl.String))
    names = set(frame["contract"].unique())
    terms = everything.terms(names).select("contract", "calendar", "time_zone", "grain", "phases")
    wanted = projection.dimensions(terms["grain"]) - OWN_DIMENSIONS
    # Sealed before a rulebook asked for the dimension: it is among the attributes all the same.
    missing = [name for name in sorted(wanted) if attribute(name) not in frame.columns]
    further = (
        frame.filter(pl.col("amounts").list.len() > 0).select("seq", "amounts").explode("amounts").unnest("amounts")
    )
    known = frame.drop("period", "amounts").with_columns(stated(name) for name in missing)
    folded = projection.fold(located(known.join(terms, on="contract")), further.select(FURTHER.names()))
    return to_arrow(projection.merged(folded))


def merged(facts: Any) -> pa.Table:  # noqa: ANN401
    """Combine: facts of parts of the log, those of one key made one."""
    return to_arrow(projection.merged(from_arrow(facts)))


def statements_of(facts: Any, job: Job) -> pa.Table:  # noqa: ANN401
    """Reduce: the statements of the contracts that the facts are of; those that are settled together must all be there."""
    frame = from_arrow(facts)
    return statements(job, frame, frozenset(frame["contract"].unique())).to_arrow()
