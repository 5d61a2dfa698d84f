"""Whatever happened, and however often it was restated: what was issued is proved, in the store and from its pack."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.period import Period
from engine.settlement import closing, scoring
from engine.store.database import Store
from replay.audit.auditing import NothingIssued, audit
from replay.audit.packing import pack
from replay.audit.verifying import verify
from replay.restate import restate
from tests.histories import message, registered, signed
from tests.replay import test_restate as histories
from tests.replay.test_restate import MONTHS, NOW, REFUNDS, SIMPLE, acts
from tests.settlement import test_chains as chains
from tests.settlement.test_chains import book
from tests.settlement.test_recording import store, take

__all__ = ["store"]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(acts(), min_size=4, max_size=16))
def test_what_was_issued_is_proved(store: Store, history: list[tuple[Any, ...]]) -> None:
    histories._emptied(store)
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", valid_from="2026-10-01"))
    take(store, book(SIMPLE % "25%", measures=REFUNDS))
    world = histories._World(store)
    for each in history:
        world.act(*each)
    restate(store, NOW)
    for period in MONTHS:
        closing.close(store, period, NOW)
    assert_proved(store)


STEPS = [chains.POOL, chains.ASSESSED, SIMPLE % "10%", chains.GUARANTEE]
MEASURES = chains.MEASURES + ", uses: {event: usage.recorded, sum: quantity}"
PARTNERS = {"C-1": "P-1", "C-2": "P-2", "C-3": "P-2", "C-4": "P-1"}


def shared_acts() -> st.SearchStrategy[tuple[Any, ...]]:
    month, contract = st.integers(10, 12), st.sampled_from(sorted(PARTNERS))
    return st.one_of(
        st.tuples(st.just("charge"), contract, month, st.integers(0, 9_999)),
        st.tuples(st.just("use"), contract, month, st.integers(0, 9)),
        st.tuples(st.just("complain"), contract, month, st.booleans()),
        st.tuples(st.just("sign"), st.just("C-4"), month),
        st.tuples(st.just("override"), st.sampled_from(["P-1", "P-2"]), month),
        st.tuples(st.just("close")),
        st.tuples(st.just("publish"), st.sampled_from(STEPS), month),
        st.tuples(st.just("restate")),
        st.tuples(st.just("reassess"), st.sampled_from(["P-1", "P-2"]), month),
    )


class _Shared(histories._World):
    """Contracts that are settled and assessed together."""

    def act(self, what: str, *of: Any) -> None:
        self.sent += 1
        id_ = f"e{self.sent}"
        match what:
            case "use":
                contract, month, quantity = of
                data = {"contract": contract, "meter": "streams", "quantity": quantity}
                take(self.store, message("usage.recorded", id_, data, f"2026-{month}-07T00:00:00Z"))
            case "complain":
                contract, month, names = of
                case = {"case": id_, "partner": PARTNERS[contract], "kind": "complaint", "upheld": True, "author": "Wu"}
                case |= {"contract": contract} if names else {}
                take(self.store, message("case.closed", id_, case, f"2026-{month}-08T00:00:00Z"))
            case "sign":
                contract, month = of
                take(self.store, signed(contract, partner=PARTNERS[contract], valid_from=f"2026-{month}-01"))
            case "override":
                partner, month = of
                data = {
                    "partner": partner,
                    "scorecard": "simple",
                    "period": f"2026-{month}",
                    "grade": "A",
                    "reason": "x",
                }
                data |= {"author": "ann", "approver": "bob"}
                take(self.store, message("assessment.overridden", id_, data))
            case "reassess":
                partner, month = of
                data = {
                    "partner": partner,
                    "scorecard": "simple",
                    "period": f"2026-{month}",
                    "reason": "x",
                    "author": "a",
                }
                take(self.store, message("assessment.reassessed", id_, data))
                scoring.reassess(self.store, Period.parse(f"2026-{month}"), NOW)
            case "publish":
                steps, month = of
                raw = book(steps, measures=MEASURES, version=self.versions + 1, valid_from=f"2026-{month}-01")
                self.versions += take(self.store, histories.approved(raw, id_)).recorded
            case _:
                self.sent -= 1
                super().act(what, *of)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(STEPS), st.lists(shared_acts(), min_size=4, max_size=16))
def test_what_was_settled_together_is_proved(store: Store, steps: str, history: list[tuple[Any, ...]]) -> None:
    histories._emptied(store)
    take(store, registered(), registered("P-2"))
    names = ("C-1", "C-2", "C-3")
    take(store, *(signed(name, partner=PARTNERS[name], valid_from="2026-10-01") for name in names))
    take(store, book(steps, measures=MEASURES))
    world = _Shared(store)
    for each in history:
        world.act(*each)
    for period in MONTHS:
        closing.close(store, period, NOW)
    assert_proved(store)


IN_STORE = {"chain", "tables", "journal", "intake"}


def assert_proved(store: Store) -> None:
    """Every period's audit, and its pack's."""
    for period in MONTHS:
        try:
            proof = audit(store, period)
        except NothingIssued:
            continue
        assert proof.failed == []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pack"
            pack(store, period, path)
            assert verify(path).proof.findings == tuple(each for each in proof.findings if each.check not in IN_STORE)
