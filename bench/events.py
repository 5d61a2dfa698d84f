"""The benchmark's input: the same events for every variant and every run, made from their numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

SOURCE = "billing/eu-1"
RULEBOOK = "bench"
PARTNERS = 100
CONTRACTS = 1_000

_PRODUCTS = ("ringtone", "game", "video-monthly", "music-daily", "reading", "sms-quiz", "weather", "navigation")
_PROVINCES = ("GD", "ZJ", "JS", "SD", "SC", "HN", "HB", "FJ", "BJ", "SH")
_CHANNELS = ("app", "sms", "ivr", "web")
_BEGIN = datetime(2026, 8, 1, tzinfo=UTC)
_SECONDS = 90 * 24 * 3600
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_RULEBOOK_TEXT = f"""
rulebook: {RULEBOOK}
version: 1
valid_from: 2026-01-01
currency: CNY
dimensions: [channel]
measures:
  sales: {{event: billing.charged, sum: amount}}
waterfall:
  - {{name: payable, amount: 50% * sales, round: half_up}}
"""


def registrations(contracts: int = CONTRACTS) -> list[bytes]:
    """One rulebook with one dimension, PARTNERS partners, and contracts."""
    published = {"rulebook": RULEBOOK, "version": 1, "text": _RULEBOOK_TEXT}
    messages = [_told("rulebook.published", "rulebook", published)]
    for number in range(PARTNERS):
        partner = {"partner": f"P-{number}", "name": f"Partner {number}", "kind": "content_provider", "country": "CN"}
        messages.append(_told("partner.registered", f"partner-{number}", partner))
    for number in range(contracts):
        contract = {
            "contract": f"C-{number}",
            "partner": f"P-{number % PARTNERS}",
            "cooperation_model": "revenue share",
            "rulebook": RULEBOOK,
            "currency": "CNY",
            "valid_from": "2026-01-01",
            "time_zone": "Asia/Shanghai",
        }
        messages.append(_told("contract.signed", f"contract-{number}", contract))
    return messages


def charges(
    count: int, contracts: int = CONTRACTS, begin: datetime = _BEGIN, seconds: int = _SECONDS
) -> Iterator[bytes]:
    """`count` charges of some 310 bytes, each under an id of its own and every one acceptable.

    Spread evenly, in no order, over the contracts, 8 products and 10 provinces; in the order of their times, as a stream
    is, over 90 days, or the seconds from another begin.
    """
    for number in range(count):
        # Steps through each range without a pattern that a cache could learn; the same on every machine.
        spread = number * 2_654_435_761 % 4_294_967_296
        time = begin + timedelta(seconds=seconds * number // count)
        yield orjson.dumps(
            {
                "specversion": "1.0",
                "id": _id(number, spread),
                "source": SOURCE,
                "type": "billing.charged",
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "data": {
                    "contract": f"C-{spread // 7 % contracts}",
                    "product": _PRODUCTS[spread // 11 % len(_PRODUCTS)],
                    "amount": f"{spread // 13 % 100}.{spread // 17 % 100:02}",
                    "currency": "CNY",
                    "attributes": {
                        "province": _PROVINCES[spread // 19 % len(_PROVINCES)],
                        "channel": _CHANNELS[spread // 23 % len(_CHANNELS)],
                        "order": f"{spread:010}-{number:08}",
                    },
                },
            }
        )


def write_charges(path: Path, count: int) -> int:
    """Writes them one a line; returns their mean size in bytes, without the line's end."""
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in charges(count))
    return (path.stat().st_size - count) // count


def _id(number: int, spread: int) -> str:
    """As long as a ULID and, like one, ordered by time."""
    value = (number << 32) | spread
    letters = []
    for _ in range(16):
        value, digit = divmod(value, 32)
        letters.append(_ALPHABET[digit])
    return "01K6ZT8M40" + "".join(reversed(letters))


def _told(kind: str, name: str, data: Mapping[str, object]) -> bytes:
    envelope = {"specversion": "1.0", "id": name, "source": SOURCE, "type": kind, "time": "2026-01-01T00:00:00Z"}
    return orjson.dumps(envelope | {"data": data})
