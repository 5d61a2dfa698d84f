"""Exchange rates as they were published."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from engine.events import FxRatePublished
from engine.money import plain
from engine.store.database import Rows

# Publisher, base, quote, day.
Key = tuple[str, str, str, date]


def key_of(event: FxRatePublished) -> Key:
    return event.publisher, event.base, event.quote, event.day


def save(cursor: Rows, published: Iterable[tuple[int, FxRatePublished]]) -> None:
    """Keeps the rates of (position, event); of one that was published before, the first."""
    cursor.executemany(
        "INSERT INTO rates (publisher, base, quote, day, rate, position) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (publisher, base, quote, day) DO NOTHING",
        [(*key_of(event), Decimal(event.rate), position) for position, event in published],
    )


def known(cursor: Rows, keys: Iterable[Key]) -> dict[Key, str]:
    """The canonical text of each of the rates that was published."""
    publishers, bases, quotes, days = zip(*keys, strict=True)
    rows = cursor.execute(
        "SELECT publisher, base, quote, day, rate FROM rates JOIN "
        "(SELECT DISTINCT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::date[]) AS k(publisher, base, quote, day)"
        ") k USING (publisher, base, quote, day)",
        (list(publishers), list(bases), list(quotes), list(days)),
    )
    return {(publisher, base, quote, day): plain(rate) for publisher, base, quote, day, rate in rows}


def between(
    cursor: Rows, first: date, end: date, publishers: Iterable[str] | None = None
) -> list[tuple[str, str, str, date, Decimal]]:
    """(publisher, base, quote, day, rate) of the days from `first` up to, and without, `end`, in this order."""
    named = None if publishers is None else list(publishers)
    rows = cursor.execute(
        "SELECT publisher, base, quote, day, rate FROM rates WHERE day >= %s AND day < %s "
        "AND (%s::text[] IS NULL OR publisher = ANY(%s)) ORDER BY publisher, base, quote, day",
        (first, end, named, named),
    )
    return [(publisher, base, quote, day, Decimal(plain(rate))) for publisher, base, quote, day, rate in rows]
