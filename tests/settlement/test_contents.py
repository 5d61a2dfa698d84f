"""Content and provisioning: usage counts only of published content; approval and on-time rates move score and money."""

from __future__ import annotations

from datetime import date
from typing import Any

from engine.period import Period
from engine.settlement import closing, scoring
from engine.store import facts, relations
from engine.store.database import Store
from replay.rebuild.running import rebuild
from tests.histories import charged, message, registered, signed
from tests.settlement.test_chains import NOW, OCTOBER, amounts, book, charge
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]

MODEL = {
    "model": "sp", "version": 1, "kind": "revenue_share", "valid_from": "2026-01-01", "author": "Li",
    "published_content": True,
}  # fmt: skip


def content(step: str, time: str, name: str = "song", **said: Any) -> bytes:
    author = "Wu" if step == "reviewed" else "Li"
    data = {"partner": "P-1", "content": name, "contract": "C-1", "author": author} | said
    return message(f"content.{step}", f"{step}-{name}-{time}", data, time)


def ready(store: Store) -> None:
    take(store, registered(), message("cooperation_model.published", "m", MODEL))
    take(store, signed(cooperation_model="sp", time_zone="Asia/Shanghai"))


def use(id: str, time: str, name: str | None = "song") -> bytes:
    return charged(id, time=time, attributes={"content": name} if name else {})


def counted(store: Store) -> int:
    with store.reading() as cursor:
        return sum(fact.events for fact in facts.of_period(cursor, ["C-1"], date(2026, 10, 1)).get("C-1", []))


def test_usage_counts_on_the_days_on_which_its_content_is_published(store: Store) -> None:
    ready(store)
    take(
        store, content("submitted", "2026-10-01T00:00:00Z"), content("reviewed", "2026-10-02T00:00:00Z", approved=True)
    )
    # 20:00 UTC on the 2nd is the 3rd in Shanghai; 17:00 UTC on the 5th is the 6th.
    take(store, content("published", "2026-10-02T20:00:00Z"), content("withdrawn", "2026-10-05T17:00:00Z"))
    take(store, use("1", "2026-10-02T15:00:00Z"), use("2", "2026-10-02T16:00:00Z"), use("3", "2026-10-06T15:59:59Z"),
         use("4", "2026-10-06T16:00:00Z"), use("5", "2026-10-03T00:00:00Z", "other"), use("6", "2026-10-20T00:00:00Z", None))  # fmt: skip
    # The 2nd and the 7th in Shanghai, and what was never published; what names no content needs none.
    assert kept(store) == [("suspended", "content-not-published")] * 3
    assert counted(store) == 3


def test_publishing_recycles_what_was_suspended_and_submitting_does_not(store: Store) -> None:
    ready(store)
    take(store, use("1", "2026-10-03T00:00:00Z"))
    take(
        store, content("submitted", "2026-10-01T00:00:00Z"), content("reviewed", "2026-10-02T00:00:00Z", approved=True)
    )
    assert kept(store) == [("suspended", "content-not-published")]
    take(store, content("published", "2026-10-02T20:00:00Z"))
    assert kept(store) == []
    assert counted(store) == 1


def test_content_published_elsewhere_counts_from_there_and_its_life_is_strict_from_then_on(store: Store) -> None:
    ready(store)
    take(store, content("published", "2026-10-02T00:00:00Z"), use("1", "2026-10-03T00:00:00Z"))
    assert (kept(store), counted(store)) == ([], 1)
    take(store, content("reviewed", "2026-10-04T00:00:00Z", approved=False))
    assert kept(store) == [("suspended", "wrong-state")]


def test_content_is_approved_by_somebody_other_than_who_submitted_it(store: Store) -> None:
    ready(store)
    take(store, content("submitted", "2026-10-01T00:00:00Z"))
    take(store, content("reviewed", "2026-10-02T00:00:00Z", approved=True, author="Li"))
    assert kept(store) == [("suspended", "own-approval")]
    take(store, content("reviewed", "2026-10-03T00:00:00Z", approved=False, author="Li"))
    # Rejecting it takes nobody else, and a submission that names nobody may be approved by anybody.
    take(store, message("content.submitted", "again", {"partner": "P-1", "content": "song"}, "2026-10-04T00:00:00Z"))
    take(store, content("reviewed", "2026-10-05T00:00:00Z", approved=True, author="Li"))
    assert kept(store) == [("suspended", "own-approval")]


def test_content_is_not_withdrawn_before_it_is_published(store: Store) -> None:
    ready(store)
    take(store, content("published", "2026-10-10T00:00:00Z"), content("withdrawn", "2026-10-08T00:00:00Z"))
    assert kept(store) == [("suspended", "ends-before-it-begins")]


