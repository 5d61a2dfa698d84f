"""A course of the catalogue: offered, withdrawn, and perhaps offered again."""

from __future__ import annotations

from typing import assert_never

import msgspec

from engine.aggregates.relation import Aggregate, Look, NotThere, fits
from engine.events import CourseOffered, CourseWithdrawn

CourseCommand = CourseOffered | CourseWithdrawn


class Course(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is offered or withdrawn; a certificate of it is valid for `months_valid` months, or for ever."""

    course: str
    name: str
    state: str
    months_valid: int | None = None
    author: str | None = None


_STEPS = {"course.offered": ("withdrawn",), "course.withdrawn": ("offered",)}


def decide(known: Course | None, command: CourseCommand, _: Look) -> CourseCommand:
    """Raises NotThere, WrongState."""
    what = f"course {command.course}"
    if known is not None:
        fits(what, known.state, command.NAME, _STEPS)
    elif not isinstance(command, CourseOffered):
        raise NotThere(
            f"{what} was never offered; send its course.offered, and this message is recycled by itself",
            waits_for=f"course:{command.named}",
        )
    return command


def evolve(known: Course | None, event: CourseCommand) -> Course:
    match event:
        case CourseOffered():
            return Course(
                course=event.course,
                name=event.name,
                state="offered",
                months_valid=event.months_valid,
                author=event.author,
            )
        case CourseWithdrawn():
            assert known is not None, event
            return msgspec.structs.replace(known, state="withdrawn", author=event.author)
        case _:
            assert_never(event)


AGGREGATE = Aggregate("course", Course, decide, evolve)
