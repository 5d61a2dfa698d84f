"""How much of the time between two instants is working time, in a contract's time zone, exactly, also where clocks change."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal

import polars as pl

from engine.events import WorkingTime
from engine.period import day_in

_Which = Literal["earliest", "latest"]
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_NONE = timedelta()


def worked(working: WorkingTime, time_zone: str, start: datetime, end: datetime) -> timedelta:
    """The working time from `start` up to `end` (both UTC); none where `end` is not after `start`.

    A stretch of work goes from the first time that the clock shows its beginning to the last time that it shows its end; a
    time that the clock leaps over is the instant of the leap.
    """
    if end <= start:
        return _NONE
    days = tuple(day for day in _days(day_in(time_zone, start), day_in(time_zone, end)) if _is_worked(working, day))
    begins = _instants(time_zone, days, working.begins, "earliest")
    ends = _instants(time_zone, days, working.ends, "latest")
    found, reached = _NONE, start
    for first, last in zip(begins, ends, strict=True):
        first_counted = max(first, reached)
        if (until := min(last, end)) > first_counted:
            found += until - first_counted
            reached = until
    return found


def _days(first: date, last: date) -> list[date]:
    # A day more on either side, for time zones that repeat or leap over days.
    return [first + (number - 1) * _DAY for number in range((last - first).days + 3)]


def _is_worked(working: WorkingTime, day: date) -> bool:
    return day.isoweekday() in working.weekdays and day not in working.holidays


@lru_cache(maxsize=1_000)  # thousands of cases are answered within few days
def _instants(time_zone: str, days: tuple[date, ...], minute: int, which: _Which) -> tuple[datetime, ...]:
    """When the clock shows so many minutes of each of the days; `which` of the times where it does so twice."""
    wanted = [datetime(day.year, day.month, day.day) + minute * _MINUTE for day in days]  # noqa: DTZ001 - of that zone
    found: list[datetime | None] = _located(time_zone, wanted, which)
    missing = [index for index, instant in enumerate(found) if instant is None]
    while missing:
        for index in missing:
            wanted[index] += _MINUTE
        for index, instant in zip(missing, _located(time_zone, [wanted[i] for i in missing], which), strict=True):
            found[index] = instant
        missing = [index for index in missing if found[index] is None]
    return tuple(instant for instant in found if instant is not None)


def _located(time_zone: str, wanted: list[datetime], which: _Which) -> list[datetime | None]:
    series = pl.Series(wanted, dtype=pl.Datetime("us"))
    told = series.dt.replace_time_zone(time_zone, ambiguous=which, non_existent="null")
    return told.dt.convert_time_zone("UTC").to_list()
