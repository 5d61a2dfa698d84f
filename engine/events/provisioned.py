"""What a partner is asked to set up or to deliver by a certain time."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from engine.events.reported import ReportedEvent


class ProvisioningEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of an order. What it is for is said by the order, and taken from there by the steps that follow."""

    KIND: ClassVar[str] = "provisioning"
    KEY: ClassVar[tuple[str, ...]] = ("partner", "order")
    order: str
    content: str | None = None
    service: str | None = None
    product: str | None = None
    author: str | None = None


class ProvisioningOrdered(ProvisioningEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """To be done at `due` at the latest."""

    NAME: ClassVar[str] = "provisioning.ordered"
    due: datetime


class ProvisioningDone(ProvisioningEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`on_time` follows from what was due, and is never told."""

    NAME: ClassVar[str] = "provisioning.done"
    on_time: bool | None = None


class ProvisioningFailed(ProvisioningEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "provisioning.failed"
    reason: str
