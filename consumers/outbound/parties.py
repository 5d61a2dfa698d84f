"""Who a document is about: master data of a partner or of the operator, and checks of bank accounts."""

from __future__ import annotations

import importlib.resources
import re
from functools import cache
from typing import NamedTuple

from consumers.outbound.libraries import library
from consumers.outbound.texts import masked
from engine.aggregates.refusal import Refused

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_BIC = re.compile(r"[A-Z0-9]{8}([A-Z0-9]{3})?", re.ASCII)


class BadAccount(Refused):
    code = "bad-account"


class Party(NamedTuple):
    """`country` is ISO 3166-1 alpha-2. `iban` and `bic` as `account` gives them; shown masked wherever a party is shown."""

    id: str
    name: str
    country: str
    address: tuple[str, ...] = ()
    tax_id: str | None = None
    iban: str | None = None
    bic: str | None = None

    def __repr__(self) -> str:
        return f"Party(id={self.id!r}, name={self.name!r}, country={self.country!r}, iban={masked(self.iban)})"


def is_country(code: str) -> bool:
    return code in _countries()


@cache
def _countries() -> frozenset[str]:
    """ISO 3166-1 alpha-2, as the time zone database lists it."""
    table = importlib.resources.files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line[:2] for line in table.splitlines() if not line.startswith("#"))


def account(iban: str, whose: str) -> str:
    """The IBAN without spaces, where its length, form and check digits (mod 97) are right. Raises BadAccount."""
    stdnum, errors = library("stdnum.iban"), library("stdnum.exceptions")
    try:
        plain = str(stdnum.validate(iban))
    except errors.ValidationError:
        plain = ""
    if _IBAN.fullmatch(plain) is None:
        raise BadAccount(
            f"the account of {whose[:40]!r} ({masked(iban)}) is not an IBAN, or its check digits are wrong; correct the partner's "
            "bank account"
        )
    return plain


def bank(bic: str, whose: str) -> str:
    """The BIC without spaces, of 8 or 11 characters. Raises BadAccount."""
    stdnum, errors = library("stdnum.bic"), library("stdnum.exceptions")
    try:
        plain = str(stdnum.validate(bic))
    except errors.ValidationError:
        plain = ""
    if _BIC.fullmatch(plain) is None:
        raise BadAccount(f"{bic[:11]!r} is not a BIC, the code of a bank ({whose[:40]!r}); correct it, or leave it out")
    return plain
