"""The deposit of a contract: what was paid of it, and given back."""

from __future__ import annotations

import msgspec

from engine.aggregates.contract import Contract, OtherCurrency
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, Look, those
from engine.aggregates.service import ContractLeft, left_on
from engine.events import DepositPaid, DepositReturned
from engine.money import MICRO_DIGITS, decimal_of_micros, minor_digits, plain


class Deposit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`held` is what was paid and not given back, in micros of `currency`, the contract's; `author` told the last payment."""

    partner: str
    contract: str
    held: int
    currency: str
    author: str | None = None


class NotWhole(Refused):
    """An amount with finer digits than its currency has."""

    code = "not-whole"


class DepositTooSmall(Refused):
    code = "deposit-too-small"


def decide(known: Deposit | None, command: DepositPaid | DepositReturned, look: Look) -> DepositPaid | DepositReturned:
    """Raises OtherCurrency, NotWhole, ContractLeft, DepositTooSmall."""
    contract: Contract = look("contract", command.contract or "")
    what = f"the deposit of contract {command.contract}"
    if command.currency != contract.currency:
        raise OtherCurrency(
            f"contract {command.contract} settles in {contract.currency}, and this deposit is in {command.currency}; send it in "
            "that currency under a new id, and write this message off"
        )
    if command.amount % 10 ** (MICRO_DIGITS - minor_digits(contract.currency)):
        raise NotWhole(
            f"{plain(decimal_of_micros(command.amount))} {command.currency} of {what} is no amount that can be paid; round it "
            "under a new id, and write this message off"
        )
    if (day := left_on(look(those("service"), contract.contract))) is not None:
        raise ContractLeft(
            f"all services of contract {command.contract} have ended, the last on {day}: {what} is returned by its final "
            "statement; write this message off"
        )
    held = known.held if known else 0
    if isinstance(command, DepositReturned) and command.amount > held:
        raise DepositTooSmall(
            f"{plain(decimal_of_micros(held))} {command.currency} are held of {what}, less than the "
            f"{plain(decimal_of_micros(command.amount))} to be returned; return what is held under a new id, and write this "
            "message off"
        )
    return command


def evolve(known: Deposit | None, event: DepositPaid | DepositReturned) -> Deposit:
    held = known.held if known else 0
    held += event.amount if isinstance(event, DepositPaid) else -event.amount
    assert event.contract is not None, event
    return Deposit(
        partner=event.partner, contract=event.contract, held=held, currency=event.currency, author=event.author
    )


def looks_at(_: Deposit | None, command: DepositPaid | DepositReturned) -> tuple[tuple[str, str], ...]:
    return ((those("service"), command.contract or ""),)


AGGREGATE = Aggregate("deposit", Deposit, decide, evolve, looks_at=looks_at)
