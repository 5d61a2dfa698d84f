"""A partner: who it is."""

from __future__ import annotations

from typing import assert_never

from engine.aggregates.refusal import Refused
from engine.events import PartnerEvent, PartnerRegistered

# The state is the registration itself; None before it.
Partner = PartnerRegistered


class AlreadyRegistered(Refused):
    code = "partner-already-registered"


def decide(partner: Partner | None, command: PartnerRegistered) -> tuple[PartnerEvent, ...]:
    """Raises AlreadyRegistered."""
    if partner is not None:
        raise AlreadyRegistered(
            f"partner {command.partner} is already registered, by event {partner.id} of {partner.source}; "
            "write this one off, or correct its partner and send it under a new id"
        )
    return (command,)


def evolve(_: Partner | None, event: PartnerEvent) -> Partner:
    match event:
        case PartnerRegistered():
            return event
        case _:
            assert_never(event)
