"""What a rule may conclude: statement lines, shares, carried balances, points and scores, each with its reasons."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class How(StrEnum):
    """What kind of thing a reason is."""

    fact = "fact"
    measure = "measure"
    value = "value"
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
    carried = "carried"
    recouped = "recouped"
    lapsed = "lapsed"
    pool = "pool"
    grade = "grade"
    metric = "metric"
    score = "score"
    rate = "rate"
    returned = "returned"
    points = "points"
    level = "level"
    expired = "expired"
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
    """One named amount of a statement. A rounded amount carries its currency's minor digits as its exponent.

    `unit` is an ISO 4217 currency, `quantity` for what is counted, or `number` for what is neither.
    """

    name: str
    amount: Decimal
    clause: str | None
    reason: Reason
    unit: str


class Share(NamedTuple):
    """What one party gets of the payable amount."""

    party: str
    amount: Decimal
    reason: Reason


class Balance(NamedTuple):
    """What a step leaves to the next period of its contract: part of a period's outcome, and of the next one's input.

    `kind` is one of accumulated, short-workings, unrecouped, held, unpaid, returned. `day` tells apart lots of one kind;
    what it means is said by the step that carries it. Amounts have the working precision; none is 0.
    """

    step: str
    kind: str
    day: date | None
    amount: Decimal


class Outcome(NamedTuple):
    """All that a rulebook concludes from the facts of one contract and period.

    `carried` is sorted by step, kind and day. `currency` is that of the payable amount and its shares.
    """

    lines: tuple[Line, ...]
    payable: Decimal
    shares: tuple[Share, ...]
    currency: str
    carried: tuple[Balance, ...] = ()


# --- Points: what an account of a points program comes to. Points have the working precision.


class EntryKind(StrEnum):
    """Why points came or went."""

    earned = "earned"
    granted = "granted"
    adjusted = "adjusted"
    burned = "burned"
    expired = "expired"


class Taken(NamedTuple):
    """Points that an entry took from a lot; `entry` is the place, from 0, of the entry that made the lot."""

    entry: int
    points: Decimal


class PointsEntry(NamedTuple):
    """One movement of an account. `points` are signed, and `balance` is what the account came to with them.

    `taken` says which lots a negative entry, or an expiry, took from. What no lot covers is in `deficit`, which is positive
    where the entry left points owing, and negative where its points went into what was owed. `name` is a rule's, a grade's,
    or empty. `text` is the reason that a person or a message gave.
    """

    day: date
    kind: EntryKind
    name: str
    points: Decimal
    balance: Decimal
    reason: Reason
    taken: tuple[Taken, ...] = ()
    deficit: Decimal = Decimal(0)
    period: str = ""
    text: str = ""
    author: str = ""
    approver: str = ""
    identity: str = ""


class Lot(NamedTuple):
    """What is left, above 0, of the points that came with one entry. They are gone on the day `expires`; None: never."""

    earned: date
    expires: date | None
    points: Decimal
    entry: int


class LevelSince(NamedTuple):
    """A level and the day on which it was reached, from above or from below."""

    level: str
    since: date


class Expiring(NamedTuple):
    """How many points are gone on the day, if they are not burned before."""

    day: date
    points: Decimal


class Account(NamedTuple):
    """A partner's points in one program, up to and including the day `at`.

    `balance` is the points of all lots, oldest first, less `deficit`; it is also the sum of all entries. `level` is None
    where the program has none. `levels` begins on the day of the first entry.
    """

    at: date
    balance: Decimal
    deficit: Decimal
    lots: tuple[Lot, ...]
    level: str | None
    levels: tuple[LevelSince, ...]
    entries: tuple[PointsEntry, ...]
    expires_next: Expiring | None


# --- Scores: how a partner is assessed by a scorecard. Scores and values have the working precision.


class MetricScore(NamedTuple):
    """One metric of a partner. `value` is None where it divides by zero; the reason's value is weight times score."""

    name: str
    value: Decimal | None
    score: Decimal
    weight: Decimal
    reason: Reason


class ItemScore(NamedTuple):
    """One bonus or penalty of a partner. `value` is None where it divides by zero; `added` is what the score gets of it."""

    name: str
    value: Decimal | None
    added: Decimal
    reason: Reason


class Score(NamedTuple):
    """What a scorecard concludes of one partner.

    `total` is the weighted metrics and the items, brought into the scorecard's range. It is None, and `metrics` and `items`
    hold what there is, where something divides by zero and a veto stands all the same. `assessed` is the grade by the
    veto that stands, named by `veto`, else by the total; `grade` is that, or the one a person gave, `override`.
    Coefficient, points and action are those of `grade`, where the scorecard states them.
    """

    total: Decimal | None
    metrics: tuple[MetricScore, ...]
    items: tuple[ItemScore, ...]
    assessed: str
    grade: str
    veto: str | None
    override: str | None
    coefficient: Decimal | None
    points: Decimal | None
    action: str | None
    reason: Reason
