"""Who a partner is: its registration and changes, its contacts, and its bank account.

What is personal is never stored in clear: `sealed` is its ciphertext, made at the edge (consumers.secrets).
"""

from __future__ import annotations

from typing import ClassVar

from engine.events.base import Event
from engine.events.noted import Tax
from engine.events.reported import ReportedEvent


class PartnerRegistered(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`tax` is the VAT of its settlement notes, where an invoice does not say another."""

    NAME: ClassVar[str] = "partner.registered"
    KIND: ClassVar[str] = "partner"
    KEY: ClassVar[tuple[str, ...]] = ("partner",)
    partner: str
    name: str
    kind: str
    country: str | None = None
    tax_id: str | None = None
    address: tuple[str, ...] = ()
    tax: Tax | None = None
    author: str | None = None


class PartnerStep(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a registered partner."""

    KIND: ClassVar[str] = "partner"
    KEY: ClassVar[tuple[str, ...]] = ("partner",)


class PartnerChanged(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is said is so from now on; what is not said stays as it was."""

    NAME: ClassVar[str] = "partner.changed"
    author: str
    name: str | None = None
    kind: str | None = None
    country: str | None = None
    tax_id: str | None = None
    address: tuple[str, ...] | None = None
    tax: Tax | None = None


class PartnerBlocked(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Its payouts are held, and it signs no new contracts."""

    NAME: ClassVar[str] = "partner.blocked"
    author: str
    reason: str


class PartnerUnblocked(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "partner.unblocked"
    author: str
    reason: str


class PartnerMerged(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """From now on `into` is paid what the partner earns: so it takes somebody other than its author to approve it."""

    NAME: ClassVar[str] = "partner.merged"
    into: str
    author: str
    approver: str
    reason: str


class PartnerContactSet(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Whom to ask at the partner. Name, e-mail and telephone are in `sealed`."""

    NAME: ClassVar[str] = "partner.contact_set"
    contact: str
    role: str
    author: str
    sealed: str


class PartnerContactErased(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The key of the contact's personal fields is destroyed: whatever was sealed with it can never be read again."""

    NAME: ClassVar[str] = "partner.contact_erased"
    contact: str
    author: str


class PartnerBankAccountChanged(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where the partner wants to be paid, until somebody else approves it. `masked` shows the last four characters alone;
    holder, account and bank are in `sealed`.
    """

    NAME: ClassVar[str] = "partner.bank_account_changed"
    currency: str
    author: str
    masked: str
    sealed: str


class PartnerBankAccountApproved(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`change` is the number of the change that the approver has seen; without one it is the last."""

    NAME: ClassVar[str] = "partner.bank_account_approved"
    approver: str
    change: int | None = None


class PartnerBankAccountErased(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The key of the bank account is destroyed: what says where it is can never be read again.

    `change` is the number of the change that proposed it; `proposed_by`, source and id of that event, is the decision's.
    """

    NAME: ClassVar[str] = "partner.bank_account_erased"
    change: int
    author: str
    reason: str
    proposed_by: tuple[str, str] | None = None


class PartnerBankAccountRejected(PartnerStep, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "partner.bank_account_rejected"
    author: str
    reason: str
