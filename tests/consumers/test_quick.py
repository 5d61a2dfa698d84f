"""The quick way accepts only what the wire's models accept, and reads it as they do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.decode import read_by_models
from consumers.quick import quick
from engine.events import VOLUME, encoded
from tests.consumers.test_decode import BAD, altered
from tests.consumers.test_wire import MESSAGES
from tests.histories import volume


def agrees(raw: bytes) -> bool:
    """Whether the quick way took it; that the models read the same is asserted."""
    event = quick(raw)
    if event is None:
        return False
    assert encoded(event) == encoded(read_by_models(raw))
    assert type(event) is type(read_by_models(raw))
    return True


@pytest.mark.parametrize(
    "raw", [raw for raw in MESSAGES if json.loads(raw)["type"] in VOLUME], ids=lambda raw: json.loads(raw)["type"]
)
def test_usual_messages_of_every_volume_type_go_the_quick_way(raw: bytes) -> None:
    assert agrees(raw)


@given(volume())
def test_histories_are_read_alike(raws: list[bytes]) -> None:
    assert all([agrees(raw) for raw in raws if b"\\" not in raw])


@pytest.mark.parametrize(("raw", "said"), BAD, ids=range(len(BAD)))
def test_what_the_models_refuse_the_quick_way_does_not_take(raw: bytes, said: str) -> None:
    assert quick(raw) is None, said


TIMES = [
    "2026-10-03T08:15:02.123456Z", "2026-10-03T08:15:02.1234567Z", "2026-10-03T08:15:02.9999999Z", "2026-10-03 08:15:02Z",
    "2026-10-03t08:15:02z", "2026-10-03T08:15:02+08:00", "2026-10-03T08:15:02-00:00", "2026-10-03T24:00:00Z",
    "2026-10-03T08:15Z", "2026-10-03T08:15:02,5Z", "1970-01-01T00:00:00+01:00", "2099-12-31T23:59:59-01:00", "1791072902",
    "2026-10-03T08:15:02+0800", "2026-10-03T08:15:02+23:59", "2026-10-03T08:15:60Z", "20261003T081502Z", "2026-10-03",
]  # fmt: skip
NUMBERS = [
    "-0",
    "0",
    "00",
    "1.",
    "0.000001",
    "-1",
    "1e2",
    0,
    -1,
    10**12,
    10**12 - 1,
    -(10**12),
    2.0,
    True,
    "9" * 12,
    "1.5 ",
]
TEXTS = ["", "x" * 256, "x" * 257, "é" * 256, "a\u007fb", "a\u0085b", "a\u2028b", "\ufeff", " ", None, 7, "广东"]
NAMES = ["", "amount", "quantity", "Province", "1a", "a-b", "a" * 64, "a" * 65, "é", "province_2", "a\n"]


@settings(max_examples=400)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "time": st.sampled_from(TIMES),
            "id": st.sampled_from(TEXTS),
            "source": st.sampled_from([*TEXTS, "tantieme", "tantieme/command", "tantieme-eu"]),
            "subject": st.sampled_from(TEXTS),
            "datacontenttype": st.sampled_from(["application/json", "text/json", None]),
            "type": st.sampled_from([*VOLUME, "contract.signed"]),
            "data/amount": st.sampled_from(NUMBERS),
            "data/quantity": st.sampled_from([*NUMBERS, None]),
            "data/meter": st.sampled_from(["sms", ...]),
            "data/refunds": st.sampled_from(["e1", None, ...]),
            "data/charged_at": st.sampled_from([*TIMES, None, ...]),
            "data/product": st.sampled_from(TEXTS),
            "data/currency": st.sampled_from(["CNY", "USD", "cny", "XXX", ""]),
            "data/attributes": st.dictionaries(st.sampled_from(NAMES), st.sampled_from(TEXTS), max_size=2),
            "data/amounts": st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NUMBERS), max_size=2),
        },
    ),
    st.booleans(),
)
def test_odd_messages_are_read_alike_or_left_to_the_models(changes: dict[str, Any], ascii_only: bool) -> None:
    message = json.loads(altered("data/attributes", {}))
    for path, value in changes.items():
        place = message["data"] if path.startswith("data/") else message
        name = path.removeprefix("data/")
        if value is ...:
            place.pop(name, None)
        else:
            place[name] = value
    agrees(json.dumps(message, ensure_ascii=ascii_only).encode())


@given(st.binary(max_size=300))
def test_bytes_never_raise(raw: bytes) -> None:
    agrees(raw)


def test_a_repeated_key_means_the_same_both_ways() -> None:
    raw = altered("data/amount", "1")
    assert agrees(raw.replace(b'"amount": "1"', b'"amount": "2", "amount": "1"'))


@pytest.mark.parametrize("name", ["amount", "quantity"])
def test_a_further_amount_under_a_name_of_the_messages_own_is_left_to_the_models(name: str) -> None:
    assert agrees(altered("data/amounts", {"amounts": "1"}))
    assert quick(altered("data/amounts", {name: "1"})) is None
