"""A score on its way: computed, published, appealed, decided, final; and what a granted appeal and a veto move."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from consumers.proposing import propose
from consumers.suspense import recycle_ripe
from engine.events import decoded
from engine.period import Period
from engine.settlement import closing, following, points, scoring
from engine.settlement.finalising import NotIssued, Proposed, proposed
from engine.settlement.recording import Slice, record
from engine.settlement.statements import view
from engine.store import log, relations, suspense
from engine.store.database import Store
from engine.store.relations import Relation
from replay import known
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import message, messages, registered, signed
from tests.settlement import test_services as services_
from tests.settlement.test_chains import DECEMBER, NOVEMBER, NOW, OCTOBER, amounts, book, charge
from tests.settlement.test_recording import CHANNEL, clock, kept, store, take

__all__ = ["store"]

MEASURES = (
    ", complaints: {event: case.closed, count: events, where: {kind: complaint, upheld: 'yes'}}"
    ", frauds: {event: case.closed, count: events, where: {kind: complaint, severity: critical, upheld: 'yes'}}"
)
BOOK = """\
  - {name: share, amount: 50% * sales}
  - name: payable
    coefficient: {of: share, grade: this, factors: {A: 110%, B: 90%, D: 0%}, ungraded: 100%}
    round: half_up
points:
  earn: [{name: sales points, of: share, rate: 1}]
  levels: {of: balance, bands: [{name: basic, from: 0}]}
assessment:
  metrics:
    - {name: complaints, weight: 100%, value: complaints, linear: [{at: 0, score: 100}, {at: 4, score: 0}]}
  vetoes: [{name: fraud, of: frauds, grade: D}]
  grades: [{below: 10, grade: D}, {below: 80, grade: B}, {upto: 100, grade: A}]
  consequences: {A: {points: 25}, B: {action: warning}, D: {action: suspend}}
