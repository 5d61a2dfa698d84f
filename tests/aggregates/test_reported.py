"""What is reported about a partner, and exchange rates: what they refer to must be there, and a rate never changes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from engine.aggregates import contract, fx, reported
from engine.aggregates.refusal import Refused
from engine.aggregates.reported import Surroundings
from engine.events import (
    AssessmentOverridden,
    AssessmentReassessed,
    CaseClosed,
    CaseOpened,
    ContentWithdrawn,
    FxRatePublished,
    PointsAdjusted,
    PointsBurned,
    ReportedEvent,
    TrainingEnrolled,
)
from tests.aggregates.test_aggregates import signature

WHEN: dict[str, Any] = {"source": "test", "time": datetime(2026, 1, 1, tzinfo=UTC)}
ABOUT: dict[str, Any] = WHEN | {"id": "1", "partner": "P-1"}
SIGNED = contract.evolve(None, signature())
READY = Surroundings(partner_known=True, contract=SIGNED)
NOBODY = READY._replace(partner_known=False)
NO_CONTRACT = READY._replace(contract=None)

OPENED = CaseOpened(**ABOUT, case="K-1", kind="complaint", contract="C-1")
CLOSED = CaseClosed(**ABOUT, case="K-1", kind="failure", contract="C-1", compensation=1, currency="CNY")
ADJUSTED = PointsAdjusted(**ABOUT, program="club", points=1, reason="agreed", author="Li", approver="Wu")
GRADED = AssessmentOverridden(
    **ABOUT, scorecard="agents", period="2026-10", grade="A", reason="agreed", author="Li", approver="Wu"
)


@pytest.mark.parametrize(
    ("command", "surroundings"),
    [
        (OPENED, READY),
        (msgspec.structs.replace(OPENED, contract=None), NO_CONTRACT),
        (CLOSED, READY),
        (TrainingEnrolled(**ABOUT, course="basics"), NO_CONTRACT),
        (ContentWithdrawn(**ABOUT, content="song"), NO_CONTRACT),
        (ADJUSTED, NO_CONTRACT),
        (PointsBurned(**ABOUT, program="club", points=1, reason="gift"), NO_CONTRACT),
        (GRADED, NO_CONTRACT),
        (AssessmentReassessed(**ABOUT, scorecard="agents", period="2026-10", reason="late", author="Li"), NO_CONTRACT),
    ],
    ids=lambda value: getattr(value, "NAME", ""),
)
def test_given_what_it_refers_to_then_it_is_accepted(command: ReportedEvent, surroundings: Surroundings) -> None:
    assert reported.decide(command, surroundings) == (command,)


@pytest.mark.parametrize(
    ("command", "surroundings", "refusal", "waits_for"),
    [
        (OPENED, NOBODY, contract.UnknownPartner, "partner:P-1"),
        (ADJUSTED, NOBODY, contract.UnknownPartner, "partner:P-1"),
        (OPENED, NO_CONTRACT, contract.UnknownContract, "contract:C-1"),
        (msgspec.structs.replace(OPENED, partner="P-2"), READY, reported.OtherPartner, None),
        (msgspec.structs.replace(CLOSED, currency="USD"), READY, contract.OtherCurrency, None),
        (msgspec.structs.replace(ADJUSTED, approver="Li"), READY, reported.ApproverIsAuthor, None),
        (msgspec.structs.replace(GRADED, approver="Li"), READY, reported.ApproverIsAuthor, None),
    ],
)
def test_refusals_of_what_is_reported(
    command: ReportedEvent, surroundings: Surroundings, refusal: type[Refused], waits_for: str | None
) -> None:
    with pytest.raises(refusal) as refused:
        reported.decide(command, surroundings)
    assert refused.value.waits_for == waits_for
    assert ";" in str(refused.value), "a refusal says what, why, and what to do"


RATE = FxRatePublished(**WHEN, id="1", publisher="ECB", base="EUR", quote="CNY", day=date(2026, 10, 1), rate="7.8")


def test_given_a_rate_when_the_same_is_published_again_then_it_stands() -> None:
    assert fx.decide(None, RATE) == (RATE,)
    again = msgspec.structs.replace(RATE, id="2")
    assert fx.decide(fx.evolve(None, RATE), again) == (again,)
    assert fx.evolve("7.8", again) == "7.8"


def test_given_a_rate_when_another_is_published_for_its_day_then_refused() -> None:
    with pytest.raises(
        fx.RateAlreadyPublished, match=r"published 7\.8 CNY for one EUR on 2026-10-01, and this says 7\.9;"
    ):
        fx.decide("7.8", msgspec.structs.replace(RATE, rate="7.9"))


def test_a_rate_of_a_currency_in_itself_is_refused() -> None:
    with pytest.raises(fx.BaseIsQuote):
        fx.decide(None, msgspec.structs.replace(RATE, quote="EUR"))
