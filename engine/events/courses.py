"""The catalogue of courses that partners' people are trained by."""

from __future__ import annotations

from typing import ClassVar

from engine.events.base import Event


class CourseEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a course."""

    KIND: ClassVar[str] = "course"
    KEY: ClassVar[tuple[str, ...]] = ("course",)
    course: str
    author: str


class CourseOffered(CourseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A certificate of it is valid for `months_valid` months from the day of completion; None: for ever."""

    NAME: ClassVar[str] = "course.offered"
    name: str
    months_valid: int | None = None


class CourseWithdrawn(CourseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Nobody is enrolled any more; certificates stay valid, and who has begun may complete it."""

    NAME: ClassVar[str] = "course.withdrawn"
    reason: str | None = None
