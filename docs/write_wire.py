"""Writes the JSON Schemas and the AsyncAPI 3 document from the wire's models; with --check, compares instead.

python docs/write_wire.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from consumers import wire

FOLDER = Path(__file__).parent / "wire"


def documents() -> dict[str, str]:
    """File names and their texts."""
    schemas = {_type(model): _schema(model) for model in wire.MESSAGES}
    texts = {f"{name}.schema.json": schema for name, schema in schemas.items()}
    texts["asyncapi.json"] = _asyncapi(schemas)
    return {name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in texts.items()}


def _type(model: Any) -> str:
    return str(model.model_fields["type"].annotation.__args__[0])


def _schema(model: Any) -> dict[str, Any]:
    schema = TypeAdapter(model).json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _closed(schema) | {"title": _type(model)}


def _closed(part: Any) -> Any:
    """pydantic says which names a mapping's pattern allows, but not that others are refused."""
    if isinstance(part, list):
        return [_closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    return closed | {"additionalProperties": False} if "patternProperties" in closed else closed


def _asyncapi(schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tantieme intake",
            "version": "1",
            "description": "Events that the settlement engine takes in: CloudEvents 1.0, structured or binary mode.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            "events": {
                "address": "settle.events",
                "description": "Keyed by the contract's id (else the partner's, the rulebook's), so that the events of "
                "one contract stay in their order.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in schemas},
                "bindings": {"kafka": {"topic": "settle.events"}},
            }
        },
        "operations": {
            "takeIn": {
                "action": "receive",
                "channel": {"$ref": "#/channels/events"},
                "summary": "Each message ends as recorded, duplicate, suspended or rejected, and is counted once.",
            }
        },
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "contentType": "application/cloudevents+json",
                    "payload": {
                        "schemaFormat": "application/schema+json;version=draft-2020-12",
                        "schema": {"$ref": f"./{name}.schema.json"},
                    },
                    "bindings": {"kafka": {"key": {"type": "string"}}},
                }
                for name in schemas
            }
        },
    }


def stale() -> list[str]:
    """Names of files that are not what the models say."""
    expected = documents()
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def main() -> int:
    if "--check" in sys.argv[1:]:
        old = stale()
        for name in old:
            print(f"docs/wire/{name} is not what the wire's models say; run make docs")
        return 1 if old else 0
    texts = documents()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
