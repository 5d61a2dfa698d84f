"""What all events carry."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What all events carry. `NAME` is the stored name; `time` is in UTC.

    `KIND` is the kind of what it happened to, such as a qualification, and `KEY` says which of its fields name that.
    """

    NAME: ClassVar[str]
    KIND: ClassVar[str] = ""
    KEY: ClassVar[tuple[str, ...]] = ()
    source: str
    id: str
    time: datetime

    @property
    def named(self) -> str:
        """The id of what the event happened to, among those of its kind."""
        if len(self.KEY) == 1:  # nearly always, and asked for again and again
            return getattr(self, self.KEY[0]) or ""
        return joined(*(getattr(self, field) or "" for field in self.KEY))


def joined(*parts: str) -> str:
    """One id of several: no text from the wire has the character between them."""
    return "\x1f".join(parts)
