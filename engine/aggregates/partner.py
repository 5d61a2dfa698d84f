"""A partner: who it is, whether it is blocked or merged into another, its contacts, and where it is paid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_never

import msgspec

from engine.aggregates import bank_account
from engine.aggregates.bank_account import Proposal
from engine.aggregates.persons import same_person
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, AlreadyThere, Look, NotThere, OwnApproval, WrongState
from engine.events import (
    PartnerBankAccountApproved,
    PartnerBankAccountChanged,
    PartnerBankAccountErased,
    PartnerBankAccountRejected,
    PartnerBlocked,
    PartnerChanged,
    PartnerContactErased,
    PartnerContactSet,
    PartnerMerged,
    PartnerRegistered,
    PartnerUnblocked,
    Tax,
)

PartnerStepEvent = (
    PartnerChanged
    | PartnerBlocked
    | PartnerUnblocked
    | PartnerMerged
    | PartnerContactSet
    | PartnerContactErased
    | PartnerBankAccountChanged
    | PartnerBankAccountApproved
    | PartnerBankAccountRejected
    | PartnerBankAccountErased
)
PartnerCommand = PartnerRegistered | PartnerStepEvent


class Block(msgspec.Struct, frozen=True, array_like=True):
    author: str
    reason: str


class Partner(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`contacts` are by their ids, None for those that were erased. `account` is where the partner is paid, `proposed` where
    it will be once somebody else approves it; `proposals` are all that ever were, None for those that were erased. What is sealed
    stays so in here.
    """

    partner: str
    name: str
    kind: str
    country: str | None = None
    tax_id: str | None = None
    address: tuple[str, ...] = ()
    tax: Tax | None = None
    registered: tuple[str, str]  # source and id of the registration
    blocked: Block | None = None
    merged_into: str | None = None
    contacts: dict[str, PartnerContactSet | None] = {}
    account: PartnerBankAccountChanged | None = None
    proposed: PartnerBankAccountChanged | None = None
    proposals: tuple[Proposal | None, ...] = ()

    @property
    def changes(self) -> int:
        """The number of the last change of its bank account."""
        return len(self.proposals)

    @property
    def payout_held(self) -> str | None:
        """Why nothing is paid out to it now; None where nothing stands in the way. See `held`, which follows merges."""
        if self.blocked is not None:
            return f"partner {self.partner} is blocked by {self.blocked.author}: {self.blocked.reason}"
        if self.proposed is not None:
            return (
                f"bank account {self.proposed.masked} of partner {self.partner}, change {self.changes} by "
                f"{self.proposed.author}, waits for somebody else's approval"
            )
        return None


class AlreadyRegistered(Refused):
    code = "partner-already-registered"


class IsBlocked(Refused):
    code = "partner-blocked"


class IsMerged(Refused):
    code = "partner-merged"


class MergesInCircle(Refused):
    code = "merge-cycle"


class ContactErased(Refused):
    code = "contact-erased"


class UnknownOther(Refused):
    """The partner into which another is to be merged is not registered."""

    code = "unknown-partner"


def decide(known: Partner | None, command: PartnerCommand, look: Look) -> PartnerCommand:
    """Raises the refusals above, and AlreadyThere, NotThere, WrongState, OwnApproval, AccountInUse."""
    if isinstance(command, PartnerRegistered):
        return _first(known, command)
    assert known is not None, command  # what is reported of an unknown partner is refused before (aggregates.reported)
    _check_merged(known, command)
    match command:
        case PartnerBlocked() | PartnerUnblocked():
            _check_block(known, command)
        case PartnerMerged():
            _check_merge(known, command, look)
        case PartnerContactSet() | PartnerContactErased():
            _check_contact(known, command)
        case PartnerBankAccountApproved() | PartnerBankAccountRejected():
            _check_proposed(known, command)
        case PartnerBankAccountErased():
            return bank_account.erased(command, known.proposals, None if known.merged_into else known.account, look)
        case PartnerChanged() | PartnerBankAccountChanged():
            pass
        case _:
            assert_never(command)
    return command


def _first(known: Partner | None, command: PartnerRegistered) -> PartnerRegistered:
    if known is not None:
        source, id_ = known.registered
        raise AlreadyRegistered(
            f"partner {command.partner} is already registered, by event {id_} of {source}; send partner.changed for what is to "
            "change, or another partner under an id of its own, and write this message off"
        )
    return command


def _check_block(known: Partner, command: PartnerBlocked | PartnerUnblocked) -> None:
    if isinstance(command, PartnerBlocked) and known.blocked is not None:
        raise AlreadyThere(
            f"partner {known.partner} is blocked already, by {known.blocked.author}: {known.blocked.reason}; "
            "partner.unblocked is possible, and write this message off"
        )
    if isinstance(command, PartnerUnblocked) and known.blocked is None:
        raise WrongState(
            f"partner {known.partner} is not blocked; partner.blocked is possible, and write this message off"
        )


def _check_merged(known: Partner, command: PartnerStepEvent) -> None:
    """A merged partner can still be blocked and unblocked, as it may be owed money, and what is personal erased."""
    possible = (PartnerBlocked, PartnerUnblocked, PartnerContactErased, PartnerBankAccountErased)
    if known.merged_into is not None and not isinstance(command, possible):
        raise IsMerged(
            f"partner {known.partner} is merged into {known.merged_into}, so {command.NAME} does not apply; send it for "
            f"{known.merged_into} under a new id, and write this message off"
        )


