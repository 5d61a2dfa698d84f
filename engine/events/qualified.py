"""What a partner may do and on which terms: its qualifications, and the catalogue of cooperation models."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

import msgspec

from engine.events.base import Event
from engine.events.reported import ReportedEvent
from engine.period import Calendar


class QualificationEvent(ReportedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One step in the life of a licence, certificate or registration that a partner holds. `qualification` is its number."""

    KIND: ClassVar[str] = "qualification"
    KEY: ClassVar[tuple[str, ...]] = ("partner", "qualification")
    qualification: str


class QualificationSubmitted(QualificationEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Valid on the days from `valid_from` up to, and without, `valid_to`. `evidence` says where the document lies."""

    NAME: ClassVar[str] = "qualification.submitted"
    type: str
    issuer: str
    valid_from: date
    valid_to: date | None = None
    evidence: str | None = None
    author: str | None = None


class QualificationApproved(QualificationEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "qualification.approved"
    author: str


class QualificationRejected(QualificationEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    NAME: ClassVar[str] = "qualification.rejected"
    author: str
    reason: str


class QualificationRenewed(QualificationEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Approved for a further stretch of days, from `valid_from` up to, and without, `valid_to`."""

    NAME: ClassVar[str] = "qualification.renewed"
    author: str
    valid_from: date
    valid_to: date | None = None
    evidence: str | None = None


class QualificationRevoked(QualificationEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """`valid_to` is the first day on which it is no longer valid."""

    NAME: ClassVar[str] = "qualification.revoked"
    author: str
    reason: str
    valid_to: date


class StatementDays(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The calendar of a statement: by how many days after its period's last day what is due.

    It is published by `publish_by`, may be disputed up to and with `dispute_until`, is confirmed by default after that, and is
    to be paid by `pay_by`.
    """

    publish_by: int
    dispute_until: int
    pay_by: int


class ServiceTime(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Within how many working minutes a case of the kind (and severity, where one is named) is to be answered.

    A failure that is reported more than `report_within` working minutes after it began is reported late.
    """

    kind: str
    minutes: int
    severity: str | None = None
    report_within: int | None = None


class WorkingTime(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """When minutes of service count, in the contract's time zone: from `begins` up to `ends` (minutes of the day) on
    `weekdays` (1 is Monday) that are no `holidays`.
    """

    begins: int = 0
    ends: int = 1_440
    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    holidays: tuple[date, ...] = ()


class CooperationModelPublished(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A version of a model of cooperation, in force from `valid_from` until the next version begins.

    Contracts under it are with partners of `partner_kinds` and settle by one of `rulebooks` (none named: by any). Their events
    count only while the partner holds a valid qualification of each type of `qualifications` and a certificate of each of
    `courses`; with `authorisation`, only where an agency authorisation covers them; with `published_content`, only for content
    that was published on their day. `deposit` is in micros of `currency`.
    """

    NAME: ClassVar[str] = "cooperation_model.published"
    KIND: ClassVar[str] = "cooperation_model"
    KEY: ClassVar[tuple[str, ...]] = ("model",)
    model: str
    version: int
    kind: str
    valid_from: date
    author: str
    partner_kinds: tuple[str, ...] = ()
    qualifications: tuple[str, ...] = ()
    courses: tuple[str, ...] = ()
    rulebooks: tuple[str, ...] = ()
    authorisation: bool = False
    published_content: bool = False
    deposit: int | None = None
    currency: str | None = None
    calendar: Calendar | None = None
    days: StatementDays | None = None
    service_times: tuple[ServiceTime, ...] = ()
    working_time: WorkingTime = WorkingTime()
