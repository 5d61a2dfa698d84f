"""The life of an issued statement towards its partner - the settlement note - and the discrepancies that are found in it."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

import msgspec

from engine.events.base import Event, joined


class Sum(msgspec.Struct, frozen=True, array_like=True):
    """What is due to the partner in a currency, as the statement writes it."""

    currency: str
    amount: str


class Agent(msgspec.Struct, frozen=True, array_like=True):
    """A partner above the contract's in its chain of agents, and the party of the statement that it is."""

    party: str
    partner: str


class Tax(msgspec.Struct, frozen=True, omit_defaults=True):
    """The VAT of a note: a category of EN 16931, and its rate in percent as a decimal text. An exemption has its reason."""

    category: str
    rate: str = "0"
    reason: str | None = None


class NoteEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step of the settlement note of a contract and period. `author` is who took it.

    `agent` is the party of an agent above whose share the note is over; None: it is the note to the contract's partner.
    """

    KIND: ClassVar[str] = "note"
    KEY: ClassVar[tuple[str, ...]] = ("contract", "period")
    contract: str
    period: str
    agent: str | None = None

    @property
    def named(self) -> str:
        """As of every event, with the agent where there is one."""
        return super().named if self.agent is None else joined(super().named, self.agent)


class StatementPublished(NoteEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Sent to the partner. `party` is the party of the statement that the partner is, and `due` what it gets.

    `agents` are those above the contract's partner who get a share of the statement, and so have notes of their own.

    It may be disputed up to and with `dispute_until`, and is to be paid by `pay_by`; without a calendar neither is set. All
    but `author` and `party` comes from the decision: of the statement, its contract and its cooperation model.
    """

    NAME: ClassVar[str] = "statement.published"
    author: str
    party: str | None = None
    due: tuple[Sum, ...] = ()
    dispute_until: date | None = None
    pay_by: date | None = None
    digest: str | None = None
    partner: str | None = None
    time_zone: str | None = None
    agents: tuple[Agent, ...] = ()


class StatementDisputed(NoteEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The partner does not agree: with the `lines`, or as the `reason` says."""

    NAME: ClassVar[str] = "statement.disputed"
    author: str
    reason: str
    lines: tuple[str, ...] = ()


class StatementConfirmed(NoteEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The partner agrees; or `by_default`, since nobody disputed it in its days."""

    NAME: ClassVar[str] = "statement.confirmed"
    author: str
    by_default: bool = False


class StatementInvoiced(NoteEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The self-billed invoice was made. `number` follows from contract and period.

    `tax` is its VAT; where it is not said, the partner's, and None where that has none either. `due` is what it is over; where it is
    taxed, `deposit` is what of that is a deposit which the partner gets back, and `taxes` the VAT on the rest. `partner` and `party`
    say whose it is, `pay_by` when it is to be paid. But for `tax` all is the decision's.
    """

    NAME: ClassVar[str] = "statement.invoiced"
    author: str
    day: date
    number: str | None = None
    tax: Tax | None = None
    due: tuple[Sum, ...] = ()
    deposit: tuple[Sum, ...] = ()
    taxes: tuple[Sum, ...] = ()
    partner: str | None = None
    party: str | None = None
    pay_by: date | None = None


class StatementInvoiceWithdrawn(NoteEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The self-billed invoice `number` is withdrawn, while no payment of it stands: the note is confirmed again.

    `credit_note` is the number of the credit note that says so, and `day` its day. That number, the day on which it was `invoiced`,
    the `taxes` that no longer are to pay, and whose it is, are the decision's.
    """

    NAME: ClassVar[str] = "statement.invoice_withdrawn"
    author: str
    day: date
    number: str
    reason: str
    credit_note: str | None = None
    invoiced: date | None = None
    taxes: tuple[Sum, ...] = ()
    partner: str | None = None
    party: str | None = None


class StatementPaid(NoteEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """All that was open in the currency was paid on the day, or a `part` of it; `amount` is in micros, below 0 where the partner
    gave it back.

    `reference` is that of the transfer; notes that were set off against each other share it. `partner`, its `party` of the
    statement and the invoice's `number` are the decision's.
    """

    NAME: ClassVar[str] = "statement.paid"
    author: str
    amount: int
    currency: str
    reference: str
    day: date
    part: bool = False
    partner: str | None = None
    party: str | None = None
    number: str | None = None


class StatementPaymentReturned(NoteEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The payment in the currency with this `reference` was returned on the day, by the bank or since it never was made: what it paid
    is open again, also where the note was settled.

    Its `amount` in micros, the day on which it was `paid`, the invoice's `number` and whose it is are the decision's.
    """

    NAME: ClassVar[str] = "statement.payment_returned"
    author: str
    currency: str
    reference: str
    day: date
    reason: str
    amount: int | None = None
    paid: date | None = None
    partner: str | None = None
    party: str | None = None
    number: str | None = None


class StatementSettled(NoteEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Nothing is left to be done."""

    NAME: ClassVar[str] = "statement.settled"
    author: str


class DiscrepancyEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a line on which the partner's figures and ours differ."""

    KIND: ClassVar[str] = "discrepancy"
    KEY: ClassVar[tuple[str, ...]] = ("contract", "period", "line")
    contract: str
    period: str
    line: str


class DiscrepancyOpened(DiscrepancyEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`ours` and `theirs` are decimal texts, None where that side has no such line; ours and `unit` are the statement's."""

    NAME: ClassVar[str] = "discrepancy.opened"
    author: str
    ours: str | None = None
    theirs: str | None = None
    unit: str | None = None


class DiscrepancyAssigned(DiscrepancyEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "discrepancy.assigned"
    author: str
    to: str


class DiscrepancyResolved(DiscrepancyEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The partner gets `amount` (micros, below 0 where it gives back) with the contract's next statement.

    `accepted` asks for what the partner's figure says; the decision makes it an amount. `currency`, `partner`, `party`, and
    `ours` and `theirs` are the decision's.
    """

    NAME: ClassVar[str] = "discrepancy.resolved"
    author: str
    approver: str
    reason: str
    amount: int | None = None
    accepted: bool = False
    currency: str | None = None
    partner: str | None = None
    party: str | None = None
    ours: str | None = None
    theirs: str | None = None


class DiscrepancyRejected(DiscrepancyEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Our figure stands."""

    NAME: ClassVar[str] = "discrepancy.rejected"
    author: str
    reason: str
