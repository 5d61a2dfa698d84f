"""Messages that could not be recorded: kept with their bytes, a code and a sentence, until somebody decides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from engine.store.database import Rows
from engine.store.recorder import uuid_array

_VOLUME = "volume:"
_FINAL = "final:"
_BIGINT_MAX = 2**63 - 1
# Of a larger message, which is rejected for its size, this much is kept.
RAW_BYTES_MAX = 1_048_576


class Kept(NamedTuple):
    """One message to keep. `identity` and `content` are 16 bytes each, None where the message was unreadable."""

    state: str
    code: str
    sentence: str
    waits_for: str | None
    channel: str
    partition: int
    offset: int
    headers: Mapping[str, bytes] | None
    raw: bytes
    identity: bytes | None
    content: bytes | None


class Entry(NamedTuple):
    """One message in suspense."""

    id: int
    state: str
    code: str
    sentence: str
    waits_for: str | None
    channel: str
    partition: int
    offset: int
    headers: dict[str, bytes] | None
    raw: bytes
    raw_bytes: int
    received_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


_COLUMNS = (
    'id, state, code, sentence, waits_for, channel, partition, "offset", headers, raw, raw_bytes, received_at, '
    "decided_at, decided_by, reason"
)


def keep(cursor: Rows, messages: Sequence[Kept], received_at: datetime) -> None:
    with cursor.copy(
        'COPY settle.suspense (state, code, sentence, waits_for, channel, partition, "offset", headers, raw, '
        "raw_bytes, identity, content, received_at) FROM STDIN"
    ) as copy:
        for m in messages:
            copy.write_row(
                (
                    m.state,
                    m.code,
                    m.sentence,
                    m.waits_for,
                    m.channel,
                    m.partition,
                    m.offset,
                    None if m.headers is None else _headers_text(m.headers),
                    m.raw[:RAW_BYTES_MAX],
                    len(m.raw),
                    None if m.identity is None else m.identity.hex(),
                    None if m.content is None else m.content.hex(),
                    received_at,
                )
            )


def _headers_text(headers: Mapping[str, bytes]) -> str:
    # PostgreSQL cannot keep NUL, which Kafka takes in a header's name.
    return json.dumps({name.replace("\0", "\ufffd"): value.hex() for name, value in headers.items()})


def conflicting(cursor: Rows, pairs: Sequence[tuple[bytes, bytes]]) -> set[tuple[bytes, bytes]]:
    """Those of the (identity, content) that were kept before, such as a conflict with the identity's first content."""
    rows = cursor.execute(
        "SELECT DISTINCT uuid_send(identity), uuid_send(content) FROM settle.suspense WHERE (identity, content) IN "
        "(SELECT * FROM unnest(%s::uuid[], %s::uuid[]))",
        (uuid_array(identity for identity, _ in pairs), uuid_array(content for _, content in pairs)),
        binary=True,
    )
    return set(rows.fetchall())


def entries(
    cursor: Rows, *, states: Iterable[str] = ("suspended",), code: str | None = None, after: int = 0, limit: int = 100
) -> list[Entry]:
    """In the order of their ids, which is that of their arrival."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM settle.suspense "  # noqa: S608 - a constant
        "WHERE state = ANY(%s) AND id > %s AND (%s::text IS NULL OR code = %s) ORDER BY id LIMIT %s",
        (list(states), after, code, code, limit),
    )
    return [_entry(row) for row in rows]


def entry(cursor: Rows, id: int) -> Entry | None:  # noqa: A002
    row = cursor.execute(f"SELECT {_COLUMNS} FROM settle.suspense WHERE id = %s", (id,)).fetchone()  # noqa: S608
    return None if row is None else _entry(row)


def waiting(cursor: Rows, waits_for: Sequence[str], after: int, limit: int) -> list[Entry]:
    """Suspended messages that wait for any of the given things."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM settle.suspense "  # noqa: S608
        "WHERE state = 'suspended' AND waits_for = ANY(%s) AND id > %s ORDER BY id LIMIT %s",
        (list(waits_for), after, limit),
    )
    return [_entry(row) for row in rows]


