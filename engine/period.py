"""Settlement periods: half-open runs of days in a contract's calendar.

A period is made of days, and a day belongs to a time zone: which day an instant falls on is decided in one place,
`located`, by the contract's time zone.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import polars as pl

# Polars, which decides what day it is in a time zone, knows the changes of clocks up to the end of 2099.
YEAR_MIN, YEAR_END = 1970, 2100


class Calendar(StrEnum):
    """How a contract cuts time into periods. Weeks are those of ISO 8601: they begin on Monday."""

    weekly = "weekly"
    monthly = "monthly"
    quarterly = "quarterly"
    yearly = "yearly"


class UnreadablePeriod(ValueError):
    """A text that names no period."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:40]!r} is not a period; write 2017-03, 2017-W09, 2017-Q1 or 2017")


_MONTHS_OF_YEAR = 12
_MONTHS = {Calendar.monthly: 1, Calendar.quarterly: 3, Calendar.yearly: 12}


class Period(NamedTuple):
    """The days from `first` up to, and without, `end`."""

    calendar: Calendar
    first: date
    end: date

    @staticmethod
    def containing(day: date, calendar: Calendar) -> Period:
        if calendar is Calendar.weekly:
            first = day - timedelta(days=day.weekday())
            return Period(calendar, first, first + timedelta(days=7))
        months = _MONTHS[calendar]
        first = date(day.year, (day.month - 1) // months * months + 1, 1)
        return Period(calendar, first, _months_later(first, months))

    @staticmethod
    def parse(text: str) -> Period:
        """Reads 2017-03, 2017-W09, 2017-Q1 or 2017; raises UnreadablePeriod."""
        try:
            if re.fullmatch(r"\d{4}-\d{2}", text, re.ASCII):
                return Period.containing(date(int(text[:4]), int(text[5:]), 1), Calendar.monthly)
            if re.fullmatch(r"\d{4}-W\d{2}", text, re.ASCII):
                monday = date.fromisocalendar(int(text[:4]), int(text[6:]), 1)
                return Period.containing(monday, Calendar.weekly)
            if re.fullmatch(r"\d{4}-Q[1-4]", text, re.ASCII):
                return Period.containing(date(int(text[:4]), 3 * int(text[6]) - 2, 1), Calendar.quarterly)
            if re.fullmatch(r"\d{4}", text, re.ASCII):
                return Period.containing(date(int(text), 1, 1), Calendar.yearly)
        except (ValueError, OverflowError):
            pass
        raise UnreadablePeriod(text)

    def next(self) -> Period:
        return Period.containing(self.end, self.calendar)

    def previous(self) -> Period:
        return Period.containing(self.first - timedelta(days=1), self.calendar)

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day < self.end

    def __str__(self) -> str:
        match self.calendar:
            case Calendar.weekly:
                year, week, _ = self.first.isocalendar()
                return f"{year:04}-W{week:02}"
            case Calendar.monthly:
                return f"{self.first.year:04}-{self.first.month:02}"
            case Calendar.quarterly:
                return f"{self.first.year:04}-Q{(self.first.month + 2) // 3}"
            case Calendar.yearly:
                return f"{self.first.year:04}"


def _months_later(first: date, months: int) -> date:
    month = first.month - 1 + months
    return date(first.year + month // 12, month % 12 + 1, 1)


def months_after(day: date, months: int) -> date | None:
    """The same day so many months later, or the last one of a shorter month: one month after 31 January is 28 February.

    None past the end of the calendar.
    """
    years, month = divmod(day.month - 1 + months, _MONTHS_OF_YEAR)
    year = day.year + years
    if year > MAXYEAR:
        return None
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def day_in(time_zone: str, instant: datetime) -> date:
    """The day on which the instant (UTC) falls in the time zone."""
    if not MINYEAR < instant.year < MAXYEAR:
        return _day_in(time_zone, instant)
    ahead = _ahead(time_zone, instant.replace(minute=0, second=0, microsecond=0))
    return _day_in(time_zone, instant) if ahead is None else (instant + ahead).date()


def _day_in(time_zone: str, instant: datetime) -> date:
    found: date = located(
        pl.DataFrame({"time": [instant], "time_zone": [time_zone], "calendar": ["monthly"]}, schema_overrides=_INSTANT)
    )["day"][0]
    return found


@lru_cache(maxsize=10_000)
def _ahead(time_zone: str, hour: datetime) -> timedelta | None:
    """How far the zone's clock is ahead of UTC in the hour that begins then; None where that changes in it.

    Asked for each of thousands of events, Polars would take longer than all else that is done with them. No clock is changed
    twice within an hour.
    """
    ends = pl.Series([hour, hour + _HOUR], dtype=pl.Datetime("us", "UTC"))
    clock = ends.dt.convert_time_zone(time_zone).dt.replace_time_zone(None)
    first, last = (
        shown.replace(tzinfo=UTC) - instant for shown, instant in zip(clock, (hour, hour + _HOUR), strict=True)
    )
    return first if first == last else None


_HOUR = timedelta(hours=1)


def noon(time_zone: str, day: date) -> datetime:
    """An instant (UTC) that falls on the day in the time zone."""
    local = pl.Series([datetime(day.year, day.month, day.day, 12)], dtype=pl.Datetime("us"))  # noqa: DTZ001 - set next
    found: datetime = local.dt.replace_time_zone(time_zone).dt.convert_time_zone("UTC").dt.replace_time_zone(None)[0]
    return found.replace(tzinfo=UTC)


_INSTANT = {"time": pl.Datetime("us", "UTC")}


def located(events: pl.DataFrame) -> pl.DataFrame:
    """Adds `day`, on which `time` falls in the row's `time_zone`, and `period`, its first day in the row's `calendar`.

    `events` has time (UTC), time_zone and calendar; rows without them get nulls. The only place where instants become days. Polars carries the IANA database, so no machine's own one is asked.
    """
    zones = events["time_zone"].drop_nulls().unique().sort().to_list()
    days = [
        pl.when(pl.col("time_zone") == zone).then(pl.col("time").dt.convert_time_zone(zone).dt.date()) for zone in zones
    ]
    day = pl.coalesce(*days) if days else pl.lit(None, dtype=pl.Date)
    return events.with_columns(day.alias("day")).with_columns(
        pl.when(pl.col("calendar") == "weekly")
        .then(pl.col("day").dt.truncate("1w"))
        .when(pl.col("calendar") == "monthly")
        .then(pl.col("day").dt.truncate("1mo"))
        .when(pl.col("calendar") == "quarterly")
        .then(pl.col("day").dt.truncate("1q"))
        .when(pl.col("calendar") == "yearly")
        .then(pl.col("day").dt.truncate("1y"))
        .alias("period")
    )
