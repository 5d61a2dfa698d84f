"""Every kind of relation, by its name."""

from __future__ import annotations

from engine.aggregates import cooperation_model, partner, qualification, redemption
from engine.aggregates.relation import Aggregate

AGGREGATES: dict[str, Aggregate] = {
    each.kind: each
    for each in (
        cooperation_model.AGGREGATE,
        qualification.AGGREGATE,
        partner.AGGREGATE,
        redemption.AGGREGATE,
    )
}
