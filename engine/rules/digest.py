"""The identity of what a rulebook states, whatever its comments, spaces and order of fields."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal

from pydantic import BaseModel

from engine.language.expression import Binary, Constant, Extreme, Name, Negation
from engine.money import plain
from engine.rules.model import Contents, Era
from engine.rules.splitting import Among


def digest_of(contents: Contents, eras: Sequence[Era]) -> str:
    """SHA-256, in hex, of the canonical JSON of what a rulebook states: numbers and expressions as values, not texts.

    Left out, and therefore equal to not being written, are fields that are absent or have their default. Where values are
    dated, what holds from each day on is part of it.
    """
    stated = [_canonical(contents), *([str(era.since), _canonical(era.contents)] for era in eras)]
    canonical = json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: object) -> object:  # noqa: PLR0911 - one return a kind
    match value:
        case Among(amount=None):
            return {**_fields(value), "portion": "remaining" if value.portion is None else str(value.portion)}
        case BaseModel():
            return _fields(value)
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


def _fields(model: BaseModel) -> dict[str, object]:
    return {
        field.alias or name: _canonical(getattr(model, name))
        for name, field in type(model).model_fields.items()
        if getattr(model, name) != field.default
    }
