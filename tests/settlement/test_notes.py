"""From an issued statement to money: published, disputed line by line, confirmed, invoiced, paid; and what a dispute adds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.aggregates.note import Note
from engine.period import Period
from engine.settlement import closing
from engine.settlement.statements import view
from engine.store import relations, resolutions
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.audit.packing import pack
from replay.audit.verifying import verify
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import message, registered, signed
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import kept, store, take

__all__ = ["store"]

NOW = datetime(2027, 6, 1, tzinfo=UTC)
HALF = "  - {name: gross, amount: sales}\n  - {name: net, amount: 50% * gross, round: half_up}\n"
WITH_BROKER = HALF + "split: {of: net, among: [{party: artist, portion: 90%}, {party: broker, portion: remaining}]}\n"
NOTE = {"contract": "C-1", "period": "2026-10"}


def model(days: dict[str, int] | None = None, version: int = 1, valid_from: str = "2026-01-01") -> bytes:
    data = {"model": "sp", "version": version, "kind": "revenue_share", "valid_from": valid_from, "author": "Li"}
    days = days or {"publish_by": 5, "dispute_until": 15, "pay_by": 30}
    return message("cooperation_model.published", f"model-{version}", data | {"days": days})


def step(type_: str, on: str, author: str = "ann", /, *, id: str = "", **said: Any) -> bytes:
    data = NOTE | {"author": author} | said
    return message(type_, id or f"{type_}-{on}-{sorted(data.items())}"[:200], data, f"{on}T12:00:00Z")


def found(store: Store, kind: str = "note", *parts: str) -> Any:
    key = (kind, "\x1f".join(("C-1", "2026-10", *parts)))
    with store.reading() as cursor:
        relation = relations.known(cursor, [key]).get(key)
    return relation and relation.state


def state(store: Store) -> str:
    note: Note = found(store)
    return note.state


def closed(store: Store, *more: bytes, steps: str = HALF, **terms: Any) -> None:
    """October comes to 50.00 for C-1."""
    take(store, registered(), model(), signed(valid_from="2026-10-01", cooperation_model="sp", **terms), book(steps))
    take(store, charge("1", "100", 10), *more)
    close(store, OCTOBER)


def close(store: Store, period: Period) -> None:
    assert not closing.close(store, period, NOW).refused


def said(store: Store, period: Period) -> dict[str, Any]:
    with store.reading() as cursor:
        return view(cursor, "C-1", period).statement


def refused(store: Store, raw: bytes) -> str:
    """The code with which it is suspended."""
    before = len(kept(store))
    take(store, raw)
    codes = [code for _, code in kept(store)]
    assert len(codes) == before + 1, "it was accepted"
    return codes[-1]


PUBLISHED = step("statement.published", "2026-11-05")
CONFIRMED = step("statement.confirmed", "2026-11-10", "partner")
INVOICED = step("statement.invoiced", "2026-11-11", day="2026-11-11")
PAID = step("statement.paid", "2026-11-30", amount="50.00", currency="CNY", reference="B-1", day="2026-11-30")
SETTLED = step("statement.settled", "2026-12-01")


def test_a_statement_goes_from_its_closing_to_the_bank(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED)
    note: Note = found(store)
    # October's last day is the 31st: 15 days later is 15 November, 30 days later the 30th.
    assert (note.state, str(note.dispute_until), str(note.pay_by)) == ("published", "2026-11-15", "2026-11-30")
    assert [(each.currency, each.amount) for each in note.due] == [("CNY", "50.00")]
    assert note.digest == said(store, OCTOBER)["digest"]
    for raw, then in ((CONFIRMED, "confirmed"), (INVOICED, "invoiced"), (PAID, "paid"), (SETTLED, "settled")):
        assert take(store, raw).recorded == 1
        assert state(store) == then
    note = found(store)
    assert note.number == "SN-C-1-2026-10"
    assert [(each.amount, each.reference) for each in note.payments] == [(50_000_000, "B-1")]
    assert rebuild(store).equal


def test_what_is_published_late_leaves_the_partner_its_days(store: Store) -> None:
    closed(store)
    take(store, step("statement.published", "2026-12-20"))
    note: Note = found(store)
    # Published 50 days late, on day 20 December: 10 days to dispute and 25 to pay, as between the days of the model.
    assert (str(note.dispute_until), str(note.pay_by)) == ("2026-12-30", "2027-01-14")


def test_nothing_is_published_before_it_is_closed_nor_before_its_period_ends(store: Store) -> None:
    take(store, registered(), model(), signed(cooperation_model="sp"), book(HALF), charge("1", "100", 10))
    assert refused(store, PUBLISHED) == "statement-not-closed"
    close(store, OCTOBER)
    assert refused(store, step("statement.published", "2026-10-31")) == "before-last-step"


REFUSED: list[tuple[list[bytes], bytes, str]] = [
    ([], CONFIRMED, "not-there"),
    ([PUBLISHED], step("statement.published", "2026-11-06"), "wrong-state"),
    ([PUBLISHED], step("statement.confirmed", "2026-11-06", "ann"), "own-confirmation"),
    ([PUBLISHED], step("statement.confirmed", "2026-11-15", by_default=True), "not-by-default"),
    ([PUBLISHED], step("statement.disputed", "2026-11-16", "partner", reason="late"), "dispute-too-late"),
    ([PUBLISHED], step("statement.disputed", "2026-11-04", "partner", reason="early"), "before-last-step"),
    ([PUBLISHED], INVOICED, "wrong-state"),
    ([PUBLISHED, CONFIRMED], step("statement.settled", "2026-11-12"), "not-paid"),
    ([PUBLISHED, CONFIRMED], step("statement.invoiced", "2026-11-12", day="2026-11-12", number="7"), "other-invoice-number"),
    ([PUBLISHED, CONFIRMED], PAID, "wrong-state"),
    ([PUBLISHED, CONFIRMED, INVOICED],
     step("statement.paid", "2026-11-30", amount="49.99", currency="CNY", reference="B-1", day="2026-11-30"), "other-amount"),
    ([PUBLISHED, CONFIRMED, INVOICED],
     step("statement.paid", "2026-11-30", amount="50", currency="USD", reference="B-1", day="2026-11-30"), "nothing-due"),
    ([PUBLISHED, CONFIRMED, INVOICED, PAID],
     step("statement.paid", "2026-12-01", amount="50", currency="CNY", reference="B-2", day="2026-12-01"), "wrong-state"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "raw", "code"), REFUSED, ids=[f"{n}-{case[2]}" for n, case in enumerate(REFUSED)])
def test_what_does_not_follow_is_refused(store: Store, before: list[bytes], raw: bytes, code: str) -> None:
    closed(store)
    assert take(store, *before).recorded == len(before)
    was = found(store)
    assert refused(store, raw) == code
    assert found(store) == was


def test_nobody_disputes_it_and_it_is_confirmed_by_default(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, step("statement.confirmed", "2026-11-16", by_default=True))
    assert (state(store), found(store).by_default) == ("confirmed", True)


def test_the_day_of_a_step_is_that_of_the_contracts_time_zone(store: Store) -> None:
    closed(store, time_zone="Asia/Shanghai")
    take(store, PUBLISHED)
    # 15 November ends in Shanghai at 16:00 UTC.
    late = {**NOTE, "author": "ann", "by_default": True}
    assert refused(store, message("statement.confirmed", "d1", late, "2026-11-15T15:59:00Z")) == "not-by-default"
    take(store, message("statement.confirmed", "d2", late, "2026-11-15T16:00:00Z"))
    assert state(store) == "confirmed"


def test_where_nothing_is_due_there_is_nothing_to_invoice_and_it_is_settled(store: Store) -> None:
    closed(store, charge("2", "0", 11))
    close(store, NOVEMBER)
    november = {"contract": "C-1", "period": "2026-11", "author": "ann"}
    take(store, message("statement.published", "p", november, "2026-12-10T00:00:00Z"))
    take(store, message("statement.confirmed", "c", november | {"author": "partner"}, "2026-12-10T00:00:00Z"))
    assert refused(
        store, message("statement.invoiced", "i", november | {"day": "2026-12-10"}, "2026-12-11T00:00:00Z")
    ) == ("nothing-due")
    assert take(store, message("statement.settled", "s", november, "2026-12-11T00:00:00Z")).recorded == 1


def test_the_partner_of_a_statement_with_several_parties_has_to_be_named(store: Store) -> None:
    closed(store, steps=WITH_BROKER)
    assert refused(store, PUBLISHED) == "party-not-named"
    take(store, step("statement.published", "2026-11-05", party="artist"))
    assert [(each.currency, each.amount) for each in found(store).due] == [("CNY", "45.00")]


def opened(line: str, **said: Any) -> bytes:
    return step("discrepancy.opened", "2026-11-07", "partner", id=f"o-{line}", line=line, **said)


def resolved(line: str = "net", **said: Any) -> bytes:
    data = {"approver": "bob", "reason": "agreed"} | said
    return step("discrepancy.resolved", "2026-11-08", id=f"r-{line}-{said}", line=line, **data)


DISPUTED = step("statement.disputed", "2026-11-07", "partner", reason="too low", lines=["net", "extra"])


def test_every_disputed_line_is_decided_before_the_statement_is_confirmed(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, DISPUTED)
    assert refused(store, CONFIRMED) == "open-discrepancies", "no discrepancy was opened yet"
    take(store, opened("net", theirs="53.50"), opened("extra", theirs="1"))
    assert (found(store, "discrepancy", "net").ours, found(store, "discrepancy", "extra").ours) == ("50.00", None)
    take(store, step("discrepancy.assigned", "2026-11-07", line="net", to="wu"))
    assert refused(store, step("statement.confirmed", "2026-11-16", by_default=True)) == "not-by-default"
    take(store, resolved(accepted=True))
    assert refused(store, step("statement.confirmed", "2026-11-11", "partner")) == "open-discrepancies"
    take(store, step("discrepancy.rejected", "2026-11-09", line="extra", reason="no such fee"))
    take(store, step("statement.confirmed", "2026-11-12", "partner"))
    assert state(store) == "confirmed"


BAD: list[tuple[bytes, str]] = [
    (opened("gross", theirs="1"), "line-not-disputed"),
    (opened("extra"), "no-such-line"),
    (opened("net", ours="49", theirs="1"), "other-figure"),
    (resolved("extra", amount="1"), "not-there"),
]


@pytest.mark.parametrize(("raw", "code"), BAD, ids=[code for _, code in BAD])
def test_a_discrepancy_is_of_a_disputed_line(store: Store, raw: bytes, code: str) -> None:
    closed(store)
    take(store, PUBLISHED, DISPUTED)
    assert refused(store, raw) == code


def test_a_resolution_is_money_that_two_persons_grant(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, step("statement.disputed", "2026-11-07", "partner", reason="r", lines=["net", "gross"]))
    take(store, opened("net", theirs="53.50"), opened("gross", theirs="107"))
    assert refused(store, resolved(amount="1", approver="ann")) == "own-approval"
    assert refused(store, resolved(amount="0")) == "no-adjustment"
    assert refused(store, resolved(amount="0.001")) == "no-adjustment"
    assert refused(store, resolved("gross", accepted=True)) == "amount-needed", (
        "of 7 more of gross the partner gets a half"
    )
    take(store, resolved(accepted=True))
    assert found(store, "discrepancy", "net").amount == 3_500_000
    assert refused(store, resolved(amount="3.5")) == "wrong-state"


def disputed(store: Store, amount: str = "3.50") -> None:
    """October's 50.00 was disputed, and the partner gets so much more."""
    closed(store)
    take(store, PUBLISHED, step("statement.disputed", "2026-11-07", "partner", reason="r", lines=["net"]))
    take(store, opened("net", theirs="53.50"), resolved(amount=amount))
    assert not kept(store)


