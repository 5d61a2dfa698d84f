"""What is reported about partners, and exchange rates, in a real store."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from engine.facts import Fact
from engine.store import assessments, partner_facts, points, rates
from engine.store.database import Store
from engine.store.intake import Counts
from replay.facts import verify
from tests.histories import message, registered, signed
from tests.settlement.test_chains import book
from tests.settlement.test_recording import kept, store, take
from tests.settlement.test_redemptions import PROGRAM, STEP

__all__ = ["store"]

FIRST, END = date(2026, 10, 1), date(2026, 11, 1)


def case(id: str, kind: str = "opened", time: str = "2026-10-03T08:15:00Z", **said: Any) -> bytes:
    data = {"case": f"K-{id}", "partner": "P-1", "kind": "complaint"} | said
    return message(f"case.{kind}", f"{kind}-{id}", data, time)


def ready(store: Store) -> None:
    take(store, registered(), registered("P-2"), signed(time_zone="Asia/Shanghai"), signed("C-2"))


def test_what_refers_to_nobody_waits_and_is_recycled(store: Store) -> None:
    assert take(store, case("1", contract="C-1"), case("2")).suspended == 2
    assert kept(store) == [("suspended", "unknown-partner")] * 2
    take(store, registered())
    assert kept(store) == [("suspended", "unknown-contract")]
    take(store, signed())
    assert kept(store) == []
    with store.reading() as cursor:
        (fact,) = partner_facts.of_contracts(cursor, ["C-1"], FIRST, END)["C-1"]
    assert (fact.event, fact.field, fact.events) == ("case.opened", "cases", 1)


def test_in_one_batch_what_comes_first_is_known_to_what_follows(store: Store) -> None:
    assert take(store, registered(), signed(), case("1", contract="C-1")) == Counts(recorded=3)
    assert verify(store).equal


def test_a_case_of_another_partner_and_an_approver_who_is_the_author_are_suspended(store: Store) -> None:
    ready(store)
    given = {"partner": "P-1", "program": "club", "points": "5", "reason": "x", "author": "Li", "approver": "Li"}
    take(store, case("1", contract="C-1", partner="P-2"), message("points.adjusted", "p", given))
    assert kept(store) == [("suspended", "other-partner"), ("suspended", "approver-is-author")]


def test_partner_facts_are_sums_of_days_in_the_contracts_time_zone(store: Store) -> None:
    ready(store)
    last_evening = "2026-10-31T18:00:00Z"  # the first of November in Shanghai
    take(store, case("1", time=last_evening), case("2", time=last_evening, contract="C-1"),
         case("3", "answered", minutes="30", contract="C-2"), case("4", "answered", minutes="12.5", contract="C-2"))  # fmt: skip
    take(store, case("5", "answered", minutes=1, contract="C-2"), case("6", partner="P-2"),
         case("7", "answered", minutes=1, contract="C-2", time="2026-10-04T00:00:00Z"))  # fmt: skip
    with store.reading() as cursor:
        of_partner = partner_facts.of_partners(cursor, ["P-1", "P-2", "P-9"], FIRST, END)
        of_contract = partner_facts.of_contracts(cursor, ["C-1", "C-2"], FIRST, END)
        days = partner_facts.days(cursor, "P-1")
        days_of_october = partner_facts.days(cursor, "P-1", FIRST, END)
    assert {name: [(f.event, f.field, f.events, f.value) for f in found] for name, found in of_partner.items()} == {
        "P-1": [
            ("case.answered", "cases", 4, 4), ("case.answered", "minutes", 4, Decimal("44.5")),
            ("case.opened", "cases", 1, 1),
        ],
        "P-2": [("case.opened", "cases", 1, 1)],
    }  # fmt: skip
    assert of_contract == {"C-2": of_partner["P-1"][:2]}
    assert [(day.isoformat(), f.field, f.value) for day, f in days] == [
        ("2026-10-03", "cases", 3), ("2026-10-03", "minutes", Decimal("43.5")), ("2026-10-04", "cases", 1),
        ("2026-10-04", "minutes", 1), ("2026-10-31", "cases", 1), ("2026-11-01", "cases", 1),
    ]  # fmt: skip
    assert days_of_october == days[:-1]
    assert of_partner["P-2"] == [
        Fact("case.opened", "cases", (("contract", None), ("kind", "complaint"), ("product", None), ("service", None),
                                      ("severity", None)), 1, Decimal(1))
    ]  # fmt: skip
    assert verify(store).equal


def test_a_partner_fact_that_the_log_does_not_say_is_found(store: Store) -> None:
    ready(store)
    take(store, case("1"), case("2", contract="C-1"))
    with store.writing() as cursor:
        cursor.execute("UPDATE settle.partner_facts SET events = events + 1 WHERE contract = 'C-1'")
        cursor.execute("DELETE FROM settle.partner_facts WHERE contract = ''")
    wrong = [(d.whose, d.first, d.event, d.events_live, d.events_log) for d in verify(store).differences]
    assert wrong == [("P-1", "2026-10-03", "case.opened", 0, 1), ("P-1 C-1", "2026-10-03", "case.opened", 2, 1)]


def test_however_long_a_partner_facts_dimensions_are_it_is_kept_once(store: Store) -> None:
    ready(store)
    long = {"product": "品" * 255 + "\\", "service": "服" * 255 + '"', "contract": "C-2"}
    take(store, case("1", **long), case("2", **long))
    take(store, case("3", **long))
    with store.reading() as cursor:
        (fact,) = partner_facts.of_contracts(cursor, ["C-2"], FIRST, END)["C-2"]
    assert fact.events == 3
    assert verify(store).equal


def rate(id: str, day: str = "2026-10-01", value: str = "7.8", publisher: str = "ECB", **said: str) -> bytes:
    data = {"publisher": publisher, "base": "EUR", "quote": "CNY", "day": day, "rate": value} | said
    return message("fx.rate_published", id, data)


def test_rates_are_read_by_days_and_publishers(store: Store) -> None:
    take(store, rate("1", value="7.80"), rate("2", "2026-10-02", "0.123456789012"), rate("3", "2026-10-03"),
         rate("4", publisher="PBOC"), rate("5", base="CNY", quote="EUR"))  # fmt: skip
    with store.reading() as cursor:
        found = rates.between(cursor, date(2026, 10, 1), date(2026, 10, 3), ["ECB"])
    assert found == [
        ("ECB", "CNY", "EUR", date(2026, 10, 1), Decimal("7.8")),
        ("ECB", "EUR", "CNY", date(2026, 10, 1), Decimal("7.8")),
        ("ECB", "EUR", "CNY", date(2026, 10, 2), Decimal("0.123456789012")),
    ]
    assert str(found[0][4]) == "7.8"


@pytest.mark.parametrize("together", [False, True])
def test_another_rate_for_the_day_is_suspended_and_the_same_is_not(store: Store, together: bool) -> None:
    history = [rate("1", value="7.80"), rate("2", value="7.8"), rate("3", value="7.9"), rate("4", base="CNY")]
    for batch in [history] if together else [[raw] for raw in history]:
        take(store, *batch)
    assert kept(store) == [("suspended", "rate-already-published"), ("suspended", "base-is-quote")]
    with store.reading() as cursor:
        assert [row[4] for row in rates.between(cursor, FIRST, END, ["ECB"])] == [Decimal("7.8")]


def test_points_entries_are_read_by_partner_in_order(store: Store) -> None:
    ready(store)
    by_hand = {"partner": "P-1", "program": "simple", "reason": "agreed"}
    adjusted = by_hand | {"points": "2.5", "author": "Li", "approver": "Wu"}
    take(store, book(STEP, more=PROGRAM), message("points.adjusted", "2", adjusted, "2026-10-02T23:59:59+00:00"),
         message("points.burned", "1", by_hand | {"points": "2", "reference": "gift 7"}),
         message("points.adjusted", "3", adjusted | {"program": "other", "points": "-1"}))  # fmt: skip
    with store.reading() as cursor:
        found = points.entries(cursor, "simple", ["P-1", "P-2"])
        none = points.entries(cursor, "simple", ["P-1"], first=date(2026, 10, 4))
        assert points.programs(cursor, "P-1") == ["other", "simple"]
    assert [tuple(entry) for entry in found["P-1"]] == [
        ("P-1", "simple", date(2026, 10, 2), "adjusted", Decimal("2.5"), "agreed", None, "Li", "Wu", "test/eu", "2", 6),
        ("P-1", "simple", date(2026, 10, 3), "burned", Decimal(2), "agreed", "gift 7", None, None, "test/eu", "1", 7),
    ]
    assert (set(found), none) == ({"P-1"}, {})


def test_of_several_grades_the_last_in_the_log_stands(store: Store) -> None:
    ready(store)
    about = {"scorecard": "agents", "period": "2026-10", "reason": "agreed", "author": "Li"}

    def graded(id: str, grade: str, partner: str = "P-1", **said: str) -> bytes:
        data = about | {"partner": partner, "grade": grade, "approver": "Wu"} | said
        return message("assessment.overridden", id, data)

    take(store, graded("1", "B", score="80.5"), graded("2", "A"), graded("3", "C", "P-2", score="60"),
         graded("4", "D", period="2026-11"), message("assessment.reassessed", "5", about | {"partner": "P-1"}))  # fmt: skip
    with store.reading() as cursor:
        found = assessments.overrides(cursor, "agents", "2026-10")
        asked = assessments.reassessments(cursor, "agents", "2026-10")
        assert assessments.overrides(cursor, "agents", "2026-10", ["P-9"]) == {}
    assert {name: (each.grade, each.score) for name, each in found.items()} == {
        "P-1": ("A", None), "P-2": ("C", Decimal(60)),
    }  # fmt: skip
    assert [(each.partner, each.author, each.id) for each in asked["P-1"]] == [("P-1", "Li", "5")]


def test_of_a_score_computed_again_the_latest_version_is_read(store: Store) -> None:
    first = assessments.Issued("agents", "2026-10", "P-1", 1, "B", "80", "d1", "{}", 7)
    second = first._replace(version=2, grade="A", score="90", digest="d2", text='{"score":90}', own_position=8)
    other = first._replace(partner="P-2", own_position=9)
    with store.writing() as cursor:
        assessments.save(cursor, [first, second, other])
    with store.reading() as cursor:
        assert assessments.issued(cursor, "agents", "2026-10", ["P-1"]) == {"P-1": second}
        assert assessments.issued(cursor, "agents", "2026-10") == {"P-1": second, "P-2": other}
        assert assessments.first_issued(cursor, "agents", "2026-10") == {"P-1": "{}", "P-2": "{}"}


def test_nothing_of_a_failed_batch_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.store import intake

    ready(store)

    def fails(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(intake, "advance", fails)
        with pytest.raises(RuntimeError):
            take(store, case("1"), rate("1"))
    with store.reading() as cursor:
        assert partner_facts.all_live(cursor).height == 0
        assert rates.between(cursor, FIRST, END, ["ECB"]) == []
