from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from consumers import wire
from consumers.decode import decode
from docs import write_wire
from engine.events import BY_NAME, StatementClosed
from engine.settlement.recording import Readable
from tests.consumers.test_decode import BAD, GOOD
from tests.histories import charged, message, registered, signed

MESSAGES = [
    registered(),
    signed(valid_to="2027-01-01", calendar="weekly", time_zone="Asia/Shanghai", products=["a", "b"]),
    message("contract.terminated", "1", {"contract": "C-1", "valid_to": "2026-07-01", "reason": "agreed"}),
    message("rulebook.published", "1", {"rulebook": "r", "version": 1, "text": "rulebook: r"}),
    message("usage.recorded", "1", {"contract": "C-1", "meter": "sms-mt", "quantity": "-1.5"}),
    charged("1", quantity=2, amounts={"discount": "0.10"}, attributes={"province": "GD"}),
    message("billing.refunded", "1", {"contract": "C-1", "amount": "1", "currency": "CNY", "refunds": "e1"}),
    message("billing.written_off", "1", {"contract": "C-1", "amount": "1", "currency": "CNY"}),
    message("billing.collected", "1", {"contract": "C-1", "amount": "1", "currency": "CNY"}),
]


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((write_wire.FOLDER / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return found


def test_the_documents_are_what_the_models_say() -> None:
    assert write_wire.stale() == []


def test_every_stored_event_but_the_engines_own_has_a_message() -> None:
    assert {json.loads(raw)["type"] for raw in MESSAGES} == set(BY_NAME) - {StatementClosed.NAME}
    assert len(wire.MESSAGES) == len(MESSAGES)


@pytest.mark.parametrize("raw", MESSAGES, ids=lambda raw: json.loads(raw)["type"])
def test_an_example_of_every_type_is_read_and_fits_its_schema(raw: bytes) -> None:
    assert isinstance(decode(raw), Readable)
    said = json.loads(raw)
    jsonschema.validate(said, schema(said["type"]))


def test_the_schema_refuses_what_the_model_refuses() -> None:
    jsonschema.validate(GOOD, schema("billing.charged"))
    # What a JSON Schema cannot say: that JSON must be sound, and that times have zones and limits.
    beyond = ("not", "time", "type", "at most", "the message")
    for raw, said in BAD:
        if not said.startswith(beyond):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(json.loads(raw), schema("billing.charged"))


def test_the_asyncapi_document_names_every_message() -> None:
    document = json.loads((write_wire.FOLDER / "asyncapi.json").read_text(encoding="utf-8"))
    assert document["asyncapi"].startswith("3.")
    for name, said in document["components"]["messages"].items():
        assert (write_wire.FOLDER / said["payload"]["schema"]["$ref"]).is_file(), name
