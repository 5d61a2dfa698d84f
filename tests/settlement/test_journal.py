"""The journal says in double entry what statements, adjustments and payouts mean; it always balances."""

from __future__ import annotations

import csv
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import main
from engine.projections.journal import Posting, entry, trial
from engine.settlement import closing
from engine.store import journal
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import message, registered, signed
from tests.settlement.test_chains import NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

NOW = datetime(2027, 2, 1, tzinfo=UTC)
# Of 1,000.00 in October: share 500.00, of which 50.00 is tax; 450.00 recoup the advance of 300.00, and 150.00 are held for 10 days.
BOOK = """\
  - {name: share, amount: 50% * sales, round: half_up}
  - {name: tax, tax: {of: share, rate: 10%, method: withhold}, round: half_up}
  - {name: after tax, amount: share - tax, round: half_up}
  - {name: earned, advance: {of: after tax, paid: advances}, round: half_up}
  - {name: payable, payout: {of: earned, hold: 10}, round: half_up}
"""
TWICE = """INSERT INTO settle.journal SELECT position, line + 90, entry, day, contract, period, reference, account, party,
amount, currency FROM settle.journal"""
MEASURES = ", advances: {event: advance.paid, sum: amount}"


def advance(id: str, amount: str, month: int) -> bytes:
    data = {"contract": "C-1", "amount": amount, "currency": "CNY"}
    return message("advance.paid", id, data, f"2026-{month}-02T00:00:00Z")


def october(store: Store) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"), book(BOOK, measures=MEASURES))
    take(store, advance("a", "300", 10), charge("1", "1000", 10))
    closing.close(store, OCTOBER, NOW)


def balances(store: Store, at: date | None = None, position: int | None = None) -> dict[str, str]:
    with store.reading() as cursor:
        found = journal.balances(cursor, at=at, position=position)
    assert not any(trial(found).values())
    return {each.account: format(each.amount.normalize(), "f") for each in found}


def test_a_closed_statement_is_an_expense_that_is_owed_held_and_withheld(store: Store) -> None:
    october(store)
    assert balances(store) == {
        "share expense": "500", "withheld tax": "-50", "held shares": "-150", "bank": "-300",
    }, "the advance of 300 is paid and recouped at once"  # fmt: skip


def test_an_advance_is_an_asset_from_the_day_on_which_it_is_paid(store: Store) -> None:
    take(store, registered(), signed(valid_from="2026-10-01", time_zone="Asia/Shanghai"), book(BOOK, measures=MEASURES))
    data = {"contract": "C-1", "amount": "300", "currency": "CNY"}
    take(store, message("advance.paid", "a", data, "2026-10-02T17:00:00Z"))  # the 3rd in Shanghai
    assert balances(store) == {"advances": "300", "bank": "-300"}
    assert balances(store, at=date(2026, 10, 2)) == {}
    take(store, charge("1", "100", 10))  # 45 of the share recoup as much of it
    closing.close(store, OCTOBER, NOW)
    october = {"share expense": "50", "withheld tax": "-5", "advances": "255", "bank": "-300"}
    assert balances(store) == october
    # A second one, of a month that is closed: paid then, and no statement has to say so first.
    take(store, message("advance.paid", "b", data, "2026-10-05T08:00:00Z"))
    assert balances(store) == october | {"advances": "555", "bank": "-600"}
    restate(store, NOW)
    assert balances(store) == october | {"advances": "555", "bank": "-600"}
    assert rebuild(store).equal


def test_what_matures_is_owed_in_the_next_period(store: Store) -> None:
    october(store)
    take(store, charge("2", "200", 11))  # share 100, tax 10, earned 90, held; October's 150 have matured
    closing.close(store, NOVEMBER, NOW)
    assert balances(store) == {
        "share expense": "600", "withheld tax": "-60", "held shares": "-90", "accrued shares": "-150", "bank": "-300",
    }  # fmt: skip
    assert balances(store, at=date(2026, 11, 29)) == balances(store, at=date(2026, 10, 31))


def test_a_restated_statement_takes_effect_in_its_period_and_is_known_when_it_is_issued(store: Store) -> None:
    october(store)
    with store.reading() as cursor:
        known = cursor.execute("SELECT max(notification_id) FROM settle.log").fetchone()
    assert known is not None
    before = balances(store)
    take(store, charge("late", "100", 10))  # 50 more: 5 tax, 45 held
    restate(store, NOW)
    assert balances(store, at=date(2026, 10, 31)) == {
        "share expense": "550", "withheld tax": "-55", "held shares": "-195", "bank": "-300",
    }  # fmt: skip
    assert balances(store, position=known[0]) == before


def test_a_rebuild_makes_the_same_journal_and_an_audit_proves_it(store: Store) -> None:
    october(store)
    take(store, charge("late", "100", 10), charge("2", "200", 11))
    restate(store, NOW)
    closing.close(store, NOVEMBER, NOW)
    assert rebuild(store).equal
    assert audit(store, OCTOBER).ok


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE settle.journal SET amount = amount + 1 WHERE account = 'withheld tax'",
        "UPDATE settle.journal SET party = 'someone' WHERE account = 'held shares'",
        "DELETE FROM settle.journal",
        "UPDATE settle.journal SET amount = 2 * amount WHERE reference = 'advance.paid'",
        "UPDATE settle.journal SET day = day + 1 WHERE reference = 'deposit.paid'",
        TWICE,
    ],
)
def test_an_audit_finds_a_journal_that_somebody_changed(store: Store, change: str) -> None:
    october(store)
    deposit = {"partner": "P-1", "contract": "C-1", "amount": "7", "currency": "CNY"}
    take(store, message("deposit.paid", "d", deposit))
    assert audit(store, OCTOBER).ok
    with psycopg.connect(store.conninfo) as connection:
        connection.execute(change)
    found = audit(store, OCTOBER)
    assert {str(finding.check) for finding in found.failed} == {"journal"}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.decimals("-9", "9", places=2)), max_size=6))
def test_an_entry_that_does_not_balance_cannot_be_made(drawn: list[tuple[str, Decimal]]) -> None:
    postings = [Posting(account, "", amount, "CNY") for account, amount in drawn]
    if sum(amount for _, amount in drawn):
        with pytest.raises(AssertionError):
            entry(1, date(2026, 1, 1), "C-1", "2026-01", "test", postings)
    else:
        made = entry(1, date(2026, 1, 1), "C-1", "2026-01", "test", postings)
        assert made is None or all(each.amount for each in made.postings)


def test_what_is_exported_is_accepted_by_bean_check_and_has_every_posting(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    october(store)
    monkeypatch.setenv("SETTLE_DATABASE_URL", store.conninfo)
    ledger, table = tmp_path / "journal.beancount", tmp_path / "journal.csv"
    for command in (["export", "beancount", "-o", str(ledger)], ["journal", "export", "-o", str(table)]):
        monkeypatch.setattr("sys.argv", ["settle", *command])
        with pytest.raises(SystemExit) as left:
            main.main()
        assert left.value.code == 0, capsys.readouterr().err
    subprocess.run([Path(sys.executable).parent / "bean-check", ledger], check=True, timeout=60)
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert {(row["account"], row["amount"]) for row in rows} >= {
        ("Expenses:share expense", "500"), ("Liabilities:held shares:P-1", "-150"),
    }  # fmt: skip
    assert sum(Decimal(row["amount"]) for row in rows) == 0
