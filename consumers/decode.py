"""From bytes to an event, or to the sentence that says why not. Pure, and total: it never raises.

What a message is, is decided by its bytes alone; whether it can be accepted now, by the aggregates.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails, TzInfo

from consumers import personal, wire
from consumers.fields import OWN_SOURCE, TEXT_LENGTH_MAX, is_own
from consumers.personal import DoesNotOpen, NoKey, Seal
from consumers.quick import quick
from consumers.wire.base import Data, Part, Told
from consumers.wire.billing import (
    AdvancePaidData,
    Billing,
    BillingChargedData,
    BillingCollectedData,
    BillingRefundedData,
    BillingWrittenOffData,
    UsageRecordedData,
)
from consumers.wire.partners import Personal
from engine import events
from engine.aggregates.refusal import Refused
from engine.language.words import printable
from engine.money import MICROS, micros_of, plain
from engine.settlement.recording import Readable, Unreadable

MESSAGE_BYTES_MAX = 1_048_576
_UTC = TzInfo(0)
_NAMES = {name: b"\0" + name.encode() + b"\0" for name in events.BY_NAME}


class ReservedSource(Refused):
    """It comes from outside, under a source of the engine's own: what the engine records could be taken for its repeat."""

    code = "reserved-source"


def decode(
    raw: bytes | None, headers: Mapping[str, bytes] | None = None, seal: Seal | None = None, *, own: bool = False
) -> Readable | Unreadable:
    """A CloudEvent in structured mode, or in binary mode where `headers` has `ce_type` (Kafka protocol binding).

    `seal` seals personal fields; without it such messages are unreadable. The `raw` of what is returned never shows any. Only the
    engine's `own` messages, and those that were judged when they came, may have a source of its own.
    """
    if raw is None:
        return Unreadable(b"", "the message has no value (a Kafka tombstone); nothing can be recorded from it")
    if len(raw) > MESSAGE_BYTES_MAX:
        kept = personal.withheld(b"", headers) if personal.may_hold(raw, headers) else raw
        return Unreadable(kept, f"the message has {len(raw):,} bytes; at most {MESSAGE_BYTES_MAX:,} are read")
    in_binary_mode = headers is not None and "ce_type" in headers
    event: events.Event | None = None if in_binary_mode else quick(raw)
    if event is None:
        try:
            message = wire.READER.validate_json(_structured(raw, headers) if in_binary_mode and headers else raw)
            if is_own(message.source) and not own:
                raise _reserved()  # before anything is sealed, which would make a key under its identity
            if isinstance(message.data, Personal):
                return _sealed(message, seal)
            event = _event(message)
        except (ValueError, NoKey, DoesNotOpen, ReservedSource) as error:
            return _unreadable(raw, headers, error)
    state = events.encoded(event)
    return Readable(raw, event, state, *hashes(event, state))


def _sealed(message: wire.Message[str, Data], seal: Seal | None) -> Readable:
    """Raises NoKey, DoesNotOpen."""
    if seal is None:
        raise personal.keyless(message.type)
    event, content = personal.sealed_event(message, seal)
    state = events.encoded(event)
    return Readable(personal.as_kept(event), event, state, hashes(event, state)[0], content)


def _reserved() -> ReservedSource:
    return ReservedSource(
        f"source: {OWN_SOURCE}, and whatever begins with {OWN_SOURCE}/, is the engine's own, so nothing is taken in under it; send it "
        "under a source of the sender's"
    )


def _unreadable(raw: bytes, headers: Mapping[str, bytes] | None, error: Exception) -> Unreadable:
    problems = error.errors(include_url=False, include_context=False) if isinstance(error, ValidationError) else None
    code = error.code if isinstance(error, ReservedSource) else "unreadable"
    if not personal.may_hold(raw, headers) and not isinstance(error, (NoKey, DoesNotOpen)):
        return Unreadable(raw, f"{error}" if problems is None else _sentence(problems), code)
    said = f"{error}" if problems is None else personal.sentence(problems)
    return Unreadable(personal.withheld(raw, headers), said, code)


