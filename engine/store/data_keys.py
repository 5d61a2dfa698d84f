"""The wrapped keys of what is personal: each is made once, wrapped anew when the secret key is exchanged, and destroyed for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Literal, NamedTuple

from engine.store.database import Rows


class Name(NamedTuple):
    """Whose key it is: of a contact, by its id, or of a bank account, by the event that proposed it."""

    partner: str
    kind: Literal["contact", "bank_account", "check"]
    id: str


# What is kept under it is no key: it tells the secret key that wraps all others from any other one.
CHECK = Name("", "check", "")


def of_contact(partner: str, contact: str) -> Name:
    return Name(partner, "contact", contact)


def of_bank_account(partner: str, source: str, id: str) -> Name:  # noqa: A002
    # Together they can be longer than an index holds.
    return Name(partner, "bank_account", sha256(f"{source}\0{id}".encode()).hexdigest())


def known(cursor: Rows, names: Iterable[Name]) -> dict[Name, bytes | None]:
    """The keys of those names that ever had one, all of one moment; None where it was destroyed."""
    rows = cursor.execute(
        "SELECT partner, kind, id, wrapped FROM settle.data_keys "
        "WHERE (partner, kind, id) IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))",
        _columns(names),
    )
    return {Name(*row[:3]): row[3] for row in rows}


def hold(cursor: Rows) -> None:
    """Until the end of the transaction the secret key is not exchanged, so that no key is kept under the one of before."""
    cursor.execute("LOCK TABLE settle.data_keys IN ROW EXCLUSIVE MODE")


def hold_all(cursor: Rows) -> None:
    """Until the end of the transaction no key is made, destroyed or wrapped anew by anybody else; they can be read."""
    cursor.execute("LOCK TABLE settle.data_keys IN EXCLUSIVE MODE")


def keep(cursor: Rows, name: Name, wrapped: bytes) -> None:
    """Keeps the key, unless there is one or it was destroyed: a key is made once."""
    cursor.execute(
        "INSERT INTO settle.data_keys VALUES (%s, %s, %s, %s) ON CONFLICT (partner, kind, id) DO NOTHING",
        (*name, wrapped),
    )


def destroy(cursor: Rows, name: Name) -> None:
    """Destroys the key, also one that is not there yet: none is made under that name any more."""
    cursor.execute(
        "INSERT INTO settle.data_keys VALUES (%s, %s, %s, NULL) "
        "ON CONFLICT (partner, kind, id) DO UPDATE SET wrapped = NULL",
        name,
    )


def count(cursor: Rows) -> int:
    """How many keys there are that were not destroyed, and what is kept under CHECK."""
    row = cursor.execute("SELECT count(wrapped) FROM settle.data_keys").fetchone()
    assert row is not None
    return int(row[0])


def batches(cursor: Rows, size: int) -> Iterator[list[tuple[Name, bytes]]]:
    """All keys that were not destroyed, by their names. The caller holds them all."""
    last = Name("", "bank_account", "")  # before any other
    while True:
        rows = cursor.execute(
            "SELECT partner, kind, id, wrapped FROM settle.data_keys "
            "WHERE (partner, kind, id) > (%s, %s, %s) AND wrapped IS NOT NULL ORDER BY partner, kind, id LIMIT %s",
            (*last, size),
        ).fetchall()
        if not rows:
            return
        found = [(Name(*row[:3]), bytes(row[3])) for row in rows]
        yield found
        last = found[-1][0]


def replace(cursor: Rows, wrapped: Sequence[tuple[Name, bytes]]) -> None:
    """Puts the keys, wrapped anew, in the place of those that are there. The caller holds them all."""
    cursor.execute(
        "UPDATE settle.data_keys k SET wrapped = n.wrapped "
        "FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[]) AS n (partner, kind, id, wrapped) "
        "WHERE (k.partner, k.kind, k.id) = (n.partner, n.kind, n.id) AND k.wrapped IS NOT NULL",
        (*_columns(name for name, _ in wrapped), [each for _, each in wrapped]),
    )
    assert cursor.rowcount == len(wrapped), (cursor.rowcount, len(wrapped))


def _columns(names: Iterable[Name]) -> tuple[list[str], list[str], list[str]]:
    listed = list(names)
    return [name.partner for name in listed], [name.kind for name in listed], [name.id for name in listed]
