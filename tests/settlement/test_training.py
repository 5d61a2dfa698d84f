"""Courses, the certificates that completing them gives, and what depends on these."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from engine.settlement import points
from engine.store import partner_facts, relations
from engine.store.database import Store
from replay.rebuild.running import rebuild
from tests.histories import charged, message, registered, signed
from tests.settlement.test_chains import book, standing
from tests.settlement.test_leads import sentence
from tests.settlement.test_qualifications import model
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]


def offered(months: int | None = 12, id: str = "1", course: str = "basics") -> bytes:
    data = {"course": course, "name": "Basics", "author": "Li"} | ({"months_valid": months} if months else {})
    return message("course.offered", f"offer-{course}-{id}", data)


def withdrawn(id: str = "1") -> bytes:
    return message("course.withdrawn", f"withdraw-{id}", {"course": "basics", "author": "Li"})


def step(
    name: str, who: str | None = "Ann", time: str = "2026-10-03T08:15:00Z", partner: str = "P-1", **said: Any
) -> bytes:
    data = {"partner": partner, "course": "basics"} | ({"participant": who} if who else {}) | said
    return message(f"training.{name}", f"{name}-{who}-{time}-{partner}-{said}", data, time)


def days(store: Store, who: str = "Ann") -> list[tuple[str, str | None]]:
    with store.reading() as cursor:
        (found,) = [each for each in relations.listed(cursor, "training") if each.state.participant == who]
    return [(str(each.first), each.end and str(each.end)) for each in found.state.valid]


@pytest.fixture
def trained(store: Store) -> Store:
    """A contract whose cooperation model asks for a certificate."""
    take(store, registered(), model(qualifications=[], courses=["basics"]), signed(cooperation_model="sp"), offered())
    return store


def test_events_count_from_the_completion_to_the_end_of_the_certificate(trained: Store) -> None:
    take(trained, charged("1", time="2026-10-02T23:59:59Z"), charged("2"))
    assert kept(trained) == [("suspended", "certificate-lapsed")] * 2
    take(trained, step("enrolled", time="2026-09-01T00:00:00Z"), step("completed"))
    assert kept(trained) == [("suspended", "certificate-lapsed")], "the second was recycled"
    take(trained, charged("3", time="2027-10-02T00:00:00Z"), charged("4", time="2027-10-03T00:00:00Z"))
    assert kept(trained) == [("suspended", "certificate-lapsed")] * 2
    # Twelve months, to the day; another of the partner's people has one for longer, which is enough.
    assert days(trained) == [("2026-10-03", "2027-10-03")]
    take(trained, step("enrolled", "Bo"), step("completed", "Bo", time="2027-08-01T00:00:00Z", expires="2028-01-01"))
    assert kept(trained) == [("suspended", "certificate-lapsed")]
    assert rebuild(trained).equal


def test_what_completes_a_course_is_recorded_with_the_day_on_which_it_expires(trained: Store) -> None:
    take(trained, offered(months=1, id="short", course="safety"), step("enrolled", course="safety"))
    take(trained, step("completed", time="2026-01-31T10:00:00Z", course="safety"))
    with trained.reading() as cursor:
        row = cursor.execute("SELECT state FROM settle.log ORDER BY notification_id DESC LIMIT 1").fetchone()
    assert row is not None
    assert b'"expires":"2026-02-28"' in bytes(row[0])


def test_who_is_certified_again_holds_both_stretches(trained: Store) -> None:
    take(trained, step("enrolled"), step("completed", expires="2026-11-03"))
    take(trained, step("enrolled", time="2026-12-01T00:00:00Z"), step("completed", time="2026-12-05T00:00:00Z"))
    assert days(trained) == [("2026-10-03", "2026-11-03"), ("2026-12-05", "2027-12-05")]
    take(trained, step("enrolled", time="2027-10-01T00:00:00Z"), step("completed", time="2027-10-05T00:00:00Z"))
    assert days(trained) == [("2026-10-03", "2026-11-03"), ("2026-12-05", "2028-10-05")]


REFUSED = [
    (step("completed"), "not-there", "completed without having been begun"),
    (step("enrolled", "Bo", time="2026-10-04T00:00:00Z"), "wrong-state", "from there training.completed is possible"),
    (step("completed", "Bo", expires="2026-10-03"), "ends-before-it-begins", "would expire on 2026-10-03"),
    (offered(id="2"), "wrong-state", "from there course.withdrawn is possible"),
    (message("course.withdrawn", "w", {"course": "other", "author": "Li"}), "not-there", "was never offered"),
    (step("enrolled", "Cy", partner="P-9"), "unknown-partner", "P-9"),
]


def test_what_does_not_follow_is_suspended_and_says_what_does(trained: Store) -> None:
    take(trained, step("enrolled", "Bo"))
    for number, (asked, code, says) in enumerate(REFUSED, 1):
        assert take(trained, asked).suspended == 1, says
        assert kept(trained) == [("suspended", code) for _, code, _ in REFUSED[:number]]
        assert says in sentence(trained)


def test_of_a_withdrawn_course_who_has_begun_may_complete_it(trained: Store) -> None:
    take(trained, step("enrolled"), withdrawn(), step("enrolled", "Bo"), step("completed"))
    assert kept(trained) == [("suspended", "course-withdrawn")]
    take(trained, offered(months=None, id="again"), step("enrolled", "Cy"), step("completed", "Cy"))
    assert days(trained) == [("2026-10-03", "2027-10-03")]
    assert days(trained, "Cy") == [("2026-10-03", None)], "for ever, as it is offered now"


def test_a_course_that_is_not_in_the_catalogue_is_taken_as_it_comes(store: Store) -> None:
    take(store, registered(), *(step("completed", None, time=f"2026-10-0{day}T00:00:00Z") for day in (3, 4, 5)))
    take(
        store, step("enrolled", None, time="2026-10-06T00:00:00Z"), step("enrolled", None, time="2026-10-07T00:00:00Z")
    )
    assert kept(store) == []
    with store.reading() as cursor:
        facts = partner_facts.of_partners(cursor, ["P-1"], date(2026, 10, 1), date(2026, 11, 1))["P-1"]
        (training,) = relations.listed(cursor, "training")
    assert [(fact.event, fact.events) for fact in facts] == [("training.completed", 3), ("training.enrolled", 2)]
    assert len(training.state.valid) == 1


def test_however_long_its_names_are_a_training_is_kept(store: Store) -> None:
    # Each character takes four bytes, and none repeats: longer than an index holds.
    long = ["".join(chr(0x20000 + 256 * part + number) for number in range(256)) for part in range(3)]
    who = message("partner.registered", "1", {"partner": long[0], "name": "x", "kind": "agent"})
    done = {"partner": long[0], "course": long[1], "participant": long[2]}
    assert take(store, who, message("training.completed", "2", done)).recorded == 2
    assert kept(store) == []
    assert rebuild(store).equal


RATED = """\
points:
  earn:
    - {name: certified, of: completed, rate: 30}
