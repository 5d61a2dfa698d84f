"""Three clocks, and what a rulebook would change before it is published."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from consumers.ingest import ingest
from engine.period import Period
from engine.rules.check import check
from engine.settlement import closing
from engine.settlement.recording import Slice
from engine.store import copies, facts, log
from engine.store.database import Store
from replay import again
from replay.compare import Comparison, NotTheNextVersion, compare, movers
from replay.restate import restate
from tests.histories import message, messages, registered, signed
from tests.replay.test_restate import NOW, SIMPLE, approved, close, said, simple
from tests.settlement.test_chains import DECEMBER, GUARANTEE, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import CHANNEL, store, take

__all__ = ["store"]


def take_at(store: Store, day: str, *raws: bytes) -> None:
    moment = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    assert ingest(store, [Slice(CHANNEL, 0, None, len(raws))], messages(raws), lambda: moment).counts.recorded == len(
        raws
    )


def payable(store: Store, as_of: str | None = None, rules_as_of: str | None = None) -> str:
    """What October came to, as known on the day under the rules known on the other."""
    with store.reading() as cursor:
        at, rules = (
            None if day is None else log.position_at(cursor, datetime.fromisoformat(f"{day}T23:59:59+00:00"))
            for day in (as_of, rules_as_of)
        )
        found = again.replay(cursor, first=OCTOBER, last=OCTOBER, position=at, rules_position=rules)
    (october,) = found.periods
    return str(october.payable["CNY"])


def test_a_period_as_known_then_under_the_rules_known_then_and_as_known_now(store: Store) -> None:
    take_at(store, "2026-11-01", registered(), signed(valid_from="2026-10-01"), book(SIMPLE % "50%"))
    take_at(store, "2026-11-02", charge("1", "100", 10))
    take_at(store, "2026-11-05", charge("late", "7", 10))
    take_at(store, "2026-11-09", book(SIMPLE % "60%", version=2, valid_from="2026-10-01"))
    assert payable(store, "2026-11-02", "2026-11-02") == "50.00"
    assert payable(store, "2026-11-05") == "53.50"
    assert payable(store, "2026-11-02", "2026-11-09") == "60.00"
    assert payable(store) == "64.20"


def test_a_replay_is_compared_with_what_was_issued_by_then(store: Store) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    with store.reading() as cursor:
        (october,) = again.replay(cursor).periods
        closed_at = again.replay(cursor).position
    assert (october.statements, october.equal, october.open, october.differences) == (1, 1, 0, ())
    take(store, charge("late", "7", 10))
    with store.reading() as cursor:
        (october,) = again.replay(cursor).periods
        assert [d[:5] for d in october.differences] == [("C-1", "2026-10", 1, "50.00", "53.50")]
        assert again.replay(cursor, position=closed_at).periods[0].equal == 1
    restate(store, NOW)
    with store.reading() as cursor:
        assert again.replay(cursor).periods[0].equal == 1
        assert again.replay(cursor, last=NOVEMBER).periods[1].open == 1
        assert again.replay(cursor, names=["C-1"]).digest == again.replay(cursor).digest


def test_a_contract_that_is_not_known_then_is_refused(store: Store) -> None:
    simple(store)
    with store.reading() as cursor, pytest.raises(again.UnknownContract):
        again.replay(cursor, names=["C-9"])


def compared(store: Store, raw: bytes, first: Period | None = None) -> Comparison:
    import json

    text = json.loads(raw)["data"]["text"]
    sound = check(text, "candidate").rulebook
    assert sound is not None
    with store.reading() as cursor:
        return compare(cursor, sound, text, first=first)


def guaranteed(store: Store) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", valid_from="2026-10-01"))
    take(store, signed("C-3", rulebook="other", valid_from="2026-10-01"))
    take(store, book(GUARANTEE), charge("1", "500", 10), charge("2", "610", 11), charge("3", "1040", 12))


def test_what_compare_says_is_what_happens(store: Store) -> None:
    guaranteed(store)
    assert closing.close(store, OCTOBER, NOW).closed == 2
    changed = GUARANTEE.replace("minimum: 75", "minimum: 80")
    candidate = book(changed, version=2, valid_from="2026-10-01")
    found = compared(store, candidate)
    assert not found.source.events
    assert (found.contracts, found.untouched) == (2, 1)
    assert found.totals["CNY"] == (Decimal(450), Decimal(480))
    assert movers(found, "period", 2) == [("2026-10", "CNY", Decimal(10)), ("2026-11", "CNY", Decimal(10))]
    closed = found.changed.filter("closed").filter(kind="payable")
    assert closed.select("contract", "moved").rows() == [("C-1", Decimal(5)), ("C-2", Decimal(5))]
    take(store, approved(candidate, "v2"))
    assert [(e.contract.contract, e.adjustment["payable"][0]["amount"]) for e in restate(store, NOW).restated] == [
        ("C-1", "5.00"),
        ("C-2", "5.00"),
    ]
    after = {row["contract"]: row["after"] for row in found.changed.filter(kind="payable", period="2026-12").to_dicts()}
    for name, amount in after.items():
        assert Decimal(said(store, name, DECEMBER)["payable"]) == amount


def test_copies_of_facts_change_nothing_that_compare_says(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    guaranteed(store)
    take(store, charge("other", "70", 10, "C-2"))
    assert closing.close(store, OCTOBER, NOW).closed == 2
    monkeypatch.setattr(facts, "FEW", 0)  # as for many contracts
    candidate = book(GUARANTEE.replace("minimum: 75", "minimum: 80"), version=2, valid_from="2026-10-01")
    without_version = []
    for late in ((), (charge("late", "9000", 10),)):
        take(store, *late)
        with store.reading() as cursor:
            assert copies.made(cursor) == {date(2026, 10, 1): ["C-1"] if late else []}
        found = compared(store, candidate)
        with monkeypatch.context() as without:
            without.setattr(copies, "made", lambda _: {})
            plain = compared(store, candidate)
        assert found.changed.equals(plain.changed)
        assert found._replace(changed=None) == plain._replace(changed=None)  # type: ignore[arg-type]
        without_version.append(found.totals["CNY"][0])
    assert without_version[0] < without_version[1]


def test_a_version_that_changes_nothing_says_so(store: Store) -> None:
    guaranteed(store)
    found = compared(store, book(GUARANTEE, version=2, valid_from="2026-11-01"))
    assert found.changed.height == 0
    assert found.totals["CNY"][0] == found.totals["CNY"][1]


def test_a_version_that_measures_more_goes_back_to_the_events_and_says_why(store: Store) -> None:
    gd = {"attributes": {"province": "GD"}}
    simple(store, charge("1", "100", 10, **gd), charge("2", "10", 10))
    measure = ", GD: {event: billing.charged, sum: amount, where: {province: GD}}"
    found = compared(
        store, book("  - {name: payable, amount: 50% * GD, round: half_up}\n", measures=measure, version=2)
    )
    assert (found.source.events, "dimension province" in found.source.why) == (True, True)
    assert found.totals["CNY"] == (Decimal(55), Decimal(50))


def test_only_the_next_version_is_compared_and_nothing_is_written(store: Store) -> None:
    simple(store, charge("1", "100", 10))
    with pytest.raises(NotTheNextVersion):
        compared(store, book(SIMPLE % "60%", version=3))
    with store.reading() as cursor:
        assert cursor.execute("SELECT count(*) FROM rulebook_versions").fetchone() == (1,)
    assert compared(store, book(SIMPLE % "60%", version=2), OCTOBER).totals["CNY"] == (Decimal(50), Decimal(60))


def test_what_was_issued_and_is_nothing_now_is_told(store: Store) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    with store.reading() as cursor:
        (october,) = again.replay(cursor, rules_position=1).periods
        assert [d[3:5] for d in october.differences] == [("50.00", None)]
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-10-01"}))
    with store.reading() as cursor:
        (october,) = again.replay(cursor).periods
        assert (october.statements, [d[3:5] for d in october.differences]) == (0, [("50.00", None)])
    restate(store, NOW)
    close(store, NOVEMBER)
    with store.reading() as cursor:
        assert [period.differences for period in again.replay(cursor).periods] == [(), ()]


def test_of_contracts_that_are_settled_together_one_that_cannot_be_holds_all_and_is_named(store: Store) -> None:
    steps = POOL_AND_GUARANTEE % ""
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", valid_from="2026-11-01"))
    take(store, book(steps, measures=USES), charge("1", "1000", 10), charge("2", "100", 11, "C-2"))
    close(store, OCTOBER, NOVEMBER)
    converted = (
        POOL_AND_GUARANTEE % "  - {name: e, convert: {of: euros, to: CNY, publisher: ECB, on: last_day, within: 3}}\n"
    )
    euros = USES + ", euros: {event: billing.charged, sum: amount, currency: EUR}"
    candidate = book(converted, measures=euros, version=2, valid_from="2026-10-01")
    candidate = candidate.replace(b"currency: CNY\\n", b"currency: CNY\\ncurrencies: [EUR]\\n", 1)
    take(store, charge("3", "9", 10))
    assert take(store, approved(candidate, "v2")).recorded == 1
    take(store, charge("4", "9", 10, currency="EUR"))
    refused = restate(store, NOW).refused
    assert {(each.contract, each.period) for each in refused} == {
        ("C-1", "2026-10"), ("C-1", "2026-11"), ("C-2", "2026-11"),
    }  # fmt: skip
    assert any("settled together with C-1" in each.sentence for each in refused if each.contract == "C-2")


USES = ", uses: {event: usage.recorded, sum: quantity}"
POOL_AND_GUARANTEE = """\
%s  - {name: pool share, pool: {of: sales, by: uses}}
  - {name: due, guarantee: {of: pool share, minimum: 75, recoup_within: 2}, round: half_up}
