"""A service that a partner runs under a contract: applied for, reviewed, on trial, live, suspended, and left again.

Events of a contract that has any service count only on the days on which one is on trial or live for their product.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import chain
from typing import Literal, assert_never

import msgspec

from engine.aggregates.contract import Contract, leave
from engine.aggregates.persons import same_person
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import (
    Aggregate,
    AlreadyThere,
    Look,
    NotThere,
    OwnApproval,
    Requirement,
    Standing,
    check_other,
    fits,
    those,
)
from engine.aggregates.reported import OtherPartner
from engine.events import (
    ServiceApplied,
    ServiceClearingStarted,
    ServiceEvent,
    ServiceExited,
    ServiceExitRequested,
    ServiceLaunched,
    ServiceResumed,
    ServiceReviewed,
    ServiceStep,
    ServiceSuspended,
    ServiceSuspensionProposed,
    ServiceSuspensionRejected,
    ServiceTrialStarted,
)
from engine.period import Period, day_in

Phase = Literal["trial", "live"]
ServiceCommand = (
    ServiceApplied
    | ServiceReviewed
    | ServiceTrialStarted
    | ServiceLaunched
    | ServiceSuspensionProposed
    | ServiceSuspensionRejected
    | ServiceSuspended
    | ServiceResumed
    | ServiceExitRequested
    | ServiceClearingStarted
    | ServiceExited
)


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """The days from `first` up to, and without, `end` on which the service was in the phase."""

    phase: Phase
    first: date
    end: date | None = None


class Proposal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That the service be suspended; it waits for a person other than its author."""

    author: str
    reason: str
    cause: str | None = None


