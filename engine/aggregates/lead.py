"""A lead: registered by a partner, accepted or rejected, won or lost; it expires by its day alone.

Of several partners that register the same customer for the same product the first has it, as long as its lead stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import assert_never

import msgspec

from engine.aggregates.contract import Contract, ContractNotInForce, OtherCurrency
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, AlreadyThere, Look, NotThere, fits, those
from engine.aggregates.reported import OtherPartner
from engine.events import LeadAccepted, LeadLost, LeadRegistered, LeadRejected, LeadWon, joined
from engine.period import day_in

LeadCommand = LeadRegistered | LeadAccepted | LeadRejected | LeadWon | LeadLost
KIND = "lead"


class Lead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is registered, accepted, rejected, won or lost. Numbers are micros of `currency`.

    `place` is which registration it is of its customer and product. `expires` is the first day on which it no longer stands.
    """

    lead: str
    partner: str
    customer: str
    product: str
    contract: str
    value: int
    currency: str
    expires: date
    state: str
    place: int
    won: int | None = None
    reference: str | None = None
    author: str | None = None
    reason: str | None = None

    @property
    def group(self) -> str:
        return group_of(self.customer, self.product)

    def stands(self, day: date) -> bool:
        """Whether others cannot have the customer and product on the day. A won one stands to its last day, too, so that
        nobody is paid for the same sale again.
        """
        return self.state in {"registered", "accepted", "won"} and day < self.expires


class LeadExpired(Refused):
    code = "lead-expired"


class LeadConflict(Refused):
    """Another lead of the same customer and product comes first."""

    code = "lead-conflict"


class ExpiresAtOnce(Refused):
    code = "ends-before-it-begins"


_STEPS = {
    "lead.registered": (),
    "lead.accepted": ("registered",),
    "lead.rejected": ("registered", "accepted"),
    "lead.won": ("accepted",),
    "lead.lost": ("registered", "accepted"),
}


def group_of(customer: str, product: str) -> str:
    return joined(customer, product)


def decide(known: Lead | None, command: LeadCommand, look: Look) -> LeadCommand:
    """A registration gets its place, every later step the contract and product of the registration.

    Raises NotThere, AlreadyThere, WrongState, OtherPartner, OtherCurrency, LeadExpired, LeadConflict, ExpiresAtOnce,
    ContractNotInForce.
    """
    if isinstance(command, LeadRegistered):
        return _registered(known, command, look)
    what = f"lead {command.lead}"
    if known is None:
        raise NotThere(
            f"{what} was never registered; send its lead.registered, and this message is recycled by itself",
            waits_for=f"{KIND}:{command.named}",
        )
    if known.partner != command.partner:
        raise OtherPartner(
            f"{what} is of partner {known.partner}, not of {command.partner}; send it with the right one under a new id, and "
            "write this message off"
        )
    fits(what, known.state, command.NAME, _STEPS)
    contract: Contract = look("contract", known.contract)
    day = day_in(contract.time_zone, command.time)
    if day >= known.expires:
        raise LeadExpired(
            f"{what} was {known.state} and expired on {known.expires}, so {command.NAME} on {day} does not apply; register it "
            "again under an id of its own, and write this message off"
        )
    if isinstance(command, LeadAccepted):
        _check_first(known, look(those(KIND), known.group), day)
    if isinstance(command, LeadWon):
        _check_sale(known, command, contract, day)
    return msgspec.structs.replace(command, contract=known.contract, product=known.product)


def _registered(known: Lead | None, command: LeadRegistered, look: Look) -> LeadRegistered:
    what = f"lead {command.lead}"
    if known is not None:
        raise AlreadyThere(
            f"{what} is registered by partner {known.partner} already; register another one under an id of its own, and write "
            "this message off"
        )
    contract: Contract = look("contract", command.contract or "")
    _check_currency(what, command.currency, contract)
    day = day_in(contract.time_zone, command.time)
    if command.expires <= day:
        raise ExpiresAtOnce(
            f"{what} is registered on {day} and would expire on {command.expires}; send it with a later day under a new id, "
            "and write this message off"
        )
    before: Sequence[Lead] = look(those(KIND), group_of(command.customer, command.product or ""))
    return msgspec.structs.replace(command, place=len(before) + 1)


def _check_currency(what: str, currency: str, contract: Contract) -> None:
    if currency != contract.currency:
        raise OtherCurrency(
            f"contract {contract.contract} settles in {contract.currency}, and {what} is in {currency}; send it in that "
            "currency under a new id, and write this message off"
        )


def _check_first(known: Lead, others: Sequence[Lead], day: date) -> None:
    first = next(iter(before(known, others, day)), None)
    if first is not None:
        raise LeadConflict(
            f"lead {known.lead} of partner {known.partner} is registration {known.place} of customer {known.customer} for "
            f"{known.product}, and lead {first.lead} of partner {first.partner}, registration {first.place}, is {first.state} "
            f"and stands until {first.expires}; reject one of them, or accept this under a new id when the other has expired, "
            "and write this message off"
        )


def conflicting(known: Lead, others: Sequence[Lead], day: date) -> list[Lead]:
    """Other leads of the same customer and product that stand on the day, by their places."""
    found = [each for each in others if each.lead != known.lead and each.stands(day)]
    return sorted(found, key=lambda each: each.place)


def before(known: Lead, others: Sequence[Lead], day: date) -> list[Lead]:
    """Those of the conflicting ones that come before this: registered earlier by another partner, or accepted already."""
    return [
        each
        for each in conflicting(known, others, day)
        if each.state != "registered" or (each.place < known.place and each.partner != known.partner)
    ]


def _check_sale(known: Lead, command: LeadWon, contract: Contract, day: date) -> None:
    _check_currency(f"the sale of lead {known.lead}", command.currency, contract)
    if day < contract.valid_from or (contract.valid_to is not None and day >= contract.valid_to):
        raise ContractNotInForce(
            f"contract {contract.contract} of lead {known.lead} is in force from {contract.valid_from} up to "
            f"{contract.valid_to or 'further notice'}, and it was won on {day}; send it with a day within under a new id, and "
            "write this message off"
        )


def evolve(known: Lead | None, event: LeadCommand) -> Lead:
    if isinstance(event, LeadRegistered):
        assert event.contract is not None, event
        assert event.product is not None, event
        return Lead(
            lead=event.lead,
            partner=event.partner,
            customer=event.customer,
            product=event.product,
            contract=event.contract,
            value=event.value,
            currency=event.currency,
            expires=event.expires,
            state="registered",
            place=event.place,
            author=event.author,
        )
    assert known is not None, event
    match event:
        case LeadAccepted():
            return msgspec.structs.replace(known, state="accepted", author=event.author)
        case LeadRejected():
            return msgspec.structs.replace(known, state="rejected", author=event.author, reason=event.reason)
        case LeadWon():
            return msgspec.structs.replace(
                known, state="won", won=event.amount, reference=event.reference, author=event.author or known.author
            )
        case LeadLost():
            return msgspec.structs.replace(
                known, state="lost", reason=event.reason, author=event.author or known.author
            )
        case _:
            assert_never(event)


def groups(known: Lead) -> Iterator[str]:
    yield known.group


def looks_at(known: Lead | None, command: LeadCommand) -> Iterator[tuple[str, str]]:
    if isinstance(command, LeadRegistered):
        yield those(KIND), group_of(command.customer, command.product or "")
    elif known is not None:
        yield "contract", known.contract
        if isinstance(command, LeadAccepted):
            yield those(KIND), known.group


AGGREGATE = Aggregate(KIND, Lead, decide, evolve, groups=groups, looks_at=looks_at)
