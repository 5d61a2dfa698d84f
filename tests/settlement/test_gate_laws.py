"""No order of steps, of usage and of batches settles an event whose partner lacks what its model asks for, or loses one."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.events import BillingCharged, decoded
from engine.store import log, recorder, relations
from engine.store.database import Store
from replay.rebuild.running import rebuild
from tests.histories import message, registered, signed
from tests.replay.test_restate import _emptied as emptied
from tests.settlement.test_qualifications import model
from tests.settlement.test_recording import kept, store, take
from tests.settlement.test_services import applied, approved, sold, step

__all__ = ["store"]

DAYS = st.integers(1, 28)
LATER = ("qualification.revoked", "service.suspended")  # they take days away that stood open before


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...]]]:
    """Steps with their days in October 2026, in any order, and where a batch ends."""
    kinds = ("sold", "sold", "submitted", "approved", "renewed", "trial", "launched", "batch")
    if draw(st.booleans()):
        kinds = (*kinds, "revoked", "suspended", "resumed")
    return draw(st.lists(st.tuples(st.sampled_from(kinds), st.tuples(DAYS, DAYS)), min_size=4, max_size=24))


def raw(number: int, kind: str, first: int, other: int) -> bytes:  # noqa: PLR0911 - one message a kind
    low, high = sorted((first, other + 1))
    days = {"valid_from": f"2026-10-{low:02}", "valid_to": f"2026-10-{high:02}"}
    named: dict[str, Any] = {"partner": "P-1", "qualification": "L-7"}
    match kind:
        case "sold":
            return sold(f"sold-{number}", first)
        case "submitted":
            return message("qualification.submitted", f"{number}", named | {"type": "licence", "issuer": "MIIT"} | days)
        case "approved":
            return message("qualification.approved", f"{number}", named | {"author": "Wu"})
        case "renewed":
            return message("qualification.renewed", f"{number}", named | {"author": "Wu"} | days)
        case "revoked":
            told = {"author": "Wu", "reason": "fraud", "valid_to": f"2026-10-{first:02}"}
            return message("qualification.revoked", f"{number}", named | told)
        case "suspended":
            return step("suspended", f"{number}", day=f"2026-10-{first:02}", author="Wu", reason="veto")
        case "trial":
            return step("trial_started", f"{number}", day=f"2026-10-{first:02}")
        case _:
            return step(kind, f"{number}", day=f"2026-10-{first:02}")


def passes(store: Store, day: date) -> bool:
    """Whether both gates stand open on the day, as everything stands now."""
    with store.reading() as cursor:
        found = relations.standings(cursor, [("qualification", "P-1"), ("service", "C-1")])
    open_ = {
        row["gate"]
        for row in found.iter_rows(named=True)
        if row["first"] <= day and (row["end"] is None or day < row["end"])
    }
    return open_ == {"qualification", "service"}


@given(histories())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_counts_is_what_passes_every_gate(store: Store, history: list[tuple[str, tuple[int, ...]]]) -> None:
    emptied(store)
    take(store, registered(), model(), signed(cooperation_model="sp"), applied(), approved())
    batch: list[bytes] = []
    for number, (kind, days) in enumerate(history):
        if kind == "batch":
            if batch:
                take(store, *batch)
            batch = []
        else:
            batch.append(raw(number, kind, *days))
    if batch:
        take(store, *batch)
    sent = {f"sold-{number}": days[0] for number, (kind, days) in enumerate(history) if kind == "sold"}
    with store.reading() as cursor:
        pages = log.named(cursor, [BillingCharged.NAME, *LATER], to=recorder.last_position(cursor))
        events = [decoded(entry.name, entry.state) for page in pages for entry in page]
    counted = {event.id for event in events if isinstance(event, BillingCharged)}
    waiting = [code for _, code in kept(store) if code in {"qualification-lapsed", "service-not-live"}]
    assert len(counted) + len(waiting) == len(sent), "no event is lost, and none is there twice"
    passing = {id_ for id_, day in sent.items() if passes(store, date(2026, 10, day))}
    # What passes now is not left waiting; and nothing counts that never passed.
    assert passing <= counted
    if len(events) == len(counted):  # no days were taken away
        assert counted == passing
    assert rebuild(store).equal
