"""Steps of a statement that came too early are taken by themselves when what they wait for happens, whoever dies meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from consumers import run_day as running
from consumers.suspense import recycle_ripe
from engine.period import Period
from engine.settlement import closing
from engine.settlement.recording import Slice, record
from engine.store import suspense
from engine.store.database import Store
from replay.rebuild.running import rebuild
from tests.consumers.test_personal import key
from tests.histories import message, messages, registered, signed
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_notes import (
    CONFIRMED,
    DISPUTED,
    HALF,
    INVOICED,
    NOW,
    PAID,
    PUBLISHED,
    close,
    closed,
    found,
    model,
    opened,
    resolved,
    state,
    step,
)
from tests.settlement.test_partners import BY, approved, bank, take_sealed
from tests.settlement.test_partners import step as partner_step
from tests.settlement.test_recording import CHANNEL, clock, kept, store, take

__all__ = ["key", "store"]

REJECTED = step("discrepancy.rejected", "2026-11-09", line="extra", reason="no such fee")
NET, EXTRA = opened("net", theirs="53.50"), opened("extra", theirs="1")


def causes(store: Store) -> list[str]:
    """What has arrived, and what waits for it has not been tried since."""
    with store.reading() as cursor:
        return [cause for cause, _ in suspense.arrivals(cursor)]


def early(store: Store) -> None:
    """October of C-1 and C-2 is published before it is closed; of these C-1 settles."""
    take(store, registered(), model(), signed(cooperation_model="sp"), signed("C-2", rulebook="none"), book(HALF))
    other = {"contract": "C-2", "period": "2026-10", "author": "ann"}
    take(store, PUBLISHED, message("statement.published", "other", other, "2026-11-05T12:00:00Z"))
    for month in range(1, 10):
        closing.close(store, Period.parse(f"2026-{month:02}"), NOW)
    assert kept(store) == [("suspended", "statement-not-closed")] * 2


def test_what_was_published_too_early_is_published_once_it_is_closed(store: Store) -> None:
    early(store)
    assert causes(store) == [], "other periods are closed"
    closing.close(store, OCTOBER, NOW)  # and then the process dies
    assert causes(store) == ["statement:C-1\x1f2026-10"]
    assert recycle_ripe(store, clock) == 1
    assert (state(store), kept(store), causes(store)) == ("published", [("suspended", "statement-not-closed")], [])
    assert rebuild(store).equal


def test_a_statement_of_adjustments_alone_is_closed_too(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, DISPUTED, NET, resolved(accepted=True))
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-11-01"}))
    note = {"contract": "C-1", "period": "2026-11", "author": "ann"}
    take(store, message("statement.published", "p", note, "2026-12-20T00:00:00Z"))
    assert kept(store) == [("suspended", "statement-not-closed")]
    close(store, NOVEMBER)
    assert recycle_ripe(store, clock) == 1


def test_a_process_killed_between_closing_and_trying_again_leaves_that_to_the_next(store: Store, database: str) -> None:
    early(store)
    command = [sys.executable, "-m", "tests.settlement.waiting_worker", database, "2026-11-02"]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode == -signal.SIGKILL
    assert (found(store), causes(store)) == (None, ["statement:C-1\x1f2026-10"])
    running.run_day(store, NOW.date(), "ann", lambda: NOW)
    note = found(store)
    # By the message, of the 5th, and not by the day's run, which is of June.
    assert (str(note.published), causes(store)) == ("2026-11-05", [])


@pytest.mark.parametrize("order", [(resolved(accepted=True), REJECTED), (REJECTED, resolved(accepted=True))])
def test_a_confirmation_waits_for_the_last_disputed_line(store: Store, order: tuple[bytes, bytes]) -> None:
    closed(store)
    # It is told before anybody has looked at the lines.
    take(store, PUBLISHED, DISPUTED, CONFIRMED)
    first, last = order
    for raw in (NET, EXTRA, step("discrepancy.assigned", "2026-11-07", line="net", to="wu"), first):
        take(store, raw)
        assert (state(store), kept(store)) == ("disputed", [("suspended", "open-discrepancies")])
    take(store, last)
    assert (state(store), kept(store)) == ("confirmed", [])
    assert rebuild(store).equal


def test_a_process_that_dies_after_the_last_decision_leaves_the_confirmation_to_the_next(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, DISPUTED, NET, EXTRA, CONFIRMED, resolved(accepted=True))
    record(store, [Slice(CHANNEL, 0, None, 1)], messages([REJECTED]), NOW)  # and then it is killed
    assert (state(store), causes(store)) == ("disputed", ["discrepancy:C-1\x1f2026-10\x1fextra"])
    assert recycle_ripe(store, clock) == 1
    assert state(store) == "confirmed"


def test_a_payment_waits_until_the_account_is_approved_or_rejected(store: Store) -> None:
    closed(store)
    take_sealed(store, bank(), PUBLISHED, CONFIRMED, INVOICED, PAID)
    assert kept(store) == [("suspended", "payout-held")]
    take_sealed(store, approved("a1", "Li"), bank("b2", iban="GB82WEST12345698765432"))
    assert kept(store) == [("suspended", "payout-held"), ("suspended", "own-approval")]
    take_sealed(store, message("partner.bank_account_rejected", "r", {"partner": "P-1", **BY}))
    assert (state(store), kept(store)) == ("paid", [("suspended", "own-approval")])


def test_a_payment_waits_for_whoever_holds_it_one_after_the_other(store: Store) -> None:
    closed(store, registered("P-2"))
    take(store, PUBLISHED, CONFIRMED, INVOICED, partner_step("blocked", **BY), partner_step("blocked", "P-2", **BY))
    take(store, PAID, partner_step("merged", into="P-2", approver="Xu", **BY))
    # P-1 is paid as P-2 now: both blocks hold it, first that of P-1.
    take(store, partner_step("unblocked", "P-2", **BY), partner_step("blocked", "P-2", "again", **BY))
    assert kept(store) == [("suspended", "payout-held")]
    take(store, partner_step("unblocked", **BY))
    assert kept(store) == [("suspended", "payout-held")]
    record(
        store, [Slice(CHANNEL, 0, None, 1)], messages([partner_step("unblocked", "P-2", "u2", **BY)]), NOW
    )  # and dies
    assert (state(store), causes(store)) == ("invoiced", ["partner:P-2"])
    assert recycle_ripe(store, clock) == 1
    assert (state(store), kept(store), causes(store)) == ("paid", [], [])
    close(store, NOVEMBER)
    close(store, DECEMBER)
    assert rebuild(store).equal


def test_all_of_them_in_one_batch_end_as_taken_one_by_one(store: Store) -> None:
    closed(store, charge("2", "10", 11))
    blocked, free = partner_step("blocked", **BY), partner_step("unblocked", **BY)
    take(store, PUBLISHED, DISPUTED, CONFIRMED, NET, EXTRA, REJECTED, resolved(accepted=True))
    take(store, INVOICED, blocked, PAID, free)
    assert (state(store), kept(store)) == ("paid", [])
