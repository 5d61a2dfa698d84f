"""Work in parts that need nothing of one another: on this machine, or wherever an engine sends them.

A part's work is a pure function of what all parts share and of the part: what comes out does not depend on where, in which
order or beside how many others it was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

# (function, what all share, parts) -> function(shared, *part) of every part, in any order. All of it can be pickled.
Spread = Callable[[Callable[..., Any], Any, Iterable[tuple[Any, ...]]], Iterator[Any]]


def here(function: Callable[..., Any], shared: Any, parts: Iterable[tuple[Any, ...]]) -> Iterator[Any]:  # noqa: ANN401
    """On this machine, a part after the other."""
    for part in parts:
        yield function(shared, *part)
