"""Volume events as columns: the one shape in which they are screened, folded and replayed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import polars as pl

from engine.events import StreamedEvent
from engine.facts import OWN_DIMENSIONS
from engine.projections.facts import EVENTS, FURTHER, attribute

_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def micros_since_1970(time: datetime) -> int:
    # Exact, and several times faster than handing datetime objects to Polars.
    since = time - _1970
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds


_NONE: dict[str, str] = {}


def columns(
    numbers: Sequence[int], events: Sequence[StreamedEvent], dimensions: Iterable[str] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The events as EVENTS, and their further amounts as FURTHER; `numbers` gives each its seq, ascending.

    Those of the dimensions that are attributes become columns of their own beside them (`attribute`).
    """
    names = sorted(set(dimensions) - OWN_DIMENSIONS)
    attributes = [e.attributes or _NONE for e in events] if names else []
    main = pl.DataFrame(
        {
            "seq": numbers,
            "event": [e.NAME for e in events],
            "contract": [e.contract for e in events],
            "time": [micros_since_1970(e.time) for e in events],
            "product": [e.product for e in events],
            "meter": [e.meter for e in events],
            "currency": [e.currency for e in events],
            "quantity": [e.quantity for e in events],
            "amount": [e.amount for e in events],
            "charged_at": [None if e.charged_at is None else micros_since_1970(e.charged_at) for e in events],
            **{attribute(name): [said.get(name) for said in attributes] for name in names},
        },
        schema={**EVENTS, **{attribute(name): pl.String() for name in names}},
    )
    further = [
        (number, field, value)
        for number, e in zip(numbers, events, strict=True)
        if e.amounts is not None
        for field, value in e.amounts.items()
    ]
    return main, pl.DataFrame(further, schema=FURTHER, orient="row")