def wait_for_volumes(cursor: Rows, waits: Sequence[tuple[bytes, str, int]]) -> None:
    """Keeps of suspended messages, by (identity, authorisation, micros), for how much of whose volume they wait."""
    cursor.execute(
        "INSERT INTO settle.volume_waits SELECT s.id, w.authorisation, w.micros "
        "FROM unnest(%s::uuid[], %s::text[], %s::bigint[]) AS w (identity, authorisation, micros) "
        "JOIN settle.suspense s USING (identity) WHERE s.state = 'suspended' AND s.code <> 'identity-conflict'",
        ([each[0].hex() for each in waits], [each[1] for each in waits], [each[2] for each in waits]),
    )


def volumes_awaited(cursor: Rows) -> dict[str, int]:
    """By authorisation the least that any suspended message waits for. Costs one look at the index for each of them."""
    rows = cursor.execute(
        "WITH RECURSIVE found AS ("
        "(SELECT authorisation, micros FROM settle.volume_waits ORDER BY authorisation, micros LIMIT 1) "
        "UNION ALL SELECT following.* FROM found, LATERAL (SELECT authorisation, micros FROM settle.volume_waits w "
        "WHERE w.authorisation > found.authorisation ORDER BY w.authorisation, w.micros LIMIT 1) following) "
        "SELECT * FROM found"
    )
    return dict(rows.fetchall())


def waiting_for_volume(cursor: Rows, rooms: Mapping[str, int], limit: int) -> list[tuple[int, str, int]]:
    """The first `limit` messages of each authorisation that wait for no more of its volume than there is `room`: id,
    authorisation, micros, in the order of their ids.
    """
    rows = cursor.execute(
        "SELECT w.id, r.authorisation, w.micros FROM unnest(%s::text[], %s::bigint[]) AS r (authorisation, room), "
        "LATERAL (SELECT id, micros FROM settle.volume_waits WHERE authorisation = r.authorisation AND micros <= r.room "
        "ORDER BY id LIMIT %s) w ORDER BY w.id, r.authorisation",
        (list(rooms), [min(room, _BIGINT_MAX) for room in rooms.values()], limit),
    )
    return rows.fetchall()


