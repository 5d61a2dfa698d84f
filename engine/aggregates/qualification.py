"""A qualification of a partner: submitted, approved or rejected, renewed, revoked; it lapses by its days alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import assert_never

import msgspec

from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, AlreadyThere, Look, NotThere, Standing, check_other, fits
from engine.events import (
    QualificationApproved,
    QualificationRejected,
    QualificationRenewed,
    QualificationRevoked,
    QualificationSubmitted,
)

QualificationCommand = (
    QualificationSubmitted | QualificationApproved | QualificationRejected | QualificationRenewed | QualificationRevoked
)


class Days(msgspec.Struct, frozen=True, array_like=True):
    """From `first` up to, and without, `end`."""

    first: date
    end: date | None = None


class Qualification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is submitted, approved, rejected or revoked. `valid` are the days for which it was approved."""

    partner: str
    qualification: str
    type: str
    issuer: str
    state: str
    asked: Days
    valid: tuple[Days, ...] = ()
    evidence: str | None = None
    author: str | None = None


class OtherType(Refused):
    """What was approved as a qualification of one type does not become one of another."""

    code = "other-type"


class EndsBeforeItBegins(Refused):
    code = "ends-before-it-begins"


# By step: the states from which it can be taken.
_STEPS = {
    "qualification.submitted": ("rejected", "revoked"),
    "qualification.approved": ("submitted",),
    "qualification.rejected": ("submitted",),
    "qualification.renewed": ("approved",),
    "qualification.revoked": ("approved",),
}


def decide(known: Qualification | None, command: QualificationCommand, _: Look) -> QualificationCommand:
    """Raises NotThere, AlreadyThere, WrongState, OwnApproval, OtherType, EndsBeforeItBegins."""
    what = f"qualification {command.qualification} of partner {command.partner}"
    if known is None:
        if not isinstance(command, QualificationSubmitted):
            raise NotThere(
                f"{what} was never submitted; send its qualification.submitted, and this message is recycled by itself",
                waits_for=f"qualification:{command.named}",
            )
    elif isinstance(command, QualificationSubmitted) and known.state == "approved":
        raise AlreadyThere(
            f"{what} is approved already; send qualification.renewed for further days, and write this message off"
        )
    else:
        fits(what, known.state, command.NAME, _STEPS)
        if isinstance(command, QualificationApproved):
            check_other(f"{what} was submitted by", known.author, command.author)
        if isinstance(command, QualificationSubmitted) and known.valid and command.type != known.type:
            raise OtherType(
                f"{what} was approved as a {known.type}, and is submitted as a {command.type}; submit that as a qualification of its "
                "own, under a new id, and write this message off"
            )
    if isinstance(command, (QualificationSubmitted, QualificationRenewed)):
        _check_days(what, command.valid_from, command.valid_to)
    return command


def _check_days(what: str, first: date, end: date | None) -> None:
    if end is not None and end <= first:
        raise EndsBeforeItBegins(
            f"{what} would end on {end}, not after it begins on {first}; send it with other days under a new id, and write "
            "this message off"
        )


def evolve(known: Qualification | None, event: QualificationCommand) -> Qualification:
    match event:
        case QualificationSubmitted():
            return Qualification(
                partner=event.partner,
                qualification=event.qualification,
                type=event.type,
                issuer=event.issuer,
                state="submitted",
                asked=Days(event.valid_from, event.valid_to),
                valid=known.valid if known else (),
                evidence=event.evidence,
                author=event.author,
            )
        case QualificationApproved():
            assert known is not None, event
            return msgspec.structs.replace(
                known, state="approved", valid=(*known.valid, known.asked), author=event.author
            )
        case QualificationRejected():
            assert known is not None, event
            return msgspec.structs.replace(known, state="rejected", author=event.author)
        case QualificationRenewed():
            assert known is not None, event
            days = Days(event.valid_from, event.valid_to)
            evidence = event.evidence or known.evidence
            return msgspec.structs.replace(
                known, valid=(*known.valid, days), asked=days, evidence=evidence, author=event.author
            )
        case QualificationRevoked():
            assert known is not None, event
            return msgspec.structs.replace(
                known, state="revoked", valid=tuple(cut(known.valid, event.valid_to)), author=event.author
            )
        case _:
            assert_never(event)


def cut(stretches: tuple[Days, ...], end: date) -> Iterator[Days]:
    """The stretches of days as far as they lie before `end`."""
    for each in stretches:
        if each.first < end:
            yield Days(each.first, end if each.end is None else min(each.end, end))


def state_on(known: Qualification, day: date) -> str:
    """Its state on the day: lapsed, where it was approved and none of its days are left."""
    return "lapsed" if known.state == "approved" and all(_over(each, day) for each in known.valid) else known.state


def _over(stretch: Days, day: date) -> bool:
    return stretch.end is not None and stretch.end <= day


def ends(known: Qualification, day: date) -> date | None:
    """The first day from this one on that it does not hold on, where it is approved and holds on the day; None for ever or not
    at all.
    """
    end: date | None = day
    stretches = sorted(known.valid, key=lambda each: each.first) if known.state == "approved" else []
    for each in stretches:
        if end is not None and each.first <= end and not _over(each, end):
            end = each.end
    return None if end == day else end


def standings(known: Qualification) -> Iterator[Standing]:
    for each in known.valid:
        yield Standing("qualification", known.partner, each.first, each.end, key=known.type)


AGGREGATE = Aggregate("qualification", Qualification, decide, evolve, standings)
