from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.decode import MESSAGE_BYTES_MAX, decode
from engine.events import BillingCharged, decoded, encoded
from engine.settlement.recording import Readable, Unreadable

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "01K",
    "source": "billing/eu-1",
    "type": "billing.charged",
    "time": "2026-10-03T08:15:02Z",
    "data": {"contract": "C-17", "product": "ringtone", "amount": "2.00", "currency": "CNY", "attributes": {}},
}


def altered(path: str, value: Any) -> bytes:
    """The good message with one field changed, added, or (value ...) taken away."""
    message = json.loads(json.dumps(GOOD))
    *folders, name = path.split("/")
    place = message
    for folder in folders:
        place = place.setdefault(folder, {})
    if value is ...:
        del place[name]
    else:
        place[name] = value
    return json.dumps(message).encode()


def test_a_good_message_becomes_its_event() -> None:
    arrival = decode(altered("data/quantity", 3))
    assert isinstance(arrival, Readable)
    assert arrival.event == BillingCharged(
        source="billing/eu-1", id="01K", time=datetime(2026, 10, 3, 8, 15, 2, tzinfo=UTC), contract="C-17",
        product="ringtone", amount=2_000_000, quantity=3_000_000, currency="CNY",
    )  # fmt: skip
    assert decoded("billing.charged", arrival.state) == arrival.event


# Each: what is wrong, and what the sentence must say.
BAD: list[tuple[bytes, str]] = [
    (b'{"specversion":"1.0","id":"01K"', "not JSON"),
    (b"", "not JSON"),
    (b"[1]", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b'{"id": NaN}', "type is missing"),
    (b"\xff\xfe{}", "not JSON"),
    (b"[" * 100_000, "not JSON: recursion limit"),
    (json.dumps(GOOD).encode() + b"x", "not JSON"),
    (altered("specversion", "0.3"), "specversion"),
    (altered("id", ...), "id: is missing"),
    (altered("id", ""), "id"),
    (altered("id", "x" * 10_000), "id: the text is longer than 256 characters"),
    (altered("id", 7), "id"),
    (altered("id", "a\0b"), "id: 'a\\x00b' has a form or a character that is not allowed"),
    (altered("id", "\ud800"), "not JSON"),
    (altered("type", "billing.charge"), "type 'billing.charge' is none that is taken in, such as billing.charged"),
    (altered("type", "statement.closed"), "type 'statement.closed' is none that is taken in"),
    (altered("time", "2026-10-03T08:15:02"), "time: the time has no zone"),
    (altered("time", "0001-01-01T00:00:00Z"), "time: should be greater than or equal to 1970"),
    (altered("time", "0001-01-01T00:00:00+14:00"), "time: should be greater than or equal to 1970"),
    (altered("time", "9999-12-31T23:59:59-14:00"), "time: should be less than 2100"),
    (altered("time", "9999-12-31T23:59:59Z"), "time: should be less than 2100"),
    (altered("time", "yesterday"), "time"),
    (altered("time", 1_700_000_000), "time"),
    (altered("data/amount", 2.5), "data.amount: 2.5 is not a decimal text"),
    (altered("data/amount", "NaN"), "data.amount: 'NaN' is not a decimal text"),
    (altered("data/amount", float("nan")), "data.amount"),
    (altered("data/amount", "Infinity"), "data.amount"),
    (altered("data/amount", "9" * 40), "data.amount"),
    (altered("data/amount", "1.0000001"), "data.amount"),
    (altered("data/amount", "-2.00"), "send billing.refunded"),
    (altered("data/amount", 10**12), "data.amount"),
    (altered("data/amount", True), "data.amount"),  # noqa: FBT003
    (altered("data/amounts", {"discount": "x"}), "data.amounts.discount"),
    (altered("data/amounts", {"Dis count": "1"}), "data.amounts"),
    (altered("data/currency", "XXZ"), "data.currency: 'XXZ' is not a currency of ISO 4217"),
    (altered("data/prodct", "x"), "data.prodct: unknown field"),
    (altered("colour", "x"), "colour: unknown field"),
    (altered("data/attributes", {"province": 7}), "data.attributes.province"),
    (altered("data/attributes", {"province": None}), "data.attributes.province"),
    (altered("data/attributes", {f"a{i}": "x" for i in range(33)}), "data.attributes"),
    (altered("data", "text"), "data"),
    (b" " * (MESSAGE_BYTES_MAX + 1), "at most 1,048,576"),
    (b"x" * 5_000_000, "the message has 5,000,000 bytes"),
]


