"""Every version that was ever issued can be shown and explained: it is computed again from what was given when it was issued."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.period import Period
from engine.settlement import closing, scoring
from engine.settlement.following import follow
from engine.settlement.statements import view
from engine.store.database import Store
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import message, registered, signed
from tests.replay import test_audit_laws as shared
from tests.replay import test_restate as alone
from tests.replay.test_audit_laws import assert_proved
from tests.replay.test_restate import MONTHS, NOW, SIMPLE, approved, close, issued, payable, said
from tests.settlement import test_chains as chains
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

USES = ", uses: {event: usage.recorded, sum: quantity}"


def pooled(store: Store, **terms: str) -> None:
    """C-3 brings the money of the pool and uses nothing of it: its own statement is nothing but zeros, always."""
    take(store, registered(), *(signed(f"C-{n}", valid_from="2026-10-01", **terms) for n in (1, 2, 3)))
    take(store, book(chains.POOL, measures=USES))
    take(store, charge("1", "1000", 10, "C-3"), chains.used("2", "C-1", 3), chains.used("3", "C-2", 1))
    close(store, OCTOBER)


def assert_all_shown(store: Store) -> None:
    """Each version comes to the digest that was issued, and explains it."""
    for each in issued(store):
        with store.reading() as cursor:
            shown = view(cursor, each.contract, Period.parse(each.period), each.version)
        assert shown.statement["digest"] == each.digest, (each.contract, each.period, each.version)


def test_a_neighbour_whose_late_charge_moves_only_others_is_restated_with_them(store: Store) -> None:
    pooled(store)
    take(store, charge("late", "200", 10, "C-3"))
    done = restate(store, NOW)
    assert payable(done) == [("C-1", "2026-10", "105.00"), ("C-2", "2026-10", "35.00")]
    assert [(each.contract.contract, [c["cause"] for c in each.causes]) for each in done.restated] == [
        ("C-1", ["contracts settled together"]),
        ("C-2", ["contracts settled together"]),
        ("C-3", ["late events"]),
    ]
    assert said(store, "C-1", OCTOBER, 2)["payable"] == "630.00"
    assert_all_shown(store)


def test_a_neighbour_that_another_version_settles_alike_is_restated_with_the_others(store: Store) -> None:
    pooled(store)
    more = chains.POOL.replace("70%", "80%")
    take(store, approved(book(more, measures=USES, version=2, valid_from="2026-10-01"), "v2"))
    done = restate(store, NOW)
    assert payable(done) == [("C-1", "2026-10", "75.00"), ("C-2", "2026-10", "25.00")]
    assert [c["cause"] for c in done.restated[2].causes] == ["rulebook"]
    assert_all_shown(store)


def test_a_neighbour_that_gives_nothing_else_keeps_its_version(store: Store) -> None:
    pooled(store)
    take(store, chains.used("late", "C-2", 4))
    assert [each.contract.contract for each in restate(store, NOW).restated] == ["C-1", "C-2"]
    take(store, charge("late2", "100", 10, "C-3"))
    assert [(e.contract.contract, e.version) for e in restate(store, NOW).restated] == [
        ("C-1", 3),
        ("C-2", 3),
        ("C-3", 2),
    ]
    assert restate(store, NOW).restated == ()
    assert_all_shown(store)


def test_what_moves_nothing_is_not_restated_until_something_else_is(store: Store) -> None:
    """A charge of nothing is an event that later versions know, and that is no reason for one."""
    pooled(store)
    take(store, charge("late", "0", 10, "C-3"))
    assert restate(store, NOW).restated == ()
    take(store, chains.used("late2", "C-2", 4))
    assert [each.contract.contract for each in restate(store, NOW).restated] == ["C-1", "C-2", "C-3"]
    assert_all_shown(store)


def test_a_neighbour_that_turns_out_to_have_ended_is_no_part_of_later_versions(store: Store) -> None:
    pooled(store)
    take(store, message("contract.terminated", "t", {"contract": "C-2", "valid_to": "2026-10-01"}))
    assert payable(restate(store, NOW)) == [("C-1", "2026-10", "175.00"), ("C-2", "2026-10", "-175.00")]
    take(store, charge("late", "200", 10, "C-3"))
    assert payable(restate(store, NOW)) == [("C-1", "2026-10", "140.00")]
    assert_all_shown(store)
    close(store, NOVEMBER)
    assert said(store, "C-2", NOVEMBER)["lines"] == []
    take(store, charge("late2", "100", 11, "C-3"), chains.used("late3", "C-1", 1))
    restate(store, NOW)
    assert_all_shown(store)


def test_none_is_restated_with_a_contract_that_was_not_closed_with_the_others(store: Store) -> None:
    pooled(store)
    take(store, signed("C-4", valid_from="2026-10-01"), chains.used("late", "C-4", 4), charge("l2", "200", 10, "C-3"))
    done = restate(store, NOW)
    assert payable(done) == []
    assert [(each.contract, each.code) for each in done.refused] == [
        ("C-1", "closes-together"),
        ("C-2", "closes-together"),
    ]
    assert "terminate it as of 2026-10-01, sign it anew from a later period" in done.refused[0].sentence
    take(store, message("contract.terminated", "t", {"contract": "C-4", "valid_to": "2026-10-01"}))
    assert payable(restate(store, NOW)) == [("C-1", "2026-10", "105.00"), ("C-2", "2026-10", "35.00")]
    assert_all_shown(store)


def test_what_such_a_period_leaves_is_not_restated_in_later_ones_either(store: Store) -> None:
    take(store, registered(), *(signed(f"C-{n}", valid_from="2026-10-01") for n in (1, 2)))
    take(store, book(POOLED_AND_HELD, measures=USES))
    take(store, charge("1", "100", 10, "C-2"), chains.used("2", "C-1", 1), charge("3", "500", 11, "C-1"))
    take(
        store, message("usage.recorded", "4", {"contract": "C-1", "meter": "s", "quantity": 1}, "2026-11-05T00:00:00Z")
    )
    close(store, OCTOBER, NOVEMBER)
    late = signed("C-3", valid_from="2026-10-01", valid_to="2026-11-01")
    take(store, late, charge("late", "20", 10, "C-3"), chains.used("late2", "C-2", 1))
    done = restate(store, NOW)
    assert done.restated == ()
    # October's 120 are two times 60: C-1 falls short of 75 by 15, which it would recoup of November's 500.
    assert [(each.contract, each.period, each.code) for each in done.refused] == [
        ("C-1", "2026-10", "closes-together"),
        ("C-2", "2026-10", "closes-together"),
        ("C-1", "2026-11", "earlier-period-open"),
        ("C-2", "2026-11", "earlier-period-open"),
    ]
    assert "2026-10 was not restated, and later periods need it: simple settles" in done.refused[2].sentence


def test_a_neighbour_that_holds_late_events_holds_the_others(store: Store) -> None:
    pooled(store, late_events="hold")
    take(store, charge("late", "200", 10, "C-3"))
    waiting = restate(store, NOW)
    assert (payable(waiting), len(waiting.held)) == ([], 3)
    restate(store, NOW, approval=alone.Approval("ann", "bob"))
    assert_all_shown(store)


def test_a_statement_that_changes_no_amount_is_due_nothing_and_is_proved(store: Store) -> None:
    pooled(store)
    take(store, charge("late", "200", 10, "C-3"), charge("5", "50", 11, "C-3"), chains.used("6", "C-1", 1))
    restate(store, NOW)
    close(store, NOVEMBER)
    (made,) = said(store, "C-3", NOVEMBER)["adjustments"]
    assert (made["version"], made["lines"], made["payable"], made["parties"]) == (2, [], [], [])
    assert said(store, "C-3", NOVEMBER)["due"][0]["amount"] == "0.00"
    assert said(store, "C-3", OCTOBER)["late"] == 0
    assert_proved(store)


def test_all_is_shown_as_before_when_the_tables_are_made_anew(store: Store) -> None:
    pooled(store)
    take(store, charge("late", "200", 10, "C-3"))
    restate(store, NOW)
    take(store, chains.used("late2", "C-2", 4), charge("5", "50", 11, "C-3"))
    restate(store, NOW)
    close(store, NOVEMBER)
    before = issued(store)
    assert rebuild(store).swapped
    assert issued(store) == before
    assert_all_shown(store)
    assert_proved(store)


def test_a_neighbour_whose_partner_is_merged_into_another_stays_what_it_was(store: Store) -> None:
    take(store, registered(), registered("P-2"), signed("C-1", valid_from="2026-10-01"))
    take(store, signed("C-2", partner="P-2", valid_from="2026-10-01"), book(RECOUPED, measures=MEASURES))
    take(store, charge("1", "100", 10), charge("2", "50", 10, "C-2"))
    take(store, message("advance.paid", "a", {"contract": "C-2", "amount": "80", "currency": "CNY"}))
    close(store, OCTOBER)
    merged = {"partner": "P-2", "into": "P-1", "reason": "taken over", "author": "ann", "approver": "bob"}
    assert take(store, message("partner.merged", "m", merged)).recorded == 1
    take(store, charge("late", "10", 10, "C-2"), charge("late2", "7", 10))
    assert payable(restate(store, NOW)) == [("C-1", "2026-10", "7.00")]
    assert said(store, "C-2", OCTOBER, 2)["balances"] == [{"step": "payable", "kind": "unrecouped", "amount": "20"}]
    assert_all_shown(store)


def test_a_case_of_a_restated_neighbour_is_followed_through_its_version(store: Store) -> None:
    steps = "  - {name: bonus, amount: 100 - 10 * complaints}\n" + chains.POOL.replace("of: sales", "of: bonus")
    take(store, registered(), *(signed(f"C-{n}", valid_from="2026-10-01") for n in (1, 2)))
    take(store, book(steps, measures=chains.MEASURES + USES), chains.used("1", "C-1", 1))
    close(store, OCTOBER)
    case = {"case": "K", "partner": "P-1", "kind": "complaint", "upheld": True, "author": "Wu", "contract": "C-2"}
    take(store, message("case.closed", "k", case, "2026-10-05T00:00:00Z"), charge("2", "0", 10, "C-2"))
    restate(store, NOW)
    with store.reading() as cursor:
        (found,) = follow(cursor, "K").statements
    assert found.version == 2
    assert [(line.name, line.value, line.without) for line in found.lines] == [("bonus", 90, 100)]
    assert_all_shown(store)


def test_a_statement_of_adjustments_alone_is_in_no_cohort(store: Store) -> None:
    chains.assessed(store)
    close(store, OCTOBER)
    take(store, message("contract.terminated", "t", {"contract": "C-2", "valid_to": "2026-11-01"}))
    take(store, charge("late", "100", 10, "C-2"), charge("3", "10", 11))
    restate(store, NOW)
    close(store, NOVEMBER)
    assert said(store, "C-2", NOVEMBER)["lines"] == []
    with store.reading() as cursor:
        assert [(each.partner, each.state) for each in scoring.board(cursor, NOVEMBER)] == [("P-1", "issued")]


def test_a_neighbour_whose_grade_came_out_otherwise_is_given_it_in_the_audit_of_the_others(store: Store) -> None:
    """C-1 ends with November, and its statement of adjustments alone is not closed when that of C-2 is."""
    shared_out = "  - {name: payable, pool: {of: share, by: net}, round: half_up}\npoints:\n"
    chains.assessed(store)
    raw = book(chains.ASSESSED.replace("points:\n", shared_out, 1), measures=chains.MEASURES, version=2)
    assert take(store, raw).recorded == 1
    take(store, charge("3", "100", 11), charge("4", "100", 11, "C-2"))
    close(store, OCTOBER, NOVEMBER)
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-12-01"}))
    complaint = {"partner": "P-1", "kind": "complaint", "upheld": True, "author": "Wu"}
    raws = [message("case.closed", f"y{i}", complaint | {"case": f"Y-{i}"}, "2026-10-30T00:00:00Z") for i in range(9)]
    take(store, *raws)
    # P-1's grade of October is B when it is computed again, and nobody issued that: November's 210 of the pool are 200.
    assert payable(restate(store, NOW)) == [("C-1", "2026-11", "-5.00"), ("C-2", "2026-11", "-5.00")]
    assert closing.close(store, DECEMBER, NOW, "C-2").closed == 1
    assert_all_shown(store)
    assert_proved(store)


GRADED = chains.ASSESSED.replace("grade: previous", "grade: this")
POOLED_AND_HELD = """\
  - {name: pool share, pool: {of: sales, by: uses}}
  - {name: due, guarantee: {of: pool share, minimum: 75, recoup_within: 2}, round: half_up}
