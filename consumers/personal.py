"""Messages with personal fields: what is kept of them is sealed, and of those that cannot be read no field is kept at all.

Everything behind this door - suspense, the log, archives, audits, dead letters - gets ciphertext; see
docs/decisions/0016-personal-data.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from typing import Any, NamedTuple, Protocol

import msgspec
from pydantic_core import ErrorDetails

from consumers.wire.base import Data
from consumers.wire.partners import TYPES, Personal
from engine import events
from engine.aggregates.refusal import Refused
from engine.events import Event, PartnerBankAccountChanged, PartnerContactSet

PersonalEvent = PartnerContactSet | PartnerBankAccountChanged
PERSONAL: dict[str, type[Personal]] = {name: data for name, data in TYPES.items() if issubclass(data, Personal)}


class NoKey(Refused):
    """There is no key to seal or open with, or it is another one than that of the store."""

    code = "no-secret-key"


class DoesNotOpen(Refused):
    """What is sealed was sealed elsewhere, or altered."""

    code = "does-not-open"


class Sealed(NamedTuple):
    """`text` is the ciphertext; `content` 16 bytes that are equal for equal messages, as far as their key lives."""

    text: str
    content: bytes


class Seal(Protocol):
    """How personal fields are sealed. Both take the event with an empty `sealed`, to which what is sealed is bound."""

    def seal(self, event: PersonalEvent, clear: Mapping[str, str]) -> Sealed:
        """Raises NoKey."""

    def check(self, event: PersonalEvent, sealed: str) -> bytes:
        """The content of what was sealed before. Raises NoKey, DoesNotOpen."""


class _AsKept:
    """For messages out of suspense, which were checked on their way into it: they need no key."""

    def seal(self, event: PersonalEvent, clear: Mapping[str, str]) -> Sealed:  # noqa: ARG002
        raise NoKey(f"{event.NAME} is not sealed; send it again")

    def check(self, event: PersonalEvent, sealed: str) -> bytes:  # noqa: ARG002
        return bytes(16)


AS_KEPT: Seal = _AsKept()


class _Draft:
    """For messages of which nothing is kept, so that no key is made for them."""

    def seal(self, event: PersonalEvent, clear: Mapping[str, str]) -> Sealed:  # noqa: ARG002
        return Sealed("draft", bytes(16))

    def check(self, event: PersonalEvent, sealed: str) -> bytes:  # noqa: ARG002
        return bytes(16)


DRAFT: Seal = _Draft()


def sealed_event(message: Any, seal: Seal) -> tuple[PersonalEvent, bytes]:  # noqa: ANN401 - a Message of Personal data
    """The event of a message with personal fields, and its content. Raises NoKey, DoesNotOpen."""
    data: Personal = message.data
    hidden = {*data.PRIVATE, "sealed", "masked"}
    public = {name: value for name, value in data if name not in hidden}
    if (masked := data.masked_account()) is not None:
        public["masked"] = masked
    kind: Any = events.BY_NAME[message.type]
    event = kind(source=message.source, id=message.id, time=message.time.astimezone(UTC), **public, sealed="")
    clear = data.clear()
    if clear is None:
        assert data.sealed is not None, message.type
        text, content = data.sealed, seal.check(event, data.sealed)
    else:
        text, content = seal.seal(event, clear)
    return msgspec.structs.replace(event, sealed=text), content


def as_kept(event: Event) -> bytes:
    """The message as suspense keeps it: structured, and sealed."""
    said = msgspec.to_builtins(event)
    data = {name: value for name, value in said.items() if name not in {"source", "id", "time"}}
    envelope = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.NAME, "time": said["time"]}
    return msgspec.json.encode(envelope | {"data": data})


def keyless(type_: str) -> NoKey:
    return NoKey(
        f"{type_} has personal fields, which are never kept in clear, and there is no key to seal them: set SETTLE_SECRET_KEY "
        "to 32 random bytes in base64, and send it again; none of its fields was kept"
    )


# What betrays that bytes are, or were meant to be, a message with personal fields. Names of fields stand as JSON keys.
_SIGNS = re.compile(
    rb'partner\.(contact|bank)|contact_set|bank_account|"\s*(iban|bic|e-?mail|phone|telephone|holder)\s*"',
    re.IGNORECASE,
)
_ESCAPED = re.compile(rb"\\u00([0-7][0-9a-fA-F])")


def may_hold(raw: bytes, headers: Mapping[str, bytes] | None) -> bool:
    """Whether bytes that are no message may have personal fields in clear: then they are not kept."""
    plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), raw)
    return _SIGNS.search(plain) is not None or any(_SIGNS.search(value) for value in (headers or {}).values())


def withheld(raw: bytes, headers: Mapping[str, bytes] | None) -> bytes:
    """What is kept of such bytes instead: by which ids the sender finds the message."""
    envelope: dict[str, Any] = {}
    if headers is not None and "ce_type" in headers:
        envelope = {key.removeprefix("ce_"): value.decode(errors="replace") for key, value in headers.items()}
    else:
        with suppress(ValueError, RecursionError):
            envelope = msgspec.json.decode(raw, type=dict[str, Any])
    found = {name: _short(envelope.get(name)) for name in ("id", "source")}
    type_ = envelope.get("type")
    found["type"] = type_ if isinstance(type_, str) and type_ in events.BY_NAME else None
    shown = {name: value for name, value in found.items() if value is not None}
    return msgspec.json.encode({"withheld": "personal fields may have stood here, so nothing else is kept"} | shown)


def _short(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= 256 and "@" not in value else None  # noqa: PLR2004


_ENVELOPE = frozenset(
    {"specversion", "id", "source", "type", "time", "datacontenttype", "dataschema", "subject", "data"}
)
_FIELDS = _ENVELOPE | {name for data in TYPES.values() for name in data.model_fields}


def sentence(errors: Sequence[ErrorDetails]) -> str:
    """What is wrong, without any value that was sent, nor the name of a field that nobody knows."""
    told: dict[str, str] = {}
    for error in errors:
        place = ".".join(str(part) for part in error["loc"] if part in _FIELDS)
        match error["type"]:
            case "json_invalid":
                told["the message"] = "is not JSON"
            case "extra_forbidden":
                told["a field"] = f"is unknown; those of such messages are {', '.join(_expected(error))}"
            case "missing":
                told[place] = "is missing"
            case "value_error" if not PERSONAL.keys().isdisjoint(map(str, error["loc"])):
                # By the validators of these models, whose sentences show no value.
                told[place] = error["msg"].removeprefix("Value error, ")
            case _:
                told.setdefault(place or "the message", "has a form, a length or a character that is not allowed here")
    problems = [f"{place}: {problem}" for place, problem in told.items()]
    return "; ".join([*problems[:5], "what was sent may be personal, so none of it was kept"])


def _expected(error: ErrorDetails) -> list[str]:
    named = next((PERSONAL[part] for part in error["loc"] if isinstance(part, str) and part in PERSONAL), None)
    model: type[Data] | None = named
    return sorted(set(model.model_fields) - {"sealed", "masked"}) if model else ["in docs/wire"]
