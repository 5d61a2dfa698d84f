"""Random lives of cases and content in a real store: nothing is half-applied, however a history is cut into batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.store import partner_facts, relations, suspense
from engine.store.database import Store
from replay.facts import verify
from tests.histories import message, registered
from tests.settlement.test_recording import store, take

__all__ = ["store"]

CASE = ("opened", "acknowledged", "answered", "escalated", "closed", "reopened")
CONTENT = ("submitted", "reviewed", "published", "withdrawn")
STEPS = st.tuples(
    st.sampled_from([*(("case", step) for step in CASE), *(("content", step) for step in CONTENT)]),
    st.sampled_from(["complaint", "complaint", "failure"]), st.booleans(), st.integers(1, 28),
)  # fmt: skip
_numbers = iter(range(1_000_000))


def told(partner: str, number: int, step: tuple[tuple[str, str], str, bool, int]) -> bytes:
    (kind, name), of, yes, day = step
    data: dict[str, Any] = {"partner": partner, "author": "Wu" if name == "reviewed" else "Li"}
    if kind == "case":
        data |= {"case": f"K {partner}", "kind": of} | ({"upheld": yes} if name == "closed" else {})
    else:
        data |= {"content": "song"} | ({"approved": yes} if name == "reviewed" else {})
    return message(f"{kind}.{name}", f"{partner}-{number}", data, f"2026-10-{day:02}T08:00:00Z")


def seen(store: Store, partner: str) -> Any:
    """All that is kept of the partner: relations, facts by day, and what is suspended; without its id."""
    with store.reading() as cursor:
        kept = [relations.listed(cursor, kind, partner=partner) for kind in ("case", "content")]
        own = [(each.version, msgspec.to_builtins(each.state, str_keys=True)) for found in kept for each in found]
        days = partner_facts.days(cursor, partner)
        waiting = [e.code for e in suspense.entries(cursor) if partner.encode() in e.raw and e.state == "suspended"]
    return (
        [[v, {name: text for name, text in said.items() if name not in {"partner", "case"}}] for v, said in own],
        days,
        waiting,
    )


@given(st.lists(STEPS, max_size=12), st.integers(0, 12))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_life_is_the_same_however_it_is_cut_into_batches(
    store: Store, steps: Sequence[tuple[tuple[str, str], str, bool, int]], cut: int
) -> None:
    one, other = (f"P-{next(_numbers)}!" for _ in range(2))
    take(store, registered(one), registered(other))
    for number, step in enumerate(steps):
        take(store, told(one, number, step))
    batch = [told(other, number, step) for number, step in enumerate(steps)]
    take(store, *batch[:cut])
    take(store, *batch[cut:])
    assert seen(store, one) == seen(store, other)
    # Everything that was sent is in a life, or in suspense.
    lives, _, waiting = seen(store, other)
    assert sum(version for version, _ in lives) + len(waiting) == len(steps)
    assert verify(store).equal
