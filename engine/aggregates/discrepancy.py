"""A discrepancy: a line of a statement on which the partner's figures and ours differ, until a person has decided it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, assert_never

import msgspec

from engine.aggregates.note import Note
from engine.aggregates.persons import same_person
from engine.aggregates.publication import due_to
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, AlreadyThere, Look, NotThere, OwnApproval, fits
from engine.events import (
    DiscrepancyAssigned,
    DiscrepancyOpened,
    DiscrepancyRejected,
    DiscrepancyResolved,
    joined,
)
from engine.money import MICRO_DIGITS, Rounding, difference, in_units, minor_digits, plain, round_to

DiscrepancyCommand = DiscrepancyOpened | DiscrepancyAssigned | DiscrepancyResolved | DiscrepancyRejected

# Figures of a statement beside its lines: what is payable to all parties, and what is due to the partner.
PAYABLE, DUE = "payable", "due"
_MONEY_MAX = 10**12  # as on the wire


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is open, assigned, resolved or rejected. `ours` and `theirs` are decimal texts; `amount`, which the partner gets
    where it is resolved, is in micros of `currency`.
    """

    contract: str
    period: str
    line: str
    state: str
    opened_by: str
    ours: str | None = None
    theirs: str | None = None
    unit: str | None = None
    assigned_to: str | None = None
    amount: int | None = None
    currency: str | None = None
    reason: str | None = None
    author: str | None = None
    approver: str | None = None


class LineNotDisputed(Refused):
    code = "line-not-disputed"


class NoSuchLine(Refused):
    code = "no-such-line"


class OtherFigure(Refused):
    code = "other-figure"


class AmountNeeded(Refused):
    code = "amount-needed"


class NoAdjustment(Refused):
    code = "no-adjustment"


# By step: the states from which it can be taken.
_STEPS: dict[str, tuple[str, ...]] = {
    "discrepancy.assigned": ("open", "assigned"),
    "discrepancy.resolved": ("open", "assigned"),
    "discrepancy.rejected": ("open", "assigned"),
}


def figures(said: Mapping[str, Any], party: str) -> dict[str, tuple[str, str]]:
    """What a statement's JSON object says that a partner can have a figure of its own for: (amount, unit) by line.

    Beside its lines that is what is payable, and what is due to the party in the statement's currency.
    """
    currency = said["currency"]
    lines = {line["name"]: (line["amount"], line.get("unit", currency)) for line in said["lines"]}
    due = [(each.amount, currency) for each in due_to(said, party) if each.currency == currency]
    return {PAYABLE: (said["payable"], currency)} | dict.fromkeys([DUE], due[0] if due else ("0", currency)) | lines


def decide(known: Discrepancy | None, command: DiscrepancyCommand, look: Look) -> DiscrepancyCommand:
    """Raises the refusals above, AlreadyThere, NotThere, WrongState, OwnApproval."""
    what = f"line {command.line} of the statement of {command.contract} for {command.period}"
    if isinstance(command, DiscrepancyOpened):
        if known is not None:
            raise AlreadyThere(f"{what} has a discrepancy already, and it is {known.state}; write this message off")
        return _opened(what, command, look)
    if known is None:
        raise NotThere(
            f"{what} has no discrepancy; send its discrepancy.opened, and this message is recycled by itself",
            waits_for=f"discrepancy:{command.named}",
        )
    fits(f"the discrepancy of {what}", known.state, command.NAME, _STEPS)
    return _resolved(what, known, command, look) if isinstance(command, DiscrepancyResolved) else command


