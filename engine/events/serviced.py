"""How partners enter and leave business: the services of their contracts, and the deposits that they pay for them."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from engine.events.reported import ReportedEvent


class ServiceEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a service that a partner runs under one of its contracts, which is always named."""

    KIND: ClassVar[str] = "service"
    KEY: ClassVar[tuple[str, ...]] = ("service",)
    service: str


class ServiceApplied(ServiceEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """No `products` means all of the contract's."""

    NAME: ClassVar[str] = "service.applied"
    name: str
    products: tuple[str, ...] | None = None
    author: str | None = None


class ServiceReviewed(ServiceEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`day` is that of a rejection, in the contract's time zone: the decision adds it."""

    NAME: ClassVar[str] = "service.reviewed"
    approved: bool
    author: str
    reason: str | None = None
    day: date | None = None


class ServiceStep(ServiceEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A step that holds from `day` on."""

    day: date
    author: str | None = None


class ServiceTrialStarted(ServiceStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "service.trial_started"


class ServiceLaunched(ServiceStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "service.launched"


class ServiceSuspensionProposed(ServiceEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`cause` names what speaks for it, such as a scorecard and its period."""

    NAME: ClassVar[str] = "service.suspension_proposed"
    author: str
    reason: str
    cause: str | None = None


class ServiceSuspensionRejected(ServiceEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "service.suspension_rejected"
    author: str
    reason: str


class ServiceSuspended(ServiceStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "service.suspended"
    author: str
    reason: str


class ServiceResumed(ServiceStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "service.resumed"


class ServiceExitRequested(ServiceStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "service.exit_requested"
    reason: str


class ServiceClearingStarted(ServiceStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "service.clearing_started"


class ServiceExited(ServiceStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "service.exited"
    author: str


class DepositEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was paid or given back of the deposit of a contract, which is always named. `amount` is in micros."""

    KIND: ClassVar[str] = "deposit"
    KEY: ClassVar[tuple[str, ...]] = ("contract",)
    amount: int
    currency: str
    author: str | None = None


class DepositPaid(DepositEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "deposit.paid"


class DepositReturned(DepositEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "deposit.returned"