"""


PROVINCE = "  - {name: payable, amount: 50% * GD, round: half_up}\n"
IN = ", GD: {event: billing.charged, sum: amount, where: {province: %s}}"


def test_a_version_that_measures_other_facts_by_the_same_name_is_settled_from_those(store: Store) -> None:
    steps = PROVINCE.replace("GD", "sales")
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", valid_from="2026-11-01"))
    take(store, book(PROVINCE, measures=IN % "GD"))
    take(
        store,
        charge("1", "100", 10, attributes={"province": "GD"}),
        charge("2", "10", 10, attributes={"province": "HN"}),
    )
    take(store, charge("3", "1", 11, "C-2", attributes={"province": "GD"}))
    assert compared(store, book(PROVINCE, measures=IN % "GD", version=2)).changed.height == 0
    other = compared(store, book(PROVINCE, measures=IN % "HN", version=2))
    assert not other.source.events
    assert other.totals["CNY"] == (Decimal("50.50"), Decimal(5))
    assert other.changed.filter(kind="payable").select("contract", "period", "before", "after").rows() == [
        ("C-1", "2026-10", Decimal(50), Decimal(5)),
        ("C-2", "2026-11", Decimal("0.50"), Decimal(0)),
    ]
    assert compared(store, book(steps, measures=IN % "GD", version=2)).totals["CNY"] == (
        Decimal("50.50"),
        Decimal("55.50"),
    )