def _check_merge(known: Partner, command: PartnerMerged, look: Look) -> None:
    if look("partner", command.into) is None:
        raise UnknownOther(
            f"partner {command.into}, into which {known.partner} is to be merged, is not registered; send its "
            "partner.registered, and this message is recycled by itself",
            waits_for=f"partner:{command.into}",
        )
    chain = list(merged(look, command.into))
    if known.partner in chain:
        raise MergesInCircle(
            f"partner {known.partner} cannot be merged into {command.into}: {' > '.join([known.partner, *chain])} would be "
            "paid in a circle; merge it into another under a new id, and write this message off"
        )


def _check_contact(known: Partner, command: PartnerContactSet | PartnerContactErased) -> None:
    if command.contact not in known.contacts or known.contacts[command.contact] is not None:
        return  # also one that nobody has set: erasing sees to it that nobody will
    if isinstance(command, PartnerContactSet):
        raise ContactErased(
            f"contact {command.contact} of partner {known.partner} was erased, and is never written again; give the person "
            "another contact id, under a new id, and write this message off"
        )
    raise AlreadyThere(
        f"contact {command.contact} of partner {known.partner} is erased already; write this message off"
    )


def _check_proposed(known: Partner, command: PartnerBankAccountApproved | PartnerBankAccountRejected) -> None:
    if known.proposed is None:
        raise NotThere(
            f"no bank account of partner {known.partner} waits for approval; send its partner.bank_account_changed first, "
            "and this message is recycled by itself",
            waits_for=f"partner:{known.partner}",
        )
    if not isinstance(command, PartnerBankAccountApproved):
        return
    if command.change is not None and command.change != known.changes:
        raise WrongState(
            f"change {command.change} of the bank account of partner {known.partner} is not the one that waits for approval, "
            f"which is {known.changes} ({known.proposed.masked}); look at that one, approve it under a new id, and write this "
            "message off"
        )
    if same_person(command.approver, known.proposed.author):
        raise OwnApproval(
            f"{command.approver} proposed bank account {known.proposed.masked} of partner {known.partner} and cannot approve "
            "it; have somebody else approve it under a new id, and write this message off"
        )


def evolve(known: Partner | None, event: PartnerCommand) -> Partner:
    if isinstance(event, PartnerRegistered):
        return Partner(
            partner=event.partner,
            name=event.name,
            kind=event.kind,
            country=event.country,
            tax_id=event.tax_id,
            address=event.address,
            tax=event.tax,
            registered=(event.source, event.id),
        )
    assert known is not None, event
    return msgspec.structs.replace(known, **_changes(known, event))


def _changes(known: Partner, event: PartnerStepEvent) -> dict[str, Any]:
    """The fields of the state that the event changes."""
    changes: dict[str, Any]
    match event:
        case PartnerChanged():
            said = {field: getattr(event, field) for field in ("name", "kind", "country", "tax_id", "address", "tax")}
            changes = {field: value for field, value in said.items() if value is not None}
        case PartnerBlocked() | PartnerUnblocked():
            changes = {"blocked": Block(event.author, event.reason) if isinstance(event, PartnerBlocked) else None}
        case PartnerMerged():
            changes = {"merged_into": event.into}
        case PartnerContactSet() | PartnerContactErased():
            contact = event if isinstance(event, PartnerContactSet) else None
            changes = {"contacts": {**known.contacts, event.contact: contact}}
        case PartnerBankAccountChanged():
            made = Proposal(event.source, event.id, event.masked)
            changes = {"proposed": event, "proposals": (*known.proposals, made)}
        case PartnerBankAccountApproved():
            changes = {"account": known.proposed, "proposed": None}
        case PartnerBankAccountRejected():
            changes = {"proposed": None}
        case PartnerBankAccountErased():
            changes = _without(known, event.change - 1)
        case _:
            assert_never(event)
    return changes


def _without(known: Partner, index: int) -> dict[str, Any]:
    """What is left of the partner's bank accounts: nobody is paid to an erased one, nor is it approved."""
    gone = known.proposals[index]
    assert gone is not None, (known.partner, index)
    left = tuple(None if at == index else each for at, each in enumerate(known.proposals))
    ended = {name: None for name in ("account", "proposed") if gone.is_of(getattr(known, name))}
    return {"proposals": left} | ended


def merged(look: Look, partner: str) -> Iterator[str]:
    """The partner, the one that it is merged into, and so on: the last is in nobody else."""
    while True:
        yield partner
        known: Partner | None = look("partner", partner)
        if known is None or known.merged_into is None:
            return
        partner = known.merged_into


def payee(look: Look, partner: str) -> str:
    """Who is paid what the partner earns: itself, or whoever it was merged into."""
    *_, last = merged(look, partner)
    return last


def holder(look: Look, partner: str) -> Partner | None:
    """Whoever holds what the partner earns from being paid out now: it, or anybody that it was merged into, who is blocked, or the
    payee, whose account waits for its approval. None where nothing stands in the way.
    """
    *before, last = (look("partner", each) for each in merged(look, partner))
    blocked = next((each for each in before if each is not None and each.blocked is not None), None)
    found: Partner | None = blocked or last
    return None if found is None or found.payout_held is None else found


def held(look: Look, partner: str) -> str | None:
    """Why what the partner earns is not paid out now; None where it is."""
    found = holder(look, partner)
    return None if found is None else found.payout_held


def _groups(known: Partner) -> tuple[str, ...]:
    """Partners that were merged into one are found together by its id."""
    return () if known.merged_into is None else (known.merged_into,)


AGGREGATE = Aggregate("partner", Partner, decide, evolve, groups=_groups)
