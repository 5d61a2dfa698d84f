"""The proof that live facts are right: the whole log folded again, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import polars as pl

from engine.projections.facts import KEY
from engine.settlement.folding import fold_pages
from engine.store import facts, log, recorder
from engine.store.database import Rows, Store


class Difference(NamedTuple):
    """A fact that is not what the log says. Numbers are 0 where one side has no such fact; values are in micros."""

    contract: str
    period: str
    event: str
    field: str
    dimensions: str
    events_live: int
    events_log: int
    value_live: int
    value_log: int


class Proof(NamedTuple):
    """What was folded, and where live facts differ from it."""

    positions: int
    facts: int
    differences: tuple[Difference, ...]


def verify(store: Store, progress: Callable[[int, int], None] = lambda *_: None) -> Proof:
    """Folds every event up to the end of the log as it is now; `progress` is told positions done and in all."""
    with store.reading() as cursor:
        last = recorder.last_position(cursor)
        folded = fold_pages(cursor, _pages(cursor, last, progress))
        live = facts.all_live(cursor)
    return Proof(last, folded.height, tuple(_differences(live, folded)))


def _pages(cursor: Rows, last: int, progress: Callable[[int, int], None]) -> Iterator[list[tuple[int, str, bytes]]]:
    after = 0
    while page := log.states(cursor, after=after, to=last):
        yield page
        after = page[-1][0]
        progress(after, last)


def _differences(live: pl.DataFrame, folded: pl.DataFrame) -> Iterator[Difference]:
    both = live.join(folded, on=KEY, how="full", coalesce=True, suffix="_log").with_columns(
        pl.col("events", "value", "events_log", "value_log").fill_null(0)
    )
    wrong = both.filter((pl.col("events") != pl.col("events_log")) | (pl.col("value") != pl.col("value_log")))
    for row in wrong.sort(KEY).iter_rows(named=True):
        yield Difference(
            row["contract"],
            str(row["period"]),
            row["event"],
            row["field"],
            row["dimensions"],
            row["events"],
            row["events_log"],
            row["value"],
            row["value_log"],
        )
