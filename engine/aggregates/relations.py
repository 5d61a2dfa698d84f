"""Every kind of relation, by its name."""

from __future__ import annotations

from engine.aggregates import authorisation, cooperation_model, course, lead, qualification, training
from engine.aggregates.relation import Aggregate

_ALL = (
    cooperation_model.AGGREGATE,
    qualification.AGGREGATE,
    authorisation.AGGREGATE,
    course.AGGREGATE,
    training.AGGREGATE,
    lead.AGGREGATE,
)
AGGREGATES: dict[str, Aggregate] = {each.kind: each for each in _ALL}
