"""What an outsider may send: each ends as one of four with a sentence that can be kept and shown, and the intake goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.decode import MESSAGE_BYTES_MAX, decode
from consumers.files import ingest_file
from consumers.kafka_producer import key_of
from engine.settlement.recording import Message, Readable, Slice, record
from engine.store import suspense
from engine.store.database import Store
from engine.store.intake import Counts
from tests.consumers.test_decode import GOOD, altered
from tests.histories import charged, message, registered, signed
from tests.settlement.test_recording import CHANNEL, NOW, RULEBOOK, clock, kept, published, store, take

__all__ = ["store"]

GOOD_RAW = json.dumps(GOOD).encode()
BINARY = {f"ce_{key}": value.encode() for key, value in GOOD.items() if key != "data"}
DEEP = b"[" * 100_000
# Deeper than readers go, and sound.
NESTED = b"[" * 5_000 + b"]" * 5_000


def stated(path: str, token: bytes) -> bytes:
    """The good message with a token in the place of a value, as no JSON writer would put it."""
    return altered(path, "@").replace(b'"@"', token)


# By what they are: bytes, and headers where they come in binary mode.
REJECTED: dict[str, tuple[bytes, dict[str, bytes] | None]] = {
    "deep": (DEEP, None),
    "deep in a field": (b'{"a":' * 100_000, None),
    "deep and personal": (b'{"iban":' + DEEP, None),
    "deep, sound and personal": (b'{"iban":' + NESTED + b"}", None),
    "deep data": (stated("data/attributes", NESTED), None),
    "deep subject": (stated("subject", NESTED), None),
    "deep in binary mode": (b'{"a":' + DEEP, BINARY),
    "deep and sound in binary mode": (b'{"a":' + NESTED + b"}", BINARY),
    "deep and personal in binary mode": (b'{"iban":' + DEEP, BINARY),
    "10,000 digits": (stated("data/amount", b"9" * 10_000), None),
    "10,000 digits in binary mode": (b'{"amount":' + b"9" * 10_000 + b"}", BINARY),
    "1e999": (stated("data/amount", b"1e999"), None),
    "NaN": (stated("data/amount", b"NaN"), None),
    "-Infinity as time": (stated("time", b"-Infinity"), None),
    "negative zero": (altered("data/amount", "-0.00"), None),
    "NUL in a name": (altered("a\0b", 1), None),
    "NUL in a name of data": (altered("data/a\0b", 1), None),
    "NUL in a name of attributes": (altered("data/attributes", {"a\0b": 7}), None),
    "NUL in a header's name": (b"{}", BINARY | {"ce_a\0b": b"x"}),
    "a terminal's escapes in a name": (altered("data/attributes", {"\x1b[2J\x9b31m": "x"}), None),
    "a name turned round": (altered("data/attributes", {"\u202ecba": "x"}), None),
    "a name of 900,000 characters": (altered("data/attributes", {"k" * 900_000: 7}), None),
    "a lone surrogate as a name": (altered("\ud800", 1), None),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD_RAW, None),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), None),
    "Latin-1": (GOOD_RAW.replace(b"ringtone", b"caf\xe9"), None),
    "a header that is no text": (json.dumps(GOOD["data"]).encode(), BINARY | {"ce_id": b"\xff"}),
    "a leap second": (altered("time", "2026-12-31T23:59:60Z"), None),
    "year 1": (altered("time", "0001-01-01T00:00:00+23:59"), None),
    "year 9999": (altered("time", "9999-12-31T23:59:59-23:59"), None),
    "too large": (b"[" * (MESSAGE_BYTES_MAX + 1), None),
    "no value": (b"", None),
}


@pytest.mark.parametrize(("raw", "headers"), REJECTED.values(), ids=REJECTED)
def test_it_is_rejected_with_a_sentence_and_its_neighbours_are_recorded(
    store: Store, raw: bytes, headers: dict[str, bytes] | None
) -> None:
    take(store, registered(), signed(), published())
    found = [decode(charged("1")), decode(raw, headers), decode(charged("2"))]
    batch = [Message(CHANNEL, 0, at, headers, each) for at, each in enumerate(found)]
    assert record(store, [Slice(CHANNEL, 0, None, 3)], batch, NOW).counts == Counts(recorded=2, rejected=1)
    with store.reading() as cursor:
        (entry,) = suspense.entries(cursor, states=("rejected",))
    assert speaks(entry.sentence)


def speaks(sentence: str) -> bool:
    """Whether a sentence can be kept, shown on a terminal as it is, and sent in a header."""
    return 10 < len(sentence) < 1_500 and sentence.isprintable()


names = st.text(max_size=300) | st.sampled_from(["data", "amounts", "attributes", "a\0", "\x1b[2J", "\u2028"])


@given(names, names, st.sampled_from([7, "x", None, [], {"a": 1}, "\0", "\x9b"]))
def test_whatever_names_and_values_are_sent_the_sentence_can_be_kept_and_shown(
    name: str, other: str, value: Any
) -> None:
    for said in (
        {name: value},
        {"attributes": {name: value, other: 7}},
        {"amounts": {name: value}},
        {name: {other: value}},
    ):
        raws = [json.dumps(GOOD | {"data": GOOD["data"] | said}).encode(), json.dumps(GOOD | said).encode()]
        for found in [decode(raw) for raw in raws] + [decode(json.dumps(said).encode(), BINARY)]:
            assert isinstance(found, Readable) or speaks(found.cause), found.cause


def test_a_rulebooks_name_that_cannot_be_kept_does_not_stop_the_intake(store: Store) -> None:
    text = RULEBOOK.format(version=1, month=1, dimensions="")
    for number, key in enumerate(['"a\\0b"', '"\\ud800"', '"\\e[2J"', "k" * 200_000]):
        for place in (f"{text}{key}: 1\n", text.replace("half_up", f"half_up, {key}: 1")):
            said = {"rulebook": "simple", "version": 1, "text": place}
            assert take(store, message("rulebook.published", f"{number}{len(place)}", said)).suspended == 1
    assert {code for _, code in kept(store)} == {"rulebook-invalid"}
    with store.reading() as cursor:
        assert all(speaks(each.sentence) for each in suspense.entries(cursor))


def test_a_header_whose_name_cannot_be_kept_does_not_stop_the_intake(store: Store) -> None:
    headers = {"a\0b": b"x", "\x1b[2J": b"y"}
    rejected = Message(CHANNEL, 0, 0, headers, decode(b"no message", headers))
    assert record(store, [Slice(CHANNEL, 0, None, 1)], [rejected], NOW).counts == Counts(rejected=1)
    with store.reading() as cursor:
        (entry,) = suspense.entries(cursor, states=("rejected",))
    assert entry.headers == {"a\ufffdb": b"x", "\x1b[2J": b"y"}


def test_produce_sends_it_all_the_same() -> None:
    assert {key_of(raw) for raw, _ in REJECTED.values()} == {None, b"C-17"}


def test_a_file_may_have_any_name(store: Store, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.jsonl")
    Path(path).write_bytes(registered() + b"\r\n" + signed() + b"\r\n")
    assert ingest_file(store, path, clock) == Counts(recorded=2)


def test_ids_that_only_look_alike_are_two_events(store: Store) -> None:
    """As CloudEvents compares them: character by character, whatever Unicode thinks of their likeness."""
    take(store, registered(), signed(), published())
    assert take(store, charged("caf\u00e9"), charged("cafe\u0301"), charged("caf\u00e9 ")) == Counts(recorded=3)


@pytest.mark.parametrize("twice", ["id", "type", "data", "time"])
def test_of_a_name_that_comes_twice_the_last_counts(twice: str) -> None:
    """On the quick way as on the other, so that nobody smuggles past a check what another reader then takes."""
    other = {"id": '"x"', "type": '"usage.recorded"', "data": "{}", "time": '"2020-01-01T00:00:00Z"'}[twice]
    found = decode(b'{"%b": %b, %b' % (twice.encode(), other.encode(), GOOD_RAW[1:]))
    expected = decode(GOOD_RAW)
    assert isinstance(found, Readable)
    assert isinstance(expected, Readable)
    assert found.event == expected.event
