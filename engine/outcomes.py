"""What a rule may conclude: statement lines and party shares, each with the tree of reasons that yields it."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class How(StrEnum):
    """What kind of thing a reason is."""

    fact = "fact"
    measure = "measure"
    constant = "constant"
    total = "total"
    difference = "difference"
    product = "product"
    quotient = "quotient"
    negation = "negation"
    minimum = "minimum"
    maximum = "maximum"
    step = "step"
    tiers = "tiers"
    band = "band"
    rounding = "rounding"
    share = "share"
    remainder = "remainder"


class Reason(NamedTuple):
    """One node of an explanation: what it is called, how its value came about, and from which parts."""

    name: str
    how: How
    value: Decimal
    note: str = ""
    clause: str | None = None
    parts: tuple[Reason, ...] = ()


class Line(NamedTuple):
    """One named amount of a statement. A rounded amount carries its currency's minor digits as its exponent."""

    name: str
    amount: Decimal
    clause: str | None
    reason: Reason


class Share(NamedTuple):
    """What one party gets of the payable amount."""

    party: str
    amount: Decimal
    reason: Reason


class Outcome(NamedTuple):
    """All that a rulebook concludes from the facts of one contract and period."""

    lines: tuple[Line, ...]
    payable: Decimal
    shares: tuple[Share, ...]
