"""A contract: its terms, and which events are accepted under them."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple, assert_never

from engine.aggregates.partner import IsBlocked, IsMerged, Partner
from engine.aggregates.refusal import Refused
from engine.events import ContractEvent, ContractSigned, ContractTerminated, CooperationModelPublished, LatePolicy
from engine.period import Calendar, Period


class Contract(NamedTuple):
    """The terms as they stand. In force from `valid_from` up to, and without, `valid_to`.

    `left_on` is the day on which the last of its services ended: that period is the last one in which it is in force.
    """

    contract: str
    partner: str
    cooperation_model: str
    rulebook: str
    currency: str
    valid_from: date
    valid_to: date | None
    calendar: Calendar
    time_zone: str
    products: tuple[str, ...] | None
    terminated: bool = False
    late_events: LatePolicy = LatePolicy.adjust
    left_on: date | None = None


class AlreadySigned(Refused):
    code = "contract-already-signed"


class UnknownPartner(Refused):
    code = "unknown-partner"


class UnknownContract(Refused):
    code = "unknown-contract"


class AlreadyTerminated(Refused):
    code = "contract-already-terminated"


class EndsBeforeItBegins(Refused):
    code = "ends-before-it-begins"


class OtherCurrency(Refused):
    code = "currency-mismatch"


class ContractNotInForce(Refused):
    """Money that would be on no statement of the contract."""

    code = "not-in-force"


class NotInModel(Refused):
    """The cooperation model that the contract names does not allow its terms."""

    code = "not-in-model"


class Surroundings(NamedTuple):
    """What a contract's decisions depend on outside itself. `model` is the version of its cooperation model on its first day."""

    partner: Partner | None
    rulebook_currency: str | None  # None: no version of the rulebook is published yet
    model: CooperationModelPublished | None = None  # None: no version of the model is in force


def decide(contract: Contract | None, command: ContractEvent, surroundings: Surroundings) -> tuple[ContractEvent, ...]:
    """Raises the refusals above."""
    match command:
        case ContractSigned():
            _check_signature(contract, command, surroundings)
        case ContractTerminated():
            _check_termination(contract, command)
        case _:
            assert_never(command)
    return (command,)


def _check_signature(contract: Contract | None, command: ContractSigned, surroundings: Surroundings) -> None:
    if contract is not None:
        raise AlreadySigned(
            f"contract {command.contract} is already signed, with partner {contract.partner}; "
            "sign changed terms as a new contract, and write this message off"
        )
    if surroundings.partner is None:
        raise UnknownPartner(
            f"partner {command.partner} of contract {command.contract} is not registered; "
            "send its partner.registered, and this message is recycled by itself",
            waits_for=f"partner:{command.partner}",
        )
    _check_partner(command, surroundings.partner)
    if command.valid_to is not None and command.valid_to <= command.valid_from:
        raise EndsBeforeItBegins(
            f"contract {command.contract} would end on {command.valid_to}, not after it begins on "
            f"{command.valid_from}; send it with other days under a new id"
        )
    if surroundings.rulebook_currency not in {None, command.currency}:
        raise OtherCurrency(
            f"contract {command.contract} is in {command.currency}, but rulebook {command.rulebook} settles in "
            f"{surroundings.rulebook_currency}; sign it with that currency or another rulebook under a new id"
        )
    if surroundings.model is not None:
        _check_model(command, surroundings.partner, surroundings.model)


def _check_partner(command: ContractSigned, partner: Partner) -> None:
    if partner.merged_into is not None:
        raise IsMerged(
            f"partner {partner.partner} of contract {command.contract} is merged into {partner.merged_into}; sign it with "
            f"{partner.merged_into} under a new id, and write this message off"
        )
    if partner.blocked is not None:
        raise IsBlocked(
            f"partner {partner.partner} of contract {command.contract} is blocked by {partner.blocked.author}: "
            f"{partner.blocked.reason}; send its partner.unblocked, and this message is recycled by itself, or write it off",
            waits_for=f"partner:{partner.partner}",
        )


def _check_model(command: ContractSigned, partner: Partner, model: CooperationModelPublished) -> None:
    for what, said, allowed in (
        ("partner kind", partner.kind, model.partner_kinds),
        ("rulebook", command.rulebook, model.rulebooks),
        ("calendar", str(command.calendar), (str(model.calendar),) if model.calendar else ()),
    ):
        if allowed and said not in allowed:
            raise NotInModel(
                f"cooperation model {model.model} version {model.version} allows {what} {' or '.join(allowed)}, and contract "
                f"{command.contract} has {said}; sign it under another model or with other terms under a new id"
            )


def _check_termination(contract: Contract | None, command: ContractTerminated) -> None:
    if contract is None:
        raise UnknownContract(
            f"contract {command.contract} is not signed; send its contract.signed, and this message is recycled "
            "by itself",
            waits_for=f"contract:{command.contract}",
        )
    if contract.terminated:
        raise AlreadyTerminated(
            f"contract {command.contract} is already terminated as of {contract.valid_to}; write this message off"
        )
    if command.valid_to < contract.valid_from:
        raise EndsBeforeItBegins(
            f"contract {command.contract} would end on {command.valid_to}, before it begins on "
            f"{contract.valid_from}; send the termination with another day under a new id"
        )


def evolve(contract: Contract | None, event: ContractEvent) -> Contract:
    match event:
        case ContractSigned():
            return Contract(
                contract=event.contract,
                partner=event.partner,
                cooperation_model=event.cooperation_model,
                rulebook=event.rulebook,
                currency=event.currency,
                valid_from=event.valid_from,
                valid_to=event.valid_to,
                calendar=event.calendar,
                time_zone=event.time_zone,
                products=event.products,
                late_events=event.late_events,
            )
        case ContractTerminated():
            assert contract is not None, event
            return contract._replace(valid_to=_sooner(contract.valid_to, event.valid_to), terminated=True)
        case _:
            assert_never(event)


def leave(contract: Contract, day: date | None) -> Contract:
    """The contract once its last service ended on the day: with that day's period it ends. As it was where there is no day."""
    if day is None:
        return contract
    end = Period.containing(max(contract.valid_from, day), contract.calendar).end
    return contract._replace(valid_to=_sooner(contract.valid_to, end), left_on=day)


def _sooner(end: date | None, other: date) -> date:
    return other if end is None else min(end, other)


def check_settled(contract: Contract, day: date, what: str) -> None:
    """That there is a statement for the period of the day, on which `what` can be. Raises ContractNotInForce."""
    period = Period.containing(day, contract.calendar)
    if not in_force(contract, period.first, period.end):
        raise ContractNotInForce(
            f"contract {contract.contract} is in force from {contract.valid_from} up to {contract.valid_to or 'further notice'}, and "
            f"{what} on {day}, so no statement would have that; send it with a day within under a new id, and write this message off"
        )


def in_force(contract: Contract, first: date, end: date) -> bool:
    """Whether the contract is in force on any day from `first` up to, and without, `end`."""
    return contract.valid_from < end and (contract.valid_to is None or first < contract.valid_to)
