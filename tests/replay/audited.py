"""Histories for audits, each closed, audited and packed once for all tests that look at them."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from engine.period import Period
from engine.projections.seals import Entry
from engine.settlement import closing, scoring
from engine.store import intake
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.audit.container import members_of
from replay.audit.findings import Proof
from replay.audit.issued import issued_of
from replay.audit.packing import EVENTS, STATEMENTS, pack
from replay.audit.proving import Prover, told_of
from replay.audit.scope import scope_of
from replay.audit.verifying import _entries
from replay.restate import restate
from tests.histories import message, registered, signed
from tests.replay.test_restate import NOW, close, simple
from tests.settlement import test_chains as chains
from tests.settlement import test_notes as notes
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import CHANNEL, take

Periods = tuple[Period, ...]
_numbers = itertools.count(1)


@contextmanager
def new_store(postgres: str) -> Iterator[Store]:
    name = f"settle_audit_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        with Store(make_conninfo(postgres, dbname=name)) as store:
            with store.writing() as cursor:
                intake.ensure(cursor, CHANNEL, [(0, 0)])
            yield store
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def late(store: Store) -> Periods:
    """A late charge of October on November's statement."""
    simple(store, charge("1", "100", 10, attributes={"province": "GD"}), charge("1b", "3", 10))
    close(store, OCTOBER)
    take(store, charge("late", "7", 10), charge("2", "10", 11))
    restate(store, NOW)
    close(store, NOVEMBER)
    return OCTOBER, NOVEMBER


def guaranteed(store: Store) -> Periods:
    """Balances that go from period to period, and are restated."""
    chains.guaranteed(store)
    close(store, OCTOBER, NOVEMBER)
    take(store, charge("late", "400", 10))
    restate(store, NOW)
    close(store, DECEMBER)
    return OCTOBER, NOVEMBER, DECEMBER


def assessed(store: Store) -> Periods:
    """Scores, one of them computed again and one overridden, and the grades that follow from them."""
    chains.assessed(store)
    close(store, OCTOBER)
    complaint = {"case": "Y", "partner": "P-1", "kind": "complaint", "upheld": True, "author": "Wu"}
    take(
        store,
        *(message("case.closed", f"y{i}", complaint | {"case": f"Y-{i}"}, "2026-10-30T00:00:00Z") for i in range(9)),
    )
    asked = {"partner": "P-1", "scorecard": "simple", "period": "2026-10", "reason": "late complaints", "author": "ann"}
    take(store, message("assessment.reassessed", "again", asked))
    assert scoring.reassess(store, OCTOBER, NOW) == {"simple": 1}
    take(store, chains.overridden(), charge("3", "100", 11), charge("4", "100", 11, "C-2"))
    close(store, NOVEMBER)
    return OCTOBER, NOVEMBER


def pooled(store: Store) -> Periods:
    """A pool that is restated twice: C-3 brings its money and gets none of it, and the second time brings no more."""
    uses = ", uses: {event: usage.recorded, sum: quantity}"
    take(store, registered(), *(signed(f"C-{n}", valid_from="2026-10-01") for n in (1, 2, 3)))
    take(store, book(chains.POOL, measures=uses))
    take(store, charge("1", "1000", 10, "C-3"), chains.used("2", "C-1", 3), chains.used("3", "C-2", 1))
    close(store, OCTOBER)
    take(store, charge("late", "200", 10, "C-3"))
    restate(store, NOW)
    take(store, chains.used("late2", "C-2", 4))
    restate(store, NOW)
    close(store, NOVEMBER)
    return OCTOBER, NOVEMBER


def returned(store: Store) -> Periods:
    """Charges of October that are given back in November and December, and one of those late."""
    refunds = ", refunds: {event: billing.refunded, sum: amount}"
    take(store, registered(), signed(valid_from="2026-10-01"), book(chains.CLAWBACK % "10%", measures=refunds))
    take(store, book(chains.CLAWBACK % "20%", measures=refunds, version=2, valid_from="2026-11-01"))
    take(store, charge("1", "150", 10), charge("2", "80", 11))
    close(store, OCTOBER)
    back = {"contract": "C-1", "amount": "60", "currency": "CNY", "refunds": "1", "charged_at": "2026-10-10T00:00:00Z"}
    take(store, message("billing.refunded", "3", back, "2026-11-20T00:00:00Z"))
    close(store, NOVEMBER)
    take(store, message("billing.refunded", "4", back | {"amount": "90"}, "2026-12-20T00:00:00Z"))
    take(store, message("billing.refunded", "5", back | {"amount": "9"}, "2026-11-21T00:00:00Z"))
    restate(store, NOW)
    close(store, DECEMBER)
    return OCTOBER, NOVEMBER, DECEMBER


