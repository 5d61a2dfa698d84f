"""Settlement notes - issued statements on their way to the partner and to the bank - and discrepancies that are found in them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from consumers.fields import CurrencyCode, Day, Figure, PeriodName, Quantity, Text
from consumers.wire.base import Data, Told
from consumers.wire.taxed import TaxPart

LINES_MAX = 1_000


class Note(Told):
    """A step in the life of the issued statement of a contract and period. `author` takes it.

    `agent` is the party, such as `parent`, of an agent above the contract's whose share the step is about.
    """

    contract: Text
    period: PeriodName
    author: Text
    agent: Text | None = None


class StatementPublishedData(Note):
    """The statement is sent to the partner, who is the `party` of it that has this name."""

    party: Text | None = None


class StatementDisputedData(Note):
    """The partner does not agree with the lines, or with what the reason says."""

    reason: Text
    lines: Annotated[tuple[Text, ...], Field(max_length=LINES_MAX)] = ()

    @model_validator(mode="after")
    def _an_agent_disputes_its_share(self) -> Self:
        if self.agent is not None and self.lines:
            raise ValueError(
                "lines are disputed with the contract's partner; an agent above says in the reason what is wrong"
            )
        return self


class StatementConfirmedData(Note):
    """The partner agrees; or it is taken to agree, since its days to dispute are over."""

    by_default: bool = False


class StatementInvoicedData(Note):
    """The self-billed invoice was made; its number follows from contract and period. `tax` is its VAT, else the partner's."""

    day: Day
    number: Text | None = None
    tax: TaxPart | None = None


class StatementInvoiceWithdrawnData(Note):
    """The self-billed invoice of this number is withdrawn, while no payment of it stands. `day` is that of its credit note."""

    day: Day
    number: Text
    reason: Text


class StatementPaidData(Note):
    """What is open in the currency was paid, with its VAT, whole or (`part`) in part; below 0 where the partner gave it back.

    `reference` is the transfer's.
    """

    amount: Quantity
    currency: CurrencyCode
    reference: Text
    day: Day
    part: bool = False


class StatementPaymentReturnedData(Note):
    """The payment in the currency with this reference came back, or was never made: what it paid is open again. `day` is that of its
    return.
    """

    currency: CurrencyCode
    reference: Text
    day: Day
    reason: Text


class StatementSettledData(Note):
    """Nothing is left to be done."""


class Discrepancy(Told):
    """A step in the life of a line on which the partner's figures and ours differ. `author` takes it."""

    contract: Text
    period: PeriodName
    line: Text
    author: Text


class DiscrepancyOpenedData(Discrepancy):
    """The partner's figure; ours is the statement's. A side that has no such line has no figure."""

    ours: Figure | None = None
    theirs: Figure | None = None


class DiscrepancyAssignedData(Discrepancy):
    """Somebody is to look into it."""

    to: Text


class DiscrepancyResolvedData(Discrepancy):
    """The partner gets the amount (gives it, below 0) with its next statement; or what its figure, which is accepted, says."""

    approver: Text
    reason: Text
    amount: Quantity | None = None
    accepted: bool = False

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.amount is None) is not self.accepted:
            raise ValueError("a resolution has an amount, or accepts the partner's figure; give one of the two")
        return self


class DiscrepancyRejectedData(Discrepancy):
    """Our figure stands."""

    reason: Text


TYPES: dict[str, type[Data]] = {
    "statement.published": StatementPublishedData,
    "statement.disputed": StatementDisputedData,
    "statement.confirmed": StatementConfirmedData,
    "statement.invoiced": StatementInvoicedData,
    "statement.invoice_withdrawn": StatementInvoiceWithdrawnData,
    "statement.paid": StatementPaidData,
    "statement.payment_returned": StatementPaymentReturnedData,
    "statement.settled": StatementSettledData,
    "discrepancy.opened": DiscrepancyOpenedData,
    "discrepancy.assigned": DiscrepancyAssignedData,
    "discrepancy.resolved": DiscrepancyResolvedData,
    "discrepancy.rejected": DiscrepancyRejectedData,
}
