"""Cases: service times in the contract's calendar, failures reported late, and one complaint followed to its line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from engine.money import plain
from engine.settlement import closing, following, points
from engine.store import partner_facts, relations
from engine.store.database import Store
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import message, registered, signed
from tests.settlement.test_chains import NOVEMBER, NOW, OCTOBER, amounts, book, charge
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]

# Shanghai, Monday to Friday, 9 to 18 o'clock; the first days of October 2026 are holidays up to Wednesday the 7th.
MODEL = {
    "model": "sp", "version": 1, "kind": "revenue_share", "valid_from": "2026-01-01", "author": "Li",
    "service_times": [{"kind": "complaint", "minutes": 540}, {"kind": "complaint", "minutes": 120, "severity": "high"},
                      {"kind": "failure", "minutes": 60, "report_within": 30}],
    "working_time": {"begins": 540, "ends": 1080, "weekdays": [1, 2, 3, 4, 5],
                     "holidays": [f"2026-10-0{day}" for day in range(1, 8)]},
}  # fmt: skip


def case(step: str, time: str, id: str = "K-1", **said: Any) -> bytes:
    data = {"case": id, "partner": "P-1", "kind": "complaint", "contract": "C-1", "author": "Wu"} | said
    return message(f"case.{step}", f"{step}-{id}-{time}", {k: v for k, v in data.items() if v is not None}, time)


def ready(store: Store) -> None:
    take(store, registered(), message("cooperation_model.published", "m", MODEL))
    take(store, signed(cooperation_model="sp", time_zone="Asia/Shanghai"))


def state(store: Store, id: str = "K-1") -> Any:
    with store.reading() as cursor:
        return relations.known(cursor, [("case", id)])["case", id].state


# Raised on Wednesday 30 September at 17:00 in Shanghai: an hour that day, then holidays up to Thursday the 8th, 9:00.
ANSWERS = [
    ("high", "2026-10-08T02:00:00Z", "120", True),
    ("high", "2026-10-08T02:00:06Z", "120.1", False),
    # Of no severity that the model names: 540 minutes, that is up to Thursday 17:00.
    ("low", "2026-10-08T09:00:00Z", "540", True),
    (None, "2026-10-08T09:01:00Z", "541", False),
    (None, "2026-10-04T09:00:00Z", "60", True),
]


def test_an_answer_is_on_time_by_the_working_minutes_of_the_cooperation_model(store: Store) -> None:
    ready(store)
    for number, (severity, answered, _, _) in enumerate(ANSWERS):
        raised = case("opened", "2026-09-30T09:00:00Z", f"K-{number}", severity=severity)
        take(store, raised, case("answered", answered, f"K-{number}"))
    found = [state(store, f"K-{number}") for number in range(len(ANSWERS))]
    assert [(plain(Decimal(each.minutes).scaleb(-6)), each.on_time) for each in found] == [row[2:] for row in ANSWERS]
    with store.reading() as cursor:
        facts = partner_facts.of_contracts(cursor, ["C-1"], date(2026, 10, 1), date(2026, 11, 1))["C-1"]
    timely: dict[str | None, Decimal] = {"yes": Decimal(0), "no": Decimal(0)}
    for fact in facts:
        if (fact.event, fact.field) == ("case.answered", "minutes"):
            timely[dict(fact.dimensions)["on_time"]] += fact.value
    # 120 + 540 + 60, and 120.1 + 541.
    assert timely == {"yes": Decimal(720), "no": Decimal("661.1")}


def test_what_an_answer_states_itself_stands_and_a_reopened_case_is_owed_another(store: Store) -> None:
    ready(store)
    take(
        store,
        case("opened", "2026-10-08T02:00:00Z"),
        case("answered", "2026-10-08T03:00:00Z", minutes="7", on_time=False),
    )
    assert (state(store).minutes, state(store).on_time) == (7_000_000, False)
    take(store, case("closed", "2026-10-08T04:00:00Z", upheld=False), case("reopened", "2026-10-09T01:00:00Z"),
         case("answered", "2026-10-09T01:30:00Z"))  # fmt: skip
    assert (state(store).minutes, state(store).on_time) == (30_000_000, True)


def test_without_a_contract_or_a_model_nothing_is_computed(store: Store) -> None:
    take(store, registered(), signed())
    take(store, case("opened", "2026-10-08T02:00:00Z"), case("answered", "2026-10-08T03:00:00Z"),
         case("opened", "2026-10-08T02:00:00Z", "K-2", contract=None), case("answered", "2026-10-08T03:00:00Z", "K-2", contract=None))  # fmt: skip
    assert [(state(store, id_).minutes, state(store, id_).on_time) for id_ in ("K-1", "K-2")] == [(None, None)] * 2


def test_a_failure_is_reported_late_by_working_minutes_after_it_began(store: Store) -> None:
    ready(store)
    # It began on Thursday 8 October at 17:45 in Shanghai: 15 working minutes that day, so that 9:15 is the limit.
    for id_, reported, late in (("F-1", "2026-10-09T01:15:00Z", False), ("F-2", "2026-10-09T01:15:01Z", True)):
        about = {"id": id_, "kind": "failure"}
        take(store, case("opened", reported, start="2026-10-08T17:45:00+08:00", service="sms", **about),
             case("closed", "2026-10-09T09:00:00Z", end="2026-10-09T10:00:00+08:00", affected=300, **about))  # fmt: skip
        found = state(store, id_)
        # From 17:45 to 10:00 are 975 minutes of failure, whatever the hours of work.
        assert (found.late, found.lasted, found.service, found.affected) == (late, 975_000_000, "sms", 300_000_000)


def test_a_step_that_does_not_follow_from_the_opening_is_refused(store: Store) -> None:
    ready(store)
    later = "2026-10-09T00:00:00Z"
    take(store, registered("P-2"), signed("C-2"), case("opened", "2026-10-08T02:00:00Z"))
    take(store, case("acknowledged", later, kind="failure"), case("answered", later, contract="C-2"),
         case("escalated", later, partner="P-2", contract=None), case("reopened", later), case("opened", later))  # fmt: skip
    assert [code for _, code in kept(store)] == ["not-as-opened"] * 3 + ["wrong-state", "already-there"]
    assert state(store).state == "opened"
    take(store, case("opened", later, "F-1", kind="failure", start="2026-10-08T01:00:00Z"),
         case("closed", later, "F-1", kind="failure", end="2026-10-08T00:59:59Z"))  # fmt: skip
    assert kept(store)[-1] == ("suspended", "ends-before-it-begins")


def test_a_reopening_takes_back_what_the_closing_said_and_nothing_else(store: Store) -> None:
    ready(store)
    take(store, case("opened", "2026-10-08T02:00:00Z", severity="high", product="sms"))
    take(store, case("closed", "2026-10-08T04:00:00Z", upheld=True, compensation="30", currency="CNY"))
    later = "2026-10-09T02:00:00Z"
    take(store, case("reopened", later, severity="low"), case("reopened", "2026-10-09T02:00:01Z", product="mms"),
         case("reopened", "2026-10-09T02:00:02Z", service="S"))  # fmt: skip
    assert kept(store) == [("suspended", "not-as-opened")] * 3
    take(store, case("reopened", "2026-10-09T03:00:00Z", severity="high"), case("closed", later, severity="low"))
    assert kept(store)[3:] == []
    with store.reading() as cursor:
        facts = partner_facts.of_contracts(cursor, ["C-1"], date(2026, 10, 1), date(2026, 11, 1))["C-1"]
    found = [(f.event, dict(f.dimensions)["severity"], plain(f.value)) for f in facts if f.field == "compensation"]
    assert found == [("case.closed", "high", "30"), ("case.reopened", "high", "30")]
    assert state(store).severity == "low"


MEASURES = (
    ', complaints: {event: case.closed, count: events, where: {kind: complaint, upheld: "yes"}}'
    ', compensation: {event: case.closed, sum: compensation, where: {kind: complaint, upheld: "yes"}}'
    ", broken: {event: case.closed, sum: minutes, where: {kind: failure}}"
    ', reported late: {event: case.closed, count: events, where: {kind: failure, late: "yes"}}'
    ", asked: {event: case.answered, count: events}"
    ', in time: {event: case.answered, count: events, where: {on_time: "yes"}}'
)
BOOK = """\
  - {name: share, amount: 50% * sales}
  - {name: penalty, amount: -20 * complaints - compensation}
  - {name: downtime, amount: -0.1 * broken - 50 * reported late}
  - {name: payable, amount: share + penalty + downtime, round: half_up}
