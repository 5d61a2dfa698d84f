"""Every kind of relation, by its name."""

from __future__ import annotations

from engine.aggregates import cooperation_model, discrepancy, note, qualification
from engine.aggregates.relation import Aggregate

AGGREGATES: dict[str, Aggregate] = {
    each.kind: each
    for each in (cooperation_model.AGGREGATE, qualification.AGGREGATE, note.AGGREGATE, discrepancy.AGGREGATE)
}
