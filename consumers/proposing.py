"""What follows from an assessment that is final: that its partner's services be suspended is proposed, each time once.

It follows however the assessment became final, at the command line or by a message, and a person other than who made it final
confirms or rejects it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256

import msgspec

from consumers.decode import decode
from engine.aggregates.assessment import AGGREGATE, Assessment
from engine.events import ServiceSuspensionProposed, joined
from engine.period import Period
from engine.settlement.finalising import Proposed, proposed
from engine.settlement.recording import CommandRefused, Readable, command
from engine.store import relations
from engine.store.database import Store

SOURCE = "tantieme/assess"


def propose(store: Store, assessments: Iterable[str], at: datetime) -> list[str]:
    """Proposes what follows from the assessments, by their ids; returns what arrived. Done again, it adds nothing."""
    arrived: list[str] = []
    for asked in list(_asked(store, assessments)):
        try:
            arrived += command(store, [asked], at)
        except CommandRefused:
            continue  # proposed before; or the service is not running any more
    return arrived


def _asked(store: Store, assessments: Iterable[str]) -> Iterator[Readable]:
    with store.reading() as cursor:
        known = relations.known(cursor, [(AGGREGATE.kind, id_) for id_ in assessments])
        for relation in known.values():
            final: Assessment = relation.state
            for each in proposed(cursor, final.scorecard, Period.parse(final.period), final.partner):
                yield _message(each, final)


def _message(proposal: Proposed, final: Assessment) -> Readable:
    assert final.finalised is not None, final
    found = decode(
        msgspec.json.encode(
            {
                "specversion": "1.0",
                # Of the service and the assessment, so that it is proposed once.
                "id": sha256(joined(proposal.service, proposal.cause).encode()).hexdigest(),
                "source": SOURCE,
                "type": ServiceSuspensionProposed.NAME,
                "time": final.finalised,
                "data": proposal._asdict() | {"author": final.author},
            }
        ),
        own=True,
    )
    assert isinstance(found, Readable), found
    return found
