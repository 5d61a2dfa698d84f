"""A case: a consultation, a complaint or a failure report; opened, acknowledged, answered, escalated, closed, reopened.

Its service times run in the contract's calendar, by the cooperation model that is in force when it is raised. A case that was
opened elsewhere begins with the step that is told first; from there on its life is as strict as any other's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, assert_never

import msgspec

from engine.aggregates import cooperation_model
from engine.aggregates.contract import Contract, check_settled
from engine.aggregates.qualification import EndsBeforeItBegins
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, AlreadyThere, Look, fits
from engine.aggregates.working_time import worked
from engine.events import (
    CaseAcknowledged,
    CaseAnswered,
    CaseClosed,
    CaseEscalated,
    CaseOpened,
    CaseReopened,
    CooperationModelPublished,
    ServiceTime,
)
from engine.period import day_in

CaseCommand = CaseOpened | CaseAcknowledged | CaseAnswered | CaseEscalated | CaseClosed | CaseReopened


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is the last step, `author` who took it. `opened` is None where it was opened elsewhere; an answer is owed since `raised`.

    Numbers are micros: `minutes` of working time that the last answer took, `lasted` the minutes that the closing states.
    """

    case: str
    partner: str
    kind: str
    state: str
    contract: str | None = None
    product: str | None = None
    service: str | None = None
    severity: str | None = None
    opened: datetime | None = None
    raised: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    minutes: int | None = None
    lasted: int | None = None
    on_time: bool | None = None
    upheld: bool | None = None
    late: bool | None = None
    affected: int | None = None
    compensation: int | None = None
    currency: str | None = None
    author: str | None = None


class NotAsOpened(Refused):
    """A step that says otherwise than the opening whose case it is."""

    code = "not-as-opened"


# By step: the states from which it can be taken.
_STEPS = {
    "case.opened": (),
    "case.acknowledged": ("opened", "escalated", "reopened"),
    "case.answered": ("opened", "acknowledged", "escalated", "reopened"),
    "case.escalated": ("opened", "acknowledged", "answered", "reopened"),
    "case.closed": ("opened", "acknowledged", "answered", "escalated", "reopened"),
    "case.reopened": ("closed",),
}
_STATED = ("kind", "partner", "contract")
_CONCLUDED = ("upheld", "affected", "compensation", "currency", "late")
_TAKEN_OVER = ("contract", "product", "service", "severity")


def decide(known: Case | None, command: CaseCommand, look: Look) -> CaseCommand:
    """The step with what follows from the case.

    Raises AlreadyThere, WrongState, NotAsOpened, EndsBeforeItBegins, ContractNotInForce.
    """
    what = f"case {command.case}"
    event: Any = command
    if known is not None:
        if isinstance(command, CaseOpened):
            raise AlreadyThere(
                f"{what} is there already and {known.state}; open another one under a case id of its own, and write this "
                "message off"
            )
        _check_as_opened(what, known, command)
        fits(what, known.state, command.NAME, _STEPS)
        said = {name: getattr(known, name) for name in _TAKEN_OVER if getattr(command, name) is None}
        event = msgspec.structs.replace(command, **said)
    match event:
        case CaseAnswered():
            return _answered(known, event, look)
        case CaseClosed():
            if event.compensation:
                _check_compensation(f"{what} was closed", event, look)
            return _closed(what, known, event, look)
        case CaseReopened() if known is not None:
            if known.compensation:
                _check_compensation(f"{what} was reopened", event, look)
            # So that a measure of reopenings takes back what that of closings has counted.
            concluded = {name: getattr(known, name) for name in _CONCLUDED}
            return msgspec.structs.replace(event, minutes=known.lasted, **concluded)
        case _:
            return event  # type: ignore[no-any-return] # one of the others


def _check_compensation(what: str, event: CaseClosed | CaseReopened, look: Look) -> None:
    """That a statement has what the partner is charged, or no longer charged."""
    contract: Contract = look("contract", event.contract or "")
    check_settled(contract, day_in(contract.time_zone, event.time), f"{what}, with a compensation,")


def _check_as_opened(what: str, known: Case, command: CaseCommand) -> None:
    reopened = isinstance(command, CaseReopened)
    for name in (*_STATED, *(_TAKEN_OVER if reopened else ())):
        told, opened = getattr(command, name), getattr(known, name)
        if told is not None and told != opened:
            if reopened:
                raise NotAsOpened(
                    f"{what} was closed with {name} {opened or 'none'}, and this {command.NAME}, which takes that back, says {told}; "
                    "reopen it as it was closed, under a new id, say in a further step what has changed, and write this message off"
                )
            raise NotAsOpened(
                f"{what} was opened with {name} {opened or 'none'}, and this {command.NAME} says {told}; send it as the case "
                "was opened, under a new id, and write this message off"
            )