@pytest.mark.parametrize(("raw", "said"), BAD, ids=range(len(BAD)))
def test_a_bad_message_is_unreadable_and_says_why(raw: bytes, said: str) -> None:
    found = decode(raw)
    assert isinstance(found, Unreadable)
    assert said in found.cause
    assert len(found.cause) < 1_500


def test_a_tombstone_is_unreadable() -> None:
    assert isinstance(decode(None), Unreadable)


@given(st.binary(max_size=200))
def test_decode_never_raises_on_bytes(raw: bytes) -> None:
    decode(raw)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_decode_never_raises_on_json_in_any_field(value: Any) -> None:
    for field in ("id", "type", "time", "data", "data/amount", "data/attributes", "data/amounts", "data/product"):
        decode(altered(field, value))


@given(
    st.binary(max_size=50),
    st.dictionaries(st.sampled_from(["ce_type", "ce_id", "ce_data", "x"]), st.binary(max_size=9)),
)
def test_decode_never_raises_on_headers(raw: bytes, headers: dict[str, bytes]) -> None:
    decode(raw, headers)


def test_binary_mode_means_the_same_as_structured_mode() -> None:
    headers = {f"ce_{key}": value.encode() for key, value in GOOD.items() if key != "data"}
    binary = decode(json.dumps(GOOD["data"]).encode(), headers | {"content-type": b"application/json"})
    structured = decode(json.dumps(GOOD).encode())
    assert isinstance(binary, Readable)
    assert isinstance(structured, Readable)
    assert (binary.identity, binary.content) == (structured.identity, structured.content)


@pytest.mark.parametrize(
    "body",
    [b'{"contract":"C-1"},"source":"somebody else"', b"{}}", b"", b"{} {}", b"\xff", b'{"contract":"C-1"}, "id":"x"'],
)
def test_data_in_binary_mode_cannot_reach_out_of_itself(body: bytes) -> None:
    headers = {f"ce_{key}": value.encode() for key, value in GOOD.items() if key != "data"}
    found = decode(body, headers)
    assert isinstance(found, Unreadable)
    assert "the data is not JSON" in found.cause


@pytest.mark.parametrize(
    "same",
    [
        json.dumps(GOOD, indent=3, sort_keys=True).encode(),
        altered("time", "2026-10-03T16:15:02+08:00"),
        altered("data/amount", "2"),
        altered("data/amount", 2),
        altered("data/attributes", ...),
        altered("datacontenttype", "application/json"),
    ],
)
def test_the_same_event_laid_out_otherwise_has_the_same_content(same: bytes) -> None:
    first, second = decode(json.dumps(GOOD).encode()), decode(same)
    assert isinstance(first, Readable)
    assert isinstance(second, Readable)
    assert (first.identity, first.content) == (second.identity, second.content)


@pytest.mark.parametrize("path", ["data/amount", "data/contract", "data/product", "time"])
def test_any_change_of_an_event_is_another_content(path: str) -> None:
    other = decode(altered(path, {"data/amount": "2.01", "time": "2026-10-03T08:15:03Z"}.get(path, "other")))
    first = decode(json.dumps(GOOD).encode())
    assert isinstance(first, Readable)
    assert isinstance(other, Readable)
    assert first.identity == other.identity
    assert first.content != other.content


def test_the_order_of_attributes_does_not_matter() -> None:
    a, b = (decode(altered("data/attributes", d)) for d in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}))
    assert isinstance(a, Readable)
    assert isinstance(b, Readable)
    assert a.content == b.content


def test_an_event_is_stored_as_readable_json() -> None:
    arrival = decode(json.dumps(GOOD).encode())
    assert isinstance(arrival, Readable)
    assert json.loads(encoded(arrival.event)) == {
        "source": "billing/eu-1", "id": "01K", "time": "2026-10-03T08:15:02Z", "contract": "C-17",
        "product": "ringtone", "amount": 2000000, "currency": "CNY",
    }  # fmt: skip
