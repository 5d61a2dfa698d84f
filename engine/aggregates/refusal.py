"""How a command or a message is refused: a code for programs, and a sentence that says what, why and what to do."""

from __future__ import annotations

import re
from typing import ClassVar


class Refused(Exception):
    """A well-formed command or message that cannot be accepted now.

    `waits_for` names what would mend it, such as `contract:C-17`; None where nothing that arrives would.
    """

    code: ClassVar[str]

    def __init__(self, sentence: str, waits_for: str | None = None) -> None:
        super().__init__(sentence)
        self.waits_for = waits_for


def for_a_person(sentence: str) -> str:
    """A refusal without what only the sender of a message can do about it."""
    return _FOR_SENDERS.sub("", sentence).rstrip(" ,;")


_FOR_SENDERS = re.compile(
    r"(; or send what came before it)?, and this message is recycled by itself"
    r"|(,? and|,? or|[;,]) write (this message|this one|it) off"
    r"|, send it(?=,? under a new id)"
    r"|,? under a new id"
)