def order(id: str, due: str, **said: Any) -> bytes:
    data = {"partner": "P-1", "order": id, "contract": "C-1", "due": due, "product": "ringtone"} | said
    return message("provisioning.ordered", f"order-{id}", data, "2026-10-01T00:00:00Z")


def provisioned(step: str, id: str, time: str, **said: Any) -> bytes:
    return message(f"provisioning.{step}", f"{step}-{id}-{time}", {"partner": "P-1", "order": id} | said, time)


def orders(store: Store) -> dict[str, tuple[str, bool | None]]:
    with store.reading() as cursor:
        return {
            each.state.order: (each.state.state, each.state.on_time)
            for each in relations.listed(cursor, "provisioning")
        }


def test_an_order_is_done_on_time_up_to_the_moment_at_which_it_is_due(store: Store) -> None:
    take(store, registered(), signed())
    due = "2026-10-05T18:00:00+08:00"
    take(store, *(order(name, due) for name in "abc"))
    take(store, provisioned("done", "a", "2026-10-05T10:00:00Z"), provisioned("done", "b", "2026-10-05T10:00:01Z"),
         provisioned("failed", "c", "2026-10-05T09:00:00Z", reason="no capacity"))  # fmt: skip
    assert orders(store) == {"a": ("done", True), "b": ("done", False), "c": ("failed", None)}
    take(store, provisioned("done", "c", "2026-10-06T00:00:00Z"), order("a", due, product="game"))
    assert kept(store) == [("suspended", "wrong-state"), ("suspended", "identity-conflict")]


def test_what_is_done_before_it_is_ordered_waits_for_the_order(store: Store) -> None:
    take(store, registered(), signed())
    take(store, provisioned("done", "a", "2026-10-05T10:00:00Z"))
    assert kept(store) == [("suspended", "not-there")]
    take(store, order("a", "2026-10-05T18:00:00Z"))
    assert (kept(store), orders(store)) == ([], {"a": ("done", True)})


RATES = (
    ', approved: {event: content.reviewed, count: events, where: {approved: "yes"}}'
    ", reviewed: {event: content.reviewed, count: events}"
    ', timely: {event: provisioning.done, count: events, where: {on_time: "yes"}}'
    ', untimely: {event: provisioning.done, count: events, where: {on_time: "no"}}'
    ", failed: {event: provisioning.failed, count: events}"
)
BOOK = """\
  - {name: share, amount: 50% * sales}
  - {name: late delivery, amount: -20 * untimely - 50 * failed}
  - {name: payable, amount: share + late delivery, round: half_up}
assessment:
  metrics:
    - {name: approval, weight: 40%, value: 100 * approved / reviewed, linear: [{at: 0, score: 0}, {at: 100, score: 100}], otherwise: 50}
    - {name: on time, weight: 60%, value: 100 * timely / (timely + untimely + failed), linear: [{at: 0, score: 0}, {at: 100, score: 100}], otherwise: 50}
  grades: [{below: 70, grade: B}, {upto: 100, grade: A}]
"""


def delivered(store: Store) -> None:
    """Of 3 contents 2 are approved; of 5 orders 3 are done on time, 1 is late and 1 fails. 1,000 were charged."""
    take(store, registered(), signed(valid_from="2026-10-01"), book(BOOK, measures=RATES), charge("1", "1000", 10))
    for name, approved in (("x", True), ("y", True), ("z", False)):
        take(store, content("submitted", "2026-10-01T00:00:00Z", name), content("reviewed", "2026-10-02T00:00:00Z", name, approved=approved))  # fmt: skip
    take(store, *(order(name, "2026-10-05T12:00:00Z") for name in "abcde"))
    take(store, *(provisioned("done", name, "2026-10-05T11:00:00Z") for name in "abc"), provisioned("done", "d", "2026-10-05T13:00:00Z"),
         provisioned("failed", "e", "2026-10-05T11:00:00Z", reason="no capacity"))  # fmt: skip


def test_approval_and_on_time_rates_are_metrics_and_what_came_late_is_a_penalty_line(store: Store) -> None:
    delivered(store)
    # Approval 2 of 3: 66.67 x 40% = 26.67. On time 3 of 5: 60 x 60% = 36. Together 62.67: below 70, B.
    with store.reading() as cursor:
        (found,) = scoring.of_partner(cursor, "P-1", OCTOBER)
    assert [(each.name, f"{each.score:.2f}") for each in found.score.metrics] == [
        ("approval", "66.67"),
        ("on time", "60.00"),
    ]
    assert (f"{found.score.total:.2f}", found.grade) == ("62.67", "B")
    # 50% of 1,000, less 20 for the late one and 50 for the failed one.
    told = amounts(store, OCTOBER)
    assert (told["share"], told["late delivery"], told["payable"]) == ("500", "-70", "430.00")
    assert closing.close(store, Period.parse("2026-10"), NOW).closed == 1
    assert rebuild(store).equal
