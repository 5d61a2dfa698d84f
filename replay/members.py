"""Contracts by name: as columns where many are asked at once, one by one where one is asked."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property

import polars as pl

from engine.aggregates.contract import Contract
from engine.store.registry import SIGNED, contract_of


class Members(Mapping[str, Contract]):
    """Contracts by name. `rows` are their columns (engine.store.registry.SIGNED), by name, too; each side is made when it is asked."""

    def __init__(self, signed: pl.DataFrame | Mapping[str, Contract]) -> None:
        if isinstance(signed, pl.DataFrame):
            self.rows = signed
        else:
            self._each = dict(sorted(signed.items()))

    @cached_property
    def rows(self) -> pl.DataFrame:
        return pl.DataFrame([_row(each) for each in self._each.values()], schema=SIGNED, orient="row")

    @cached_property
    def _each(self) -> dict[str, Contract]:
        return {row[0]: contract_of(row) for row in self.rows.iter_rows()}

    @cached_property
    def names(self) -> list[str]:
        """Sorted."""
        return list(self._each) if "_each" in vars(self) else self.rows["contract"].to_list()

    def __reduce__(self) -> tuple[type[Members], tuple[pl.DataFrame]]:
        return Members, (self.rows,)

    def __getitem__(self, name: str) -> Contract:
        return self._each[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def only(self, names: Iterable[str]) -> Members:
        """Those of these names."""
        return self._where(pl.col("contract").is_in(pl.Series(list(names), dtype=pl.String).implode()))

    def without(self, names: Collection[str]) -> Members:
        return self._where(~pl.col("contract").is_in(list(names))) if names else self

    def under(self, *rulebooks: str) -> Members:
        """Those that any of the rulebooks settles."""
        return self._where(pl.col("rulebook").is_in(rulebooks))

    def beside(self, rulebook: str) -> Members:
        """Those that others settle."""
        return self._where(pl.col("rulebook") != rulebook)

    def _where(self, condition: pl.Expr) -> Members:
        chosen = self.rows.select(condition).to_series()
        return self if chosen.all() else Members(self.rows.filter(chosen))


def _row(contract: Contract) -> tuple[object, ...]:
    products = None if contract.products is None else json.dumps(contract.products, ensure_ascii=False)
    return (
        *contract[:7],
        str(contract.calendar),
        contract.time_zone,
        products,
        contract.terminated,
        str(contract.late_events),
        contract.left_on,
    )
