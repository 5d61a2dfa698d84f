"""Draft."""

from __future__ import annotations

from engine.settlement import closing
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.restate import restate
from tests.histories import message, registered, signed
from tests.settlement import test_chains as chains
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import store, take
from tests.replay.test_restate import NOW, close, simple

__all__ = ["store"]


def clean(store, *periods):
    for period in periods:
        proof = audit(store, period)
        assert proof.failed == [], proof.failed
        print(proof.checked(), proof.taken, proof.statements, proof.events)


def test_simple(store: Store) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    take(store, charge("late", "7", 10), charge("2", "10", 11))
    restate(store, NOW)
    close(store, NOVEMBER)
    clean(store, OCTOBER, NOVEMBER)


def test_guaranteed(store: Store) -> None:
    chains.guaranteed(store)
    close(store, OCTOBER, NOVEMBER)
    take(store, charge("late", "400", 10))
    restate(store, NOW)
    close(store, DECEMBER)
    clean(store, OCTOBER, NOVEMBER, DECEMBER)


def test_assessed(store: Store) -> None:
    chains.assessed(store)
    close(store, OCTOBER)
    complaint = {"case": "Y", "partner": "P-1", "kind": "complaint", "upheld": True}
    take(store, *(message("case.closed", f"y{i}", complaint, "2026-10-30T00:00:00Z") for i in range(9)))
    asked = {"partner": "P-1", "scorecard": "simple", "period": "2026-10", "reason": "late complaints", "author": "ann"}
    take(store, message("assessment.reassessed", "again", asked))
    from engine.settlement import scoring
    assert scoring.reassess(store, OCTOBER, NOW) == {"simple": 1}
    take(store, chains.overridden())
    take(store, charge("3", "100", 11), charge("4", "100", 11, "C-2"))
    close(store, NOVEMBER)
    clean(store, OCTOBER, NOVEMBER)


def test_pool(store: Store) -> None:
    uses = ", uses: {event: usage.recorded, sum: quantity}"
    take(store, registered(), *(signed(f"C-{n}", valid_from="2026-10-01") for n in (1, 2, 3)))
    take(store, book(chains.POOL, measures=uses))
    take(store, charge("1", "1000", 10, "C-3"), chains.used("2", "C-1", 3), chains.used("3", "C-2", 1))
    close(store, OCTOBER)
    take(store, signed("C-4", valid_from="2026-10-01"))
    take(store, chains.used("late", "C-2", 4), chains.used("late4", "C-4", 4))
    restate(store, NOW)
    close(store, NOVEMBER)
    clean(store, OCTOBER, NOVEMBER)


def test_clawback(store: Store) -> None:
    refunds = ", refunds: {event: billing.refunded, sum: amount}"
    take(store, registered(), signed(valid_from="2026-10-01"), book(chains.CLAWBACK % "10%", measures=refunds))
    take(store, book(chains.CLAWBACK % "20%", measures=refunds, version=2, valid_from="2026-11-01"))
    take(store, charge("1", "150", 10), charge("2", "80", 11))
    close(store, OCTOBER)
    refund = {"contract": "C-1", "amount": "60", "currency": "CNY", "refunds": "1", "charged_at": "2026-10-10T00:00:00Z"}
    take(store, message("billing.refunded", "3", refund, "2026-11-20T00:00:00Z"))
    close(store, NOVEMBER)
    take(store, message("billing.refunded", "4", refund | {"amount": "90"}, "2026-12-20T00:00:00Z"))
    take(store, message("billing.refunded", "5", refund | {"amount": "9"}, "2026-11-21T00:00:00Z"))
    restate(store, NOW)
    close(store, DECEMBER)
    clean(store, OCTOBER, NOVEMBER, DECEMBER)


def test_converted(store: Store) -> None:
    euros = ", euros: {event: billing.charged, sum: amount, currency: EUR}"
    text = book(chains.CONVERTED, measures=euros).replace(b"currency: CNY\\n", b"currency: CNY\\ncurrencies: [EUR]\\n", 1)
    take(store, registered(), signed(valid_from="2026-10-01"), text)
    take(store, chains.published_rate("fx1", "7.5", "2026-10-29"))
    take(store, charge("1", "10", 10), charge("2", "100", 10, currency="EUR"))
    close(store, OCTOBER)
    take(store, chains.published_rate("fx2", "7.6", "2026-11-29"))
    close(store, NOVEMBER)
    clean(store, OCTOBER, NOVEMBER)


def test_ended(store: Store) -> None:
    simple(store, charge("1", "100", 10), charge("2", "60", 11))
    close(store, OCTOBER, NOVEMBER)
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-11-01"}))
    restate(store, NOW)
    assert closing.close(store, DECEMBER, NOW).closed == 1
    clean(store, OCTOBER, NOVEMBER, DECEMBER)
