"""What all events carry."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What all events carry. `NAME` is the stored name; `time` is in UTC."""

    NAME: ClassVar[str]
    source: str
    id: str
    time: datetime
