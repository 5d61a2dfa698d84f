"""The proof that live facts are right, and copies of them: the whole log folded again, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

import polars as pl

from engine.events import decoded
from engine.projections import partner_facts as partner_projection
from engine.settlement.folding import fold_counted, fold_pages
from engine.store import copies, facts, log, partner_facts, recorder, registry
from engine.store.database import Rows, Store


class Difference(NamedTuple):
    """A fact that is not what the log says. Numbers are 0 where one side has no such fact; values are in micros.

    `whose` is a contract, or a partner with the contract that its events name; `first` the first day of the fact's period,
    or for facts of a partner's events their day. `at` is for last values, in microseconds since 1970.
    """

    whose: str
    first: str
    event: str
    field: str
    dimensions: str
    events_live: int
    events_log: int
    value_live: int
    value_log: int
    at_live: int
    at_log: int


class Proof(NamedTuple):
    """What was folded, and where live facts differ from it; how many periods have copies, and which of those differ from the facts."""

    positions: int
    facts: int
    differences: tuple[Difference, ...]
    copies: int
    wrong_copies: tuple[date, ...]

    @property
    def equal(self) -> bool:
        return not self.differences and not self.wrong_copies


def verify(store: Store, progress: Callable[[int, int], None] = lambda *_: None) -> Proof:
    """Folds every event up to the end of the log as it is now; `progress` is told positions done and in all."""
    with store.reading() as cursor:
        last = recorder.last_position(cursor)
        partners: list[pl.DataFrame] = [partner_projection.FACTS.to_frame()]
        folded = fold_pages(_pages(cursor, last, partners, progress), lambda names: registry.terms(cursor, names))
        folded_partners = partner_projection.merged(pl.concat(partners))
        live, live_partners = facts.all_live(cursor), partner_facts.all_live(cursor)
        made = copies.made(cursor)
        wrong = [day for day, behind in sorted(made.items()) if not _is_copy(cursor, day, behind, live)]
    differences = [
        *_differences(_named(live), _named(folded)),
        *_differences(_named_by_partner(live_partners), _named_by_partner(folded_partners)),
    ]
    return Proof(last, folded.height + folded_partners.height, tuple(differences), len(made), tuple(wrong))


def _is_copy(cursor: Rows, day: date, behind: list[str], live: pl.DataFrame) -> bool:
    copied = copies.live(cursor, day, behind)
    return copied is not None and not any(_differences(_named(copied), _named(live.filter(pl.col("period") == day))))


def _pages(
    cursor: Rows, last: int, partners: list[pl.DataFrame], progress: Callable[[int, int], None]
) -> Iterator[list[tuple[int, str, bytes]]]:
    """The log's pages; facts of the partners' events in them are added to `partners` on the way."""
    after = 0
    while page := log.states(cursor, after=after, to=last):
        counted = [decoded(name, state) for _, name, state in page if name in partner_projection.DIMENSIONS]
        if counted:
            partners.append(fold_counted(cursor, [e for e in counted if partner_projection.is_counted(e)]))
        yield page
        after = page[-1][0]
        progress(after, last)


_KEY = ["whose", "first", "event", "field", "dimensions"]


def _named(live: pl.DataFrame) -> pl.DataFrame:
    return live.rename({"contract": "whose", "period": "first"})


def _named_by_partner(live: pl.DataFrame) -> pl.DataFrame:
    whose = pl.when(pl.col("contract") == "").then("partner").otherwise(pl.format("{} {}", "partner", "contract"))
    return live.rename({"day": "first"}).with_columns(whose.alias("whose"), pl.lit(0, dtype=pl.Int64).alias("at"))


def _differences(live: pl.DataFrame, folded: pl.DataFrame) -> Iterator[Difference]:
    numbers = ["events", "value", "at"]
    both = live.join(folded, on=_KEY, how="full", coalesce=True, suffix="_log").with_columns(
        pl.col(*numbers, *[f"{name}_log" for name in numbers]).fill_null(0)
    )
    wrong = both.filter(pl.any_horizontal([pl.col(name) != pl.col(f"{name}_log") for name in numbers]))
    for row in wrong.sort(_KEY).iter_rows(named=True):
        yield Difference(
            row["whose"],
            str(row["first"]),
            row["event"],
            row["field"],
            row["dimensions"],
            row["events"],
            row["events_log"],
            row["value"],
            row["value_log"],
            row["at"],
            row["at_log"],
        )
