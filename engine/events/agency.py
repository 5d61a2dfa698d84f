"""What an agent may sell: authorisations, and those of sub-agents within them."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from engine.events.reported import ReportedEvent


class AuthorisationEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of an agency authorisation, which has an id of its own."""

    KIND: ClassVar[str] = "authorisation"
    KEY: ClassVar[tuple[str, ...]] = ("authorisation",)
    authorisation: str
    author: str


class AuthorisationGranted(AuthorisationEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The agent may sell `products` in `regions` (none named: all) on the days from `valid_from` up to, and without, `valid_to`.

    `volume_max`, in micros, is up to how much: of the quantities of `meter`, or without one of charges less refunds, in the
    contract's currency. `parent` is the authorisation of the agent above, within which a sub-agent's lies. `limited` is whether
    this or any within which it lies has a volume: the engine says so when it records it.
    """

    NAME: ClassVar[str] = "authorisation.granted"
    valid_from: date
    valid_to: date | None = None
    products: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    volume_max: int | None = None
    meter: str | None = None
    parent: str | None = None
    limited: bool = False


class AuthorisationRevoked(AuthorisationEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`valid_to` is the first day on which it no longer holds."""

    NAME: ClassVar[str] = "authorisation.revoked"
    valid_to: date
    reason: str
