"""A day of the calendar: periods that are over are closed, and every step of a statement that is due on the day is taken.

Each transaction leaves whole statements closed and whole steps taken. Killed anywhere and run again, it goes on with what is
left; run again after that, it finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import NamedTuple

from consumers.commands import Asked, ask
from consumers.suspense import recycle_all, recycle_ripe
from engine.aggregates.refusal import Refused, TimeAhead
from engine.period import Period, day_in
from engine.settlement import calendar, closing, scoring
from engine.settlement.calendar import Step, ToPay, Waits
from engine.settlement.recording import CommandRefused
from engine.store.database import Store

STEPS_A_TRANSACTION = 200
# Where a day begins first.
_EASTERNMOST = "Pacific/Kiritimati"

Clock = Callable[[], datetime]


class DayNotCome(CommandRefused):
    """A day that has begun nowhere."""

    def __init__(self, day: date, today: date) -> None:
        super().__init__("day-not-come", f"{day} has not come yet, it is {today} at the most; run it then")


class Done(NamedTuple):
    """What the day did: how many statements of each period were closed, and the steps taken; what waits, and what is to be paid."""

    day: date
    closed: dict[str, int]
    steps: tuple[Step, ...]
    waits: tuple[Waits, ...]
    to_pay: tuple[ToPay, ...]


def run_day(
    store: Store, day: date, author: str, clock: Clock, progress: Callable[[str, int, int], None] = lambda *_: None
) -> Done:
    """Takes what is due on the day, and says what is not for it to take. Raises DayNotCome.

    `progress` is told what is done, and how many of how many.
    """
    today = day_in(_EASTERNMOST, clock())
    if day > today:
        raise DayNotCome(day, today)
    with store.reading() as cursor:
        periods = calendar.over(cursor, day)
    closed: dict[str, int] = {}
    waits: list[Waits] = []
    for number, period in enumerate(periods):
        progress("close", number, len(periods))
        waits += _close(store, period, clock, closed)
    recycle_ripe(store, clock)
    recycle_all(store, clock, TimeAhead.code)
    taken: list[Step] = []
    refused: dict[_Of, Waits] = {}
    while True:
        with store.reading() as cursor:
            plan = calendar.planned(cursor, day, author)
        steps = [each for each in plan.steps if _of(each) not in refused]
        if not steps:
            break
        for at in range(0, len(steps), STEPS_A_TRANSACTION):
            part = steps[at : at + STEPS_A_TRANSACTION]
            found = _take(store, part, clock)
            refused |= found
            taken += [each for each in part if _of(each) not in found]
            progress("steps", at + len(part), len(steps))
    # What somebody else was quicker to do was refused here too, and is no longer due.
    still = [refused[_of(each)] for each in plan.steps]
    return Done(day, closed, tuple(taken), (*waits, *plan.waits, *still), tuple(plan.to_pay))


def _close(store: Store, period: Period, clock: Clock, closed: dict[str, int]) -> list[Waits]:
    """Closes the period as settle close does; returns what could not be."""
    try:
        done = closing.close(store, period, clock())
    except Refused as refusal:
        return [Waits("", str(period), refusal.code, str(refusal))]
    if done.closed:
        closed[str(period)] = done.closed
    scoring.reassess(store, period, clock())
    return [Waits(each.contract, str(period), each.code, each.sentence) for each in done.refused]


def _take(store: Store, steps: list[Step], clock: Clock) -> dict[_Of, Waits]:
    """Takes the steps, together or, where one of them is refused, one by one; returns those that were."""
    try:
        ask(store, [Asked(*each) for each in steps], clock)
    except CommandRefused as refusal:
        if len(steps) > 1:
            found: dict[_Of, Waits] = {}
            for each in steps:
                found |= _take(store, [each], clock)
            return found
        contract, period, _, _ = of = _of(steps[0])
        return {of: Waits(contract, period, refusal.code, str(refusal))}
    return {}


_Of = tuple[str, str, str | None, str]  # contract, period, agent and step


def _of(step: Step) -> _Of:
    return step.data["contract"], step.data["period"], step.data.get("agent"), step.type
