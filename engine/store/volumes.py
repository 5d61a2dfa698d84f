"""How much is sold under authorisations that hold only up to a volume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.store.database import Rows


def used(cursor: Rows, authorisations: Iterable[str]) -> dict[str, int]:
    """In micros, of those of the authorisations under which anything counted."""
    rows = cursor.execute(
        "SELECT authorisation, used_micros::text FROM authorised_volumes WHERE authorisation = ANY(%s)",
        (list(authorisations),),
    )
    return {authorisation: int(micros) for authorisation, micros in rows}


def save(cursor: Rows, now: Mapping[str, int]) -> None:
    """Keeps what is sold by now. The caller holds the writers' lock."""
    if now:
        cursor.executemany(
            "INSERT INTO authorised_volumes VALUES (%s, %s) ON CONFLICT (authorisation) DO UPDATE SET "
            "used_micros = excluded.used_micros",
            sorted(now.items()),
        )
