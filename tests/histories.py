"""Random histories of volume events, and their messages, for laws that hold for all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from consumers.decode import decode
from engine.settlement.recording import Message, Readable

CONTRACTS = ("C-1", "C-2", "C-3")
SOURCE = "test/eu"
KINDS = (
    "usage.recorded",
    "billing.charged",
    "billing.refunded",
    "billing.written_off",
    "billing.collected",
    "advance.paid",
)


def message(kind: str, id: str, data: dict[str, Any], time: str = "2026-10-03T08:15:00Z") -> bytes:
    envelope = {"specversion": "1.0", "id": id, "source": SOURCE, "type": kind, "time": time, "data": data}
    return json.dumps(envelope).encode()


def registered(partner: str = "P-1") -> bytes:
    data = {"partner": partner, "name": f"Partner {partner}", "kind": "agent"}
    return message("partner.registered", f"register-{partner}", data)


def signed(contract: str = "C-1", **terms: Any) -> bytes:
    data = {
        "contract": contract,
        "partner": "P-1",
        "cooperation_model": "revenue share",
        "rulebook": "simple",
        "currency": "CNY",
        "valid_from": "2026-01-01",
    } | terms
    return message("contract.signed", f"sign-{contract}", data)


def charged(id: str, contract: str = "C-1", amount: str = "2.00", **fields: Any) -> bytes:
    time = fields.pop("time", "2026-10-03T08:15:00Z")
    data = {"contract": contract, "amount": amount, "currency": "CNY"} | fields
    return message("billing.charged", id, data, time)


def event_of(raw: bytes) -> Any:
    arrival = decode(raw)
    assert isinstance(arrival, Readable), arrival
    return arrival.event


def messages(raws: Sequence[bytes | None], channel: str = "file:test", first: int = 0) -> list[Message]:
    return [Message(channel, 0, first + i, None, decode(raw)) for i, raw in enumerate(raws)]


amounts = st.integers(0, 10**9).map(lambda cents: f"{cents // 100}.{cents % 100:02}")
times = st.datetimes(datetime(2026, 8, 1), datetime(2026, 12, 1)).map(
    lambda time: time.replace(tzinfo=UTC, microsecond=0).isoformat()
)
attributes = st.dictionaries(
    st.sampled_from(["province", "city"]), st.sampled_from(["GD", 'S"Z', "广东", "a b"]), max_size=2
)


@st.composite
def volume(draw: st.DrawFn, contracts: Sequence[str] = CONTRACTS, size_max: int = 30) -> list[bytes]:
    """Messages of usage and billing events, each under an id of its own."""
    made = []
    for number in range(draw(st.integers(0, size_max))):
        contract = draw(st.sampled_from(contracts))
        common: dict[str, Any] = {"contract": contract, "attributes": draw(attributes)}
        if draw(st.booleans()):
            common["product"] = draw(st.sampled_from(["ringtone", "game"]))
        kind = draw(st.sampled_from(KINDS))
        if kind == "usage.recorded":
            quantity = draw(st.integers(-(10**6), 10**6))
            data = common | {"meter": draw(st.sampled_from(["sms-mt", "sms-mo"])), "quantity": quantity}
        else:
            data = common | {"amount": draw(amounts), "currency": "CNY"}
            if kind != "advance.paid" and draw(st.booleans()):
                data["quantity"] = draw(st.integers(0, 9))
            if kind != "advance.paid" and draw(st.booleans()):
                data["amounts"] = {"discount": draw(amounts)}
            if kind == "billing.refunded":
                data["refunds"] = f"e{draw(st.integers(0, 9))}"
            if kind in {"billing.refunded", "billing.written_off"} and draw(st.booleans()):
                data["charged_at"] = draw(times)
        made.append(message(kind, f"e{number}", data, draw(times)))
    return made
