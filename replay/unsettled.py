"""Contracts in force that no rulebook version settles: none is published, none is valid on the day, or it is in another currency.

They are in no settlement (replay.recompute), and told beside them, with the sentence that a closing has for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import polars as pl

from engine.aggregates import contract as contracts
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.period import Period
from replay.known import Known
from replay.members import Members


class Unsettled(NamedTuple):
    """A period of a contract that no version settles, and why."""

    contract: str
    period: Period
    why: Refused


def unsettled(known: Known, members: Members, first: date | None, end: date) -> Iterator[Unsettled]:
    """Of the contracts, in order of time, the periods that end after `first` and begin before `end`."""
    # Versions of a rulebook have one currency, so what is settled from its first day on is settled for ever.
    begins = [(name, min(each.valid_from for each in book.versions)) for name, book in known.rulebooks.items()]
    settles = pl.DataFrame(
        [(name, first_day, known.rulebooks[name].versions[0].currency) for name, first_day in begins],
        schema={"rulebook": pl.String, "begins": pl.Date, "settles_in": pl.String},
        orient="row",
    )
    doubtful = members.rows.join(settles, on="rulebook", how="left", maintain_order="left").filter(
        pl.col("currency").ne_missing(pl.col("settles_in")) | (pl.col("begins") > pl.col("valid_from"))
    )
    for name in doubtful["contract"]:
        yield from _of(known, members[name], first, end)


def _of(known: Known, contract: Contract, first: date | None, end: date) -> Iterator[Unsettled]:
    begins = contract.valid_from if first is None else max(contract.valid_from, first)
    period = Period.containing(begins, contract.calendar)
    while period.first < end and contracts.in_force(contract, period.first, period.end):
        try:
            known.settled_by(contract, period)
        except Refused as why:
            yield Unsettled(contract.contract, period, why)
        else:
            return
        period = period.next()
