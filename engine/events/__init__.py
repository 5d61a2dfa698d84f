"""Everything that is stored: one class an event, under an explicit name that never changes.

An event is frozen and complete in itself. Amounts and quantities are **micros**: integers of millionths of the unit.
`source` and `id` are the event's identity, given by whoever made it; `time` is when it happened. When the engine learned
it is not part of it: that is its position in the log.

A shape that has to change gets a new stored name and a new class; the old class stays, so that history always loads.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from engine.events.agency import AuthorisationEvent, AuthorisationGranted, AuthorisationRevoked
from engine.events.assessed import (
    AssessmentAppealed,
    AssessmentDecided,
    AssessmentFinalised,
    AssessmentPublished,
    ProcessEvent,
)
from engine.events.base import Event, joined
from engine.events.billing import (
    AdvancePaid,
    BillingCharged,
    BillingCollected,
    BillingRefunded,
    BillingWrittenOff,
    StreamedEvent,
    UsageRecorded,
)
from engine.events.courses import CourseEvent, CourseOffered, CourseWithdrawn
from engine.events.issued import AssessmentCompleted, PeriodClosed, StatementClosed, StatementRestated
from engine.events.leads import LeadAccepted, LeadEvent, LeadLost, LeadRegistered, LeadRejected, LeadWon
from engine.events.noted import (
    Agent,
    DiscrepancyAssigned,
    DiscrepancyEvent,
    DiscrepancyOpened,
    DiscrepancyRejected,
    DiscrepancyResolved,
    NoteEvent,
    StatementConfirmed,
    StatementDisputed,
    StatementInvoiced,
    StatementInvoiceWithdrawn,
    StatementPaid,
    StatementPaymentReturned,
    StatementPublished,
    StatementSettled,
    Sum,
    Tax,
)
from engine.events.partners import (
    PartnerBankAccountApproved,
    PartnerBankAccountChanged,
    PartnerBankAccountErased,
    PartnerBankAccountRejected,
    PartnerBlocked,
    PartnerChanged,
    PartnerContactErased,
    PartnerContactSet,
    PartnerMerged,
    PartnerRegistered,
    PartnerUnblocked,
)
from engine.events.provisioned import ProvisioningDone, ProvisioningEvent, ProvisioningFailed, ProvisioningOrdered
from engine.events.qualified import (
    CooperationModelPublished,
    QualificationApproved,
    QualificationEvent,
    QualificationRejected,
    QualificationRenewed,
    QualificationRevoked,
    QualificationSubmitted,
    ServiceTime,
    StatementDays,
    WorkingTime,
)
from engine.events.reported import (
    AssessmentEvent,
    AssessmentOverridden,
    AssessmentReassessed,
    CaseAcknowledged,
    CaseAnswered,
    CaseClosed,
    CaseEscalated,
    CaseEvent,
    CaseOpened,
    CaseReopened,
    ContentEvent,
    ContentPublished,
    ContentReviewed,
    ContentSubmitted,
    ContentWithdrawn,
    PointsAdjusted,
    PointsBurned,
    PointsEvent,
    PointsRedemptionApproved,
    PointsRedemptionRejected,
    PointsRedemptionRequested,
    ReportedEvent,
    TrainingCompleted,
    TrainingEnrolled,
    TrainingEvent,
)
from engine.events.serviced import (
    DepositEvent,
    DepositPaid,
    DepositReturned,
    ServiceApplied,
    ServiceClearingStarted,
    ServiceEvent,
    ServiceExited,
    ServiceExitRequested,
    ServiceLaunched,
    ServiceResumed,
    ServiceReviewed,
    ServiceStep,
    ServiceSuspended,
    ServiceSuspensionProposed,
    ServiceSuspensionRejected,
    ServiceTrialStarted,
)
from engine.events.signed import ContractSigned, ContractTerminated, FxRatePublished, LatePolicy, RulebookPublished

ContractEvent = ContractSigned | ContractTerminated
RulebookEvent = RulebookPublished
StatementEvent = StatementClosed | StatementRestated
VolumeEvent = UsageRecorded | BillingCharged | BillingRefunded | BillingWrittenOff | BillingCollected | AdvancePaid
# Those that are folded into partner facts.
CountedEvent = CaseEvent | TrainingEvent | ContentEvent | ProvisioningEvent | LeadEvent

VOLUME: dict[str, type[StreamedEvent]] = {event.NAME: event for event in get_args(VolumeEvent)}


def _kinds(base: type[Event]) -> dict[str, type[Any]]:
    """The events of a base by their stored names."""
    found = {base.NAME: base} if hasattr(base, "NAME") else {}
    for event in base.__subclasses__():
        found |= _kinds(event)
    return found


REPORTED: dict[str, type[ReportedEvent]] = _kinds(ReportedEvent)
# Those that the engine alone makes: they are in the log, and never on the wire.
ISSUED: dict[str, type[Event]] = {
    event.NAME: event for event in (StatementClosed, StatementRestated, PeriodClosed, AssessmentCompleted)
}
_TERMS = (PartnerRegistered, ContractSigned, ContractTerminated, RulebookPublished)
BY_NAME: dict[str, type[Event]] = {event.NAME: event for event in (*_TERMS, FxRatePublished, CooperationModelPublished)}
BY_NAME |= VOLUME | REPORTED | ISSUED
BY_NAME |= {event.NAME: event for event in (CourseOffered, CourseWithdrawn)}
BY_NAME |= _kinds(NoteEvent) | _kinds(DiscrepancyEvent)

_encoder = msgspec.json.Encoder(order="deterministic")
_decoders = {name: msgspec.json.Decoder(event) for name, event in BY_NAME.items()}


def encoded(event: Event) -> bytes:
    """The event's stored state. Equal events have equal states, so a hash of it tells contents apart."""
    return _encoder.encode(event)