assessment:
  metrics:
    - name: training rate
      weight: 100%
      value: completed / enrolled
      linear: [{at: 0, score: 0}, {at: 1, score: 100}]
      otherwise: 0
  grades:
    - {grade: B, below: 75}
    - {grade: A, upto: 100}
"""
MEASURES = (
    ", completed: {event: training.completed, count: events}, enrolled: {event: training.enrolled, count: events}"
)


def test_the_training_rate_is_a_metric_and_certificates_earn_points(store: Store) -> None:
    take(store, registered(), signed(), offered())
    take(store, book("  - {name: payable, amount: 10% * sales, round: half_up}\n", measures=MEASURES, more=RATED))
    take(store, *(step("enrolled", who) for who in ("Ann", "Bo", "Cy", "Di", "Ed")))
    take(store, *(step("completed", who, time="2026-10-20T00:00:00Z") for who in ("Ann", "Bo", "Cy")))
    with store.reading() as cursor:
        (account,) = points.accounts(cursor, "P-1", date(2026, 10, 31))
    score = standing(store, "P-1")
    # Three of five: 3 / 5 x 100 = 60, below 75.
    assert (score.score.total, score.grade) == (60, "B")
    assert account.account.balance == 90, "three certificates at 30 points"
    take(store, step("completed", "Di", time="2026-10-21T00:00:00Z"))
    score = standing(store, "P-1")
    assert (score.score.total, score.grade) == (80, "A")