class Terms(NamedTuple):
    """What a contract's cooperation model says of its cases, on one day."""

    model: CooperationModelPublished
    time_zone: str

    def limit(self, kind: str, severity: str | None) -> ServiceTime | None:
        """The service time of the kind: that of the severity, else that of any."""
        own = [each for each in self.model.service_times if each.kind == kind and each.severity in {severity, None}]
        return min(own, key=lambda each: each.severity is None, default=None)

    def worked(self, start: datetime, end: datetime) -> timedelta:
        return worked(self.model.working_time, self.time_zone, start, end)


def terms_on(contract: str | None, instant: datetime, look: Look) -> Terms | None:
    """Those in force at the instant; None where no contract is named, or its cooperation model has no version yet."""
    signed = None if contract is None else look("contract", contract)
    if signed is None:
        return None
    model = look("cooperation_model", signed.cooperation_model)
    version = None if model is None else cooperation_model.on(model, day_in(signed.time_zone, instant))
    return None if version is None else Terms(version, signed.time_zone)


def _answered(known: Case | None, event: CaseAnswered, look: Look) -> CaseAnswered:
    if known is None or known.raised is None:
        return event
    terms = terms_on(event.contract, known.raised, look)
    if terms is None:
        return event
    took = terms.worked(known.raised, event.time)
    limit = terms.limit(event.kind, event.severity)
    minutes = _micros(took) if event.minutes is None else event.minutes
    on_time = event.on_time
    if on_time is None and limit is not None:
        on_time = took <= timedelta(minutes=limit.minutes)
    return msgspec.structs.replace(event, minutes=minutes, on_time=on_time)


def _closed(what: str, known: Case | None, event: CaseClosed, look: Look) -> CaseClosed:
    start = event.start or (known.start if known else None)
    if event.kind != "failure" or start is None:
        return event
    if event.end is not None and event.end < start:
        raise EndsBeforeItBegins(
            f"{what} is of a failure that would end at {event.end:%Y-%m-%d %H:%M} UTC, before it began at "
            f"{start:%Y-%m-%d %H:%M} UTC; send it with other times under a new id, and write this message off"
        )
    minutes, late = event.minutes, event.late
    if minutes is None and event.end is not None:
        minutes = _micros(event.end - start)
    if late is None and known is not None and known.opened is not None:
        late = _is_late(event, start, known.opened, look)
    return msgspec.structs.replace(event, start=start, minutes=minutes, late=late)


def _is_late(event: CaseClosed, start: datetime, reported: datetime, look: Look) -> bool | None:
    """Whether the failure was reported past its limit; None where there is no limit."""
    terms = terms_on(event.contract, start, look)
    limit = terms.limit(event.kind, event.severity) if terms else None
    if terms is None or limit is None or limit.report_within is None:
        return None
    return terms.worked(start, reported) > timedelta(minutes=limit.report_within)


def _micros(took: timedelta) -> int:
    """Millionths of a minute, rounded down."""
    return took // timedelta(microseconds=1) // 60


def evolve(known: Case | None, event: CaseCommand) -> Case:
    state = event.NAME.removeprefix("case.")
    before = known or Case(case=event.case, partner=event.partner, kind=event.kind, state=state)
    said = {name: getattr(event, name) or getattr(before, name) for name in _TAKEN_OVER}
    after = msgspec.structs.replace(before, state=state, author=event.author, **said)
    match event:
        case CaseOpened():
            return msgspec.structs.replace(after, opened=event.time, raised=event.time, start=event.start)
        case CaseReopened():
            undone = dict.fromkeys(("end", "lasted", *_CONCLUDED))
            return msgspec.structs.replace(after, raised=event.time, **undone)
        case CaseAnswered():
            return msgspec.structs.replace(after, minutes=event.minutes, on_time=event.on_time)
        case CaseClosed():
            return _ended(after, event)
        case CaseAcknowledged() | CaseEscalated():
            return after
        case _:
            assert_never(event)


def _ended(case: Case, event: CaseClosed) -> Case:
    return msgspec.structs.replace(
        case, start=event.start or case.start, end=event.end, lasted=event.minutes, upheld=event.upheld, late=event.late,
        affected=event.affected, compensation=event.compensation, currency=event.currency,
    )  # fmt: skip


def looks_at(known: Case | None, command: CaseCommand) -> Iterator[tuple[str, str]]:
    if (contract := command.contract or (known.contract if known else None)) is not None:
        yield "contract", contract


AGGREGATE = Aggregate("case", Case, decide, evolve, looks_at=looks_at)