def decoded(name: str, state: bytes) -> Event:
    """The event stored under `name`; a name or a state that this version does not know stops the engine."""
    return _decoders[name].decode(state)


__all__ = [
    "BY_NAME",
    "ISSUED",
    "REPORTED",
    "VOLUME",
    "AdvancePaid",
    "Agent",
    "AssessmentAppealed",
    "AssessmentCompleted",
    "AssessmentDecided",
    "AssessmentEvent",
    "AssessmentFinalised",
    "AssessmentOverridden",
    "AssessmentPublished",
    "AssessmentReassessed",
    "AuthorisationEvent",
    "AuthorisationGranted",
    "AuthorisationRevoked",
    "BillingCharged",
    "BillingCollected",
    "BillingRefunded",
    "BillingWrittenOff",
    "CaseAcknowledged",
    "CaseAnswered",
    "CaseClosed",
    "CaseEscalated",
    "CaseEvent",
    "CaseOpened",
    "CaseReopened",
    "ContentEvent",
    "ContentPublished",
    "ContentReviewed",
    "ContentSubmitted",
    "ContentWithdrawn",
    "ContractEvent",
    "ContractSigned",
    "ContractTerminated",
    "CooperationModelPublished",
    "CountedEvent",
    "CourseEvent",
    "CourseOffered",
    "CourseWithdrawn",
    "DepositEvent",
    "DepositPaid",
    "DepositReturned",
    "DiscrepancyAssigned",
    "DiscrepancyEvent",
    "DiscrepancyOpened",
    "DiscrepancyRejected",
    "DiscrepancyResolved",
    "Event",
    "FxRatePublished",
    "LatePolicy",
    "LeadAccepted",
    "LeadEvent",
    "LeadLost",
    "LeadRegistered",
    "LeadRejected",
    "LeadWon",
    "NoteEvent",
    "PartnerBankAccountApproved",
    "PartnerBankAccountChanged",
    "PartnerBankAccountErased",
    "PartnerBankAccountRejected",
    "PartnerBlocked",
    "PartnerChanged",
    "PartnerContactErased",
    "PartnerContactSet",
    "PartnerEvent",
    "PartnerMerged",
    "PartnerRegistered",
    "PartnerUnblocked",
    "PeriodClosed",
    "PointsAdjusted",
    "PointsBurned",
    "PointsEvent",
    "PointsRedemptionApproved",
    "PointsRedemptionRejected",
    "PointsRedemptionRequested",
    "ProcessEvent",
    "ProvisioningDone",
    "ProvisioningEvent",
    "ProvisioningFailed",
    "ProvisioningOrdered",
    "QualificationApproved",
    "QualificationEvent",
    "QualificationRejected",
    "QualificationRenewed",
    "QualificationRevoked",
    "QualificationSubmitted",
    "ReportedEvent",
    "RulebookEvent",
    "RulebookPublished",
    "ServiceApplied",
    "ServiceClearingStarted",
    "ServiceEvent",
    "ServiceExitRequested",
    "ServiceExited",
    "ServiceLaunched",
    "ServiceResumed",
    "ServiceReviewed",
    "ServiceStep",
    "ServiceSuspended",
    "ServiceSuspensionProposed",
    "ServiceSuspensionRejected",
    "ServiceTime",
    "ServiceTrialStarted",
    "StatementClosed",
    "StatementConfirmed",
    "StatementDays",
    "StatementDisputed",
    "StatementEvent",
    "StatementInvoiceWithdrawn",
    "StatementInvoiced",
    "StatementPaid",
    "StatementPaymentReturned",
    "StatementPublished",
    "StatementRestated",
    "StatementSettled",
    "StreamedEvent",
    "Sum",
    "Tax",
    "TrainingCompleted",
    "TrainingEnrolled",
    "TrainingEvent",
    "UsageRecorded",
    "VolumeEvent",
    "WorkingTime",
    "decoded",
    "encoded",
    "joined",
]