points:
  earn:
    - {name: complaint, of: complaints, rate: -20}
  levels: {of: balance, bands: [{name: basic, from: 0}]}
assessment:
  metrics:
    - {name: quality, weight: 50%, value: complaints, linear: [{at: 0, score: 100}, {at: 4, score: 0}]}
    - {name: service, weight: 50%, value: 100 * in time / asked, linear: [{at: 0, score: 0}, {at: 100, score: 100}], otherwise: 100}
  grades: [{below: 80, grade: B}, {upto: 100, grade: A}]
"""


def complained(store: Store) -> None:
    """Two complaints are upheld, K-1 with 30 of compensation; of the two answers that to K-1 is late. A failure is late, too."""
    ready(store)
    take(store, book(BOOK, measures=MEASURES), charge("1", "1000", 10))
    take(store, case("opened", "2026-10-08T02:00:00Z", severity="high"), case("acknowledged", "2026-10-08T02:30:00Z"),
         case("answered", "2026-10-08T05:00:00Z"), case("closed", "2026-10-09T02:00:00Z", upheld=True, compensation="30", currency="CNY"))  # fmt: skip
    take(store, case("opened", "2026-10-08T02:00:00Z", "K-2"), case("answered", "2026-10-08T03:00:00Z", "K-2"),
         case("closed", "2026-10-09T02:00:00Z", "K-2", upheld=True))  # fmt: skip
    take(store, case("opened", "2026-10-09T05:00:00Z", "F-1", kind="failure", start="2026-10-09T03:00:00Z", service="sms"),
         case("closed", "2026-10-09T07:00:00Z", "F-1", kind="failure", end="2026-10-09T06:20:00Z", affected=7))  # fmt: skip


def test_cases_move_money_points_and_score(store: Store) -> None:
    complained(store)
    told = amounts(store, OCTOBER)
    # 50% of 1,000; 2 complaints at 20 and 30 of compensation; 200 minutes at 0.1 and once 50 for the late report.
    assert [told[name] for name in ("share", "penalty", "downtime", "payable")] == ["500", "-70", "-70", "360.00"]
    with store.reading() as cursor:
        (account,) = points.accounts(cursor, "P-1", date(2026, 10, 31))
    assert account.account.balance == -40
    assert rebuild(store).equal


@pytest.mark.parametrize("closed", [False, True])
def test_an_upheld_complaint_is_followed_from_its_event_to_its_lines(store: Store, closed: bool) -> None:
    complained(store)
    if closed:
        assert closing.close(store, OCTOBER, NOW).closed == 1
        # What comes later is in no statement that was closed before.
        take(store, case("reopened", "2026-10-20T00:00:00Z"))
    with store.reading() as cursor:
        found = following.follow(cursor, "K-1")
    events = ["case.opened", "case.acknowledged", "case.answered", "case.closed"] + ["case.reopened"] * closed
    assert [each.event.NAME for each in found.told] == events
    assert [each.position for each in found.told][:4] == [6, 7, 8, 9]
    assert [(fact.field, plain(fact.value)) for fact in found.told[3].facts] == [("cases", "1"), ("compensation", "30")]
    (on,) = found.statements
    assert (on.contract, on.period, on.version) == ("C-1", OCTOBER, int(closed))
    # Of 2 complaints 1 is left without it, of 30 of compensation none, of 2 answers 1.
    assert {each.name: (plain(each.value), plain(each.without)) for each in on.measures} == {
        "complaints": ("2", "1"), "compensation": ("30", "0"), "asked": ("2", "1"),
    }  # fmt: skip
    # Without it the penalty were 20 instead of 70, and the payable amount 50 higher.
    assert {each.name: (str(each.value.normalize()), plain(each.without)) for each in on.lines} == {
        "penalty": ("-7E+1", "-20"), "payable": ("3.6E+2", "410"),
    }  # fmt: skip
    (score,) = found.scores
    # Quality: 2 of at most 4 complaints are 50, 1 is 75. Service: 1 of 2 answers in time is 50, 1 of 1 is 100.
    # So (50 + 50) / 2 = 50, and without it (75 + 100) / 2 = 87.5: a B instead of an A.
    parts = {each.name: (plain(each.value), plain(each.without)) for each in score.parts}
    assert parts == {"quality": ("50", "75"), "service": ("50", "100"), "score": ("50", "87.5")}
    assert (score.grade, score.grade_without, score.version) == ("B", "A", int(closed))
    (entry,) = found.points
    assert (entry.entry.name, entry.entry.points, entry.entry.day) == ("complaint", -40, date(2026, 10, 9))


def test_what_a_reopening_undoes_can_be_taken_back(store: Store) -> None:
    again = (
        ', undone: {event: case.reopened, count: events, where: {kind: complaint, upheld: "yes"}}'
        ', given back: {event: case.reopened, sum: compensation, where: {kind: complaint, upheld: "yes"}}'
    )
    steps = """\
  - {name: penalty, amount: -20 * (complaints - undone) - (compensation - given back)}
  - {name: payable, amount: 50% * sales + penalty, round: half_up}
