"""Exchange rates: one of a publisher for a pair of currencies and a day, which never changes."""

from __future__ import annotations

from engine.aggregates.refusal import Refused
from engine.events import FxRatePublished

# The state is the rate's canonical text; None before it is published.
Rate = str


class BaseIsQuote(Refused):
    code = "base-is-quote"


class RateAlreadyPublished(Refused):
    code = "rate-already-published"


def decide(rate: Rate | None, command: FxRatePublished) -> tuple[FxRatePublished, ...]:
    """The same rate may be published again. Raises BaseIsQuote, RateAlreadyPublished."""
    if command.base == command.quote:
        raise BaseIsQuote(
            f"a rate of {command.base} in {command.quote} says nothing; send it with two currencies under a new id, and "
            "write this message off"
        )
    if rate is not None and rate != command.rate:
        raise RateAlreadyPublished(
            f"{command.publisher} published {rate} {command.quote} for one {command.base} on {command.day}, and this "
            f"says {command.rate}; a published rate never changes, so write this message off"
        )
    return (command,)


def evolve(rate: Rate | None, event: FxRatePublished) -> Rate:
    return rate or event.rate
