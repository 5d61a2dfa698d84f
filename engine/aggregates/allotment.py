"""Which authorisation each event of an agent is sold under, where some of them hold only up to a volume.

An event is sold under the first of its contract's authorisations, by their ids, that covers it and has room for it, as has every
one within which that lies. It is counted there and in those. So the count follows from the log alone, in its order. Where none has
room, the event waits for that; what waits is taken in its order, each as soon as it fits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from engine.aggregates.authorisation import Authorisation, counted, volume


class Sale(NamedTuple):
    """What counts of one event. `seq` is its place; numbers are micros; `foreign` where it is in another currency than the
    contract's.
    """

    seq: int
    contract: str
    day: date
    event: str
    product: str | None
    region: str | None
    meter: str | None
    quantity: int | None
    amount: int | None
    foreign: bool


class Full(NamedTuple):
    """Why there is no room for an event, and under which authorisations it could be sold with so much, in micros, of their volume."""

    why: str
    needs: tuple[tuple[str, int], ...]


# The states of one authorisation: each from its place on.
Steps = Sequence[tuple[int, Authorisation | None]]

_SOLD = {"billing.charged": 1, "billing.refunded": -1}


class Allotment:
    """The authorisations of some contracts with all within which they lie, and how much is sold under them.

    `steps` are by id; `used` says of those that have a volume how much of it is sold, in micros.
    """

    def __init__(self, steps: Mapping[str, Steps], used: Mapping[str, int]) -> None:
        self._steps = steps
        self._places = {id_: [since for since, _ in own] for id_, own in steps.items()}
        self._contracts: dict[str, list[str]] = {}
        for id_ in sorted(steps):
            self._contracts.setdefault(self._latest(id_).contract, []).append(id_)
        self._chains = {id_: self._chain(id_) for id_ in steps}
        self.used = dict(used)
        self.changed: set[str] = set()
        self.gave_back = False

    def _latest(self, id_: str) -> Authorisation:
        state = self._steps[id_][-1][1]
        assert state is not None, id_
        return state

    def _chain(self, id_: str) -> list[Authorisation]:
        """Those with a volume, among the authorisation and all within which it lies. Neither ever changes."""
        found = []
        at: str | None = id_
        while at is not None:
            state = self._latest(at)
            if state.volume_max is not None:
                found.append(state)
            at = state.parent
        return found

    @property
    def limited(self) -> set[str]:
        """The contracts of which any authorisation holds only up to a volume."""
        return {contract for contract, ids in self._contracts.items() if any(self._chains[id_] for id_ in ids)}

    def take(self, sale: Sale) -> Full | None:
        """Counts the event where there is room for it; else returns why there is none.

        An event that no authorisation covers is not judged here.
        """
        full: Full | None = None
        for id_ in self._contracts.get(sale.contract, ()):
            state = self._at(id_, sale.seq)
            if state is None or not _covers(state, sale):
                continue
            wanted = [(each, _counts(each, sale)) for each in self._chains[id_]]
            without = next((each for each, micros in wanted if not self._room(each, micros)), None)
            if without is None:
                for each, micros in wanted:
                    if micros:
                        self._count(each, micros)
                return None
            full = full or Full(self._said(without, sale), ())
            takes = [micros for _, micros in wanted if micros is not None]
            if len(takes) == len(wanted):
                full = full._replace(needs=(*full.needs, (id_, max(takes))))
        return full

    def room(self, id_: str) -> int:
        """How much can still be sold under the authorisation, in micros: the least of it and of those within which it lies."""
        return min(
            each.volume_max - self.used.get(each.authorisation, 0)
            for each in self._chains[id_]
            if each.volume_max is not None
        )

    def first(self, waits: Iterable[tuple[int, str, int]], limit: int) -> list[int]:
        """Of messages that wait, (id, authorisation, micros) in their order, the first for which there is room, when each takes its
        own.
        """
        chosen: dict[int, None] = {}
        for message, id_, micros in waits:
            if message not in chosen and micros <= self.room(id_):
                chosen[message] = None
                for each in self._chains[id_]:
                    self._count(each, micros)
            if len(chosen) == limit:
                break
        return list(chosen)

    def _count(self, state: Authorisation, micros: int) -> None:
        self.used[state.authorisation] = self.used.get(state.authorisation, 0) + micros
        self.changed.add(state.authorisation)
        self.gave_back = self.gave_back or micros < 0

    def _at(self, id_: str, seq: int) -> Authorisation | None:
        index = bisect_right(self._places[id_], seq) - 1
        return self._steps[id_][index][1] if index >= 0 else None

    def _room(self, state: Authorisation, micros: int | None) -> bool:
        assert state.volume_max is not None, state
        if micros is None:
            return False
        return micros <= 0 or self.used.get(state.authorisation, 0) + micros <= state.volume_max

    def _said(self, state: Authorisation, sale: Sale) -> str:
        assert state.volume_max is not None, state
        if state.meter is None and sale.foreign:
            return f"authorisation {state.authorisation} holds up to {volume(state.volume_max)} of the contract's currency, and this is in another"
        used = self.used.get(state.authorisation, 0)
        return (
            f"authorisation {state.authorisation} holds up to {volume(state.volume_max)} of {counted(state.meter)}, of which "
            f"{volume(used)} {'is' if used == 0 else 'are'} sold"
        )


def _covers(state: Authorisation, sale: Sale) -> bool:
    return (
        state.valid_from <= sale.day
        and (state.valid_to is None or sale.day < state.valid_to)
        and (state.products is None or sale.product in state.products)
        and (state.regions is None or sale.region in state.regions)
    )


def _counts(state: Authorisation, sale: Sale) -> int | None:
    """How much of the authorisation's volume the event takes, or gives back; None where that cannot be said."""
    if state.meter is not None:
        return (sale.quantity or 0) if sale.event == "usage.recorded" and sale.meter == state.meter else 0
    sign = _SOLD.get(sale.event)
    if sign is None or sale.amount is None:
        return 0
    return None if sale.foreign else sign * sale.amount
