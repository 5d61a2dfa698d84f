"""Working time between two instants, also where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.aggregates.working_time import worked
from engine.events import WorkingTime

OFFICE = WorkingTime(begins=540, ends=1_080, weekdays=(1, 2, 3, 4, 5))
ALWAYS = WorkingTime()
NIGHT, EARLY, LATE = (WorkingTime(begins=a, ends=b) for a, b in ((0, 360), (60, 150), (150, 240)))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("working", "zone", "start", "end", "minutes"),
    [
        # Friday 17:00 to Monday 10:00, 9 to 18 o'clock: an hour on each of the two days.
        (OFFICE, "Asia/Shanghai", "2026-10-02T17:00+08:00", "2026-10-05T10:00+08:00", 120),
        # The same where Monday is a holiday, and it ends on Tuesday.
        (WorkingTime(begins=540, ends=1_080, weekdays=(1, 2, 3, 4, 5), holidays=(date(2026, 10, 5),)), "Asia/Shanghai",
         "2026-10-02T17:00+08:00", "2026-10-06T10:00+08:00", 120),
        (OFFICE, "Asia/Shanghai", "2026-10-03T10:00+08:00", "2026-10-04T10:00+08:00", 0),
        (OFFICE, "Asia/Shanghai", "2026-10-02T17:00+08:00", "2026-10-02T16:00+08:00", 0),
        # Clocks go back between Friday and Monday; office hours do not notice.
        (OFFICE, "America/New_York", "2026-10-30T17:00-04:00", "2026-11-02T10:00-05:00", 120),
        # From noon to noon 25 hours, or 23.
        (ALWAYS, "Europe/Berlin", "2026-10-24T12:00+02:00", "2026-10-25T12:00+01:00", 25 * 60),
        (ALWAYS, "Europe/Berlin", "2026-03-28T12:00+01:00", "2026-03-29T12:00+02:00", 23 * 60),
        # Midnight to 6 o'clock has 7 hours, or 5.
        (NIGHT, "Europe/Berlin", "2026-10-24T12:00+02:00", "2026-10-25T12:00+01:00", 7 * 60),
        (NIGHT, "Europe/Berlin", "2026-03-28T12:00+01:00", "2026-03-29T12:00+02:00", 5 * 60),
        # 1:00 to 2:30 ends at the leap from 2:00 to 3:00; 2:30 to 4:00 begins there.
        (EARLY, "Europe/Berlin", "2026-03-28T12:00+01:00", "2026-03-29T12:00+02:00", 60),
        (LATE, "Europe/Berlin", "2026-03-28T12:00+01:00", "2026-03-29T12:00+02:00", 60),
        # Where 2:30 comes twice: until the second, or from the first.
        (EARLY, "Europe/Berlin", "2026-10-24T12:00+02:00", "2026-10-25T12:00+01:00", 150),
        (LATE, "Europe/Berlin", "2026-10-24T12:00+02:00", "2026-10-25T12:00+01:00", 150),
        # Samoa had no 30 December 2011: from Thursday noon to Saturday noon it was 24 hours.
        (ALWAYS, "Pacific/Apia", "2011-12-29T12:00-10:00", "2011-12-31T12:00+14:00", 24 * 60),
        (OFFICE, "Pacific/Apia", "2011-12-29T12:00-10:00", "2011-12-31T12:00+14:00", 6 * 60),
    ],
)  # fmt: skip
def test_working_minutes_by_hand(working: WorkingTime, zone: str, start: str, end: str, minutes: int) -> None:
    assert worked(working, zone, at(start), at(end)) == timedelta(minutes=minutes)


ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe"])
# Around the changes of clocks of those zones.
STARTS = st.sampled_from(["2026-03-27", "2026-10-23", "2026-10-30", "2026-04-03", "2026-10-02"]).flatmap(
    lambda day: st.integers(0, 3 * 1_440).map(
        lambda minute: datetime.fromisoformat(f"{day}T00:00+00:00") + timedelta(minutes=minute)
    )
)
WORKING = st.builds(
    lambda hours, days: WorkingTime(begins=hours[0] * 60, ends=hours[1] * 60, weekdays=tuple(sorted(days))),
    st.sampled_from([(0, 24), (0, 6), (9, 18), (5, 23)]),
    st.sets(st.integers(1, 7), min_size=1),
)


@given(WORKING, ZONES, STARTS, st.integers(0, 2 * 1_440))
@settings(max_examples=25)
def test_it_is_every_minute_of_which_the_clock_says_so(
    working: WorkingTime, zone: str, start: datetime, span: int
) -> None:
    clock = ZoneInfo(zone)
    shown = [(start + timedelta(minutes=number)).astimezone(clock) for number in range(span)]
    counted = [
        each
        for each in shown
        if working.begins <= each.hour * 60 + each.minute < working.ends and each.isoweekday() in working.weekdays
    ]
    assert worked(working, zone, start, start + timedelta(minutes=span)) == timedelta(minutes=len(counted))


@given(WORKING, ZONES, STARTS, st.integers(0, 10**7), st.integers(0, 10**7))
@settings(max_examples=25)
def test_two_stretches_that_meet_add_up(
    working: WorkingTime, zone: str, start: datetime, first: int, second: int
) -> None:
    middle = start + timedelta(seconds=first)
    end = middle + timedelta(seconds=second)
    assert worked(working, zone, start, end) == worked(working, zone, start, middle) + worked(
        working, zone, middle, end
    )