class Service(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is applied, approved, rejected, trial, live, suspended, exit_requested, clearing or exited.

    `since` is the day of the last step that has one. `open` are the days on which usage counts, oldest first; `phase` is the
    last one's. A service ends on the day on which it is exited, or its application rejected.
    """

    service: str
    partner: str
    contract: str
    name: str
    state: str
    products: tuple[str, ...] | None = None
    since: date | None = None
    open: tuple[Stretch, ...] = ()
    phase: Phase = "trial"
    proposed: Proposal | None = None
    reason: str | None = None
    author: str | None = None


class DayTooEarly(Refused):
    """A step's day is before that of the last step."""

    code = "day-too-early"


class ContractLeft(Refused):
    """All services of the contract have ended: its final statement clears it."""

    code = "contract-left"


class UsageAfterwards(Refused):
    """The contract would end with a period before usage or the like that is recorded, which no statement would have then."""

    code = "usage-afterwards"


class ProductNotCovered(Refused):
    code = "product-not-covered"


# By step: the states from which it can be taken.
_STEPS = {
    "service.applied": ("rejected",),
    "service.reviewed": ("applied",),
    "service.trial_started": ("approved",),
    "service.launched": ("approved", "trial"),
    "service.suspension_proposed": ("trial", "live"),
    "service.suspension_rejected": ("trial", "live"),
    "service.suspended": ("trial", "live"),
    "service.resumed": ("suspended",),
    "service.exit_requested": ("approved", "trial", "live", "suspended"),
    "service.clearing_started": ("exit_requested",),
    "service.exited": ("clearing",),
}


def decide(known: Service | None, command: ServiceCommand, look: Look) -> ServiceCommand:
    """Raises NotThere, AlreadyThere, WrongState, OtherPartner, OwnApproval, DayTooEarly, ContractLeft, ProductNotCovered,
    UsageAfterwards.
    """
    what = f"service {command.service}"
    if known is None:
        if not isinstance(command, ServiceApplied):
            raise NotThere(
                f"{what} was never applied for; send its service.applied, and this message is recycled by itself",
                waits_for=f"service:{command.service}",
            )
    else:
        if (known.partner, known.contract) != (command.partner, command.contract):
            raise OtherPartner(
                f"{what} is one of partner {known.partner} under contract {known.contract}, not of {command.partner} under "
                f"{command.contract}; name those under a new id, and write this message off"
            )
        fits(what, known.state, command.NAME, _STEPS)
        _check_proposal(what, known, command)
        if isinstance(command, ServiceReviewed) and command.approved:
            check_other(f"{what} was applied for by", known.author, command.author)
        if isinstance(command, ServiceStep) and known.since is not None and command.day < known.since:
            raise DayTooEarly(
                f"{what} is {known.state.replace('_', ' ')} since {known.since}, and this step is of {command.day}; give it a "
                "day that is not before under a new id, and write this message off"
            )
    contract: Contract = look("contract", command.contract or "")
    if isinstance(command, ServiceApplied):
        _check_application(command, contract, look)
    if isinstance(command, ServiceReviewed) and not command.approved:
        command = msgspec.structs.replace(command, day=day_in(contract.time_zone, command.time))
    _check_usage(contract, evolve(known, command), look)
    return command


def _check_usage(contract: Contract, after: Service, look: Look) -> None:
    """That the contract, where it ends with this step, does not end before what is recorded of it."""
    if after.state not in _ENDED:
        return
    others = (each for each in look(those("service"), contract.contract) if each.service != after.service)
    before, ends = contract.valid_to, leave(contract, left_on(chain((after,), others))).valid_to
    last: date | None = None if ends is None else look("usage", contract.contract)
    if last is None or ends is None or last < ends or (before is not None and before <= last):
        return
    period = Period.containing(last, contract.calendar)
    raise UsageAfterwards(
        f"contract {contract.contract} would end on {ends} with its last service, {after.service}, and usage, advances, won leads "
        f"or compensations of {period} are recorded, which no statement would have; end it with a day in {period} or later under a new id, and write this "
        "message off"
    )


def _check_proposal(what: str, known: Service, command: ServiceCommand) -> None:
    match command:
        case ServiceSuspensionProposed() if known.proposed is not None:
            raise AlreadyThere(
                f"{known.proposed.author} has proposed already that {what} be suspended; have somebody else confirm or reject "
                "that, and write this message off"
            )
        case ServiceSuspensionRejected() if known.proposed is None:
            raise NotThere(f"nobody proposes that {what} be suspended; write this message off")
        case ServiceSuspended() if known.proposed is not None and same_person(known.proposed.author, command.author):
            raise OwnApproval(
                f"{command.author} proposed that {what} be suspended and cannot confirm it; have somebody else do so under a "
                "new id, and write this message off"
            )
        case _:
            pass


def _check_application(command: ServiceApplied, contract: Contract, look: Look) -> None:
    if (day := left_on(look(those("service"), contract.contract))) is not None:
        raise ContractLeft(
            f"all services of contract {contract.contract} have ended, the last on {day}, and its final statement clears it; "
            "sign a further contract for a further service, and write this message off"
        )
    beyond = sorted(set(command.products or ()) - set(contract.products or command.products or ()))
    if beyond:
        raise ProductNotCovered(
            f"contract {contract.contract} does not cover product {beyond[0]} of service {command.service}; apply for products "
            "that it covers under a new id, and write this message off"
        )


def evolve(known: Service | None, event: ServiceCommand) -> Service:
    if isinstance(event, ServiceApplied):
        assert event.contract is not None, event
        return Service(
            service=event.service,
            partner=event.partner,
            contract=event.contract,
            name=event.name,
            state="applied",
            products=event.products,
            author=event.author,
        )
    assert known is not None, event
    after = msgspec.structs.replace(known, author=getattr(event, "author", None), reason=getattr(event, "reason", None))
    return _after(after, event)


def _after(known: Service, event: ServiceCommand) -> Service:  # noqa: C901, PLR0911 - one step a case
    match event:
        case ServiceReviewed():
            return msgspec.structs.replace(
                known, state="approved" if event.approved else "rejected", since=event.day or known.since
            )
        case ServiceTrialStarted():
            return _opened(known, event.day, "trial", "trial")
        case ServiceLaunched():
            return _opened(known, event.day, "live", "live")
        case ServiceResumed():
            return _opened(known, event.day, known.phase, known.phase)
        case ServiceSuspensionProposed():
            proposal = Proposal(author=event.author, reason=event.reason, cause=event.cause)
            return msgspec.structs.replace(known, proposed=proposal)
        case ServiceSuspensionRejected():
            return msgspec.structs.replace(known, proposed=None)
        case ServiceSuspended():
            return _shut(known, event.day, "suspended")
        case ServiceExitRequested():
            # It goes on until its clearing starts.
            return msgspec.structs.replace(known, state="exit_requested", since=event.day, proposed=None)
        case ServiceClearingStarted():
            return _shut(known, event.day, "clearing")
        case ServiceExited():
            return msgspec.structs.replace(known, state="exited", since=event.day)
        case ServiceApplied():
            raise AssertionError(event)
        case _:
            assert_never(event)


def _shut(known: Service, day: date, state: str) -> Service:
    stretches = list(known.open)
    if stretches and stretches[-1].end is None:
        last = stretches.pop()
        if last.first < day:
            stretches.append(Stretch(last.phase, last.first, day))
    return msgspec.structs.replace(known, state=state, since=day, open=tuple(stretches), proposed=None)


def _opened(known: Service, day: date, state: str, phase: Phase) -> Service:
    shut = _shut(known, day, state)
    return msgspec.structs.replace(shut, open=(*shut.open, Stretch(phase, day)), phase=phase, proposed=known.proposed)


def left_on(services: Iterable[Service]) -> date | None:
    """The day on which the last of a contract's services ended; None while one has not, or where none was ever exited."""
    exited, last = False, None
    for each in services:
        if each.state not in _ENDED:
            return None
        exited = exited or each.state == "exited"
        if each.since is not None:
            last = each.since if last is None else max(last, each.since)
    return last if exited else None


_ENDED = frozenset({"exited", "rejected"})


def standings(known: Service) -> Iterator[Standing]:
    for each in known.open:
        for product in known.products or (None,):
            yield Standing("service", known.contract, each.first, each.end, product=product)


def requirements(known: Service) -> Iterator[Requirement]:
    yield Requirement("contract", known.contract, "service", date.min)


def groups(known: Service) -> tuple[str]:
    """All services of one contract."""
    return (known.contract,)


def looks_at(_: Service | None, command: ServiceCommand) -> tuple[tuple[str, str], ...]:
    return ((those("service"), command.contract or ""),)


AGGREGATE = Aggregate("service", Service, decide, evolve, standings, requirements, groups, looks_at)

# What follows from services for the facts of their contracts: (phase, product or None for all, first day, end or None).
Phases = list[tuple[Phase, str | None, date, date | None]]


def phases(services: Iterable[Service]) -> Phases:
    """On which days a contract is in which phase for which product, sorted. Where several cover a day, live counts."""
    return sorted(
        (
            (each.phase, product, each.first, each.end)
            for service in services
            for each in service.open
            for product in service.products or (None,)
        ),
        key=str,
    )


__all__ = ["AGGREGATE", "Phases", "Service", "ServiceEvent", "left_on", "phases"]
