"""What a partner is asked to set up or to deliver by a certain time."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from consumers.fields import Text, Time
from consumers.wire.base import Data, Told


class Provisioning(Told):
    """`order` names it among those of the partner."""

    partner: Text
    order: Text
    author: Text | None = None


class ProvisioningOrderedData(Provisioning):
    """A content, a service or a product is to be provided at `due` at the latest."""

    contract: Text
    due: Time
    content: Text | None = None
    service: Text | None = None
    product: Text | None = None

    @model_validator(mode="after")
    def _for_something(self) -> Self:
        if self.content is None and self.service is None and self.product is None:
            raise ValueError("an order is for something; name a content, a service or a product")
        return self


class ProvisioningDoneData(Provisioning):
    """What was ordered is there; whether on time follows from what was due."""


class ProvisioningFailedData(Provisioning):
    """What was ordered will not come."""

    reason: Text


TYPES: dict[str, type[Data]] = {
    "provisioning.ordered": ProvisioningOrderedData,
    "provisioning.done": ProvisioningDoneData,
    "provisioning.failed": ProvisioningFailedData,
}
