"""Every kind of relation, by its name."""

from __future__ import annotations

from engine.aggregates import cooperation_model, deposit, qualification, service
from engine.aggregates.relation import Aggregate

AGGREGATES: dict[str, Aggregate] = {
    each.kind: each
    for each in (cooperation_model.AGGREGATE, qualification.AGGREGATE, service.AGGREGATE, deposit.AGGREGATE)
}
