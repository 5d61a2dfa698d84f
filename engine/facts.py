"""What a rule may know: measures of events per contract, period and dimensions.

Facts are a fold of the log. Because they merge by addition, the facts of two parts of a log, merged, are the facts of
the whole, in any order: that is what makes live, replayed and distributed results equal.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import NamedTuple

# The field that every event of a type carries; `events` of its facts therefore counts the events of that type.
PRIMARY_FIELD = {
    "usage.recorded": "quantity",
    "billing.charged": "amount",
    "billing.refunded": "amount",
    "billing.written_off": "amount",
    "billing.collected": "amount",
}

# Dimensions that an event carries of itself; every other one is an attribute.
OWN_DIMENSIONS = frozenset({"product", "meter"})

Dimensions = tuple[tuple[str, str | None], ...]


class Fact(NamedTuple):
    """The sum of one field over the events of one type and of the same dimensions, in one period of one contract.

    `value` is in the field's unit: the contract's currency for amounts, the meter's unit for quantities. A dimension
    whose value is None was absent from the events.
    """

    event: str
    field: str
    dimensions: Dimensions
    events: int
    value: Decimal


def label(event: str, field: str, dimensions: Dimensions) -> str:
    """A fact's key as people read it; no two keys have the same label."""
    texts = [f"{name} absent" if text is None else f"{name}={_quoted(text)}" for name, text in dimensions]
    return " ".join([event, field, *texts])


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w.:/-]+", text) else json.dumps(text, ensure_ascii=False)
