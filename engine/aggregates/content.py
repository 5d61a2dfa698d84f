"""A piece of content: submitted, approved or rejected, published, withdrawn, and perhaps submitted again.

It is published on a day if it was so at any time of it. Content that was submitted elsewhere begins with the step that is told
first; from there on its life is as strict as any other's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import assert_never

import msgspec

from engine.aggregates.qualification import Days, EndsBeforeItBegins
from engine.aggregates.relation import Aggregate, Look, Standing, check_other, fits
from engine.events import ContentPublished, ContentReviewed, ContentSubmitted, ContentWithdrawn, joined
from engine.period import day_in

ContentCommand = ContentSubmitted | ContentReviewed | ContentPublished | ContentWithdrawn


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is submitted, approved, rejected, published or withdrawn. `published` are the days on which it was, or is.

    `author` took the last step.
    """

    partner: str
    content: str
    state: str
    contract: str | None = None
    product: str | None = None
    published: tuple[Days, ...] = ()
    author: str | None = None


# By step: the states from which it can be taken.
_STEPS = {
    "content.submitted": ("rejected", "withdrawn"),
    "content.reviewed": ("submitted",),
    "content.published": ("approved",),
    "content.withdrawn": ("published",),
}


def decide(known: Content | None, command: ContentCommand, look: Look) -> ContentCommand:
    """The step, with the contract and the product of the step before where it names none, and its `day` where days follow.

    Raises WrongState, OwnApproval, EndsBeforeItBegins.
    """
    what = f"content {command.content} of partner {command.partner}"
    event = command
    if known is not None:
        fits(what, known.state, command.NAME, _STEPS)
        if isinstance(command, ContentReviewed) and command.approved:
            check_other(f"{what} was submitted by", known.author, command.author)
        said = {name: getattr(command, name) or getattr(known, name) for name in ("contract", "product")}
        event = msgspec.structs.replace(command, **said)
    if isinstance(event, (ContentPublished, ContentWithdrawn)):
        signed = None if event.contract is None else look("contract", event.contract)
        event = msgspec.structs.replace(event, day=day_in(signed.time_zone if signed else "UTC", event.time))
    if isinstance(event, ContentWithdrawn) and known is not None:
        _check_order(what, known, event.day)
    return event


def _check_order(what: str, known: Content, day: date | None) -> None:
    first = known.published[-1].first
    if day is not None and day < first:
        raise EndsBeforeItBegins(
            f"{what} would be withdrawn on {day}, before it was published on {first}; send it with another time under a new id, "
            "and write this message off"
        )


def evolve(known: Content | None, event: ContentCommand) -> Content:
    days = known.published if known else ()
    match event:
        case ContentSubmitted():
            state = "submitted"
        case ContentReviewed():
            state = "approved" if event.approved else "rejected"
        case ContentPublished():
            state, days = "published", (*days, Days(_day(event)))
        case ContentWithdrawn():
            # Through the day of its withdrawal it was published.
            end = _day(event) + timedelta(days=1)
            state, days = "withdrawn", (*days[:-1], *(Days(each.first, end) for each in days[-1:]))
        case _:
            assert_never(event)
    return Content(
        partner=event.partner,
        content=event.content,
        state=state,
        contract=event.contract or (known.contract if known else None),
        product=event.product or (known.product if known else None),
        published=days,
        author=event.author,
    )


def _day(event: ContentPublished | ContentWithdrawn) -> date:
    """What deciding found; events that were recorded before it did so are of their day in UTC."""
    return event.day or event.time.date()


def standings(known: Content) -> Iterator[Standing]:
    for each in known.published:
        yield Standing("content", joined(known.partner, known.content), each.first, each.end)


def looks_at(known: Content | None, command: ContentCommand) -> Iterator[tuple[str, str]]:
    if (contract := command.contract or (known.contract if known else None)) is not None:
        yield "contract", contract


AGGREGATE = Aggregate("content", Content, decide, evolve, standings, looks_at=looks_at)
