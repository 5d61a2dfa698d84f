"""What one process measured of itself."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """From `first` to `last` on the machine's monotonic clock, so that spans of two processes can be joined.

    `events` were committed meanwhile, at `cpu` seconds of this process, all its threads together.
    """

    events: int
    first: float
    last: float
    cpu: float
