"""Which contracts a rulebook version settles in a period: those that share their terms are looked at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import polars as pl

from engine.aggregates import contract as contracts
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.period import Period
from engine.rules.model import Rulebook
from replay.known import Known
from replay.members import Members

_ALIKE = ["valid_from", "valid_to", "currency"]


class Covered(NamedTuple):
    """Contracts that a version settles in a period."""

    rulebook: Rulebook
    contracts: Members

    @property
    def rows(self) -> pl.DataFrame:
        """Contract, partner and begins of each."""
        return self.contracts.rows.select("contract", "partner", pl.col("valid_from").alias("begins"))

    def without(self, names: Collection[str]) -> Covered:
        return Covered(self.rulebook, self.contracts.without(names))


class Coverage:
    """Of contracts of one rulebook and calendar, for one period after the other."""

    def __init__(self, known: Known, members: Members) -> None:
        self._known = known
        self._members = members
        self._first = members.rows.unique(_ALIKE, keep="first", maintain_order=True)
        self._alike = list(Members(self._first).values())
        self._made: dict[Sequence[int], Members] = {}

    def of(self, period: Period) -> Iterator[Covered]:
        by_version: dict[int, tuple[Rulebook, list[int]]] = {}
        for index, alike in enumerate(self._alike):
            if contracts.in_force(alike, period.first, period.end):
                book = self._version(alike, period)
                if book is not None:
                    by_version.setdefault(book.version, (book, []))[1].append(index)
        for book, indexes in by_version.values():
            yield Covered(book, self._of(tuple(indexes)))

    def _of(self, indexes: Sequence[int]) -> Members:
        if len(indexes) == len(self._alike):
            return self._members
        # Most periods have the same ones.
        if indexes not in self._made:
            alike = self._first[list(indexes)].select(_ALIKE)
            rows = self._members.rows.join(alike, on=_ALIKE, how="semi", nulls_equal=True, maintain_order="left")
            self._made[indexes] = Members(rows)
        return self._made[indexes]

    def _version(self, contract: Contract, period: Period) -> Rulebook | None:
        try:
            return self._known.settled_by(contract, period)
        except Refused:
            return None
