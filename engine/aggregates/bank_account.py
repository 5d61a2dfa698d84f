"""Bank accounts of a partner, by the events that proposed them, and when one may be erased."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.aggregates.refusal import Refused
from engine.aggregates.relation import AlreadyThere, Look, NotThere, those
from engine.events import PartnerBankAccountChanged, PartnerBankAccountErased, joined


class Proposal(msgspec.Struct, frozen=True, array_like=True):
    """A bank account that was proposed, by the event of that source and id."""

    source: str
    id: str
    masked: str

    def is_of(self, account: PartnerBankAccountChanged | None) -> bool:
        return account is not None and (account.source, account.id) == (self.source, self.id)


class AccountInUse(Refused):
    """The bank account is the one to which something is still to be paid."""

    code = "account-in-use"


def erased(
    command: PartnerBankAccountErased,
    proposals: Sequence[Proposal | None],
    paid_to: PartnerBankAccountChanged | None,
    look: Look,
) -> PartnerBankAccountErased:
    """`proposals` are all of the partner, None for those that were erased; `paid_to` is the account to which it is paid now.

    Raises NotThere, AlreadyThere, AccountInUse.
    """
    what = f"the bank account of change {command.change} of partner {command.partner}"
    if command.change > len(proposals):
        raise NotThere(
            f"{what} is not there: {len(proposals)} were proposed; send its partner.bank_account_changed first, and this message is "
            "recycled by itself",
            waits_for=f"partner:{command.partner}",
        )
    proposal = proposals[command.change - 1]
    if proposal is None:
        raise AlreadyThere(f"{what} is erased already; write this message off")
    if proposal.is_of(paid_to):
        _check_nothing_is_to_be_paid(f"{what}, {proposal.masked},", command.partner, look)
    return msgspec.structs.replace(command, proposed_by=(proposal.source, proposal.id))


def _check_nothing_is_to_be_paid(what: str, partner: str, look: Look) -> None:
    unpaid = list(_to_be_paid(look, partner))
    if unpaid:
        first = unpaid[0]
        more = f", and {len(unpaid) - 1} more," if unpaid[1:] else ""
        raise AccountInUse(
            f"{what} is where the statement of {first.contract} for {first.period}{more} is to be paid; have that paid, and this "
            "message is recycled by itself, or another account approved, and try it again",
            waits_for="note:" + joined(first.contract, first.period, *([first.agent] if first.agent else [])),
        )


def _to_be_paid(look: Look, partner: str) -> Iterator[Any]:
    """The notes by which the partner, or whoever was merged into it, is still to be paid (engine.aggregates.note)."""
    yield from look(those("note"), partner)
    for each in look(those("partner"), partner):
        yield from _to_be_paid(look, each.partner)
