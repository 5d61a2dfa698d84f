"""Who stands above an agent: so that a rulebook's split can share a sub-agent's commission along its chain.

Which partners these are follows from the contract's authorisations, and never changes
(engine.aggregates.authorisation.OtherParent).
"""

from __future__ import annotations

from typing import Any

from engine.aggregates.authorisation import KIND, agents
from engine.store import relations
from engine.store.database import Rows


def above(cursor: Rows, contract: str) -> dict[str, str]:
    """The partners above the contract's, by the names of their parties, from the nearest upwards; empty where nobody is."""

    def look(kind: str, id_: str) -> Any:  # noqa: ANN401 - engine.aggregates.relation.Look
        return relations.known(cursor, [(kind, id_)])[kind, id_].state

    own = relations.of_contracts(cursor, KIND, [contract])
    return agents(own[0].state, look) if own else {}