"""
RECOUPED = "  - {name: payable, advance: {of: sales, paid: advances, across: partner}, round: half_up}\n"
STEPS = [chains.POOL, POOLED_AND_HELD, GRADED, RECOUPED, chains.ASSESSED, SIMPLE % "10%"]
MEASURES = shared.MEASURES + ", advances: {event: advance.paid, sum: amount}"


def acts() -> st.SearchStrategy[tuple[Any, ...]]:
    month, contract = st.integers(10, 12), st.sampled_from(sorted(shared.PARTNERS))
    return st.one_of(
        shared.shared_acts().filter(lambda act: act[0] != "publish"),
        st.tuples(st.just("publish"), st.sampled_from(STEPS), month),
        st.tuples(st.just("pay"), contract, month, st.integers(1, 99)),
        st.tuples(st.just("end"), contract, month),
        st.tuples(st.just("charge"), contract, month, st.just(0)),
        st.tuples(st.just("restate")),
    )


class _World(shared._Shared):
    def act(self, what: str, *of: Any) -> None:
        match what:
            case "pay":
                contract, month, amount = of
                data = {"contract": contract, "amount": f"{amount}", "currency": "CNY"}
                self.sent += 1
                take(self.store, message("advance.paid", f"e{self.sent}", data, f"2026-{month}-04T00:00:00Z"))
            case "publish":
                steps, month = of
                self.sent += 1
                raw = book(steps, measures=MEASURES, version=self.versions + 1, valid_from=f"2026-{month}-01")
                self.versions += take(self.store, approved(raw, f"e{self.sent}")).recorded
            case _:
                super().act(what, *of)


def what_is_shown(store: Store) -> dict[str, Any]:
    """Every version, the scores, and what every case moved; each version comes to the digest that was issued."""
    assert_all_shown(store)
    found: dict[str, Any] = {}
    with store.reading() as cursor:
        for month in MONTHS:
            found[str(month)] = [(each.partner, each.state, each.score) for each in scoring.board(cursor, month)]
        cases = [row[0] for row in cursor.execute("SELECT id FROM relations WHERE kind = 'case' ORDER BY id")]
        found |= {case: follow(cursor, case) for case in cases}
    return found


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from(STEPS), st.lists(acts(), max_size=8), st.lists(acts(), min_size=4, max_size=20))
def test_whatever_was_issued_is_shown_explained_and_proved(
    store: Store, steps: str, before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]
) -> None:
    alone._emptied(store)
    take(store, registered(), registered("P-2"))
    names = ("C-1", "C-2", "C-3")
    take(store, *(signed(name, partner=shared.PARTNERS[name], valid_from="2026-10-01") for name in names))
    take(store, book(steps, measures=MEASURES))
    world = _World(store)
    for each in (*before, ("close",), *after):
        world.act(*each)
    restate(store, NOW)
    for period in MONTHS:
        closing.close(store, period, NOW)
    restate(store, NOW)
    assert restate(store, NOW).restated == ()
    what_is_shown(store)
    assert_proved(store)
