from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts import PRIMARY_FIELD, Grain, merging
from engine.language.expression import Binary, Constant, Expression, Extreme, Name, Negation, calculate, parse
from engine.money import Rounding, decimal_of_micros, in_units, round_to
from engine.period import located
from engine.projections import facts as projection
from engine.projections.columns import columns
from engine.projections.facts import KEY, fold
from tests.histories import CONTRACTS, event_of, volume

EACH = "each max(2.99% * amount - discount, quantity / 3, 1.75)"
GRAINS = (
    Grain(
        ("charged_in", "province"),
        (
            ("billing.charged", EACH),
            ("billing.charged", "last amount"),
            ("billing.charged", "max amount"),
            ("billing.refunded", "min discount"),
            ("usage.recorded", "each -quantity * quantity / 7"),
        ),
    ),
    Grain(),
    Grain(("currency", "meter", "product"), (("usage.recorded", "last quantity"), ("usage.recorded", "min quantity"))),
)
TERMS = pl.DataFrame(
    {
        "contract": CONTRACTS,
        "calendar": ["monthly", "weekly", "quarterly"],
        "time_zone": ["Asia/Shanghai", "UTC", "America/New_York"],
        "grain": [grain.text for grain in GRAINS],
    }
)


def folded(raws: list[bytes]) -> pl.DataFrame:
    names = projection.dimensions(TERMS["grain"])
    events, further = columns(range(len(raws)), [event_of(raw) for raw in raws], names)
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


@cache
def period_of(time: datetime, time_zone: str, calendar: str) -> date:
    place = pl.DataFrame({"time": [time], "time_zone": [time_zone], "calendar": [calendar]})
    found: date = located(place)["period"][0]
    return found


def valued(expression: Expression, known: dict[str, Decimal]) -> Decimal:
    """By the reference's own arithmetic, step by step."""
    match expression:
        case Constant(value=value):
            return value
        case Name(text=name):
            return known.get(name, Decimal(0))
        case Negation(operand=operand):
            return -valued(operand, known)
        case Binary(operator=operator, left=left, right=right):
            return calculate(operator, valued(left, known), valued(right, known))
        case Extreme(function=function, operands=operands):
            return {"min": min, "max": max}[function]([valued(operand, known) for operand in operands])


def micros_of_each(text: str, numbers: dict[str, int]) -> int:
    exact = valued(parse(text), {name: decimal_of_micros(number) for name, number in numbers.items()})
    return in_units(round_to(exact, 6, Rounding.half_even), 6)


def by_row(raws: list[bytes]) -> list[tuple[Any, ...]]:
    """The facts of the events, each written down by itself and then put together as `merging` says."""
    parts: dict[tuple[Any, ...], list[tuple[int, int]]] = defaultdict(list)
    terms = {row["contract"]: row for row in TERMS.iter_rows(named=True)}
    for raw in raws:
        event = event_of(raw)
        term = terms[event.contract]
        grain = Grain.of(term["grain"])
        place = term["time_zone"], term["calendar"]
        charged_in = event.charged_at and period_of(event.charged_at, *place).isoformat()
        known = {"product": event.product, "meter": event.meter, "currency": event.currency, "charged_in": charged_in}
        known = (event.attributes or {}) | known
        dimensions = msgspec.json.encode({name: known.get(name) for name in grain.dimensions}).decode()
        numbers = {"amount": event.amount, "quantity": event.quantity} | (event.amounts or {})
        numbers = {name: number for name, number in numbers.items() if number is not None}
        for _, field in [(kind, field) for kind, field in grain.derived if kind == event.NAME]:
            how, _, of = field.partition(" ")
            if how == "each":
                numbers[field] = micros_of_each(of, {k: v for k, v in numbers.items() if " " not in k})
            elif of in numbers:
                numbers[field] = numbers[of]
        at = int(event.time.timestamp()) * 1_000_000
        for field, value in numbers.items():
            key = event.contract, period_of(event.time, *place), event.NAME, field, dimensions
            parts[key].append((at if field.startswith("last ") else 0, value))
    return sorted((*key, len(each), *_together(key[3], each)) for key, each in parts.items())


def _together(field: str, each: list[tuple[int, int]]) -> tuple[int, int]:
    values = [value for _, value in each]
    match merging(field):
        case "max":
            return max(values), 0
        case "min":
            return min(values), 0
        case "last":
            at, value = max(each)
            return value, at
        case _:
            return sum(values), 0


@settings(max_examples=60)
@given(volume())
def test_the_fold_in_columns_equals_one_written_row_by_row(raws: list[bytes]) -> None:
    assert sorted(folded(raws).rows()) == by_row(raws)


@given(volume())
def test_the_primary_field_of_its_type_counts_every_event_once(raws: list[bytes]) -> None:
    primary = [
        row["events"] for row in folded(raws).iter_rows(named=True) if PRIMARY_FIELD[row["event"]] == row["field"]
    ]
    assert sum(primary) == len(raws)


facts = st.lists(
    st.tuples(
        st.sampled_from(["C-1", "C-2"]),
        st.sampled_from([date(2026, 9, 1), date(2026, 10, 1)]),
        st.sampled_from(["billing.charged", "usage.recorded"]),
        st.sampled_from(["amount", "maximum", "max amount", "min amount", "last amount", "each amount * 2"]),
        st.sampled_from(["{}", '{"province":null}']),
        st.integers(0, 100),
        st.integers(-(10**18), 10**18),
        st.integers(0, 3),
    ).map(lambda fact: fact if fact[3] == "last amount" else (*fact[:-1], 0))
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
        pl.lit(Grain().text).alias("grain"),
    )
    facts = fold(events, projection.FURTHER.to_frame())
    assert facts["value"].to_list() == [20 * largest]
    assert Decimal(20 * largest) > 2**63


def test_every_way_of_merging_is_known_to_the_columns() -> None:
    fields = ["amount", "max amount", "min amount", "last amount", "each amount", "maximum", "last"]
    rows = [
        ("C-1", date(2026, 9, 1), "billing.charged", field, "{}", 1, value, 0) for field in fields for value in (1, 2)
    ]
    found = projection.merged(pl.DataFrame(rows, schema=projection.FACTS, orient="row"))
    by_how = {"sum": 3, "max": 2, "min": 1, "last": 2}
    assert dict(found.select("field", "value").rows()) == {field: by_how[merging(field)] for field in fields}
