"""Every kind of relation, by its name."""

from __future__ import annotations

from engine.aggregates import (
    assessment,
    case,
    content,
    cooperation_model,
    deposit,
    provisioning,
    qualification,
    service,
)
from engine.aggregates.relation import Aggregate

AGGREGATES: dict[str, Aggregate] = {
    each.kind: each
    for each in (
        cooperation_model.AGGREGATE,
        qualification.AGGREGATE,
        service.AGGREGATE,
        deposit.AGGREGATE,
        case.AGGREGATE,
        content.AGGREGATE,
        provisioning.AGGREGATE,
        assessment.AGGREGATE,
    )
}