def _opened(what: str, command: DiscrepancyOpened, look: Look) -> DiscrepancyOpened:
    id_ = joined(command.contract, command.period)
    note: Note | None = look("note", id_)
    if note is None or note.state != "disputed" or command.line not in note.lines:
        raise LineNotDisputed(
            f"{what} is not disputed; send a statement.disputed that names it, and this message is recycled by itself",
            waits_for=f"note:{id_}",
        )
    ours, unit = figures(msgspec.json.decode(look("statement", id_)[0].statement), note.party).get(
        command.line, (None, None)
    )
    if ours is None and command.theirs is None:
        raise NoSuchLine(
            f"the statement has no line {command.line}, and the partner gives no figure for it; send it with the right line under "
            "a new id, and write this message off"
        )
    if command.ours is not None and (ours is None or Decimal(command.ours) != Decimal(ours)):
        raise OtherFigure(
            f"{what} is {ours or 'not there'}, not {command.ours}; send it with that or with none under a new id, and write this "
            "message off"
        )
    theirs = None if command.theirs is None else plain(Decimal(command.theirs))
    return msgspec.structs.replace(command, ours=ours, unit=unit, theirs=theirs)


def _resolved(what: str, known: Discrepancy, command: DiscrepancyResolved, look: Look) -> DiscrepancyResolved:
    if same_person(command.author, command.approver):
        raise OwnApproval(
            f"{command.author} cannot approve what {command.author} resolves; have somebody else approve it, send it under a "
            "new id, and write this message off"
        )
    id_ = joined(command.contract, command.period)
    note: Note = look("note", id_)
    said = msgspec.json.decode(look("statement", id_)[0].statement)
    currency = said["currency"]
    amount = command.amount
    if amount is None:
        amount = _accepted(what, known, note, said)
    digits = minor_digits(currency)
    if amount == 0 or amount % 10 ** (MICRO_DIGITS - digits):
        raise NoAdjustment(
            f"an adjustment for {what} is not 0 and has at most {digits} digits after the point in {currency}; give such an amount "
            "or reject the discrepancy, under a new id, and write this message off"
        )
    return msgspec.structs.replace(
        command, amount=amount, currency=currency, partner=note.partner, party=note.party, ours=known.ours, theirs=known.theirs
    )  # fmt: skip


def _accepted(what: str, known: Discrepancy, note: Note, said: Mapping[str, Any]) -> int:
    """What the partner's figure gives it beyond ours, in micros: where the figure is what it gets."""
    names = {line["name"] for line in said["lines"]}
    alone = {share["party"] for share in said["parties"]} <= {note.party}
    gets = (known.line == DUE and DUE not in names) or (known.line == PAYABLE and PAYABLE not in names and alone)
    # A step may be called payable itself; then it is what is paid where it says so.
    gets = gets or (alone and known.line in names and known.unit == said["currency"] and known.ours == said["payable"])
    if known.ours is None or known.theirs is None or not gets:
        raise AmountNeeded(
            f"{what} is not what the partner is paid, so its figure says no adjustment; give the amount (--adjustment) under a "
            "new id, and write this message off"
        )
    more = difference(Decimal(known.theirs), Decimal(known.ours))
    rounded = round_to(more, MICRO_DIGITS, Rounding.down)
    if more != rounded or abs(more) >= _MONEY_MAX:
        raise AmountNeeded(f"{plain(more)} is no amount of money; give one (--adjustment)")
    return in_units(rounded, MICRO_DIGITS)


def evolve(known: Discrepancy | None, event: DiscrepancyCommand) -> Discrepancy:
    if isinstance(event, DiscrepancyOpened):
        return Discrepancy(
            contract=event.contract, period=event.period, line=event.line, state="open", opened_by=event.author,
            ours=event.ours, theirs=event.theirs, unit=event.unit,
        )  # fmt: skip
    assert known is not None, event
    replace = msgspec.structs.replace
    match event:
        case DiscrepancyAssigned():
            return replace(known, state="assigned", assigned_to=event.to)
        case DiscrepancyResolved():
            return replace(
                known, state="resolved", amount=event.amount, currency=event.currency, reason=event.reason, author=event.author,
                approver=event.approver,
            )  # fmt: skip
        case DiscrepancyRejected():
            return replace(known, state="rejected", reason=event.reason, author=event.author)
        case _:
            assert_never(event)


AGGREGATE = Aggregate("discrepancy", Discrepancy, decide, evolve)
