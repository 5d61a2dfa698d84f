"""The account of every message: how all that were consumed ended, and that the log holds what was recorded, and no more."""

from __future__ import annotations

from typing import NamedTuple

from engine.store import intake, recorder, statements, suspense
from engine.store.database import Rows
from engine.store.intake import Account, Counts


class Balance(NamedTuple):
    """`in_suspense` counts messages by state and reason code; `issued` are the events that the engine made itself."""

    accounts: tuple[Account, ...]
    position: int
    total: Counts
    in_suspense: dict[str, dict[str, int]]
    issued: int

    @property
    def consumed(self) -> int:
        return sum(each.next - each.start for each in self.accounts)

    @property
    def recycled(self) -> int:
        return sum(self.in_suspense.get("recycled", {}).values())

    @property
    def balanced(self) -> bool:
        """Every message consumed ended as something, and the log holds what was recorded, recycled and issued: no more."""
        return self.consumed == sum(self.total) and self.position == self.total.recorded + self.recycled + self.issued


def balance(cursor: Rows) -> Balance:
    accounts = intake.accounts(cursor)
    total = Counts()
    for account in accounts:
        total = total.plus(account.counts)
    in_suspense: dict[str, dict[str, int]] = {}
    for state, code, number in suspense.totals(cursor):
        in_suspense.setdefault(state, {})[code] = number
    return Balance(
        tuple(accounts), recorder.last_position(cursor), total, in_suspense, statements.issued_events(cursor)
    )
