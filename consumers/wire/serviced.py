"""How partners enter and leave business: the services of their contracts, and the deposits of those."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from consumers.fields import CurrencyCode, Day, QuantityAboveZero, Text
from consumers.wire.base import Data, Told

PRODUCTS_MAX = 10_000


class Service(Told):
    """A service that a partner runs under one of its contracts."""

    service: Text
    partner: Text
    contract: Text


class ServiceAppliedData(Service):
    """A partner asks to run a service with these products of the contract; where none are named, with all of them."""

    name: Text
    products: Annotated[tuple[Text, ...], Field(min_length=1, max_length=PRODUCTS_MAX)] | None = None
    author: Text | None = None


class ServiceReviewedData(Service):
    """A person has judged the application: approved it, where somebody else applied; a rejection has a reason."""

    approved: bool
    author: Text
    reason: Text | None = None

    @model_validator(mode="after")
    def _rejection_has_its_reason(self) -> Self:
        if not self.approved and self.reason is None:
            raise ValueError("a rejection has a reason; give it")
        return self


class ServiceTrialStartedData(Service):
    """The service is on trial from the day on: its usage counts, by the rules for the phase trial where there are any."""

    day: Day
    author: Text


class ServiceLaunchedData(Service):
    """The service is live from the day on."""

    day: Day
    author: Text


class ServiceSuspensionProposedData(Service):
    """Somebody, or an assessment, proposes that the service be suspended; another person confirms or rejects that."""

    author: Text
    reason: Text
    cause: Text | None = None


class ServiceSuspensionRejectedData(Service):
    """A person decides that the service goes on."""

    author: Text
    reason: Text


class ServiceSuspendedData(Service):
    """The service is suspended from the day on: usage of that and later days does not count."""

    day: Day
    author: Text
    reason: Text


class ServiceResumedData(Service):
    """The service goes on from the day on, in the phase that it was in."""

    day: Day
    author: Text


class ServiceExitRequestedData(Service):
    """The service is to be left. Until its clearing starts, its usage counts as before."""

    day: Day
    author: Text
    reason: Text


class ServiceClearingStartedData(Service):
    """Usage of the day and later ones does not count; what is open is cleared."""

    day: Day
    author: Text


class ServiceExitedData(Service):
    """The service is left. When all services of a contract are, it ends with the period of the last day, whose statement is final."""

    day: Day
    author: Text


class Deposit(Told):
    """An amount of a contract's deposit, in the contract's currency."""

    partner: Text
    contract: Text
    amount: QuantityAboveZero
    currency: CurrencyCode
    author: Text | None = None


class DepositPaidData(Deposit):
    """The partner has paid a deposit, or more of it."""


class DepositReturnedData(Deposit):
    """A deposit, or a part of it, was given back before the contract's final statement."""

    author: Text


TYPES: dict[str, type[Data]] = {
    "service.applied": ServiceAppliedData,
    "service.reviewed": ServiceReviewedData,
    "service.trial_started": ServiceTrialStartedData,
    "service.launched": ServiceLaunchedData,
    "service.suspension_proposed": ServiceSuspensionProposedData,
    "service.suspension_rejected": ServiceSuspensionRejectedData,
    "service.suspended": ServiceSuspendedData,
    "service.resumed": ServiceResumedData,
    "service.exit_requested": ServiceExitRequestedData,
    "service.clearing_started": ServiceClearingStartedData,
    "service.exited": ServiceExitedData,
    "deposit.paid": DepositPaidData,
    "deposit.returned": DepositReturnedData,
}
