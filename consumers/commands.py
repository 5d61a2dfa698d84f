"""What persons ask for at the command line: the same events as on the wire, decoded by the same models.

The id of such an event is made from the stream that it goes to and the version that the person saw, so that of two who ask
at once one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from consumers.decode import decode
from consumers.personal import DRAFT, Seal
from consumers.secrets import Vault
from consumers.suspense import recycle_waiting
from engine.aggregates.refusal import Refused
from engine.settlement.deciding import stream_of
from engine.settlement.recording import Readable, command
from engine.store import log
from engine.store.database import Store

SOURCE = "tantieme/command"


class WrongCommand(Refused):
    """What was typed is no event."""

    code = "wrong-command"


class Asked(NamedTuple):
    """An event that a person asks for: its type and data, as on the wire; `time` is when it happened, by default now."""

    type: str
    data: Mapping[str, Any]
    time: datetime | None = None


def ask(store: Store, asked: Sequence[Asked], clock: Callable[[], datetime]) -> None:
    """Records the events, all or none, and tries what waited for them. Raises WrongCommand, CommandRefused, StoreUnavailable."""
    now = clock()
    vault = Vault(store)
    drafts = [_read(each, f"{number}", now, DRAFT) for number, each in enumerate(asked)]
    streams = [stream_of(draft.event) for draft in drafts]
    with store.reading() as cursor:
        versions = log.versions(cursor, set(streams))
    found = []
    for each, draft, stream in zip(asked, drafts, streams, strict=True):
        version = versions[stream] = versions.get(stream, 0) + 1
        found.append(_read(each, f"{draft.event.NAME}/{stream.hex()}/{version}", now, vault))
    arrived = command(store, found, now)
    if arrived:
        recycle_waiting(store, arrived, clock)


def _read(asked: Asked, id_: str, now: datetime, seal: Seal) -> Readable:
    time = (asked.time or now).isoformat()
    data = {name: value for name, value in asked.data.items() if value is not None}
    said = {"specversion": "1.0", "id": id_, "source": SOURCE, "type": asked.type, "time": time, "data": data}
    found = decode(msgspec.json.encode(said), None, seal, own=True)
    if not isinstance(found, Readable):
        raise WrongCommand(re.sub(r"\bdata(\.|: )", "", found.cause))
    return found
