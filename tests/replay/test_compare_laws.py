"""Whatever happened: what a comparison says of closed periods is what restating makes once the version is published, to the cent."""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.period import Period
from engine.rules.check import check
from engine.settlement import closing
from engine.store.database import Store
from replay.archive.reading import Archive
from replay.archive.writing import seal
from replay.compare import Comparison, compare
from replay.restate import Outcome, restate
from tests.histories import registered, signed
from tests.replay import test_audit_laws as shared
from tests.replay import test_restate as histories
from tests.replay.test_restate import MONTHS, NOW, SIMPLE
from tests.settlement import test_chains as chains
from tests.settlement.test_chains import book
from tests.settlement.test_recording import store, take

__all__ = ["store"]

MEASURES = shared.MEASURES + ", refunds: {event: billing.refunded, sum: amount}"
# As test_audit_laws.STEPS, and one that measures by a dimension which the facts may not keep.
WHERE = ", gd: {event: billing.charged, sum: amount, where: {product: ringtone}}"
STEPS = [
    (chains.POOL, MEASURES), (chains.ASSESSED, MEASURES), (SIMPLE % "10%", MEASURES), (chains.GUARANTEE, MEASURES),
    (chains.CLAWBACK % "10%", MEASURES), ("  - {name: payable, amount: sales - 20% * gd, round: half_up}\n", MEASURES + WHERE),
]  # fmt: skip
FROM = ["2026-10-01", "2026-10-15", "2026-11-01", "2026-11-20", "2026-12-01"]
CLOSED = [*(Period.parse(f"2026-W{week}") for week in range(40, 53)), Period.parse("2026-Q4"), *MONTHS[:3]]


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(STEPS),
    st.lists(shared.shared_acts(), min_size=4, max_size=14),
    st.sampled_from(STEPS),
    st.sampled_from(FROM),
    st.integers(0, 40),
    st.booleans(),
)
def test_what_compare_says_is_what_restating_makes(
    store: Store,
    begins: tuple[str, str],
    history: list[tuple[Any, ...]],
    then: tuple[str, str],
    valid_from: str,
    sealed: int,
    archived: bool,
) -> None:
    histories._emptied(store)
    take(store, registered(), registered("P-2"))
    names = ("C-1", "C-2", "C-3")
    take(store, *(signed(name, partner=shared.PARTNERS[name], valid_from="2026-10-01") for name in names))
    take(store, signed("C-W", calendar="weekly", time_zone="America/New_York", valid_from="2026-10-07"))
    take(store, signed("C-Q", partner="P-2", calendar="quarterly", time_zone="Asia/Tokyo", valid_from="2026-10-20"))
    take(store, book(begins[0], measures=begins[1]))
    with tempfile.TemporaryDirectory() as folder:
        world = shared._Shared(store)
        for number, each in enumerate(history):
            world.act(*each)
            if number == sealed:
                seal(store, Path(folder))
        every = (*names, "C-W", "C-Q")
        take(store, *(chains.charge(f"{name}/{n}", f"{n}7.77", n, name) for n in (10, 11) for name in every))
        for period in CLOSED:
            closing.close(store, period, NOW)
        restate(store, NOW)
        raw = book(then[0], measures=then[1], version=world.versions + 1, valid_from=valid_from)
        archive = Archive(folder)
        found = _compared(store, raw, archive if archived and archive.seals else None)
    assert take(store, histories.approved(raw, "last")).recorded == 1
    done = restate(store, NOW)
    refused = {(each.contract, each.period) for each in done.refused}
    assert _adjusted(done, refused) == _moved(found, refused)


def _compared(store: Store, raw: bytes, archive: Archive | None) -> Comparison:
    text = json.loads(raw)["data"]["text"]
    sound = check(text, "x").rulebook
    assert sound is not None
    with store.reading() as cursor:
        return compare(cursor, sound, text, archive=archive)


# By contract, period, kind, name and unit.
Amounts = dict[tuple[str, str, str, str, str], Decimal]


def _moved(found: Comparison, refused: set[tuple[str, str]]) -> Amounts:
    rows = found.changed.filter("closed").filter(pl.col("kind").is_in(["payable", "line"])).to_dicts()
    return {
        (row["contract"], row["period"], row["kind"], row["name"], row["unit"]): row["moved"]
        for row in rows
        if row["moved"] and (row["contract"], row["period"]) not in refused
    }


def _adjusted(done: Outcome, refused: set[tuple[str, str]]) -> Amounts:
    found: Amounts = {}
    for each in done.restated:
        key = (each.contract.contract, each.before.period)
        if key in refused:
            continue
        for row in each.adjustment["payable"]:
            found[*key, "payable", "payable", row["currency"]] = Decimal(row["amount"])
        for row in each.adjustment["lines"]:
            found[*key, "line", row["name"], row.get("unit", "CNY")] = Decimal(row["amount"])
    return found
