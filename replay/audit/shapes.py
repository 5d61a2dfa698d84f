"""The exact shapes of the JSON texts that issued events hold, so that a hostile text is refused before it costs anything.

A number is a plain decimal text: one with an exponent could stand for more digits than a machine has memory.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

_NUMBER = r"\A-?[0-9]{1,60}(\.[0-9]{1,30})?\Z"
Number = Annotated[str, msgspec.Meta(pattern=_NUMBER)]
Name = Annotated[str, msgspec.Meta(max_length=1_000)]
Fact = tuple[Name, Name, dict[str, str | None], int, Number, int]


class _Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Given(_Shape, frozen=True):
    facts: list[Fact]
    carried: list[tuple[Name, Name, Name | None, Number]]
    begins: Name | None
    partner: Name
    grade: Name | None
    grade_before: Name | None
    rates: list[tuple[Name, Name, Name, Name, Number]]
    origins: list[Origin]
    final: tuple[Name, Number, Name] | None = None


class Origin(_Shape, frozen=True):
    period: Name
    rulebook: Name
    version: int
    given: Given


class _Book(_Shape, frozen=True):
    id: Name
    version: int
    digest: Name


class _Line(_Shape, frozen=True):
    name: Name
    amount: Number
    clause: str | None
    unit: Name = ""


class _Share(_Shape, frozen=True):
    party: Name
    amount: Number


class _Change(_Shape, frozen=True):
    was: Number
    now: Number
    amount: Number
    name: Name = ""
    clause: str | None = None
    unit: Name = ""
    party: Name = ""
    currency: Name = ""


class Adjustment(_Shape, frozen=True):
    period: Name
    version: int
    digest: Name
    replaces: Name
    rulebook: _Book
    lines: list[_Change]
    payable: list[_Change]
    parties: list[_Change]
    causes: list[dict[str, Any]]


class _Granted(_Shape, frozen=True):
    currency: Name
    amount: Number
    party: Name = ""


class Resolution(_Shape, frozen=True):
    """The adjustment that a resolved discrepancy is."""

    period: Name
    discrepancy: Name
    lines: list[_Change]
    payable: list[_Granted]
    parties: list[_Granted]
    causes: list[dict[str, str | None]]


class _Due(_Shape, frozen=True):
    currency: Name
    amount: Number
    parties: list[_Share]


class _Balance(_Shape, frozen=True):
    step: Name
    kind: Name
    amount: Number
    day: Name = ""


class _Cleared(_Shape, frozen=True):
    name: Name
    balance: Number
    amount: Number
    currency: Name


class _Gets(_Shape, frozen=True):
    party: Name
    currency: Name
    amount: Number


class _Final(_Shape, frozen=True):
    left: Name
    lines: list[_Cleared]
    parties: list[_Gets]


class Statement(_Shape, frozen=True):
    contract: Name
    partner: Name
    period: dict[str, str]
    currency: Name
    rulebook: _Book
    lines: list[_Line]
    payable: Number
    parties: list[_Share]
    balances: list[_Balance]
    adjustments: list[dict[str, Any]]  # each an Adjustment or a Resolution
    evidence: dict[str, int]
    due: list[_Due]
    digest: Name
    final: _Final | None = None


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    facts: list[Fact]
    score: dict[str, Any]


given = msgspec.json.Decoder(Given)
carried = msgspec.json.Decoder(list[tuple[Name, Name, Name | None, Number]])
statement = msgspec.json.Decoder(Statement)
adjustment = msgspec.json.Decoder(Adjustment)
score = msgspec.json.Decoder(_Kept)
seals = msgspec.json.Decoder(dict[str, str])


def is_number(text: str) -> bool:
    return re.match(_NUMBER, text) is not None