def test_what_resolves_a_discrepancy_is_on_the_next_statement_once_with_its_cause(store: Store, tmp_path: Path) -> None:
    disputed(store)
    take(store, charge("2", "10", 11))
    open_ = said(store, NOVEMBER)
    close(store, NOVEMBER)
    november = said(store, NOVEMBER)
    assert november["digest"] == open_["digest"]
    (made,) = november["adjustments"]
    assert (made["period"], made["discrepancy"]) == ("2026-10", "net")
    assert made["parties"] == [{"party": "partner", "currency": "CNY", "amount": "3.50"}]
    assert made["causes"] == [
        {"cause": "discrepancy", "line": "net", "ours": "50.00", "theirs": "53.5", "reason": "agreed", "author": "ann",
         "approver": "bob"},
    ]  # fmt: skip
    # Half of November's 10, and the 3.50.
    assert november["payable"] == "5.00"
    assert november["due"] == [
        {"currency": "CNY", "amount": "8.50", "parties": [{"party": "partner", "amount": "8.50"}]}
    ]
    close(store, DECEMBER)
    assert said(store, DECEMBER)["adjustments"] == []
    with store.reading() as cursor:
        assert [each.taken_by for each in resolutions.of_contracts(cursor, ["C-1"])["C-1"]] == ["2026-11"]
    for period in (OCTOBER, NOVEMBER, DECEMBER):
        proof = audit(store, period)
        assert proof.ok, proof.failed
        packed = pack(store, period, tmp_path / "pack")
        verified = verify(tmp_path / "pack", packed.root)
        assert verified.proof.ok, verified.proof.failed
        assert verified.manifest.format == (2 if period is NOVEMBER else 1)
    assert rebuild(store).equal


