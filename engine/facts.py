"""What a rule may know: measures of events per contract or partner, period and dimensions.

Facts are a fold of the log. Because they merge, the facts of two parts of a log, merged, are the facts of the whole, in
any order: that is what makes live, replayed and distributed results equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

# The field that every event of a type carries; `events` of its facts therefore counts the events of that type.
PRIMARY_FIELD = {
    "usage.recorded": "quantity",
    "billing.charged": "amount",
    "billing.refunded": "amount",
    "billing.written_off": "amount",
    "billing.collected": "amount",
    "advance.paid": "amount",
}

# Events about a partner, and the fields of their facts; the first is 1 for each event, so that its sum counts them.
PARTNER_FIELDS = {
    "case.opened": ("cases",),
    "case.acknowledged": ("cases",),
    "case.answered": ("cases", "minutes"),
    "case.escalated": ("cases",),
    "case.closed": ("cases", "minutes", "affected", "compensation"),
    "case.reopened": ("cases", "minutes", "affected", "compensation"),
    "training.enrolled": ("trainings",),
    "training.completed": ("trainings",),
    "content.submitted": ("contents",),
    "content.reviewed": ("contents",),
    "content.published": ("contents",),
    "content.withdrawn": ("contents",),
    "provisioning.ordered": ("orders",),
    "provisioning.done": ("orders",),
    "provisioning.failed": ("orders",),
    "lead.registered": ("leads", "value"),
    "lead.accepted": ("leads",),
    "lead.rejected": ("leads",),
    "lead.won": ("leads", "value"),
    "lead.lost": ("leads",),
}
# Those of their fields that are money, in the currency of the contract that they name.
PARTNER_MONEY = frozenset({"compensation", "value"})

# Dimensions that a contract's event carries of itself; every other one is an attribute. `charged_in` is the first day of
# the period in which a refunded or written-off charge was made, where the event says when that was. `phase` is `trial` or
# `live`, as the contract's services were for the event's product on its day, or on that of the charge where the event says when
# that was; absent where none covers it.
OWN_DIMENSIONS = frozenset({"product", "meter", "currency", "charged_in", "phase"})

# Those of them that only the fold can tell.
COMPUTED = frozenset({"charged_in", "phase"})

# By these the facts of partner events are always kept; each event type has those that make sense for it.
PARTNER_DIMENSIONS = frozenset(
    {"contract", "product", "service", "kind", "severity", "upheld", "on_time", "late", "course", "approved"}
)

Dimensions = tuple[tuple[str, str | None], ...]


class Fact(NamedTuple):
    """One field over the events of one type and of the same dimensions, in one period of one contract or partner.

    `value` is in the field's unit: the contract's currency for amounts, the meter's unit for quantities. How the events'
    values are put together is said by the field (`merging`): a plain name sums. A dimension whose value is None was absent
    from the events. `at` is the time, in microseconds since 1970, of the event that a `last` value stems from; else 0.
    """

    event: str
    field: str
    dimensions: Dimensions
    events: int
    value: Decimal
    at: int = 0


class Grain(NamedTuple):
    """How a rulebook needs its contracts' facts kept.

    `dimensions` and `currencies` (those accepted beside the contract's own) are sorted. `derived` are sorted pairs of event
    type and field of facts that are folded only where a rulebook asks for them, such as `max amount` or
    `each max(2.99% * amount, 1.75)`.
    """

    dimensions: tuple[str, ...] = ()
    derived: tuple[tuple[str, str], ...] = ()
    currencies: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Canonical JSON: equal grains have equal texts."""
        return json.dumps([self.dimensions, self.derived, self.currencies], ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def of(text: str) -> Grain:
        dimensions, derived, currencies = json.loads(text)
        return Grain(tuple(dimensions), tuple((event, field) for event, field in derived), tuple(currencies))

    @staticmethod
    def union(grains: Iterable[Grain]) -> Grain:
        """The coarsest grain from which each of them can be read."""
        parts = list(grains)
        return Grain(
            tuple(sorted({each for part in parts for each in part.dimensions})),
            tuple(sorted({each for part in parts for each in part.derived})),
            tuple(sorted({each for part in parts for each in part.currencies})),
        )


def merging(field: str) -> str:
    """How two values of the field are made one: `sum`, `max`, `min`, or `last` (the later `at`; of equal ones the greater).

    A plain field and `each EXPRESSION` sum.
    """
    first = field.partition(" ")[0]
    return first if first in {"max", "min", "last"} and " " in field else "sum"


def label(event: str, field: str, dimensions: Dimensions) -> str:
    """A fact's key as people read it; no two keys have the same label."""
    texts = [f"{name} absent" if text is None else f"{name}={_quoted(text)}" for name, text in dimensions]
    return " ".join([event, field, *texts])


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w.:/-]+", text) else json.dumps(text, ensure_ascii=False)
