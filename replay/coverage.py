"""Which contracts a rulebook version settles in a period: those that share their terms are looked at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from operator import attrgetter
from typing import NamedTuple

import polars as pl

from engine.aggregates import contract as contracts
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.period import Period
from engine.rules.columns.frames import CONTRACTS
from engine.rules.model import Rulebook
from replay.known import Known

_NAMED = pl.Schema({name: CONTRACTS[name] for name in ("contract", "partner", "begins")})


class Covered(NamedTuple):
    """Contracts that a version settles in a period, by name, sorted; and as rows: contract, partner and begins."""

    rulebook: Rulebook
    contracts: Mapping[str, Contract]
    rows: pl.DataFrame

    def without(self, names: Collection[str]) -> Covered:
        if not names:
            return self
        return _covered(self.rulebook, (each for name, each in self.contracts.items() if name not in names))


class Coverage:
    """Of contracts of one rulebook and calendar, for one period after the other."""

    def __init__(self, known: Known, members: Iterable[Contract]) -> None:
        self._known = known
        self._alike: dict[tuple[date, date | None, str], list[Contract]] = {}
        for each in members:
            self._alike.setdefault((each.valid_from, each.valid_to, each.currency), []).append(each)
        self._made: dict[tuple[int, Sequence[int]], Covered] = {}

    def of(self, period: Period) -> Iterator[Covered]:
        by_version: dict[int, tuple[Rulebook, list[int]]] = {}
        for index, alike in enumerate(self._alike.values()):
            if contracts.in_force(alike[0], period.first, period.end):
                book = self._version(alike[0], period)
                if book is not None:
                    by_version.setdefault(book.version, (book, []))[1].append(index)
        for book, indexes in by_version.values():
            # Most periods have the same ones.
            key = (book.version, tuple(indexes))
            if key not in self._made:
                groups = list(self._alike.values())
                chosen = [each for index in indexes for each in groups[index]]
                self._made[key] = _covered(book, sorted(chosen, key=attrgetter("contract")))
            yield self._made[key]

    def _version(self, contract: Contract, period: Period) -> Rulebook | None:
        try:
            return self._known.settled_by(contract, period)
        except Refused:
            return None


def _covered(book: Rulebook, members: Iterable[Contract]) -> Covered:
    named = {each.contract: each for each in members}
    rows = pl.DataFrame(
        {
            "contract": list(named),
            "partner": [each.partner for each in named.values()],
            "begins": [each.valid_from for each in named.values()],
        },
        schema=_NAMED,
    )
    return Covered(book, named, rows)
