from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.period import YEAR_END, YEAR_MIN, Calendar, Period, UnreadablePeriod, day_in, located

days = st.dates(date(1970, 1, 1), date(2099, 12, 31))
calendars = st.sampled_from(Calendar)
ZONES = ["UTC", "America/New_York", "Asia/Shanghai", "Asia/Kolkata", "Pacific/Apia", "Europe/London", "Africa/Monrovia"]


# About when clocks are changed: on the hour; over a whole day; and within an hour, once from a minute past midnight back to the day before.
CHANGES = [
    datetime(2026, 3, 8, 7), datetime(2026, 11, 1, 6), datetime(2026, 3, 29, 1), datetime(2011, 12, 30, 10), datetime(1972, 1, 7),
    datetime(2010, 11, 7, 2, 31),
]  # fmt: skip
about_changes = st.builds(
    lambda at, off: at + timedelta(seconds=off), st.sampled_from(CHANGES), st.integers(-90_000, 90_000)
)


@given(
    about_changes | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from([*ZONES, "America/St_Johns"]),
)
@example(datetime(2010, 11, 7, 2, 40), "America/St_Johns")
def test_one_instant_falls_on_the_day_on_which_it_falls_among_many(naive: datetime, zone: str) -> None:
    instant = naive.replace(tzinfo=UTC)
    rows = pl.DataFrame({"time": [instant], "time_zone": [zone], "calendar": ["monthly"]})
    assert day_in(zone, instant) == located(rows)["day"][0]


@given(days, calendars)
def test_every_day_lies_in_exactly_one_period(day: date, calendar: Calendar) -> None:
    period = Period.containing(day, calendar)
    assert day in period
    assert day not in period.next()
    assert period.end == period.next().first


@given(days, calendars)
def test_a_period_is_read_as_it_is_written(day: date, calendar: Calendar) -> None:
    period = Period.containing(day, calendar)
    assert Period.parse(str(period)) == period


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("2017-03", "2017-03-01", "2017-04-01"),
        ("2017-12", "2017-12-01", "2018-01-01"),
        ("2017-W09", "2017-02-27", "2017-03-06"),
        ("2020-W53", "2020-12-28", "2021-01-04"),
        ("2017-Q1", "2017-01-01", "2017-04-01"),
        ("2017", "2017-01-01", "2018-01-01"),
    ],
)
def test_periods_are_half_open(text: str, first: str, end: str) -> None:
    period = Period.parse(text)
    assert (period.first.isoformat(), period.end.isoformat()) == (first, end)


@pytest.mark.parametrize(
    "text", ["", "2017-13", "2017-W54", "2017-Q5", "17-03", "2017-3", "2017-03-01", "0000", "9999-12", "٢٠١٧"]
)
def test_what_names_no_period_is_refused(text: str) -> None:
    with pytest.raises(UnreadablePeriod):
        Period.parse(text)


@settings(max_examples=200)
@given(
    st.datetimes(datetime(YEAR_MIN, 1, 2), datetime(YEAR_END - 1, 12, 30)), st.sampled_from(ZONES), calendars
)  # fmt: skip
def test_an_instant_falls_on_its_day_in_the_contracts_zone(naive: datetime, zone: str, calendar: Calendar) -> None:
    """Polars carries a zone database of its own; Python's must agree with it on every day we settle."""
    time = naive.replace(tzinfo=UTC, microsecond=0)
    rows = pl.DataFrame({"time": [time], "time_zone": [zone], "calendar": [str(calendar)]}).cast(
        {"time": pl.Datetime("us", "UTC")}
    )
    row = located(rows).row(0, named=True)
    local = time.astimezone(ZoneInfo(zone)).date()
    assert row["day"] == local
    assert row["period"] == Period.containing(local, calendar).first


def test_midnight_in_the_contracts_zone_begins_the_period() -> None:
    new_year = datetime(2017, 1, 1, 5, tzinfo=UTC)  # midnight in New York
    rows = pl.DataFrame(
        {
            "time": [new_year - timedelta(seconds=1), new_year],
            "time_zone": ["America/New_York"] * 2,
            "calendar": ["monthly"] * 2,
        }
    )
    assert located(rows)["period"].to_list() == [date(2016, 12, 1), date(2017, 1, 1)]
