"""How a command or a message is refused: a code for programs, and a sentence that says what, why and what to do."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import ClassVar

from engine.events import Event

# Nobody tells a step a year before it happens: its year is written wrong.
AHEAD_MAX = timedelta(days=366)


class Refused(Exception):
    """A well-formed command or message that cannot be accepted now.

    `waits_for` names what would mend it, such as `contract:C-17`; None where nothing that arrives would.
    """

    code: ClassVar[str]

    def __init__(self, sentence: str, waits_for: str | None = None) -> None:
        super().__init__(sentence)
        self.waits_for = waits_for


class TimeAhead(Refused):
    """Its time has not come: most likely it is written wrong, and a step that was taken is never undone."""

    code = "time-ahead"


def check_time(command: Event, now: datetime) -> None:
    """`now` is when it is recorded. Raises TimeAhead where its time is more than a year later."""
    if command.time - now > AHEAD_MAX:
        raise TimeAhead(
            f"this {command.NAME} is of {command.time:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M} UTC; give it the time at "
            "which it happens under a new id, and write this message off; or wait: settle run-day recycles it in the year before its day"
        )


def for_a_person(sentence: str) -> str:
    """A refusal without what only the sender of a message can do about it."""
    return _FOR_SENDERS.sub("", sentence).rstrip(" ,;")


_FOR_SENDERS = re.compile(
    r"; or wait: settle run-day recycles it in the year before its day"
    r"|(; or send what came before it)?, and this message is recycled by itself"
    r"|(,? and|,? or|[;,]) write (this message|this one|it) off"
    r"|, send it(?=,? under a new id)"
    r"|,? under a new id"
)
