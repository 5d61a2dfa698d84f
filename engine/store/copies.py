"""The facts of ended periods, kept a second time: each period's as one Parquet text, which is read whole.

That takes a tenth of the time in which PostgreSQL tells the facts one by one. Whoever changes facts of a period that has a copy
notes, in the same transaction, which contracts are behind (engine.store.facts); what those have now is read from the facts.
Derived, like all projections: without copies everything is as it was, only slower. See docs/decisions/0020-comparing.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from io import BytesIO

import polars as pl

from engine.projections.facts import FACTS
from engine.store import facts, recorder
from engine.store.database import Rows, Store

# A copy that more contracts are behind is not read, and made anew.
_BEHIND_MAX = facts.FEW
# A copy of more would not fit into memory beside the facts that it is made of.
_FACTS_MAX = 5_000_000
# Whoever closes a period waits for no more; those before come with the next closings.
_AT_ONCE = 12


def keep(store: Store, end: date) -> None:
    """Copies the last periods that begin before the day and have no copy that is worth reading.

    Takes the writers' lock for a moment each. Killed in between, it leaves a copy that nobody reads.
    """
    with store.reading() as cursor:
        usable = _usable(cursor)
        wanting = [day for day in facts.periods(cursor) if day < end and day not in usable and _fits(cursor, day)]
    for day in reversed(wanting[-_AT_ONCE:]):
        with store.writing() as cursor:
            recorder.lock(cursor)
            position = recorder.last_position(cursor)
            cursor.execute("DELETE FROM fact_copies WHERE period = %s", (day,))
            cursor.execute("INSERT INTO fact_copies VALUES (%s, %s)", (day, position))
        # From here on whoever changes them says so, while we read.
        with store.reading() as cursor:
            text = _written(facts.between(cursor, None, day, day))
        with store.writing() as cursor:
            cursor.execute(
                "UPDATE fact_copies SET facts = %s, digest = %s WHERE period = %s AND position = %s",
                (text, sha256(text).digest(), day, position),
            )


def all_live(cursor: Rows, contracts: Sequence[str] | None = None, since: date | None = None) -> pl.DataFrame:
    """As engine.store.facts.all_live, from the copies as far as there are any."""
    usable = _usable(cursor)
    if not usable or (contracts is not None and len(contracts) <= facts.FEW):
        return facts.all_live(cursor, contracts, since)
    names = None if contracts is None else pl.Series(list(contracts), dtype=pl.String).implode()
    found = [FACTS.to_frame()]
    for day in facts.periods(cursor, since):
        copied = live(cursor, day, usable[day]) if day in usable else None
        if copied is None:
            found.append(facts.between(cursor, contracts, day, day))
        else:
            found.append(copied if names is None else copied.filter(pl.col("contract").is_in(names)))
    return pl.concat(found)


def live(cursor: Rows, day: date, behind: Sequence[str]) -> pl.DataFrame | None:
    """The facts of the period that begins on the day, from its copy, but for those of the contracts that are behind.

    None where the copy is not what was written.
    """
    row = cursor.execute("SELECT facts, digest FROM fact_copies WHERE period = %s", (day,), binary=True).fetchone()
    assert row is not None, day
    text, digest = row
    if sha256(text).digest() != digest:
        return None
    copied = pl.read_parquet(BytesIO(text))
    if not behind:
        return copied
    return pl.concat([copied.filter(~pl.col("contract").is_in(behind)), facts.between(cursor, behind, day, day)])


def made(cursor: Rows) -> dict[date, list[str]]:
    """The periods that have copies, with the contracts that are behind."""
    rows = cursor.execute(
        "SELECT period, array_agg(contract ORDER BY contract) FILTER (WHERE contract IS NOT NULL) "
        "FROM fact_copies LEFT JOIN fact_copies_behind USING (period) WHERE facts IS NOT NULL GROUP BY period"
    )
    return {day: behind or [] for day, behind in rows}


def _usable(cursor: Rows) -> dict[date, list[str]]:
    return {day: behind for day, behind in made(cursor).items() if len(behind) <= _BEHIND_MAX}


def _fits(cursor: Rows, day: date) -> bool:
    row = cursor.execute("SELECT count(*) FROM facts WHERE period = %s", (day,)).fetchone()
    return row is not None and row[0] <= _FACTS_MAX


def _written(copied: pl.DataFrame) -> bytes:
    text = BytesIO()
    copied.sort("contract", "event", "field", "dimensions").write_parquet(text, compression="lz4", statistics=False)
    return text.getvalue()
