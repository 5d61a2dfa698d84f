"""Everything that is stored: one class an event, under an explicit name that never changes.

An event is frozen and complete in itself. Amounts and quantities are **micros**: integers of millionths of the unit.
`source` and `id` are the event's identity, given by whoever made it; `time` is when it happened. When the engine learned
it is not part of it: that is its position in the log.

A shape that has to change gets a new stored name and a new class; the old class stays, so that history always loads.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar, get_args

import msgspec

from engine.period import Calendar


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What all events carry. `NAME` is the stored name; `time` is in UTC."""

    NAME: ClassVar[str]
    source: str
    id: str
    time: datetime


class LatePolicy(StrEnum):
    """What an event does that comes after its period was closed: it becomes an adjustment; one that waits until a person
    approves it; or it is suspended.
    """

    adjust = "adjust"
    hold = "hold"
    suspend = "suspend"


class PartnerRegistered(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "partner.registered"
    partner: str
    name: str
    kind: str
    country: str | None = None
    tax_id: str | None = None


class ContractSigned(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """In force on the days from `valid_from` up to, and without, `valid_to`. No `products` means all of them."""

    NAME: ClassVar[str] = "contract.signed"
    contract: str
    partner: str
    cooperation_model: str
    rulebook: str
    currency: str
    valid_from: date
    valid_to: date | None = None
    calendar: Calendar = Calendar.monthly
    time_zone: str = "UTC"
    products: tuple[str, ...] | None = None
    late_events: LatePolicy = LatePolicy.adjust


class ContractTerminated(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`valid_to` is the first day on which the contract is no longer in force."""

    NAME: ClassVar[str] = "contract.terminated"
    contract: str
    valid_to: date
    reason: str | None = None


class RulebookPublished(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`text` is the rulebook as written (YAML). One that reaches into closed periods has an author, and another approver."""

    NAME: ClassVar[str] = "rulebook.published"
    rulebook: str
    version: int
    text: str
    author: str | None = None
    approver: str | None = None


class StreamedEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event of a contract that arrives in volume and is folded into facts. Numbers are micros."""

    contract: str
    product: str | None = None
    meter: str | None = None
    quantity: int | None = None
    amount: int | None = None
    currency: str | None = None
    amounts: dict[str, int] | None = None
    attributes: dict[str, str] | None = None
    refunds: str | None = None
    charged_at: datetime | None = None


class UsageRecorded(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "usage.recorded"


class BillingCharged(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "billing.charged"


class BillingRefunded(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`refunds` is the id of the charge that is given back, `charged_at` when it was made."""

    NAME: ClassVar[str] = "billing.refunded"


class BillingWrittenOff(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`refunds` is the id of the charge that is given up, `charged_at` when it was made."""

    NAME: ClassVar[str] = "billing.written_off"


class BillingCollected(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "billing.collected"


class AdvancePaid(StreamedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An advance to the partner, to be recouped from its share."""

    NAME: ClassVar[str] = "advance.paid"


class ReportedEvent(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event about a partner and perhaps one of its contracts. Numbers are micros."""

    partner: str
    contract: str | None = None


class CaseEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a case: a consultation, a complaint, or a report of a business failure."""

    case: str
    kind: str
    product: str | None = None
    service: str | None = None
    severity: str | None = None


class CaseOpened(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "case.opened"


class CaseAcknowledged(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "case.acknowledged"


class CaseAnswered(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`minutes` is how long the answer took."""

    NAME: ClassVar[str] = "case.answered"
    on_time: bool | None = None
    minutes: int | None = None


class CaseEscalated(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "case.escalated"


class CaseClosed(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`minutes` is how long a failure lasted, `affected` how many uses it hit, `late` whether it was reported late."""

    NAME: ClassVar[str] = "case.closed"
    upheld: bool | None = None
    minutes: int | None = None
    affected: int | None = None
    compensation: int | None = None
    currency: str | None = None
    late: bool | None = None


class CaseReopened(CaseEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "case.reopened"


class TrainingEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step of a partner's people through a course."""

    course: str
    participant: str | None = None


class TrainingEnrolled(TrainingEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "training.enrolled"


class TrainingCompleted(TrainingEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`expires` is the first day on which the certificate is no longer valid."""

    NAME: ClassVar[str] = "training.completed"
    certificate: str | None = None
    expires: date | None = None


class ContentEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a piece of content."""

    content: str
    product: str | None = None


class ContentSubmitted(ContentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "content.submitted"
    on_time: bool | None = None


class ContentReviewed(ContentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "content.reviewed"
    approved: bool


class ContentPublished(ContentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "content.published"
    on_time: bool | None = None


class ContentWithdrawn(ContentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "content.withdrawn"


class PointsEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A change of a points account by hand. `program` is the rulebook that keeps it; `points` are micros."""

    program: str
    points: int
    reason: str


class PointsAdjusted(PointsEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Points given, or taken away where they are negative."""

    NAME: ClassVar[str] = "points.adjusted"
    author: str
    approver: str


class PointsBurned(PointsEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Points spent; above 0. `reference` names what for."""

    NAME: ClassVar[str] = "points.burned"
    reference: str | None = None


class AssessmentEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a person decides about an assessment. `scorecard` is the rulebook that has it."""

    scorecard: str
    period: str
    reason: str
    author: str


class AssessmentOverridden(AssessmentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The grade that stands instead of the assessed one. `score` is in micros."""

    NAME: ClassVar[str] = "assessment.overridden"
    grade: str
    approver: str
    score: int | None = None


class AssessmentReassessed(AssessmentEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Asks that a score that was issued be computed again."""

    NAME: ClassVar[str] = "assessment.reassessed"


class FxRatePublished(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One unit of `base` is `rate` of `quote` on the day. `rate` is canonical decimal text (engine.money.plain)."""

    NAME: ClassVar[str] = "fx.rate_published"
    publisher: str
    base: str
    quote: str
    day: date
    rate: str


class StatementClosed(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A statement as issued: version 1 of it. `statement` is its canonical JSON text; `given` all that it was computed from;
    `carried` the balances that it leaves to the next period; `seals` the digests of the events that it stands on. All are JSON.

    `position` is the end of the log at closing: every event up to it is in the facts, none after it.
    """

    NAME: ClassVar[str] = "statement.closed"
    contract: str
    period: str
    position: int
    digest: str
    statement: str
    given: str
    carried: str
    seals: str


class StatementRestated(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A closed statement computed again after the past had changed: version 2 or later, with fields as those of the closing.

    `adjustment` (JSON) is what changed against the version before, and why; the next statement of the contract that is closed
    takes it up. Where the contract's late events wait for a person, `author` asked for it and `approver` approved it.
    """

    NAME: ClassVar[str] = "statement.restated"
    contract: str
    period: str
    version: int
    position: int
    digest: str
    statement: str
    given: str
    carried: str
    seals: str
    adjustment: str
    author: str | None = None
    approver: str | None = None


class PeriodClosed(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A closing of a period is complete. `root` commits to every statement that it issued, and by `previous` to those of the
    closings of the period before it; `head` is that of the chain over the log up to `position`.
    """

    NAME: ClassVar[str] = "period.closed"
    period: str
    number: int
    position: int
    head: str
    statements: int
    root: str
    previous: str | None = None


class AssessmentCompleted(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A score as issued. `score` is its canonical JSON text; a score that is computed again gets the next version.

    `position` is the end of the log at that time: every event up to it is in the score, none after it.
    """

    NAME: ClassVar[str] = "assessment.completed"
    partner: str
    scorecard: str
    period: str
    version: int
    position: int
    digest: str
    score: str


PartnerEvent = PartnerRegistered
ContractEvent = ContractSigned | ContractTerminated
RulebookEvent = RulebookPublished
StatementEvent = StatementClosed | StatementRestated
VolumeEvent = UsageRecorded | BillingCharged | BillingRefunded | BillingWrittenOff | BillingCollected | AdvancePaid
# Those that are folded into partner facts.
CountedEvent = CaseEvent | TrainingEvent | ContentEvent

VOLUME: dict[str, type[StreamedEvent]] = {event.NAME: event for event in get_args(VolumeEvent)}
REPORTED: dict[str, type[ReportedEvent]] = {
    event.NAME: event
    for base in (CaseEvent, TrainingEvent, ContentEvent, PointsEvent, AssessmentEvent)
    for event in base.__subclasses__()
}
# Those that the engine alone makes: they are in the log, and never on the wire.
ISSUED: dict[str, type[Event]] = {
    event.NAME: event for event in (StatementClosed, StatementRestated, PeriodClosed, AssessmentCompleted)
}
_TERMS = (PartnerRegistered, ContractSigned, ContractTerminated, RulebookPublished)
BY_NAME: dict[str, type[Event]] = {event.NAME: event for event in (*_TERMS, FxRatePublished)}
BY_NAME |= VOLUME | REPORTED | ISSUED

_encoder = msgspec.json.Encoder(order="deterministic")
_decoders = {name: msgspec.json.Decoder(event) for name, event in BY_NAME.items()}


def encoded(event: Event) -> bytes:
    """The event's stored state. Equal events have equal states, so a hash of it tells contents apart."""
    return _encoder.encode(event)


def decoded(name: str, state: bytes) -> Event:
    """The event stored under `name`; a name or a state that this version does not know stops the engine."""
    return _decoders[name].decode(state)
