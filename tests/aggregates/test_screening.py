from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from engine.aggregates.screening import SENTENCES, screened
from engine.facts import Grain
from engine.store.registry import TERMS


def terms(**changed: Any) -> pl.DataFrame:
    row = {
        "contract": "C-1",
        "contract_currency": "CNY",
        "valid_from": date(2026, 1, 1),
        "valid_to": date(2026, 12, 1),
        "calendar": "monthly",
        "time_zone": "Asia/Shanghai",
        "products": ["ringtone"],
        "grain": Grain().text,
        "currencies": [],
        "since": -1,
        "phases": None,
    } | changed
    return pl.DataFrame([row], schema=TERMS)


def event(**changed: Any) -> pl.DataFrame:
    row = {
        "seq": 0,
        "contract": "C-1",
        "time": datetime(2026, 10, 3, tzinfo=UTC),
        "product": "ringtone",
        "currency": "CNY",
    } | changed
    return pl.DataFrame(
        [row],
        schema={
            "seq": pl.Int64,
            "contract": pl.String,
            "time": pl.Datetime("us", "UTC"),
            "product": pl.String,
            "currency": pl.String,
        },
    )


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({}, None),
        ({"contract": "C-2"}, "unknown-contract"),
        ({"currency": "USD"}, "currency-mismatch"),
        ({"currency": None}, None),  # usage has none
        ({"product": "game"}, "product-not-covered"),
        ({"product": None}, "product-not-covered"),
        # 2025-12-31 16:00 UTC is midnight of New Year in Shanghai
        ({"time": datetime(2025, 12, 31, 15, 59, 59, tzinfo=UTC)}, "not-in-force"),
        ({"time": datetime(2025, 12, 31, 16, tzinfo=UTC)}, None),
        ({"time": datetime(2026, 11, 30, 15, 59, 59, tzinfo=UTC)}, None),
        ({"time": datetime(2026, 11, 30, 16, tzinfo=UTC)}, "not-in-force"),
    ],
)
def test_an_event_is_judged_by_its_contracts_terms(changed: dict[str, Any], refusal: str | None) -> None:
    assert screened(event(**changed), terms())["refusal"].to_list() == [refusal]


def test_currencies_that_the_rulebook_names_are_accepted_beside_the_contracts() -> None:
    both = terms(currencies=["USD"])
    assert screened(event(currency="USD"), both)["refusal"].to_list() == [None]
    assert screened(event(currency="CNY"), both)["refusal"].to_list() == [None]
    assert screened(event(currency="EUR"), both)["refusal"].to_list() == ["currency-mismatch"]


def test_without_products_and_without_an_end_everything_after_the_beginning_is_accepted() -> None:
    open_terms = terms(products=None, valid_to=None)
    assert screened(event(product=None, time=datetime(2099, 12, 31, tzinfo=UTC)), open_terms)["refusal"].to_list() == [
        None
    ]


def test_a_row_is_judged_by_the_terms_of_its_place_in_the_batch() -> None:
    """Signed at 1, terminated at 3: the same answers as if each message had come in a batch of its own."""
    history = pl.concat([terms(since=1), terms(since=3, valid_to=date(2026, 2, 1))])
    events = pl.concat([event(seq=0), event(seq=2), event(seq=4)])
    assert screened(events, history)["refusal"].to_list() == ["unknown-contract", None, "not-in-force"]


def test_every_code_has_a_sentence_that_says_what_to_do() -> None:
    assert all(";" in sentence for sentence in SENTENCES.values())
