"""Every kind of relation, by its name."""

from __future__ import annotations

from engine.aggregates import (
    assessment,
    authorisation,
    case,
    content,
    cooperation_model,
    course,
    deposit,
    discrepancy,
    lead,
    note,
    partner,
    provisioning,
    qualification,
    redemption,
    service,
    training,
)
from engine.aggregates.relation import Aggregate

_ALL = (
    cooperation_model.AGGREGATE,
    qualification.AGGREGATE,
    authorisation.AGGREGATE,
    course.AGGREGATE,
    training.AGGREGATE,
    lead.AGGREGATE,
    service.AGGREGATE,
    deposit.AGGREGATE,
    case.AGGREGATE,
    content.AGGREGATE,
    provisioning.AGGREGATE,
    assessment.AGGREGATE,
    note.AGGREGATE,
    discrepancy.AGGREGATE,
    partner.AGGREGATE,
    redemption.AGGREGATE,
)
AGGREGATES: dict[str, Aggregate] = {each.kind: each for each in _ALL}
