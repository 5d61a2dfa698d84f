"""Facts of events about partners: which there are, by what they are kept, and that they merge."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import (
    REPORTED,
    CaseAnswered,
    CaseClosed,
    CaseOpened,
    ContentReviewed,
    CountedEvent,
    PointsBurned,
    TrainingCompleted,
)
from engine.facts import PARTNER_DIMENSIONS, PARTNER_FIELDS
from engine.projections.partner_facts import DIMENSIONS, KEY, fold, is_counted, merged

EVENING = datetime(2026, 10, 31, 18, tzinfo=UTC)  # the first of November in Shanghai
ZONES = {"C-1": "UTC", "C-2": "Asia/Shanghai"}
ABOUT: dict[str, Any] = {"source": "test", "id": "1", "time": EVENING, "partner": "P-1"}


def said(event: CountedEvent) -> list[tuple[Any, ...]]:
    """(contract, day, field, dimensions without nulls, events, value)."""
    return sorted(
        (
            row["contract"],
            str(row["day"]),
            row["field"],
            {name: text for name, text in msgspec.json.decode(row["dimensions"]).items() if text is not None},
            row["events"],
            row["value"],
        )
        for row in fold([event], ZONES).iter_rows(named=True)
    )


def test_every_counted_event_has_its_fields_and_dimensions() -> None:
    assert DIMENSIONS.keys() == PARTNER_FIELDS.keys()
    assert all(names == tuple(sorted(names)) and "contract" in names for names in DIMENSIONS.values())
    assert {name for names in DIMENSIONS.values() for name in names} == PARTNER_DIMENSIONS
    for kind, names in DIMENSIONS.items():
        fields = {*REPORTED[kind].__struct_fields__, *vars(REPORTED[kind])}
        assert fields >= set(names) | set(PARTNER_FIELDS[kind][1:])
        assert set(names) == fields & PARTNER_DIMENSIONS, "every dimension that the event has"


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (
            CaseOpened(**ABOUT, case="K", kind="complaint", severity="low"),
            [("", "2026-10-31", "cases", {"kind": "complaint", "severity": "low"}, 1, 1_000_000)],
        ),
        (
            CaseAnswered(**ABOUT, case="K", kind="complaint", contract="C-2", on_time=False, minutes=90_500_000),
            [
                ("C-2", "2026-11-01", "cases", {"contract": "C-2", "kind": "complaint", "on_time": "no"}, 1, 1_000_000),
                (
                    "C-2",
                    "2026-11-01",
                    "minutes",
                    {"contract": "C-2", "kind": "complaint", "on_time": "no"},
                    1,
                    90_500_000,
                ),
            ],
        ),
        (
            CaseClosed(**ABOUT, case="K", kind="failure", contract="C-1", upheld=True, affected=0, late=True),
            [
                (
                    "C-1",
                    "2026-10-31",
                    field,
                    {"contract": "C-1", "kind": "failure", "late": "yes", "upheld": "yes"},
                    1,
                    value,
                )
                for field, value in (("affected", 0), ("cases", 1_000_000))
            ],
        ),
        (
            TrainingCompleted(**ABOUT, course="basics", certificate="7"),
            [("", "2026-10-31", "trainings", {"course": "basics"}, 1, 1_000_000)],
        ),
        (
            ContentReviewed(**ABOUT, content="song", approved=False),
            [("", "2026-10-31", "contents", {"approved": "no"}, 1, 1_000_000)],
        ),
    ],
)
def test_an_event_and_its_facts(event: CountedEvent, facts: list[tuple[Any, ...]]) -> None:
    assert said(event) == facts


def test_absent_dimensions_are_null_and_their_set_is_fixed() -> None:
    found = fold([CaseOpened(**ABOUT, case="K", kind="complaint")], {})
    assert found["dimensions"].to_list() == [
        '{"contract":null,"kind":"complaint","product":null,"service":null,"severity":null}'
    ]


def test_points_are_no_facts() -> None:
    assert not is_counted(PointsBurned(**ABOUT, program="club", points=1, reason="gift"))


events = st.builds(
    CaseAnswered,
    source=st.just("test"),
    id=st.just("1"),
    time=st.datetimes(datetime(2026, 10, 30), datetime(2026, 11, 2), timezones=st.just(UTC)),
    partner=st.sampled_from(["P-1", "P-2"]),
    contract=st.sampled_from([None, *ZONES]),
    case=st.just("K"),
    kind=st.sampled_from(["complaint", "failure"]),
    on_time=st.sampled_from([None, True, False]),
    minutes=st.none() | st.integers(0, 10**18 - 1),
)


@given(st.lists(events), st.integers(1, 4), st.randoms(use_true_random=False))
def test_facts_of_parts_in_any_order_merge_to_the_facts_of_the_whole(
    made: list[CountedEvent], size: int, random: Any
) -> None:
    whole = fold(made, ZONES)
    shuffled = list(made)
    random.shuffle(shuffled)
    parts = [fold(shuffled[at : at + size], ZONES) for at in range(0, len(shuffled), size)]
    together = merged(pl.concat([whole.clear(), *parts]))
    assert together.sort(KEY).rows() == whole.sort(KEY).rows()
    assert sum(whole.filter(pl.col("field") == "cases")["events"]) == len(made)
    assert all(isinstance(day, date) for day in whole["day"])
