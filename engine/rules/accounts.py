"""Points accounts: what a partner has in a program on a day, as a pure function of what happened up to it.

The account of any day is computed from nothing, by going through the activities in the order of their days. So an activity
that is learned late stands where it belongs, and what was burned after it is burned anew; and no activity changes the
account of a day before it.

On one day, first the lots go that expire on it; then what was earned, granted or adjusted, by name and identity; then what
was burned. Points that come make a lot; points that go are taken from the lots of the day, oldest first, and what no lot
covers is owed: the next points that come go into it first.

What a rule earns in a period is rated as a whole, however many activities it comes in: each of them gives the points of
all units so far, after cap and rounding, less those that were given before.

Sources: oldest first as AlpineIQ burns points; lots that live to the end of a month as in Square's loyalty programs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from engine.money import difference, plain, product, round_to, total, working
from engine.outcomes import Account, EntryKind, Expiring, How, Lot, PointsEntry, Reason, Taken
from engine.rules.formulas import evaluated
from engine.rules.levels import Ladder
from engine.rules.programs import Earn, Level, Program

_ZERO = Decimal(0)


class Activity(NamedTuple):
    """Something that moves points. `value` is a rule's units, before its rate, where they were `earned`; else it is points:
    signed where they were `granted` by a grade or `adjusted` by a person, those to take, at least 0, where `burned`.

    `name` is the rule's or the grade's. `rule` is the rule as it was in the `period`, where the program's own has changed
    since; `of` explains the units. `text` is the reason given, and `identity` tells apart activities that are else alike.
    """

    day: date
    kind: EntryKind
    value: Decimal
    name: str = ""
    period: str = ""
    rule: Earn | None = None
    of: Reason | None = None
    text: str = ""
    author: str = ""
    approver: str = ""
    identity: str = ""


class RuleUnknown(LookupError):
    """Points were earned by a rule that the program does not have."""


class _Rated(NamedTuple):
    """What a rule has come to in a period: before the cap, and the points that were given for it."""

    uncapped: Decimal = _ZERO
    points: Decimal = _ZERO


_NOTHING = _Rated()


@dataclass(slots=True)
class _OpenLot:
    """A lot of the account while its days are gone through."""

    entry: int
    earned: date
    expires: date | None
    left: Decimal


def earned_units(program: Program, known: Mapping[str, Reason]) -> list[tuple[Earn, Reason]]:
    """The units of each rule, before its rate: the `value` of a period's activities. Raises as `evaluated` does."""
    return [(earn, evaluated(earn.of, known)) for earn in program.earn]


def earned_points(program: Program, known: Mapping[str, Reason]) -> list[tuple[Earn, Reason]]:
    """The points of each rule for a whole period, without the multiplier of a level, which depends on the account."""
    return [
        (earn, _rated(earn, units, None, "the period", _NOTHING)[0]) for earn, units in earned_units(program, known)
    ]


def account(program: Program, activities: Iterable[Activity], at: date) -> Account:
    """The account on the day `at`, that day included; later activities are left out, and their order does not matter.

    Raises RuleUnknown and AmountTooLarge.
    """
    ledger = _Ledger(program)
    known = sorted((each for each in activities if each.day <= at), key=_order)
    for day, of_day in groupby(known, key=lambda each: each.day):
        ledger.pass_to(day)
        for activity in of_day:
            ledger.enter(activity)
        ledger.close(day)
    ledger.pass_to(at)
    ledger.close(at)
    return ledger.account(at)


def _order(activity: Activity) -> tuple[object, ...]:
    day, kind, value, name, period, _, _, *texts, identity = activity
    return (day, kind is EntryKind.burned, name, identity, kind, period, value, *texts)


def _rated(earn: Earn, units: Reason, level: Level | None, period: str, before: _Rated) -> tuple[Reason, _Rated]:
    """The points for further units of a period, and what the rule has then come to in it."""
    reason = Reason(
        "rate", How.product, product(units.value, earn.rate), f"{_shown(units)} x {plain(earn.rate)}", parts=(units,)
    )
    if level is not None:
        value = product(reason.value, level.multiplier)
        note = f"{_shown(reason)} x {plain(level.multiplier)}, as {level.name}"
        reason = Reason("multiplier", How.level, value, note, parts=(reason,))
    if before != _NOTHING:
        earlier = Reason(f"earlier in {period}", How.points, before.uncapped)
        reason = Reason(f"in {period}", How.total, total(before.uncapped, reason.value), parts=(earlier, reason))
    uncapped = reason.value
    if earn.cap is not None:
        how, capped = (
            (How.maximum, max(uncapped, -earn.cap)) if uncapped < 0 else (How.minimum, min(uncapped, earn.cap))
        )
        reason = Reason("cap", how, capped, f"at most {plain(earn.cap)} in {period}", parts=(reason,))
    points = total(_ZERO, round_to(reason.value, 0, earn.round))  # which makes of -0 a 0
    note = f"{_shown(reason)} rounded {earn.round}"
    if before == _NOTHING:
        return Reason(earn.name, How.rounding, points, note, earn.clause, (reason,)), _Rated(uncapped, points)
    reason = Reason("rounded", How.rounding, points, note, parts=(reason,))
    given = Reason("given before", How.points, before.points)
    value = difference(points, before.points)
    note = f"of {period}, less what was given before"
    return Reason(earn.name, How.difference, value, note, earn.clause, (reason, given)), _Rated(uncapped, points)


def _shown(reason: Reason) -> str:
    return plain(reason.value)


