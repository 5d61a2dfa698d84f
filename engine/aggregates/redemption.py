"""A wish to spend points: requested, then approved by somebody else, which burns them, or rejected.

From the request to that decision its points are reserved: no other request and no other burning has them.
"""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import NamedTuple, assert_never

import msgspec

from engine.aggregates.partner import IsBlocked
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, AlreadyThere, Look, NotThere, check_other, fits
from engine.events import (
    PointsBurned,
    PointsRedemptionApproved,
    PointsRedemptionRejected,
    PointsRedemptionRequested,
    joined,
)
from engine.money import decimal_of_micros, plain

RedemptionCommand = PointsRedemptionRequested | PointsRedemptionApproved | PointsRedemptionRejected


class Redemption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is requested, approved or rejected. `points` are micros; `decided_by` is who approved or rejected it."""

    partner: str
    program: str
    reference: str
    points: int
    author: str
    state: str
    benefit: str | None = None
    decided_by: str | None = None
    reason: str | None = None


class Spendable(NamedTuple):
    """What `look("points", ...)` gives: the points that can be spent on a day, those that open requests reserve of them, and
    what the partner's level grants then.
    """

    balance: Decimal
    reserved: Decimal
    level: str | None
    grants: tuple[str, ...]


class NotEnoughPoints(Refused):
    code = "not-enough-points"


class NoAccount(Refused):
    """The partner has no points account in the program on the day."""

    code = "no-points-account"


class NotGranted(Refused):
    """The partner's level does not grant the benefit that it asks for."""

    code = "not-granted"


# By event: what can be done where the account has not enough points for it.
_INSTEAD = {
    "points.redemption_requested": "ask for no more than there is",
    "points.redemption_approved": "reject it with a reason, or wait until there are enough",
    "points.burned": "burn no more than is free, or have a request rejected first,",
}
_STEPS = {
    "points.redemption_requested": (),
    "points.redemption_approved": ("requested",),
    "points.redemption_rejected": ("requested",),
}


def decide(known: Redemption | None, command: RedemptionCommand, look: Look) -> RedemptionCommand:
    """Raises the refusals above, and AlreadyThere, NotThere, WrongState, OwnApproval, IsBlocked."""
    what = f"redemption {command.reference} of partner {command.partner} in {command.program}"
    if isinstance(command, PointsRedemptionRequested):
        if known is not None:
            raise AlreadyThere(
                f"{what} is {known.state} already; ask for further points under another reference, and write this message off"
            )
        _check_points(what, command, command.points, look)
        return command
    if known is None:
        raise NotThere(
            f"{what} was never requested; send its points.redemption_requested, and this message is recycled by itself",
            waits_for=f"redemption:{command.named}",
        )
    fits(what, known.state, command.NAME, _STEPS)
    if isinstance(command, PointsRedemptionRejected):
        return command
    check_other(f"{what} was requested by", known.author, command.approver)
    blocked = look("partner", command.partner).blocked
    if blocked is not None:
        raise IsBlocked(
            f"partner {command.partner} is blocked by {blocked.author}: {blocked.reason}; send its partner.unblocked, and "
            "this message is recycled by itself, or write it off",
            waits_for=f"partner:{command.partner}",
        )
    _check_points(what, command, known.points, look)
    return msgspec.structs.replace(command, points=known.points, author=known.author)


def check_burned(command: PointsBurned, look: Look) -> None:
    """Points that are burned without a request have to be there, and free. Raises NoAccount, NotEnoughPoints."""
    what = f"{command.NAME} {command.id} of partner {command.partner} in {command.program}"
    _check_points(what, command, command.points, look)


def _check_points(
    what: str, command: PointsRedemptionRequested | PointsRedemptionApproved | PointsBurned, points: int, look: Look
) -> None:
    day = command.time.astimezone(UTC).date()
    account: Spendable | None = look("points", joined(command.partner, command.program, day.isoformat()))
    if account is None:
        raise NoAccount(
            f"partner {command.partner} has no points account in {command.program} on {day}, for {what}; name a rulebook of its "
            "contracts that has points, under a new id, and write this message off"
        )
    if isinstance(command, PointsRedemptionRequested) and command.benefit not in {None, *account.grants}:
        raise NotGranted(
            f"{what} is for {command.benefit}, and level {account.level or 'none'} of {day} grants "
            f"{' or '.join(account.grants) or 'nothing'}; ask for that under a new id, and write this message off"
        )
    # What was requested is reserved against all but its own approval; for that, its points have to be there still.
    reserved = Decimal(0) if isinstance(command, PointsRedemptionApproved) else account.reserved
    if decimal_of_micros(points) > account.balance - reserved:
        open_ = f", of which open requests reserve {plain(reserved)}" if reserved else ""
        raise NotEnoughPoints(
            f"{what} is for {plain(decimal_of_micros(points))} points, and on {day} the account has "
            f"{plain(account.balance)}{open_}; "
            f"{_INSTEAD[command.NAME]} under a new id, and write this message off"
        )


def evolve(known: Redemption | None, event: RedemptionCommand) -> Redemption:
    match event:
        case PointsRedemptionRequested():
            return Redemption(
                partner=event.partner,
                program=event.program,
                reference=event.reference,
                points=event.points,
                author=event.author,
                state="requested",
                benefit=event.benefit,
            )
        case PointsRedemptionApproved():
            assert known is not None, event
            return msgspec.structs.replace(known, state="approved", decided_by=event.approver)
        case PointsRedemptionRejected():
            assert known is not None, event
            return msgspec.structs.replace(known, state="rejected", decided_by=event.author, reason=event.reason)
        case _:
            assert_never(event)


AGGREGATE = Aggregate("redemption", Redemption, decide, evolve)
