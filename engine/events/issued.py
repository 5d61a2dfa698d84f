"""Events that the engine alone makes: what it issued. They are in the log, and never on the wire."""

from __future__ import annotations

from typing import ClassVar

from engine.events.base import Event


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
