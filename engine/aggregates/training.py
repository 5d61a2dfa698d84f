"""One person of a partner in a course: enrolled, completed, with a certificate that lapses by its days alone; and again.

Where the course is not in the catalogue any order is accepted, so that streams that know nothing of a catalogue go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import assert_never

import msgspec

from engine.aggregates.course import Course
from engine.aggregates.qualification import Days
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, Look, NotThere, Standing, fits
from engine.events import TrainingCompleted, TrainingEnrolled
from engine.period import months_after

TrainingCommand = TrainingEnrolled | TrainingCompleted


class Training(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is enrolled or completed. `valid` are the days on which there is a certificate; `author` told the last step."""

    partner: str
    course: str
    state: str
    participant: str | None = None
    certificate: str | None = None
    valid: tuple[Days, ...] = ()
    author: str | None = None


class CourseIsWithdrawn(Refused):
    """Nobody is enrolled any more."""

    code = "course-withdrawn"


class CertificateEndsBefore(Refused):
    code = "ends-before-it-begins"


_STEPS = {"training.enrolled": ("completed",), "training.completed": ("enrolled",)}


def decide(known: Training | None, command: TrainingCommand, look: Look) -> TrainingCommand:
    """A completion that does not say when its certificate expires gets it from the course.

    Raises NotThere, WrongState, CourseIsWithdrawn, CertificateEndsBefore.
    """
    course: Course | None = look("course", command.course)
    if course is not None:
        _check(known, command, course)
    if not isinstance(command, TrainingCompleted):
        return command
    day = _day(command.time)
    if course is not None and command.expires is not None and command.expires <= day:
        raise CertificateEndsBefore(
            f"{_what(command)} is completed on {day}, and its certificate would expire on {command.expires}; send it with a "
            "later day under a new id, and write this message off"
        )
    if course is not None and course.months_valid is not None and command.expires is None:
        return msgspec.structs.replace(command, expires=months_after(day, course.months_valid))
    return command


def _check(known: Training | None, command: TrainingCommand, course: Course) -> None:
    if isinstance(command, TrainingEnrolled) and course.state == "withdrawn":
        raise CourseIsWithdrawn(
            f"course {course.course} is withdrawn, so nobody of partner {command.partner} can be enrolled; offer it again, or "
            "enrol in another course under a new id, and write this message off"
        )
    if known is not None:
        fits(_what(command), known.state, command.NAME, _STEPS)
    elif not isinstance(command, TrainingEnrolled):
        raise NotThere(
            f"{_what(command)} is completed without having been begun; send its training.enrolled, and this message is "
            "recycled by itself",
            waits_for=f"training:{command.named}",
        )


def _what(command: TrainingCommand) -> str:
    who = f" of {command.participant}" if command.participant else ""
    return f"course {command.course}{who} at partner {command.partner}"


def _day(time: datetime) -> date:
    """In UTC, since it is of a partner, not of a contract."""
    return time.date()


def evolve(known: Training | None, event: TrainingCommand) -> Training:
    match event:
        case TrainingEnrolled():
            begun = known or Training(
                partner=event.partner, course=event.course, participant=event.participant, state="enrolled"
            )
            return msgspec.structs.replace(begun, state="enrolled", author=event.author)
        case TrainingCompleted():
            days = Days(_day(event.time), event.expires)
            return Training(
                partner=event.partner,
                course=event.course,
                participant=event.participant,
                state="completed",
                certificate=event.certificate,
                valid=tuple(_united([*(known.valid if known else ()), days])),
                author=event.author,
            )
        case _:
            assert_never(event)


def _united(stretches: list[Days]) -> Iterator[Days]:
    """The same days in as few stretches as there can be: who completes a course every week does not get a longer state."""
    whole = sorted(
        (each for each in stretches if each.end is None or each.first < each.end), key=lambda each: each.first
    )
    while whole:
        first = whole.pop(0)
        while whole and (first.end is None or whole[0].first <= first.end):
            other = whole.pop(0)
            ends = None if first.end is None or other.end is None else max(first.end, other.end)
            first = Days(first.first, ends)
        yield first


def standings(known: Training) -> Iterator[Standing]:
    for each in known.valid:
        yield Standing("certificate", known.partner, each.first, each.end, key=known.course)


def looks_at(_: Training | None, command: TrainingCommand) -> tuple[tuple[str, str], ...]:
    return (("course", command.course),)


AGGREGATE = Aggregate("training", Training, decide, evolve, standings, looks_at=looks_at)
