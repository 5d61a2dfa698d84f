"""Who a partner is: its registration and changes, its contacts, and its bank account.

Personal fields come in clear and are sealed before anything is kept (consumers.personal). `sealed` is how the engine itself
keeps such a message while it waits in suspense; whoever sends messages leaves it out.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from consumers.fields import Country, CurrencyCode, Text
from consumers.wire.base import Data, Told
from consumers.wire.taxed import TaxPart

PartnerKind = Literal["content_provider", "service_provider", "agent", "group_customer", "supplier", "other"]
_Address = Annotated[tuple[Text, ...], Field(min_length=1, max_length=7)]


class PartnerRegisteredData(Told):
    """A partner of the given kind is known from now on. `tax` is the VAT of its settlement notes."""

    partner: Text
    name: Text
    kind: PartnerKind
    country: Country | None = None
    tax_id: Text | None = None
    address: Annotated[tuple[Text, ...], Field(max_length=7)] = ()
    tax: TaxPart | None = None
    author: Text | None = None


class PartnerChangedData(Told):
    """What is said is so from now on; what is not said stays. `address` are its lines, all of them."""

    partner: Text
    author: Text
    name: Text | None = None
    kind: PartnerKind | None = None
    country: Country | None = None
    tax_id: Text | None = None
    address: _Address | None = None
    tax: TaxPart | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(value is None for name, value in self if name not in {"partner", "author"}):
            raise ValueError("nothing is changed; give name, kind, country, tax_id, address or tax")
        return self


class PartnerBlockedData(Told):
    """Nothing is paid out to the partner, and nothing signed with it, until it is unblocked."""

    partner: Text
    author: Text
    reason: Text


class PartnerUnblockedData(PartnerBlockedData):
    """The partner is paid again, and may sign."""


class PartnerMergedData(Told):
    """The partner is one with `into`, which is paid for both from now on. Somebody other than the author has approved it."""

    partner: Text
    into: Text
    author: Text
    approver: Text
    reason: Text


# It stays for ever, also when the contact is erased; so it must not be what is to be erased.
ContactId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f@]+$")]
Sealed = Annotated[str, StringConstraints(min_length=1, max_length=32_768, pattern=r"^[A-Za-z0-9_-]+$")]


class Personal(Told):
    """A message with fields that are never kept in clear, which `PRIVATE` names; or with `sealed` instead of them."""

    PRIVATE: ClassVar[tuple[str, ...]]
    sealed: Sealed | None = None

    def clear(self) -> dict[str, str] | None:
        """The private fields that are said; None where they are sealed."""
        if self.sealed is not None:
            return None
        return {name: value for name in self.PRIVATE if (value := getattr(self, name)) is not None}

    def masked_account(self) -> str | None:
        """What may be shown of an account; None where there is none."""
        return None


class PartnerContactSetData(Personal):
    """Whom to ask at the partner; what was set before under the contact's id is replaced. The id stays for ever: no name in it."""

    PRIVATE: ClassVar[tuple[str, ...]] = ("name", "email", "phone")
    partner: Text
    contact: ContactId
    role: Text
    author: Text
    name: Text | None = None
    email: (
        Annotated[str, StringConstraints(max_length=254, pattern=r"^[^\s\x00-\x1f\x7f@]+@[^\s\x00-\x1f\x7f@]+$")] | None
    ) = None
    phone: Annotated[str, StringConstraints(max_length=40, pattern=r"^\+?[0-9() ./-]+$")] | None = None

    @model_validator(mode="after")
    def _clear_or_sealed(self) -> Self:
        said = any(getattr(self, name) is not None for name in self.PRIVATE)
        if said == (self.sealed is not None):
            raise ValueError("a contact has a name, email or phone; give one of them")
        return self


class PartnerContactErasedData(Told):
    """The contact's name, email and phone can never be read again, wherever they were kept."""

    partner: Text
    contact: ContactId
    author: Text


_SHOWN, _SHOWN_FROM = 4, 8


def _checked_iban(text: str) -> str:
    moved = text[4:] + text[:4]
    if int("".join(str(int(character, 36)) for character in moved)) % 97 != 1:
        raise ValueError("an IBAN ends in a remainder of 1 by 97, and this one does not; a digit is wrong")
    return text


Iban = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"), AfterValidator(_checked_iban)
]  # fmt: skip
Bic = Annotated[str, StringConstraints(pattern=r"^[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?$")]
_Account = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9 -]+$")]
_Masked = Annotated[str, StringConstraints(max_length=8, pattern=r"^\*{4}[A-Za-z0-9 -]{0,4}$")]


class PartnerBankAccountChangedData(Personal):
    """Where the partner wants to be paid: an IBAN, or an account at a bank. Somebody other than the author has to approve it.

    `masked` goes with `sealed` and is left out like it.
    """

    PRIVATE: ClassVar[tuple[str, ...]] = ("holder", "iban", "account", "bank", "bic")
    partner: Text
    currency: CurrencyCode
    author: Text
    holder: Text | None = None
    iban: Iban | None = None
    account: _Account | None = None
    bank: Text | None = None
    bic: Bic | None = None
    masked: _Masked | None = None

    @model_validator(mode="after")
    def _clear_or_sealed(self) -> Self:
        said = [name for name in self.PRIVATE if getattr(self, name) is not None]
        if self.sealed is not None and self.masked is not None and not said:
            return self
        whole = self.holder is not None and self.sealed is None and self.masked is None
        if not whole or (self.iban is None) == (self.account is None) or (self.account is None) != (self.bank is None):
            raise ValueError("a bank account is its holder, and an iban, or an account and a bank; give these")
        return self

    def masked_account(self) -> str | None:
        if self.masked is not None:
            return self.masked
        number = self.iban or self.account or ""
        return "****" + (number[-_SHOWN:] if len(number) >= _SHOWN_FROM else "")


class PartnerBankAccountApprovedData(Told):
    """Somebody other than its author has checked the change of the bank account with that number, or the last one."""

    partner: Text
    approver: Text
    change: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class PartnerBankAccountRejectedData(Told):
    """The change of the bank account does not come about; the partner is paid where it was before."""

    partner: Text
    author: Text
    reason: Text


class PartnerBankAccountErasedData(Told):
    """What says where the bank account is can never be read again; the last four characters, the currency and who stay.

    `change` is the number of the change that proposed it. The partner is not paid there any more, and may propose another.
    """

    partner: Text
    change: Annotated[int, Field(ge=1, le=1_000_000)]
    author: Text
    reason: Text


TYPES: dict[str, type[Data]] = {
    "partner.registered": PartnerRegisteredData,
    "partner.changed": PartnerChangedData,
    "partner.blocked": PartnerBlockedData,
    "partner.unblocked": PartnerUnblockedData,
    "partner.merged": PartnerMergedData,
    "partner.contact_set": PartnerContactSetData,
    "partner.contact_erased": PartnerContactErasedData,
    "partner.bank_account_changed": PartnerBankAccountChangedData,
    "partner.bank_account_approved": PartnerBankAccountApprovedData,
    "partner.bank_account_rejected": PartnerBankAccountRejectedData,
    "partner.bank_account_erased": PartnerBankAccountErasedData,
}