"""
    ready(store)
    take(store, book(steps, measures=MEASURES + again), charge("1", "1000", 10))
    take(store, case("opened", "2026-10-08T02:00:00Z"),
         case("closed", "2026-10-09T02:00:00Z", upheld=True, compensation="30", currency="CNY"))  # fmt: skip
    assert amounts(store, OCTOBER)["penalty"] == "-50"
    take(store, case("reopened", "2026-10-12T02:00:00Z"))
    # 1 complaint less 1 that was undone, 30 less 30 that were given back.
    assert (amounts(store, OCTOBER)["penalty"], state(store).upheld) == ("0", None)
    take(store, case("closed", "2026-10-13T02:00:00Z", upheld=True))
    assert amounts(store, OCTOBER)["penalty"] == "-20"


def test_a_complaint_that_is_upheld_after_closing_is_followed_into_the_adjustment(store: Store) -> None:
    complained(store)
    assert closing.close(store, OCTOBER, NOW).closed == 1
    take(
        store, case("opened", "2026-10-12T02:00:00Z", "K-3"), case("closed", "2026-10-13T02:00:00Z", "K-3", upheld=True)
    )
    with store.reading() as cursor:
        (before,) = following.follow(cursor, "K-3").statements
    assert (before.version, before.measures, before.lines) == (1, (), ())
    assert len(restate(store, NOW).restated) == 1
    closing.close(store, NOVEMBER, NOW)
    with store.reading() as cursor:
        (after,) = following.follow(cursor, "K-3").statements
    assert (after.version, after.taken_by) == (2, "2026-11")
    # A third complaint at 20.
    assert [(each.name, each.value - each.without) for each in after.lines] == [("penalty", -20), ("payable", -20)]


def test_a_case_that_nothing_counts_is_followed_to_nothing_and_an_unknown_one_is_refused(store: Store) -> None:
    take(store, registered(), case("opened", "2026-10-08T02:00:00Z", contract=None))
    with store.reading() as cursor:
        found = following.follow(cursor, "K-1")
        assert (len(found.told), found.statements, found.scores, found.points) == (1, (), (), ())
        with pytest.raises(following.UnknownCase):
            following.follow(cursor, "K-9")
