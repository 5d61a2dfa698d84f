from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts import PRIMARY_FIELD
from engine.period import located
from engine.projections import facts as projection
from engine.projections.columns import columns
from engine.projections.facts import KEY, fold
from tests.histories import CONTRACTS, event_of, volume

TERMS = pl.DataFrame(
    {
        "contract": CONTRACTS,
        "calendar": ["monthly", "weekly", "quarterly"],
        "time_zone": ["Asia/Shanghai", "UTC", "America/New_York"],
        "grain": [["province"], [], ["meter", "product"]],
    }
)


def folded(raws: list[bytes]) -> pl.DataFrame:
    events, further = columns(range(len(raws)), [event_of(raw) for raw in raws], {"province", "meter", "product"})
    return fold(located(events.join(TERMS, on="contract", maintain_order="left")), further).sort(KEY)


def rows(facts: pl.DataFrame) -> list[tuple[Any, ...]]:
    return facts.sort(KEY).rows()


@settings(max_examples=60)
@given(volume(), st.randoms(use_true_random=False), st.integers(1, 7))
def test_facts_of_parts_in_any_order_merge_to_the_facts_of_the_whole(raws: list[bytes], random: Any, size: int) -> None:
    whole = folded(raws)
    shuffled = list(raws)
    random.shuffle(shuffled)
    parts = [folded(shuffled[at : at + size]) for at in range(0, len(shuffled), size)]
    random.shuffle(parts)
    together = projection.merged(pl.concat(parts)) if parts else whole
    assert rows(together) == rows(whole)


@settings(max_examples=60)
@given(volume())
def test_the_fold_in_columns_equals_one_written_row_by_row(raws: list[bytes]) -> None:
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    terms = {row["contract"]: row for row in TERMS.iter_rows(named=True)}
    for raw in raws:
        event = event_of(raw)
        term = terms[event.contract]
        place = pl.DataFrame({"time": [event.time], "time_zone": [term["time_zone"]], "calendar": [term["calendar"]]})
        period = located(place)["period"][0]
        known = {"product": event.product, "meter": event.meter} | (event.attributes or {})
        dimensions = msgspec.json.encode({name: known.get(name) for name in sorted(term["grain"])}).decode()
        numbers = {"amount": event.amount, "quantity": event.quantity} | (event.amounts or {})
        for field, value in numbers.items():
            if value is not None:
                entry = sums[event.contract, period, event.NAME, field, dimensions]
                entry[0] += 1
                entry[1] += value
    by_row = sorted((*key, events, value) for key, (events, value) in sums.items())
    assert sorted(folded(raws).rows()) == by_row


@given(volume())
def test_the_primary_field_of_its_type_counts_every_event_once(raws: list[bytes]) -> None:
    primary = [
        (row["events"]) for row in folded(raws).iter_rows(named=True) if PRIMARY_FIELD[row["event"]] == row["field"]
    ]
    assert sum(primary) == len(raws)


facts = st.lists(
    st.tuples(
        st.sampled_from(["C-1", "C-2"]),
        st.sampled_from([date(2026, 9, 1), date(2026, 10, 1)]),
        st.sampled_from(["billing.charged", "usage.recorded"]),
        st.sampled_from(["amount", "quantity"]),
        st.sampled_from(["{}", '{"province":"GD"}', '{"province":null}']),
        st.integers(0, 100),
        st.integers(-(10**18), 10**18),
    )
).map(lambda made: pl.DataFrame(made, schema=projection.FACTS, orient="row"))


@settings(max_examples=60)
@given(facts, facts, facts)
def test_merging_is_associative_and_commutative(a: pl.DataFrame, b: pl.DataFrame, c: pl.DataFrame) -> None:
    def merge(*parts: pl.DataFrame) -> pl.DataFrame:
        return projection.merged(pl.concat(parts))

    assert rows(merge(merge(a, b), c)) == rows(merge(a, merge(b, c))) == rows(merge(c, b, a))


def test_sums_go_past_64_bits_without_wrapping() -> None:
    largest = 999_999_999_999_999_999
    events = pl.DataFrame(
        {
            "seq": range(20),
            "event": "billing.charged",
            "contract": "C-2",
            "amount": largest,
            "period": date(2026, 10, 1),
        }
    ).with_columns(
        pl.lit(None, dtype=pl.Int64).alias("quantity"),
        pl.lit(pl.Series([[]], dtype=pl.List(pl.String))).first().alias("grain"),
    )
    facts = fold(events, projection.FURTHER.to_frame())
    assert facts["value"].to_list() == [20 * largest]
    assert Decimal(20 * largest) > 2**63
