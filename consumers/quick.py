"""The quick way to read the messages that come by the million: usage and billing events without anything unusual.

It accepts a subset of what the wire's models accept, and reads it as they do, several times faster; whatever it does not
accept, they judge. A law in the tests says so. See docs/decisions/0007-speed.md.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal

import msgspec

from consumers.fields import ATTRIBUTES_MAX, INTEGER_MAX, OWN_AMOUNTS, OWN_SOURCE, TEXT_LENGTH_MAX
from engine import events
from engine.money import CURRENCIES, MICROS, micros_of
from engine.period import YEAR_END, YEAR_MIN

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_LENGTH_MAX)]
_Number = Annotated[str, msgspec.Meta(max_length=20)] | Annotated[int, msgspec.Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]
_Attributes = Annotated[dict[str, _Text], msgspec.Meta(max_length=ATTRIBUTES_MAX)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Amounts = Annotated[dict[str, _Number], msgspec.Meta(max_length=ATTRIBUTES_MAX)]


class _Usage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    contract: _Text
    meter: _Text
    quantity: _Number
    product: _Text | None = None
    attributes: _Attributes | None = None


class _Billing(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    contract: _Text
    amount: _Number
    currency: Literal[CURRENCIES]  # type: ignore[valid-type] # made from ISO 4217
    product: _Text | None = None
    quantity: _Number | None = None
    amounts: _Amounts | None = None
    attributes: _Attributes | None = None


class _Refund(_Billing, forbid_unknown_fields=True, gc=False, kw_only=True):
    refunds: _Text
    charged_at: _Time | None = None


class _BadDebt(_Billing, forbid_unknown_fields=True, gc=False, kw_only=True):
    refunds: _Text | None = None
    charged_at: _Time | None = None


class _Advance(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    contract: _Text
    amount: _Number
    currency: Literal[CURRENCIES]  # type: ignore[valid-type] # made from ISO 4217
    product: _Text | None = None
    attributes: _Attributes | None = None


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False, tag_field="type", kw_only=True):
    specversion: Literal["1.0"]
    id: _Text
    source: _Text
    time: _Time
    datacontenttype: Literal["application/json"] | None = None
    dataschema: _Text | None = None
    subject: _Text | None = None


class _Used(_Envelope, tag="usage.recorded", forbid_unknown_fields=True, gc=False, kw_only=True):
    data: _Usage


class _Charged(_Envelope, tag="billing.charged", forbid_unknown_fields=True, gc=False, kw_only=True):
    data: _Billing


class _Refunded(_Envelope, tag="billing.refunded", forbid_unknown_fields=True, gc=False, kw_only=True):
    data: _Refund


class _WrittenOff(_Envelope, tag="billing.written_off", forbid_unknown_fields=True, gc=False, kw_only=True):
    data: _BadDebt


class _Collected(_Envelope, tag="billing.collected", forbid_unknown_fields=True, gc=False, kw_only=True):
    data: _Billing


class _Paid(_Envelope, tag="advance.paid", forbid_unknown_fields=True, gc=False, kw_only=True):
    data: _Advance


_Message = _Used | _Charged | _Refunded | _WrittenOff | _Collected | _Paid
_decode = msgspec.json.Decoder(_Message).decode
_EVENTS: dict[type, type[events.StreamedEvent]] = {
    _Used: events.UsageRecorded,
    _Charged: events.BillingCharged,
    _Refunded: events.BillingRefunded,
    _WrittenOff: events.BillingWrittenOff,
    _Collected: events.BillingCollected,
}
_BACKSLASH, _DEL = 0x5C, 0x7F
_FINER_THAN_MICROSECONDS = re.compile(rb":\d\d\.\d{7}").search


class _NotQuick(ValueError):
    """Perhaps a good message, but not for this way."""


def quick(raw: bytes) -> events.StreamedEvent | None:
    """The event, or None where the wire's models must judge."""
    # Without an escape and without DEL, no text in sound JSON can hold a control character.
    if _BACKSLASH in raw or _DEL in raw:
        return None
    try:
        message = _decode(raw)
        return _event(message, raw)
    # msgspec's own errors among them; times that in UTC are in no year; what is nested without end.
    except (ValueError, OverflowError, RecursionError):
        return None


def _event(message: _Message, raw: bytes) -> events.StreamedEvent:
    if message.source.startswith(OWN_SOURCE):
        raise _NotQuick  # it may be one of the engine's own
    time, data = _utc(message.time, raw), message.data
    attributes = data.attributes
    if attributes:
        _check_names(*attributes)
    if isinstance(data, _Usage):
        return events.UsageRecorded(
            source=message.source,
            id=message.id,
            time=time,
            contract=data.contract,
            product=data.product,
            meter=data.meter,
            quantity=_micros(data.quantity),
            attributes=attributes or None,
        )
    if isinstance(data, _Advance):
        return events.AdvancePaid(
            source=message.source,
            id=message.id,
            time=time,
            contract=data.contract,
            product=data.product,
            amount=_unsigned(data.amount),
            currency=data.currency,
            attributes=attributes or None,
        )
    if data.amounts:
        _check_names(*data.amounts)
        if not OWN_AMOUNTS.isdisjoint(data.amounts):
            raise _NotQuick
    refunds = charged_at = None
    if isinstance(data, (_Refund, _BadDebt)):
        refunds = data.refunds
        charged_at = None if data.charged_at is None else _utc(data.charged_at, raw)
    return _EVENTS[type(message)](
        source=message.source,
        id=message.id,
        time=time,
        contract=data.contract,
        product=data.product,
        quantity=None if data.quantity is None else _unsigned(data.quantity),
        amount=_unsigned(data.amount),
        currency=data.currency,
        amounts={name: _unsigned(number) for name, number in data.amounts.items()} if data.amounts else None,
        attributes=attributes or None,
        refunds=refunds,
        charged_at=charged_at,
    )


def _utc(time: datetime, raw: bytes) -> datetime:
    # The models cut what is finer than a microsecond, and msgspec rounds it.
    if (time.microsecond or b".999999" in raw) and _FINER_THAN_MICROSECONDS(raw):
        raise _NotQuick
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    if not YEAR_MIN <= time.year < YEAR_END:
        raise _NotQuick
    return time


@lru_cache(maxsize=4_096)  # producers use few sets of names
def _check_names(*names: str) -> None:
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
            raise _NotQuick


def _micros(number: str | int) -> int:
    return micros_of(number) if isinstance(number, str) else number * MICROS


def _unsigned(number: str | int) -> int:
    if isinstance(number, int):
        if number < 0:
            raise _NotQuick
        return number * MICROS
    if number.startswith("-"):
        raise _NotQuick
    return micros_of(number)
