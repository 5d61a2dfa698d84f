"""Which events pass the gates, in columns, is what going through everything one by one comes to."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from engine.aggregates.standing import FOREVER, GATES, REQUIREMENTS, STANDINGS, stopped

FIRST = date(2026, 10, 1)
EVENTS = pl.Schema(
    {"seq": pl.Int64()}
    | dict.fromkeys(("event", "contract", "partner", "model"), pl.String())
    | {"day": pl.Date()}
    | dict.fromkeys(("product", "region", "content"), pl.String())
)
days = st.integers(0, 4).map(lambda number: FIRST + timedelta(days=number))
ends = st.none() | st.integers(1, 6).map(lambda number: FIRST + timedelta(days=number))
places = st.sampled_from([(-1, FOREVER), (-1, 3), (3, FOREVER), (3, 5), (5, 7), (5, FOREVER), (2, 4)])
few = st.sampled_from
gates = few(["qualification", "service"])
keys = few(["", "licence"])


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for seq in range(draw(st.integers(0, 8))):
        contract = draw(few(["C-1", "C-2"]))
        rows.append(
            {"seq": seq, "event": "billing.charged", "contract": contract, "partner": f"P-{contract}", "model": "sp",
             "day": draw(days), "product": draw(few([None, "tone"])), "region": draw(few([None, "GD"])), "content": None}
        )  # fmt: skip
    return rows


@st.composite
def requirements(draw: st.DrawFn) -> dict[str, Any]:
    scope = draw(few(["model", "contract"]))
    subject = "sp" if scope == "model" else draw(few(["C-1", "C-2"]))
    since, until = draw(places)
    return {"scope": scope, "subject": subject, "gate": draw(gates), "key": draw(keys), "first": draw(days), "end": draw(ends),
            "since": since, "until": until}  # fmt: skip


@st.composite
def standings(draw: st.DrawFn) -> dict[str, Any]:
    since, until = draw(places)
    return {"gate": draw(gates), "subject": draw(few(["C-1", "C-2", "P-C-1"])), "key": draw(keys),
            "product": draw(few([None, "tone"])), "region": draw(few([None, "GD"])), "first": draw(days), "end": draw(ends),
            "since": since, "until": until}  # fmt: skip


def holds(row: dict[str, Any], event: dict[str, Any]) -> bool:
    on_day = row["first"] <= event["day"] and (row["end"] is None or event["day"] < row["end"])
    return on_day and row["since"] <= event["seq"] < row["until"]


def one_by_one(
    events: list[dict[str, Any]], required: list[dict[str, Any]], standing: list[dict[str, Any]]
) -> list[tuple[int, str, str]]:
    """Each event that is stopped, with the first gate that it does not pass."""
    found = []
    for event in events:
        asked = {
            (GATES.index(each["gate"]), each["key"])
            for each in required
            if each["subject"] == event[each["scope"]] and holds(each, event)
        }
        shut = [
            (gate, key)
            for gate, key in sorted(asked)
            if not any(
                (each["gate"], each["key"]) == (GATES[gate], key)
                and each["subject"] == event["partner" if GATES[gate] == "qualification" else "contract"]
                and holds(each, event)
                and each["product"] in {None, event["product"]}
                and each["region"] in {None, event["region"]}
                for each in standing
            )
        ]
        if shut:
            found.append((event["seq"], GATES[shut[0][0]], shut[0][1]))
    return found


LICENCE = {"gate": "qualification", "key": "licence", "first": FIRST, "end": None}
NEEDED = LICENCE | {"scope": "contract", "subject": "C-1", "since": -1, "until": FOREVER}
HELD = LICENCE | {"subject": "P-C-1", "product": None, "region": None}
CHARGES = [
    {"seq": seq, "event": "billing.charged", "contract": "C-1", "partner": "P-C-1", "model": "sp", "day": FIRST,
     "product": None, "region": None, "content": None}
    for seq in range(8)
]  # fmt: skip


@given(events(), st.lists(requirements(), max_size=6), st.lists(standings(), max_size=12))
@example(CHARGES, [NEEDED], [HELD | {"since": -1, "until": 3}, HELD | {"since": 5, "until": 7}])
@example(
    CHARGES,
    [NEEDED],
    [HELD | {"region": "GD", "since": -1, "until": 8}]
    + [HELD | {"since": since, "until": until} for since, until in ((-1, 3), (5, 7))],
)
@example(CHARGES, [NEEDED], [HELD | {"since": 2, "until": 4}, HELD | {"since": 4, "until": 6}])
@example(CHARGES, [NEEDED | {"since": -1, "until": 2}, NEEDED | {"since": 5, "until": 7}], [])
def test_columns_stop_what_going_through_all_of_it_stops(
    events: list[dict[str, Any]], required: list[dict[str, Any]], standing: list[dict[str, Any]]
) -> None:
    found = stopped(
        pl.DataFrame(events, schema=EVENTS),
        pl.DataFrame(required, schema=REQUIREMENTS),
        pl.DataFrame(standing, schema=STANDINGS),
    )
    assert found.select("seq", "gate", "key").rows() == one_by_one(events, required, standing)
