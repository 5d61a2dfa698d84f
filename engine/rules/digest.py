"""The identity of what a rulebook states, whatever its comments, spaces and order of fields."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal

from pydantic import BaseModel

from engine.money import plain
from engine.rules.expression import Binary, Constant, Extreme, Name, Negation
from engine.rules.model import Contents, Portion


def digest_of(contents: Contents) -> str:
    """SHA-256, in hex, of the canonical JSON of what a rulebook states: numbers and expressions as values, not texts.

    Left out, and therefore equal to not being written, are fields that are absent or have their default.
    """
    canonical = json.dumps(_canonical(contents), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: object) -> object:  # noqa: PLR0911 - one return a kind
    match value:
        case Portion():
            return {"party": value.party, "portion": "remaining" if value.portion is None else str(value.portion)}
        case BaseModel():
            fields = type(value).model_fields
            return {
                field.alias or name: _canonical(getattr(value, name))
                for name, field in fields.items()
                if name != "digest" and getattr(value, name) != field.default
            }
        case Constant() | Name() | Negation() | Binary() | Extreme():
            return value.text
        case Decimal():
            return plain(value)
        case dict():
            return {str(key): _canonical(item) for key, item in value.items()}
        case list() | tuple():
            return [_canonical(item) for item in value]
        case _:
            return str(value)
