"""The wrapped keys of what is personal: made once, and destroyed for ever."""

from __future__ import annotations

from typing import NamedTuple

from engine.store.database import Rows


class Row(NamedTuple):
    """A key as it is kept; `wrapped` is None once it was destroyed."""

    wrapped: bytes | None


def found(cursor: Rows, partner: str, contact: str) -> Row | None:
    """None where there never was a key."""
    row = cursor.execute(
        "SELECT wrapped FROM settle.contact_keys WHERE partner = %s AND contact = %s", (partner, contact)
    ).fetchone()
    return None if row is None else Row(row[0])


def keep(cursor: Rows, partner: str, contact: str, wrapped: bytes) -> None:
    """Keeps the key, unless there is one or it was destroyed: a key is made once."""
    cursor.execute(
        "INSERT INTO settle.contact_keys VALUES (%s, %s, %s) ON CONFLICT (partner, contact) DO NOTHING",
        (partner, contact, wrapped),
    )


def destroy(cursor: Rows, partner: str, contact: str) -> None:
    """Destroys the key, also one that is not there yet: none is made for the contact any more."""
    cursor.execute(
        "INSERT INTO settle.contact_keys VALUES (%s, %s, NULL) ON CONFLICT (partner, contact) DO UPDATE SET wrapped = NULL",
        (partner, contact),
    )