"""
KEY = {"scorecard": "simple", "period": "2026-10", "partner": "P-1"}


def step(name: str, **said: Any) -> bytes:
    return message(f"assessment.{name}", f"{name}-{said}", KEY | {"author": "ann"} | said, "2026-11-05T00:00:00Z")


def appealed(**said: Any) -> bytes:
    return step("appealed", author="eve", reason="one was no complaint", **said)


def granted(**said: Any) -> bytes:
    return step("decided", **{"granted": True, "grade": "A", "reason": "it was a question", "approver": "bob"} | said)


DISMISSED = {"granted": False, "reason": "it was one", "approver": "bob"}


def complaint(id: str, **said: Any) -> bytes:
    data = {"case": id, "partner": "P-1", "kind": "complaint", "upheld": True, "author": "Wu"}
    return message("case.closed", f"close-{id}", data | said, "2026-10-05T00:00:00Z")


def closed(store: Store, *more: bytes) -> None:
    """One complaint of at most 4: the score is 75, a B; 50% of 1,000 times 90% is 450."""
    take(store, registered(), signed(valid_from="2026-10-01"), book(BOOK, measures=MEASURES))
    take(store, charge("1", "1000", 10), complaint("K-1"), *more)
    assert closing.close(store, OCTOBER, NOW).closed == 1


def state(store: Store) -> Any:
    with store.reading() as cursor:
        return relations.known(cursor, [("assessment", "simple\x1f2026-10\x1fP-1")])[
            "assessment", "simple\x1f2026-10\x1fP-1"
        ].state


def standing(store: Store) -> scoring.Standing:
    with store.reading() as cursor:
        (found,) = scoring.of_partner(cursor, "P-1", OCTOBER)
    return found


def test_a_score_is_published_only_once_it_is_issued(store: Store) -> None:
    take(store, registered(), step("published"))
    assert kept(store) == [("suspended", "not-there")]
    closed(store)
    # Issuing it is noted, so that the next message that arrives, or the next start, tries it.
    assert recycle_ripe(store, clock) == 1
    assert (state(store).state, state(store).published) == ("published", 1)


def test_who_appeals_writes_or_misnames_a_grade_cannot_decide_it(store: Store) -> None:
    closed(store)
    early = step("appealed", author="eve", reason="too early")
    take(store, early, step("published"), step("published", author="bob"), appealed(), granted(author="bob"),
         granted(approver="eve"), granted(author="eve"), granted(grade="Z"), step("finalised"))  # fmt: skip
    # Before it is published, and twice; by whom it is not to be decided; by no such grade; and while the appeal is open.
    found = [code for _, code in kept(store)]
    assert found == [
        "wrong-state", "wrong-state", "approver-is-author", "own-approval", "own-approval", "no-such-grade", "wrong-state",
    ]  # fmt: skip
    assert state(store).state == "appealed"


def test_what_is_final_is_neither_appealed_nor_overridden_nor_computed_again(store: Store) -> None:
    closed(store)
    by_hand = KEY | {"author": "ann", "reason": "x"}
    take(store, step("published"), step("finalised"), appealed(), granted(),
         message("assessment.overridden", "o", by_hand | {"approver": "bob", "grade": "A"}),
         message("assessment.reassessed", "r", by_hand))  # fmt: skip
    assert kept(store) == [("suspended", "wrong-state")] * 4
    assert (standing(store).grade, scoring.reassess(store, OCTOBER, NOW)) == ("B", {})


def test_a_granted_appeal_after_closing_becomes_an_adjustment_on_the_next_statement(store: Store) -> None:
    closed(store)
    assert (amounts(store, OCTOBER)["payable"], standing(store).grade) == ("450.00", "B")
    assert restate(store, NOW).restated == ()
    take(store, step("published"), appealed(), granted(), step("finalised"))
    assert kept(store) == []
    assert (standing(store).grade, standing(store).score.assessed, state(store).state) == ("A", "B", "final")
    # 500 at 110% instead of 90%: 550, so 100 more; and the 25 points of an A.
    (made,) = restate(store, NOW).restated
    assert [cause["cause"] for cause in made.causes] == ["grade"]
    take(store, charge("2", "200", 11))
    assert closing.close(store, NOVEMBER, NOW).closed == 1
    with store.reading() as cursor:
        said = view(cursor, "C-1", NOVEMBER).statement
        (account,) = points.accounts(cursor, "P-1", date(2026, 11, 30))
    # November: 50% of 200 at 110%, since nobody complained.
    adjusted = [row["amount"] for each in said["adjustments"] for row in each["payable"]]
    assert (said["payable"], adjusted, said["due"][0]["amount"]) == ("110.00", ["100.00"], "210.00")
    # 500 and 100 of share, and 25 for each A.
    assert account.account.balance == Decimal(650)
    assert restate(store, NOW).restated == ()
    assert rebuild(store).equal


def test_a_restated_statement_is_explained_by_what_was_known_when_it_was_issued(store: Store) -> None:
    closed(store)
    # A second complaint, of no contract, comes late: the score is 50, and the grade of 10 to 80 stays B. Then a granted appeal.
    take(store, complaint("K-2"), step("published"), appealed(), granted())
    assert len(restate(store, NOW).restated) == 1
    # A fraud that is told after that would be a D, had a person not given an A.
    take(store, complaint("K-3", severity="critical"))
    assert restate(store, NOW).restated == ()
    with store.reading() as cursor:
        first, second = (view(cursor, "C-1", OCTOBER, version).statement for version in (1, 2))
    assert (first["payable"], second["payable"]) == ("450.00", "550.00")


def test_a_late_complaint_alone_is_a_version_that_can_be_explained(store: Store) -> None:
    closed(store)
    # Three more complaints, of no contract: a score of 0, D, whose factor is 0. Then further ones, which change nothing.
    take(store, *(complaint(f"K-{number}") for number in (2, 3, 4)))
    assert len(restate(store, NOW).restated) == 1
    take(store, complaint("K-5"))
    with store.reading() as cursor:
        second = view(cursor, "C-1", OCTOBER, 2)
    assert second.statement["payable"] == "0.00"


@pytest.mark.parametrize("shut", [False, True])
def test_a_complaint_is_followed_through_the_grade_to_the_money(store: Store, shut: bool) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"), book(BOOK, measures=MEASURES))
    take(store, charge("1", "1000", 10), complaint("K-1", contract="C-1"))
    if shut:
        closing.close(store, OCTOBER, NOW)
    with store.reading() as cursor:
        found = following.follow(cursor, "K-1")
    # Without the complaint the grade were A: 110% of 500 instead of 90%.
    assert [(each.name, each.value, each.without) for each in found.statements[0].lines] == [("payable", 450, 550)]
    assert [(each.grade, each.grade_without) for each in found.scores] == [("B", "A")]


def test_a_dismissed_appeal_moves_nothing(store: Store) -> None:
    closed(store)
    take(store, step("published"), appealed(), step("decided", **DISMISSED), step("finalised"))
    assert (kept(store), standing(store).grade, state(store).granted) == ([], "B", False)
    assert restate(store, NOW).restated == ()


def test_a_score_that_was_computed_again_is_published_again(store: Store) -> None:
    closed(store)
    take(store, step("published"), complaint("K-2"))
    take(store, message("assessment.reassessed", "again", KEY | {"author": "ann", "reason": "K-2"}))
    assert scoring.reassess(store, OCTOBER, NOW) == {"simple": 1}
    take(store, step("published", author="bob"))
    assert (kept(store), state(store).published) == ([], 2)


def test_what_is_known_of_grades_is_the_same_by_events_and_by_tables(store: Store) -> None:
    closed(store)
    take(store, step("published"), appealed(), granted())
    with store.reading() as cursor:
        told = [(at, decoded(name, bytes_)) for at, name, bytes_ in log.told(cursor, after=0, to=10**9)]
        assert known.of(told, position=10**9, rules_position=10**9).overrides == known.live(cursor).overrides != {}


def services(store: Store, monkeypatch: pytest.MonkeyPatch, period: str = "2026-10") -> list[Proposed]:
    """What would be proposed for a partner with a live, a trial and an exited service."""

    class Service(msgspec.Struct):
        service: str
        contract: str
        state: str
        proposed: str | None = None

    held = [
        Relation("service", name, 1, Service(name, "C-1", state), NOW)
        for name, state in (("game", "exited"), ("mms", "live"), ("sms", "trial"))
    ]
    monkeypatch.setattr(relations, "listed", lambda *_, **__: held)
    with store.reading() as cursor:
        return proposed(cursor, "simple", Period.parse(period), "P-1")


def test_a_veto_proposes_that_running_services_be_suspended_and_a_grade_does_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(store, complaint("K-2", severity="critical"))
    assert amounts(store, OCTOBER)["payable"] == "0.00"
    found = services(store, monkeypatch)
    assert [(each.service, each.contract, each.reason, each.cause) for each in found] == [
        (name, "C-1", "grade D by veto fraud", "assessment simple 2026-10") for name in ("mms", "sms")
    ]
    take(store, step("published"), appealed(), granted(grade="B"))
    assert services(store, monkeypatch) == []
    with pytest.raises(NotIssued):
        services(store, monkeypatch, str(DECEMBER))


def vetoed(store: Store) -> None:
    """One service is live, one on trial, one was only approved; and a fraud makes it a D."""
    running: tuple[bytes, ...] = ()
    for name in ("mms", "sms", "new"):
        running += (services_.applied(name), services_.approved(name, f"approve-{name}"))
    running += (
        services_.step("launched", service="mms", day="2026-10-01"),
        services_.step("trial_started", service="sms", day="2026-10-01"),
    )
    take(store, registered(), signed(valid_from="2026-10-01"), *running)
    closed(store, complaint("K-2", severity="critical"))


def proposals(store: Store) -> dict[str, tuple[str, str, str | None] | None]:
    with store.reading() as cursor:
        known_ = {each.id: each.state.proposed for each in relations.listed(cursor, "service")}
    return {name: each and (each.author, each.reason, each.cause) for name, each in known_.items()}


PROPOSED = ("ann", "grade D by veto fraud", "assessment simple 2026-10")


def test_a_veto_that_a_message_makes_final_proposes_the_suspension_once(store: Store) -> None:
    vetoed(store)
    take(store, step("published"))
    assert set(proposals(store).values()) == {None}
    take(store, step("finalised"), step("finalised"))
    assert proposals(store) == {"mms": PROPOSED, "sms": PROPOSED, "new": None}
    # Whoever made it final does not confirm it.
    take(store, services_.step("suspended", service="mms", day="2026-11-06", author="ann", reason="veto"))
    assert kept(store) == [("suspended", "own-approval")]
    take(store, services_.step("suspended", service="mms", day="2026-11-06", author="Wu", reason="veto"),
         services_.step("suspension_rejected", service="sms", author="Wu", reason="mended"))  # fmt: skip
    assert rebuild(store).equal
    # What a person has decided is not proposed again, whatever is tried again.
    assert propose(store, ["simple\x1f2026-10\x1fP-1"], clock()) == []
    assert proposals(store) == {"mms": None, "sms": None, "new": None}


def test_what_a_process_that_died_had_to_propose_the_next_proposes(store: Store) -> None:
    vetoed(store)
    take(store, step("published"))
    final = messages([step("finalised")])
    record(store, [Slice(CHANNEL, 0, None, 1)], final, clock())
    assert set(proposals(store).values()) == {None}
    assert recycle_ripe(store, clock) == 0
    assert proposals(store) == {"mms": PROPOSED, "sms": PROPOSED, "new": None}
    with store.reading() as cursor:
        assert suspense.arrivals(cursor) == []


def test_a_grade_that_a_granted_appeal_gave_proposes_nothing(store: Store) -> None:
    vetoed(store)
    take(store, step("published"), appealed(), granted(grade="B"), step("finalised"))
    assert (state(store).state, kept(store)) == ("final", [])
    assert set(proposals(store).values()) == {None}
