"""Who stands above an agent: so that a rulebook's split can share a sub-agent's commission along its chain.

A split names the agent above as party `parent`, the one above that as `parent 2`, and so on; which partners these are follows from
the contract's authorisations, and never changes (engine.aggregates.authorisation.OtherParent).
"""

from __future__ import annotations

from engine.aggregates.authorisation import KIND
from engine.store import relations
from engine.store.database import Rows

PARENT = "parent"


def above(cursor: Rows, contract: str) -> dict[str, str]:
    """The partners above the contract's, by the names of their parties, from the nearest upwards; empty where nobody is."""
    found: dict[str, str] = {}
    own = relations.of_contracts(cursor, KIND, [contract])
    within = own[0].state.parent if own else None
    while within is not None:
        state = relations.known(cursor, [(KIND, within)])[KIND, within].state
        found[f"{PARENT} {len(found) + 1}" if found else PARENT] = state.partner
        within = state.parent
    return found