def of_ids(cursor: Rows, ids: Sequence[int]) -> list[Entry]:
    """Those of the messages that are still suspended, in the order of their ids."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM settle.suspense WHERE state = 'suspended' AND id = ANY(%s) ORDER BY id",  # noqa: S608
        (list(ids),),
    )
    return [_entry(row) for row in rows]


def note(cursor: Rows, causes: Sequence[str], position: int) -> None:
    """Notes that something follows from the causes, as of the position, until `tried`."""
    cursor.execute(
        "INSERT INTO settle.arrivals SELECT cause, %s FROM unnest(%s::text[]) AS causes (cause) "
        "ON CONFLICT (cause) DO UPDATE SET position = excluded.position",
        (position, list(causes)),
    )


def volume_of(authorisation: str) -> str:
    """What messages that wait for volume of the authorisation wait for, as it is noted when it arrives."""
    return f"{_VOLUME}{authorisation}"


def volumes_among(causes: Iterable[str]) -> list[str]:
    """The authorisations that are meant by causes of `volume_of`."""
    return [cause.removeprefix(_VOLUME) for cause in causes if cause.startswith(_VOLUME)]


def final_of(assessment: str) -> str:
    """That the assessment of that id is final, as it is noted until what follows has been proposed."""
    return f"{_FINAL}{assessment}"


def finals_among(causes: Iterable[str]) -> list[str]:
    """The assessments that are meant by causes of `final_of`."""
    return [cause.removeprefix(_FINAL) for cause in causes if cause.startswith(_FINAL)]


def note_arrivals(cursor: Rows, causes: Iterable[str], position: int) -> None:
    """Notes those of the causes that suspended messages wait for, as of the position, until `tried`."""
    cursor.execute(
        "INSERT INTO settle.arrivals SELECT DISTINCT waits_for, %s::bigint FROM settle.suspense "
        "WHERE state = 'suspended' AND waits_for = ANY(%s) "
        "ON CONFLICT (cause) DO UPDATE SET position = excluded.position",
        (position, list(causes)),
    )


def arrivals(cursor: Rows) -> list[tuple[str, int]]:
    """What has arrived that suspended messages wait for, and they have not been tried since; with its position."""
    return cursor.execute("SELECT cause, position FROM settle.arrivals ORDER BY position, cause").fetchall()


def tried(cursor: Rows, causes: Iterable[str], position: int) -> None:
    """What waits for the causes was tried again at a time when the log was at the position."""
    cursor.execute("DELETE FROM settle.arrivals WHERE cause = ANY(%s) AND position <= %s", (list(causes), position))


def locked(cursor: Rows, ids: Sequence[int]) -> dict[int, str | None]:
    """Those of the ids that are still suspended, locked until the transaction ends: by which code they wait for something, if at all."""
    rows = cursor.execute(
        "SELECT id, CASE WHEN waits_for IS NOT NULL THEN code END FROM settle.suspense "
        "WHERE id = ANY(%s) AND state = 'suspended' ORDER BY id FOR UPDATE",
        (list(ids),),
    )
    return dict(rows.fetchall())


def recycled(cursor: Rows, ids: Sequence[int], at: datetime) -> None:
    cursor.execute("UPDATE settle.suspense SET state = 'recycled', decided_at = %s WHERE id = ANY(%s)", (at, list(ids)))
    _forget_volumes(cursor, ids)


def still_suspended(cursor: Rows, reasons: Sequence[tuple[str, str, str | None, int]]) -> None:
    """Each (code, sentence, waits_for, id): why it is suspended now, after it was tried again."""
    ids = [id_ for *_, id_ in reasons]
    cursor.execute(
        "UPDATE settle.suspense s SET code = r.code, sentence = r.sentence, waits_for = r.waits_for "
        "FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS r (code, sentence, waits_for, id) WHERE s.id = r.id",
        (*([each[at] for each in reasons] for at in range(3)), ids),
    )
    _forget_volumes(cursor, ids)


def _forget_volumes(cursor: Rows, ids: Sequence[int]) -> None:
    cursor.execute("DELETE FROM settle.volume_waits WHERE id = ANY(%s)", (list(ids),))


def write_off(cursor: Rows, id: int, at: datetime, by: str, reason: str) -> bool:  # noqa: A002
    """False where it is not suspended (or rejected) any more."""
    cursor.execute(
        "UPDATE settle.suspense SET state = 'written_off', decided_at = %s, decided_by = %s, reason = %s "
        "WHERE id = %s AND state IN ('suspended', 'rejected')",
        (at, by, reason, id),
    )
    written_off = cursor.rowcount == 1
    _forget_volumes(cursor, [id])
    return written_off


def any_suspended(cursor: Rows, identity: bytes) -> bool:
    """Whether any message of that identity is still suspended."""
    row = cursor.execute(
        "SELECT FROM settle.suspense WHERE identity = %s::uuid AND state = 'suspended'", (identity.hex(),)
    ).fetchone()
    return row is not None


def totals(cursor: Rows) -> list[tuple[str, str, int]]:
    """(state, code, number) of everything in suspense."""
    rows = cursor.execute(
        "SELECT state, code, count(*) FROM settle.suspense GROUP BY state, code ORDER BY state, count(*) DESC, code"
    )
    return rows.fetchall()


def undelivered(cursor: Rows, limit: int) -> list[Entry]:
    """Rejected Kafka messages whose dead letter is not acknowledged yet, locked; without those that another has locked."""
    rows = cursor.execute(
        f"SELECT {_COLUMNS} FROM settle.suspense "  # noqa: S608
        "WHERE state = 'rejected' AND NOT dead_lettered AND channel NOT LIKE 'file:%%' ORDER BY id LIMIT %s "
        "FOR UPDATE SKIP LOCKED",
        (limit,),
    )
    return [_entry(row) for row in rows]


def dead_lettered(cursor: Rows, ids: Sequence[int]) -> None:
    cursor.execute("UPDATE settle.suspense SET dead_lettered = true WHERE id = ANY(%s)", (list(ids),))


def _entry(row: tuple[Any, ...]) -> Entry:
    headers = None if row[8] is None else {key: bytes.fromhex(value) for key, value in row[8].items()}
    return Entry._make([*row[:8], headers, *row[9:]])


def latest(cursor: Rows, channel: str) -> Entry | None:
    """The message of the channel that was kept last."""
    row = cursor.execute(
        f"SELECT {_COLUMNS} FROM settle.suspense WHERE channel = %s ORDER BY id DESC LIMIT 1",  # noqa: S608
        (channel,),
    ).fetchone()
    return None if row is None else _entry(row)