def read_by_models(raw: bytes) -> events.Event:
    """What the wire's models make of a message in structured mode. Raises ValidationError."""
    return _event(wire.READER.validate_json(raw))


def hashes(event: events.Event, state: bytes) -> tuple[bytes, bytes]:
    """The event's identity and its content, 16 bytes each.

    The identity is made of source and id alone, neither of which can hold the NUL that keeps them apart: by it an event is
    known for ever. The content is equal for the same event however its JSON was laid out, and different for any other.
    """
    hashed = hashlib.blake2b(f"{event.source}\0{event.id}".encode(), digest_size=16)
    identity = hashed.digest()
    hashed.update(_NAMES[event.NAME] + state)
    return identity, hashed.digest()


def _structured(raw: bytes, headers: Mapping[str, bytes]) -> bytes:
    """The same message in structured mode. Raises ValueError."""
    try:
        # One whole JSON value, before it is set into an envelope: else its end could add attributes of its own.
        msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the data is not JSON: {error}") from error
    envelope: dict[str, object] = {
        key.removeprefix("ce_"): _text(key, value) for key, value in headers.items() if key.startswith("ce_")
    }
    return msgspec.json.encode(envelope | {"data": msgspec.Raw(raw)})


def _text(header: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the header {printable(header)} is not UTF-8") from None


def _utc(time: datetime) -> datetime:
    # Nearly every time is in UTC already, and to compare is cheaper than to convert.
    return time if time.tzinfo == _UTC else time.astimezone(UTC)


def _micros(number: str | int | None) -> int | None:
    if number is None:
        return None
    return number * MICROS if isinstance(number, int) else micros_of(number)


def _event(message: wire.Message[str, Data]) -> events.Event:
    data = message.data
    match data:
        case BillingChargedData() | BillingCollectedData():
            return _billing(message, data)
        case BillingRefundedData() | BillingWrittenOffData():
            return _billing(message, data, data.refunds, data.charged_at)
        case AdvancePaidData():
            return events.AdvancePaid(
                source=message.source,
                id=message.id,
                time=_utc(message.time),
                contract=data.contract,
                product=data.product,
                amount=_micros(data.amount),
                currency=data.currency,
                attributes=data.attributes or None,
            )
        case UsageRecordedData():
            return events.UsageRecorded(
                source=message.source,
                id=message.id,
                time=_utc(message.time),
                contract=data.contract,
                product=data.product,
                meter=data.meter,
                quantity=_micros(data.quantity),
                attributes=data.attributes or None,
            )
        case _:
            assert isinstance(data, Told), data
            said = {name: _stored(name, value) for name, value in data}
            return events.BY_NAME[message.type](source=message.source, id=message.id, time=_utc(message.time), **said)


_IN_MICROS = frozenset(
    {"minutes", "affected", "compensation", "points", "score", "deposit", "amount", "volume_max", "value"}
)


def _stored(name: str, value: Any) -> Any:  # noqa: ANN401 - any field of any event
    if name in _IN_MICROS:
        return _micros(value)
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, Part):
        return value.stored()
    if isinstance(value, tuple) and value and isinstance(value[0], Part):
        return tuple(part.stored() for part in value)
    return plain(Decimal(value)) if name == "rate" else value


def _billing(
    message: wire.Message[str, Data], data: Billing, refunds: str | None = None, charged_at: datetime | None = None
) -> events.StreamedEvent:
    further = data.amounts
    return events.VOLUME[message.type](
        source=message.source,
        id=message.id,
        time=_utc(message.time),
        contract=data.contract,
        product=data.product,
        quantity=_micros(data.quantity),
        amount=_micros(data.amount),
        currency=data.currency,
        amounts={name: _micros(number) or 0 for name, number in further.items()} if further else None,
        attributes=data.attributes or None,
        refunds=refunds,
        charged_at=None if charged_at is None else _utc(charged_at),
    )