class _Ledger:
    """The account while its days are gone through in order."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._rules = {earn.name: earn for earn in program.earn}
        self._ladder = None if program.levels is None else Ladder(program.levels)
        self._lots: deque[_OpenLot] = deque()  # oldest first; each has points left
        self._deficit = _ZERO
        self._balance = _ZERO
        self._rated: dict[tuple[str, str], _Rated] = {}
        self._entries: list[PointsEntry] = []

    def pass_to(self, day: date) -> None:
        """Lets the time up to the day go by, with what expires and no longer counts meanwhile, the day's lots included."""
        while (turn := self._next_turn()) is not None and turn < day:
            self._expire(turn)
            self.close(turn)
        self._expire(day)

    def enter(self, activity: Activity) -> None:
        """Puts an activity into the account."""
        reason = self._reason(activity)
        deficit, taken = self._moved(activity.day, reason.value)
        self._entries.append(
            PointsEntry(
                activity.day, activity.kind, activity.name, reason.value, self._balance, reason, taken, deficit,
                activity.period, activity.text, activity.author, activity.approver, activity.identity,
            )
        )  # fmt: skip
        if self._ladder is not None and activity.kind is EntryKind.earned and reason.value > 0:
            self._ladder.earn(activity.day, reason.value)

    def close(self, day: date) -> None:
        """Ends the day; without any entry yet there is no level to reach."""
        if self._ladder is not None and self._entries:
            self._ladder.close(day, self._balance)

    def account(self, at: date) -> Account:
        lots = tuple(Lot(lot.earned, lot.expires, lot.left, lot.entry) for lot in self._lots)
        held = _ZERO
        for lot in lots:
            assert lot.points > 0, lot
            held = total(held, lot.points)
        assert self._balance == difference(held, self._deficit), (self._balance, held, self._deficit)
        return Account(
            at=at,
            balance=self._balance,
            deficit=self._deficit,
            lots=lots,
            level=self._ladder.held.name if self._ladder else None,
            levels=tuple(self._ladder.timeline) if self._ladder else (),
            entries=tuple(self._entries),
            expires_next=_expires_next(lots),
        )

    def _reason(self, activity: Activity) -> Reason:
        """The signed points of an activity, and why."""
        value = working(activity.value)
        match activity.kind:
            case EntryKind.earned:
                return self._earned(activity)
            case EntryKind.granted:
                return Reason(activity.name or "granted", How.grade, value, activity.text)
            case EntryKind.adjusted:
                return Reason(activity.name or "adjusted", How.points, value, activity.text)
            case EntryKind.burned:
                assert value >= 0, activity
                return Reason(activity.name or "burned", How.points, difference(_ZERO, value), activity.text)
            case EntryKind.expired:
                raise AssertionError(f"expiry follows from the lots, and is no activity: {activity}")

    def _earned(self, activity: Activity) -> Reason:
        rule = activity.rule or self._rules.get(activity.name)
        if rule is None:
            raise RuleUnknown(f"the program has no rule {activity.name!r}, by which {activity.day} earns points")
        units = activity.of or Reason("units", How.fact, working(activity.value))
        assert (rule.name, units.value) == (activity.name, activity.value), activity
        level = self._ladder.held if self._ladder and rule.multiplied == "yes" else None
        key = (activity.name, activity.period)
        period = activity.period or "the period"
        reason, self._rated[key] = _rated(rule, units, level, period, self._rated.get(key, _NOTHING))
        return reason

    def _moved(self, day: date, points: Decimal) -> tuple[Decimal, tuple[Taken, ...]]:
        """Adds points or takes them: by how much that changes what is owed, and what was taken from which lots."""
        self._balance = total(self._balance, points)
        if points > 0:
            filled = min(points, self._deficit)
            self._deficit = difference(self._deficit, filled)
            if filled < points:
                expires = self._program.expiry.of(day) if self._program.expiry else None
                self._lots.append(_OpenLot(len(self._entries), day, expires, difference(points, filled)))
            return difference(_ZERO, filled), ()
        owed = difference(_ZERO, points)
        taken = []
        while owed > 0 and self._lots:
            lot = self._lots[0]
            part = min(owed, lot.left)
            owed, lot.left = difference(owed, part), difference(lot.left, part)
            taken.append(Taken(lot.entry, part))
            if lot.left == 0:
                self._lots.popleft()
        self._deficit = total(self._deficit, owed)
        return owed, tuple(taken)

    def _expire(self, day: date) -> None:
        expiry = self._program.expiry
        while expiry and self._lots and self._lots[0].expires is not None and self._lots[0].expires <= day:
            lot = self._lots.popleft()
            self._balance = difference(self._balance, lot.left)
            reason = Reason(
                "expired", How.expired, difference(_ZERO, lot.left), f"earned {lot.earned}, {expiry.described}"
            )
            taken = (Taken(lot.entry, lot.left),)
            self._entries.append(PointsEntry(day, EntryKind.expired, "", reason.value, self._balance, reason, taken))

    def _next_turn(self) -> date | None:
        """The next day on which something changes by itself: a lot expires, or something earned no longer counts."""
        expires = self._lots[0].expires if self._lots else None
        leaves = self._ladder.next_leaving if self._ladder else None
        return min((day for day in (expires, leaves) if day is not None), default=None)


def _expires_next(lots: tuple[Lot, ...]) -> Expiring | None:
    """The lots of the first day on which any expires; they are the first, as all live equally long."""
    if not lots or lots[0].expires is None:
        return None
    day, points = lots[0].expires, _ZERO
    for lot in lots:
        if lot.expires != day:
            break
        points = total(points, lot.points)
    return Expiring(day, points)
