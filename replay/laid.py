"""Contracts and their facts, laid out for settling: once, for however many versions of the rulebook settle them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import polars as pl

from engine.rules.columns.frames import FACTS, Measured
from replay.members import Members


class Laid(NamedTuple):
    """Contracts that go together through the periods, one rulebook's and calendar's, and their facts by the period's first day.

    By that day, too, what is measured of them, where more than one version is going to settle them.
    """

    members: Members
    facts: Mapping[date, pl.DataFrame]
    memos: Mapping[date, list[Measured]] = {}

    def remembering(self) -> Laid:
        return self._replace(memos={first: [] for first in self.facts})


def laid_out(chosen: Members, facts: pl.DataFrame) -> list[Laid]:
    """The contracts with their facts, ready to be settled."""
    parts = chosen.rows.partition_by("rulebook", "calendar", as_dict=True)
    if len(parts) == 1:
        return [_laid(chosen, facts)]
    own = [Members(rows) for _, rows in sorted(parts.items())]
    return [_laid(each, facts.join(each.rows.select("contract"), on="contract", how="semi")) for each in own]


def _laid(members: Members, facts: pl.DataFrame) -> Laid:
    if facts["period"].n_unique() == 1:
        return Laid(members, {facts["period"][0]: facts.select(FACTS.names())})
    by_period = facts.partition_by("period", as_dict=True, include_key=False)
    return Laid(members, {key[0]: frame.select(FACTS.names()) for key, frame in by_period.items()})
