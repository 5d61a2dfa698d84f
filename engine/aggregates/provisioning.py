"""An order to a partner to provide something by a certain time: ordered, and then done or failed."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec

from engine.aggregates.relation import Aggregate, AlreadyThere, Look, NotThere, fits
from engine.events import ProvisioningDone, ProvisioningFailed, ProvisioningOrdered

ProvisioningCommand = ProvisioningOrdered | ProvisioningDone | ProvisioningFailed


class Provisioning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is ordered, done or failed; `author` took the last step."""

    partner: str
    order: str
    state: str
    due: datetime
    contract: str | None = None
    content: str | None = None
    service: str | None = None
    product: str | None = None
    on_time: bool | None = None
    reason: str | None = None
    author: str | None = None


# By step: the states from which it can be taken.
_STEPS = {"provisioning.ordered": (), "provisioning.done": ("ordered",), "provisioning.failed": ("ordered",)}
_OF_THE_ORDER = ("contract", "content", "service", "product")


def decide(known: Provisioning | None, command: ProvisioningCommand, _: Look) -> ProvisioningCommand:
    """The step with what it was ordered for, and of one that is done whether it is `on_time`.

    Raises NotThere, AlreadyThere, WrongState.
    """
    what = f"order {command.order} to partner {command.partner}"
    if known is None:
        if isinstance(command, ProvisioningOrdered):
            return command
        raise NotThere(
            f"{what} was never given; send its provisioning.ordered, and this message is recycled by itself",
            waits_for=f"provisioning:{command.named}",
        )
    if isinstance(command, ProvisioningOrdered):
        raise AlreadyThere(
            f"{what} is given already and {known.state}; order again under an order id of its own, and write this message off"
        )
    fits(what, known.state, command.NAME, _STEPS)
    event = msgspec.structs.replace(command, **{name: getattr(known, name) for name in _OF_THE_ORDER})
    if isinstance(event, ProvisioningDone):
        return msgspec.structs.replace(event, on_time=event.time <= known.due)
    return event


def evolve(known: Provisioning | None, event: ProvisioningCommand) -> Provisioning:
    match event:
        case ProvisioningOrdered():
            said = {name: getattr(event, name) for name in _OF_THE_ORDER}
            return Provisioning(
                partner=event.partner, order=event.order, state="ordered", due=event.due, author=event.author, **said
            )
        case ProvisioningDone():
            assert known is not None, event
            return msgspec.structs.replace(known, state="done", on_time=event.on_time, author=event.author)
        case ProvisioningFailed():
            assert known is not None, event
            return msgspec.structs.replace(known, state="failed", reason=event.reason, author=event.author)
        case _:
            assert_never(event)


AGGREGATE = Aggregate("provisioning", Provisioning, decide, evolve)