def converted(store: Store) -> Periods:
    """Euros at published rates; the contract settles in another time zone."""
    euros = ", euros: {event: billing.charged, sum: amount, currency: EUR}"
    text = book(chains.CONVERTED, measures=euros)
    text = text.replace(b"currency: CNY\\n", b"currency: CNY\\ncurrencies: [EUR]\\n", 1)
    take(store, registered(), signed(valid_from="2026-10-01", time_zone="Asia/Shanghai"), text)
    take(store, chains.published_rate("fx1", "7.5", "2026-10-29"))
    take(store, charge("1", "10", 10), charge("2", "100", 10, currency="EUR"))
    close(store, OCTOBER)
    take(store, chains.published_rate("fx2", "7.6", "2026-11-29"))
    close(store, NOVEMBER)
    return OCTOBER, NOVEMBER


def ended(store: Store) -> Periods:
    """A contract that turns out to have ended before: a statement of adjustments alone."""
    simple(store, charge("1", "100", 10), charge("2", "60", 11))
    close(store, OCTOBER, NOVEMBER)
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-11-01"}))
    restate(store, NOW)
    assert closing.close(store, DECEMBER, NOW).closed == 1
    return OCTOBER, NOVEMBER, DECEMBER


def several(store: Store) -> Periods:
    """A period that is closed three times, and a partner's events that name contracts of another calendar."""
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    take(store, signed("C-2", valid_from="2026-10-01"), charge("2", "5", 10, "C-2"))
    take(store, signed("C-W", calendar="weekly", time_zone="America/New_York"))
    case = {"case": "K", "partner": "P-1", "kind": "complaint", "contract": "C-W"}
    take(store, message("case.opened", "k", case, "2026-10-05T00:00:00Z"))
    close(store, OCTOBER)
    take(store, signed("C-3", valid_from="2026-10-01"), charge("3", "5", 10, "C-3"))
    close(store, OCTOBER)
    return (OCTOBER,)


def left(store: Store) -> Periods:
    """A service on trial, live and left: facts by its phase, and a final statement that is restated after the exit."""
    from tests.settlement import test_final_statements as final
    from tests.settlement import test_services as services

    steps = "  - {name: share, amount: 30% * on trial + 40% * sales}\n" + final.PAYOUT.partition("\n")[2]
    phases = ", on trial: {event: billing.charged, sum: amount, where: {phase: trial}}"
    take(
        store,
        registered(),
        signed(valid_from="2026-10-01"),
        book(steps, measures=final.ADVANCED + phases, more=final.SPLIT),
    )
    take(store, *services.on_trial("2026-10-05"), final.deposit("paid", "300.50"), charge("1", "1000", 10))
    close(store, OCTOBER)
    take(store, services.step("launched", day="2026-10-08"), charge("2", "400", 11), final.advance("a", "750", 11))
    take(store, *final.left())
    restate(store, NOW)
    close(store, NOVEMBER)
    take(store, charge("late", "10", 11))
    restate(store, NOW)
    close(store, DECEMBER)
    return OCTOBER, NOVEMBER, DECEMBER


def disputed(store: Store) -> Periods:
    """A disputed line that was resolved beside a late charge, and taken up with it."""
    notes.disputed(store)
    take(store, charge("late", "7", 10), charge("2", "10", 11))
    restate(store, NOW)
    close(store, NOVEMBER, DECEMBER)
    return OCTOBER, NOVEMBER, DECEMBER


SCENARIOS: tuple[Callable[[Store], Periods], ...] = (
    late, guaranteed, assessed, pooled, returned, converted, ended, several, left, disputed,
)  # fmt: skip


class Audited(NamedTuple):
    """What the audit in the store said, and the pack's bytes."""

    proof: Proof
    pack: bytes


_made: dict[tuple[str, str], Audited] = {}


def audited(postgres: str) -> dict[tuple[str, str], Audited]:
    """By scenario and period, for all scenarios; made once a run."""
    if not _made:
        for scenario in SCENARIOS:
            with new_store(postgres) as store:
                for period in scenario(store):
                    _made[scenario.__name__, str(period)] = Audited(audit(store, period), packed(store, period))
    return _made


def packed(store: Store, period: Period) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pack"
        pack(store, period, path)
        return path.read_bytes()


def entries_of(path: Path) -> tuple[list[Entry], list[Entry]]:
    """What a pack holds: what was issued, and what that stands on."""
    with path.open("rb") as file:
        named = {member.name: member for member in members_of(file)}
    return list(_entries(path, named[STATEMENTS])), list(_entries(path, named[EVENTS]))


def proved(period: Period, issued: list[Entry], events: list[Entry]) -> Proof:
    """The core alone, on entries of any origin."""
    read = issued_of(period, issued)
    told, findings = told_of(
        str(period), [entry for entry in events if not entry.name.startswith(("billing", "usage"))]
    )
    prover = Prover(read, scope_of(read, told), told, findings)
    prover.absorb([entry for entry in events if entry.name.startswith(("billing", "usage"))])
    return prover.proof()
