"""Recomputed from facts, every statement is the one that is shown while it is open and the one that is closed, to the digest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from engine.events import decoded
from engine.period import Period
from engine.settlement import closing
from engine.settlement.statements import statement_of, view
from engine.store import facts as fact_store
from engine.store import log, statements
from engine.store.database import Store
from replay import known, spread
from replay.known import Known
from replay.recompute import recomputed
from replay.spread import Job
from tests.histories import message, registered, signed
from tests.settlement import test_chains as chains
from tests.settlement.test_chains import NOW
from tests.settlement.test_recording import store, take

__all__ = ["store"]

END = date(2027, 1, 1)


def digests(store: Store, known_: Known | None = None) -> dict[tuple[str, str], str]:
    """By contract and period."""
    return {key: statement["digest"] for key, statement in statements_now(store, known_).items()}


def statements_now(store: Store, known_: Known | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    with store.reading() as cursor:
        facts = fact_store.all_live(cursor)
        known_ = known_ or known.live(cursor)
    found = {}
    for each in recomputed(known_, facts, END):
        events = each.events()
        for name, said in each.lines().items():
            made = statement_of(each.contracts[name], each.rulebook, each.period, said, events[name])
            found[name, str(each.period)] = made
    return found


def in_columns(store: Store) -> dict[tuple[str, str], str]:
    """As replay has them: texts written in columns."""
    with store.reading() as cursor:
        everything, facts = known.live(cursor), fact_store.all_live(cursor)
    made = spread.statements(Job(everything, 0, None, END, None), facts, frozenset(everything.contracts))
    return {(name, period): digest for name, period, digest in made.select("contract", "period", "digest").iter_rows()}


def told(store: Store) -> Known:
    with store.reading() as cursor:
        rows = log.states(cursor, after=0, to=10**9, limit=10**9)
    return known.of([(at, decoded(name, state)) for at, name, state in rows], position=10**9, rules_position=10**9)


def guaranteed(store: Store) -> None:
    chains.guaranteed(store)
    take(store, signed("C-2", valid_from="2026-11-01"), chains.charge("4", "900", 12, "C-2"))


def passed_on(store: Store) -> None:
    chains.guaranteed(store)
    steps = "  - {name: due, amount: 10% * sales, round: half_up}\n"
    take(store, chains.book(steps, version=2, valid_from="2026-11-01"))


def pooled(store: Store) -> None:
    uses = ", uses: {event: usage.recorded, sum: quantity}"
    take(store, registered(), signed("C-1"), signed("C-2"), signed("C-3"), chains.book(chains.POOL, measures=uses))
    take(store, chains.charge("1", "1000", 10, "C-3"), chains.used("2", "C-1", 3), chains.used("3", "C-2", 1))


def converted(store: Store) -> None:
    euros = ", euros: {event: billing.charged, sum: amount, currency: EUR}"
    text = chains.book(chains.CONVERTED, measures=euros)
    text = text.replace(b"currency: CNY\\n", b"currency: CNY\\ncurrencies: [EUR]\\n", 1)
    take(store, registered(), signed(valid_from="2026-10-01"), text, chains.charge("1", "10", 10))
    take(store, chains.charge("2", "100", 10, currency="EUR"), chains.published_rate("fx2", "7.8", "2026-10-29"))


def terminated(store: Store) -> None:
    chains.guaranteed(store)
    take(store, message("contract.terminated", "t", {"contract": "C-1", "valid_to": "2026-12-01"}))


def named_oddly(store: Store) -> None:
    """With characters that JSON escapes, and some that it does not."""
    name = 'C "广"\\1'
    take(store, registered(), signed(valid_from="2026-10-01"), signed(name, valid_from="2026-10-01"))
    take(store, chains.book(chains.GUARANTEE))
    take(store, chains.charge("1", "900", 10, name), chains.charge("2", "900", 11))


SCENARIOS: list[Callable[[Store], None]] = [
    guaranteed,
    passed_on,
    pooled,
    converted,
    terminated,
    named_oddly,
    chains.assessed,
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_recomputed_is_what_is_shown_and_what_is_closed(store: Store, scenario: Callable[[Store], None]) -> None:
    scenario(store)
    found = digests(store)
    assert digests(store, told(store)) == found
    assert in_columns(store) == found
    shown = {}
    with store.reading() as cursor:
        for name, period in found:
            shown[name, period] = view(cursor, name, Period.parse(period)).statement["digest"]
    assert found == shown
    for month in (10, 11, 12):
        assert not closing.close(store, Period.parse(f"2026-{month}"), NOW).refused or scenario is converted
    with store.reading() as cursor:
        closed = {
            (each.contract, each.period): each
            for name in ("C-1", "C-2", "C-3")
            for each in statements.of_contract(cursor, name)
        }
    assert {key: each.digest for key, each in closed.items()} == {key: found[key] for key in closed}
    assert digests(store) == found
