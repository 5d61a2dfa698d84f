"""Which positions each seal of the archive covers: decided once, so that the archive can be made again byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.store import recorder, statements
from engine.store.database import Rows


class Recorded(NamedTuple):
    """A seal: positions `first` to `last`, in so many buckets."""

    number: int
    first: int
    last: int
    buckets: int


def recorded(cursor: Rows) -> list[Recorded]:
    rows = cursor.execute("SELECT number, first, last, buckets FROM settle.archive_seals ORDER BY number")
    return [Recorded._make(row) for row in rows]


def next_seal(cursor: Rows, before: Sequence[Recorded], buckets: int) -> Recorded | None:
    """Decides the next seal, up to the end of the log: where closed periods rest on anything past the last one. Else None.

    The caller holds the writers' lock.
    """
    after = before[-1].last if before else 0
    row = cursor.execute(
        "SELECT EXISTS (SELECT FROM closings WHERE position >= %s) "
        "OR EXISTS (SELECT FROM statements WHERE own_position > %s)",
        (after, after),
    ).fetchone()
    assert row is not None
    last = recorder.last_position(cursor)
    if last == after or not statements.count(cursor):
        return None
    late = sum(statements.late_events(cursor).values())
    # Late events stay late until they are restated, which is a statement of its own: more of them are new ones.
    if not row[0] and late == _late(cursor):
        return None
    made = Recorded(len(before) + 1, after + 1, last, before[0].buckets if before else buckets)
    cursor.execute("INSERT INTO settle.archive_seals VALUES (%s, %s, %s, %s, %s)", (*made, late))
    return made


def _late(cursor: Rows) -> int:
    """How many late events there were when the last seal was decided."""
    row = cursor.execute("SELECT late FROM settle.archive_seals ORDER BY number DESC LIMIT 1").fetchone()
    return 0 if row is None else int(row[0])
