"""Who is paid what a partner earns, and whether it may be paid now."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.aggregates.partner import held, payee
from engine.store import registry
from engine.store.database import Rows


class Payment(NamedTuple):
    """`payee` is the partner itself, or whoever it was merged into. `held` says why nothing is paid out now; None: it may be."""

    payee: str
    held: str | None


def payment(cursor: Rows, partner: str) -> Payment:
    """How the partner stands now."""

    def look(_: str, id_: str) -> Any:  # noqa: ANN401 - engine.aggregates.relation.Look
        return registry.partners(cursor, [id_]).get(id_)

    return Payment(payee(look, partner), held(look, partner))


def told_payment(cursor: Rows, partner: str) -> dict[str, str]:
    """What a statement says beside its amounts where it is not simply paid to its partner: `payee`, `payout_held`."""
    found = payment(cursor, partner)
    said = {} if found.payee == partner else {"payee": found.payee}
    return said if found.held is None else said | {"payout_held": found.held}