def test_restating_neither_sees_nor_undoes_what_persons_granted(store: Store) -> None:
    disputed(store)
    take(store, charge("2", "10", 11), charge("late", "7", 10))
    close(store, NOVEMBER)
    # Half of the late 7: computed again less what was issued, which the resolution is no part of.
    assert [row["amount"] for each in restate(store, NOW).restated for row in each.adjustment["payable"]] == ["3.50"]
    assert not restate(store, NOW).restated
    close(store, DECEMBER)
    assert [(made["period"], "discrepancy" in made) for made in said(store, DECEMBER)["adjustments"]] == [
        ("2026-10", False)
    ]
    assert all(audit(store, period).ok for period in (OCTOBER, NOVEMBER, DECEMBER))


def test_a_contract_that_has_ended_gets_its_resolution_on_a_statement_of_adjustments_alone(store: Store) -> None:
    closed(store)
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-11-01"}))
    take(store, PUBLISHED, step("statement.disputed", "2026-11-07", "partner", reason="r", lines=["net"]))
    take(store, opened("net", theirs="53.50"), resolved(amount="-1.25"))
    close(store, NOVEMBER)
    november = said(store, NOVEMBER)
    assert (november["lines"], november["due"][0]["amount"]) == ([], "-1.25")
    assert audit(store, NOVEMBER).ok
    # It is the partner who pays: with a transfer of its own, or set off, under the reference of another.
    note = {"contract": "C-1", "period": "2026-11"}
    time = "2026-12-20T00:00:00Z"
    take(store, message("statement.published", "p", note | {"author": "ann"}, time))
    take(store, message("statement.confirmed", "c", note | {"author": "partner"}, time))
    take(store, message("statement.invoiced", "i", note | {"author": "ann", "day": "2026-12-20"}, time))
    paid = note | {"author": "ann", "currency": "CNY", "reference": "B-1", "day": "2026-12-20"}
    assert refused(store, message("statement.paid", "p1", paid | {"amount": "1.25"}, time)) == "other-amount"
    take(store, message("statement.paid", "p2", paid | {"amount": "-1.25"}, time))
    with store.reading() as cursor:
        (row,) = (each for each in relations.listed(cursor, "note") if each.state.period == "2026-11")
    assert row.state.state == "paid"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("UPDATE settle.resolutions SET adjustment = replace(adjustment, '3.50', '9.50')", "took up others"),
        ("UPDATE settle.resolutions SET taken_by = NULL", "took up others"),
        ("UPDATE settle.log SET state = convert_to(replace(convert_from(state, 'UTF8'), '3500000', '9500000'), 'UTF8')", "the discrepancies of C-1 up to position"),
    ],
)  # fmt: skip
def test_an_audit_finds_a_resolution_that_was_changed(store: Store, change: str, sentence: str) -> None:
    disputed(store)
    close(store, NOVEMBER)
    with store.writing() as cursor:
        cursor.execute(change)
    proof = audit(store, NOVEMBER)
    assert sentence in " ".join(each.sentence for each in proof.failed)


def test_notes_of_one_batch_end_as_those_of_many(store: Store) -> None:
    closed(store)
    history = [PUBLISHED, DISPUTED, opened("net", theirs="53.50"), opened("extra", theirs="1"), resolved(accepted=True)]
    assert take(store, *history).recorded == len(history)
    assert found(store, "discrepancy", "net").state == "resolved"


def test_a_step_that_came_before_the_one_it_follows_is_recycled(store: Store) -> None:
    closed(store, signed("C-2"))
    take(store, CONFIRMED)
    assert kept(store) == [("suspended", "not-there")]
    take(store, PUBLISHED)
    assert (kept(store), state(store)) == ([], "confirmed")
