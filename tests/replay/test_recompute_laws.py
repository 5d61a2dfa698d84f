"""Whatever happened: what is computed now is what closing each period in its order would issue, and would refuse."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.settlement import closing
from engine.store import facts as fact_store
from engine.store import statements as statement_store
from engine.store.database import Store
from replay import known
from replay.spread import Job, statements
from tests.histories import registered, signed
from tests.replay import test_audit_laws as shared
from tests.replay import test_restate as alone
from tests.replay.test_restate import MONTHS, NOW, REFUNDS, SIMPLE
from tests.settlement import test_chains as chains
from tests.settlement.test_chains import book
from tests.settlement.test_recording import store, take

__all__ = ["store"]

DAYS = ["2026-10-01", "2026-10-20", "2026-11-01"]
LAW = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _open(acts: st.SearchStrategy[tuple[Any, ...]]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Histories in which nothing is closed yet."""
    closing_acts = {"close", "restate", "reassess"}
    return st.lists(acts, min_size=4, max_size=16).map(lambda all_: [act for act in all_ if act[0] not in closing_acts])


@LAW
@given(st.sampled_from(DAYS), st.sampled_from(DAYS), _open(alone.acts()))
def test_of_contracts_that_stand_alone(store: Store, begins: str, valid: str, history: list[tuple[Any, ...]]) -> None:
    alone._emptied(store)
    take(store, registered(), signed(valid_from=begins), signed("C-2", valid_from="2026-10-01"))
    take(store, signed("C-3", currency="USD", valid_from="2026-11-01"), signed("C-4", rulebook="none"))
    take(store, book(SIMPLE % "25%", measures=REFUNDS, valid_from=valid))
    world = alone._World(store)
    for each in history:
        world.act(*each)
    assert_what_is_computed_is_what_closes(store)


@LAW
@given(st.sampled_from(shared.STEPS), st.sampled_from(DAYS), st.sampled_from(DAYS), _open(shared.shared_acts()))
@example(chains.ASSESSED, DAYS[0], DAYS[1], [("publish", chains.POOL, 10)])
@example(chains.POOL, DAYS[1], DAYS[1], [("charge", "C-3", 10, 100), ("use", "C-3", 10, 1)])
def test_of_contracts_that_are_settled_together(
    store: Store, steps: str, begins: str, valid: str, history: list[tuple[Any, ...]]
) -> None:
    alone._emptied(store)
    take(store, registered(), registered("P-2"))
    days = {"C-1": "2026-10-01", "C-2": "2026-10-01", "C-3": begins}
    take(store, *(signed(name, partner=shared.PARTNERS[name], valid_from=day) for name, day in days.items()))
    take(store, book(steps, measures=shared.MEASURES, valid_from=valid))
    world = shared._Shared(store)
    for each in history:
        world.act(*each)
    assert_what_is_computed_is_what_closes(store)


def assert_what_is_computed_is_what_closes(store: Store) -> None:
    with store.reading() as cursor:
        everything, facts = known.live(cursor), fact_store.all_live(cursor)
    job = Job(everything, 0, MONTHS[0].first, MONTHS[-1].end, None)
    now = statements(job, facts, frozenset(everything.contracts))
    refused = {(each.contract, str(month)) for month in MONTHS for each in closing.close(store, month, NOW).refused}
    with store.reading() as cursor:
        issued = {
            (each.contract, each.period): each.digest
            for name in everything.contracts
            for each in statement_store.of_contract(cursor, name)
        }
    assert issued == {(row["contract"], row["period"]): row["digest"] for row in now.to_dicts() if not row["refused"]}
    assert refused == {(row["contract"], row["period"]) for row in now.to_dicts() if row["refused"]}