_TAGS = frozenset(events.BY_NAME) | {"constrained-str", "constrained-int"}
_SENTENCES = {
    "extra_forbidden": "unknown field",
    "missing": "is missing",
    "string_type": "must be text",
    "json_invalid": "the message is not JSON",
}


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SIX = "12 digits before and 6 after the point"
_LIMITS = {
    "amount": f"{_SIX}, and not negative for money (send billing.refunded)",
    "quantity": f"{_SIX}, and not negative for money (send billing.refunded)",
    "minutes": f"{_SIX}, and not negative",
    "affected": f"{_SIX}, and not negative",
    "compensation": f"{_SIX}, and not negative",
    "points": f"{_SIX}, and above 0 where points are burned",
    "score": _SIX,
    "value": f"{_SIX}, and not negative",
    "volume_max": f"{_SIX}, and above 0",
    "rate": "12 digits before and 12 after the point, and above 0",
    "tax.rate": "2 digits before and 2 after the point, and not negative",
}


def _sentence(errors: list[ErrorDetails]) -> str:
    """At most five problems, each with the place where it is."""
    told: dict[str, str] = {}
    for error in errors:
        place = ".".join(printable(str(part)) for part in error["loc"] if part not in _TAGS)
        told.setdefault(place, _problem(place, error))
    problems = list(told.values())
    more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""  # noqa: PLR2004
    return "; ".join(problems[:5]) + more


def _problem(  # noqa: C901, PLR0911, PLR0912 - one sentence a case
    place: str, error: ErrorDetails
) -> str:
    name = place.rpartition(".")[2]
    match error["type"]:
        case "json_invalid":
            marked = (
                "it begins with a byte order mark; send it without" if error["input"][:3] == _BYTE_ORDER_MARK else ""
            )
            return f"the message is not JSON: {marked or error['msg'].removeprefix('Invalid JSON: ')}"
        case "dict_type" if not place:
            return "the message is not a JSON object"
        case "union_tag_invalid":
            return f"type {_shown(error['input'], 'type')} is none that is taken in{_near(error['input'])}; docs/wire has them all"
        case "union_tag_not_found":
            return "type is missing"
        case "extra_forbidden":
            return f"{place}: unknown field"
        case "missing":
            return f"{place}: is missing"
        case "literal_error" if name in {"currency", "base", "quote"}:
            return f"{place}: {_shown(error['input'])} is not a currency of ISO 4217"
        case _ if (limits := _LIMITS.get(_limited(place, name))) is not None:
            return f'{place}: {_shown(error["input"])} is not a decimal text such as "12.50", with at most {limits}'
        case "timezone_aware":
            return f"{place}: the time has no zone; write 2026-10-03T08:15:00Z"
        case "string_too_long":
            return f"{place}: the text is longer than {TEXT_LENGTH_MAX} characters"
        case "string_too_short":
            return f"{place}: is empty; say what it is"
        case "string_pattern_mismatch" if name == "country":
            return f"{place}: {_shown(error['input'])} is no country of two capital letters, as in ISO 3166, such as DE"
        case "string_pattern_mismatch":
            return f"{place}: {_shown(error['input'])} has a form or a character that is not allowed here"
        case _:
            said = re.sub(r"^(Value error, |Input )", "", error["msg"])[:200]
            # A whole object would be said by its first field alone.
            return (
                f"{place}: {said}"
                if isinstance(error["input"], dict)
                else f"{place}: {said} (it is {_shown(error['input'])})"
            )


def _limited(place: str, name: str) -> str:
    """Which of the limits is that of the field at the place."""
    if ".amounts." in f".{place}":
        return "amount"
    return "tax.rate" if place.endswith("tax.rate") else name


def _shown(value: object, key: str | None = None) -> str:
    if key is not None and isinstance(value, dict):
        value = value.get(key)
    text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004


def _near(message: object) -> str:
    """Types that the message may have meant."""
    said = message.get("type") if isinstance(message, dict) else None
    known = sorted(events.BY_NAME.keys() - events.ISSUED.keys())
    found = get_close_matches(said[:40], known) if isinstance(said, str) else []
    return f", such as {' or '.join(found)}" if found else ""
