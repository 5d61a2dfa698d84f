"""The life of a service, against a small model of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.aggregates import contract as contracts
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import those
from engine.aggregates.service import AGGREGATE, Service
from tests.histories import event_of, message, signed

STEPS = (
    "applied", "approved", "rejected", "trial_started", "launched", "suspension_proposed", "suspension_rejected",
    "suspended", "resumed", "exit_requested", "clearing_started", "exited",
)  # fmt: skip
# By state: what each step leads to. Everything else is refused. A resumed service is what it was before.
MODEL: dict[str, dict[str, str]] = {
    "none": {"applied": "applied"},
    "applied": {"approved": "approved", "rejected": "rejected"},
    "rejected": {"applied": "applied"},
    "approved": {"trial_started": "trial", "launched": "live", "exit_requested": "exit_requested"},
    "trial": {"launched": "live", "suspended": "suspended", "exit_requested": "exit_requested"},
    "live": {"suspended": "suspended", "exit_requested": "exit_requested"},
    "suspended": {"resumed": "before", "exit_requested": "exit_requested"},
    "exit_requested": {"clearing_started": "clearing"},
    "clearing": {"exited": "exited"},
    "exited": {},
}
WITHOUT_DAY = frozenset({"applied", "approved", "rejected", "suspension_proposed", "suspension_rejected"})


def told(name: str, day: int) -> Any:
    said: dict[str, Any] = {"service": "S-1", "partner": "P-1", "contract": "C-1", "author": "Li"}
    if name not in WITHOUT_DAY:
        said |= {"day": f"2026-10-{day:02}"}
    match name:
        case "applied":
            said |= {"name": "x"}
        case "approved" | "rejected":
            said |= {"approved": name == "approved", "author": "Wu", "reason": "so"}
            name = "reviewed"
        case "suspension_proposed":
            said |= {"author": "Li", "reason": "veto"}
        case "suspension_rejected" | "suspended":
            said |= {"author": "Wu", "reason": "veto"}
        case "exit_requested":
            said |= {"reason": "sold"}
        case "exited":
            said |= {"author": "Wu"}
    return event_of(message(f"service.{name}", f"{name}-{day}", said))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 20)), max_size=40))
def test_no_sequence_of_steps_reaches_an_undeclared_state(steps: list[tuple[str, int]]) -> None:
    contract = contracts.evolve(None, event_of(signed()))
    known: Service | None = None
    state, before, since, proposed = "none", "none", 0, False
    for name, day in steps:
        wanted = MODEL[state].get(name)
        if name in {"suspension_proposed", "suspension_rejected"} and state in {"trial", "live"}:
            wanted = state if proposed == (name == "suspension_rejected") else None
        if name not in WITHOUT_DAY and day < since:
            wanted = None
        look = {"contract": contract, "usage": None, those("service"): [known] if known else []}
        if wanted is None:
            with pytest.raises(Refused) as refused:
                AGGREGATE.decide(known, told(name, day), lambda kind, _, look=look: look[kind])
            if refused.value.code == "wrong-state":
                says = str(refused.value)
                assert all(f"service.{each}" in says for each in MODEL[state] if each not in {"approved", "rejected"})
            continue
        event = AGGREGATE.decide(known, told(name, day), lambda kind, _, look=look: look[kind])
        known = AGGREGATE.evolve(known, event)
        before, wanted = state if wanted == "suspended" else before, before if wanted == "before" else wanted
        proposed = name == "suspension_proposed" or (proposed and name == "launched")
        # A rejection is of the day on which it happened, the third.
        since = 0 if name == "applied" else 3 if name == "rejected" else since if name in WITHOUT_DAY else day
        state = wanted
        assert known is not None
        assert (known.state, known.proposed is not None) == (state, proposed)
        opens = state in {"trial", "live"} or (state == "exit_requested" and before != "suspended")
        last = known.open[-1] if known.open else None
        if last is not None and last.end is None:
            assert opens
        for one, other in zip(known.open, known.open[1:], strict=False):
            assert one.end is not None
            assert one.first < one.end <= other.first
        if state in {"trial", "live"}:
            assert last is not None
            assert (last.phase, last.end) == (state, None)
        if since:
            assert known.since == date(2026, 10, since)
