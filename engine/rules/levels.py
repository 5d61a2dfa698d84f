"""The level of a points account, day by day: which one is reached, and what leaves the window in which earnings count."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from datetime import date
from decimal import Decimal

from engine.money import difference, total
from engine.outcomes import LevelSince
from engine.period import months_after
from engine.rules.programs import Level, Levels

_ZERO = Decimal(0)


class Ladder:
    """The levels of one account while its days are gone through in order; a day's level is that at its end."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self._bounds = [level.from_ for level in levels.bands]
        self._earned = _ZERO
        self._leaving: deque[tuple[date, Decimal]] = deque()
        self._held = levels.bands[0]
        self.timeline: list[LevelSince] = []

    @property
    def held(self) -> Level:
        """The level at the end of the last day that was closed; before any, the first one."""
        return self._held

    @property
    def next_leaving(self) -> date | None:
        """The next day on which something earned no longer counts."""
        return self._leaving[0][0] if self._leaving else None

    def earn(self, day: date, points: Decimal) -> None:
        """Counts points, above 0, that a rule earned on the day."""
        self._earned = total(self._earned, points)
        within = self._levels.within
        leaves = None if within is None else months_after(day, within)
        if leaves is not None:
            self._leaving.append((leaves, points))

    def close(self, day: date, balance: Decimal) -> None:
        """Ends a day with the account's balance: what no longer counts on it is gone, and the level is that of what is left."""
        while self._leaving and self._leaving[0][0] <= day:
            self._earned = difference(self._earned, self._leaving.popleft()[1])
        standing = balance if self._levels.of == "balance" else self._earned
        self._held = self._levels.bands[max(0, bisect_right(self._bounds, standing) - 1)]
        if not self.timeline or self.timeline[-1].level != self._held.name:
            self.timeline.append(LevelSince(self._held.name, day))
