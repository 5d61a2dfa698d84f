"""How worked cases write facts, balances, periods and times: each read exactly, or refused with a remedy."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

from engine.facts import PARTNER_FIELDS, PRIMARY_FIELD, Dimensions
from engine.language.expression import parse
from engine.language.words import Unreadable, day, quoted
from engine.money import UnknownCurrency, minor_digits
from engine.outcomes import Balance
from engine.period import Period, UnreadablePeriod
from engine.rules.carrying import ACCUMULATED, HELD, RETURNED, SHORT_WORKINGS, UNPAID, UNRECOUPED
from engine.rules.fields import choice

KINDS = (ACCUMULATED, SHORT_WORKINGS, UNRECOUPED, HELD, UNPAID, RETURNED)
_EVENTS = (*PRIMARY_FIELD, *PARTNER_FIELDS)
_MICROSECONDS = 1_000_000
_DIMENSION = re.compile(r'\s([a-z][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|[^\s"]+)$')
_FIELD = re.compile(r"((max|min|last) )?[a-z][a-z0-9_]*")


def balance_of(key: str, amount: Decimal) -> Balance:
    """The balance that `STEP KIND [DAY]` names. Raises Unreadable."""
    words = key.split(" ")
    on = day(words.pop()) if re.fullmatch(r"[0-9]{4}-[0-9-]+", words[-1]) else None
    kind = words.pop() if words else ""
    if kind not in KINDS or not words:
        raise Unreadable(f"{quoted(key)} is no carried balance", f"write STEP KIND [DAY]; kinds are {choice(KINDS)}")
    return Balance(" ".join(words), kind, on, amount)


def key(text: str) -> tuple[str, str, Dimensions]:
    """`EVENT [FIELD] [dimension=value ...]`, as engine.facts.label writes it; the field of a derived fact has spaces."""
    dimensions: dict[str, str] = {}
    rest = text
    while (found := _DIMENSION.search(rest)) is not None:
        name, value = found.groups()
        dimensions[name] = json.loads(value) if value.startswith('"') else value
        rest = rest[: found.start()]
    event, _, field = rest.partition(" ")
    if event not in _EVENTS:
        raise Unreadable(f"{quoted(event)} is not an event that facts are made of", f"write {choice(_EVENTS)}")
    if field.startswith("each "):
        field = f"each {parse(field.removeprefix('each ')).text}"
    elif field and _FIELD.fullmatch(field) is None:
        raise Unreadable(f"{quoted(field)} is no field of {event}", f"write {event} FIELD dimension=value ...")
    return event, field, tuple(sorted(dimensions.items()))


def period(text: str) -> Period:
    try:
        return Period.parse(text)
    except UnreadablePeriod as error:
        raise Unreadable(str(error).partition(";")[0], "write 2017-03, 2017-W09, 2017-Q1 or 2017") from None


def currency(text: str) -> str:
    try:
        minor_digits(text)
    except UnknownCurrency as error:
        raise Unreadable(str(error), "write its three capital letters, such as USD") from None
    return text


def count(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    raise Unreadable(f"{quoted(text)} is not a number of events", "write 0, 1, 2 ...")


def instant(text: str) -> int:
    """Microseconds since 1970 of a day or a time; without a zone, of UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(f"{quoted(text)} is no time", "write 2020-03-05, or 2020-03-05T10:00:00Z") from None
    since = (found if found.tzinfo else found.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _MICROSECONDS + since.microseconds
