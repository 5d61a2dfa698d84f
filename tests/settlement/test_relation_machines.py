"""Random commands at what has a life of its own: it is only ever in a state that its table has, and a refusal says what follows."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.commands import Asked, ask
from engine.aggregates.refusal import Refused
from engine.settlement.recording import Slice, record
from engine.store import relations
from engine.store.database import Store
from tests.histories import messages, registered, signed
from tests.replay.test_restate import _emptied
from tests.settlement import test_authorisations as agency
from tests.settlement import test_leads as leads
from tests.settlement import test_qualifications as qualifications
from tests.settlement import test_training as training
from tests.settlement.test_recording import CHANNEL, clock, store, take

__all__ = ["store"]

# By kind: what makes each command, given a number of its own; and to which state each leads from which.
Table = dict[str, dict[str | None, str]]
MACHINES: dict[str, tuple[dict[str, Callable[[int], bytes]], Table]] = {
    "qualification": (
        {
            "qualification.submitted": lambda n: qualifications.submitted(id=f"{n}"),
            "qualification.approved": lambda n: qualifications.step("approved", author=f"Wu {n}"),
            "qualification.rejected": lambda n: qualifications.step("rejected", reason=f"{n}"),
            "qualification.renewed": lambda n: qualifications.step("renewed", valid_from="2026-11-01", evidence=f"{n}"),
            "qualification.revoked": lambda n: qualifications.step("revoked", valid_to="2026-12-01", reason=f"{n}"),
        },
        {
            "qualification.submitted": {None: "submitted", "rejected": "submitted", "revoked": "submitted"},
            "qualification.approved": {"submitted": "approved"},
            "qualification.rejected": {"submitted": "rejected"},
            "qualification.renewed": {"approved": "approved"},
            "qualification.revoked": {"approved": "revoked"},
        },
    ),
    "authorisation": (
        {
            "authorisation.granted": lambda n: agency.granted(products=[f"{n}"]),
            "authorisation.revoked": lambda n: agency.revoked(valid_to=f"2026-{n % 12 + 1:02}-01"),
        },
        {"authorisation.granted": {None: "granted"}, "authorisation.revoked": {"granted": "revoked"}},
    ),
    "course": (
        {
            "course.offered": lambda n: training.offered(id=f"{n}"),
            "course.withdrawn": lambda n: training.withdrawn(id=f"{n}"),
        },
        {
            "course.offered": {None: "offered", "withdrawn": "offered"},
            "course.withdrawn": {"offered": "withdrawn"},
        },
    ),
    "training": (
        {
            "training.enrolled": lambda n: training.step("enrolled", time=f"2026-10-03T08:15:{n:02}Z"),
            "training.completed": lambda n: training.step("completed", time=f"2026-10-03T08:15:{n:02}Z"),
        },
        {
            "training.enrolled": {None: "enrolled", "completed": "enrolled"},
            "training.completed": {"enrolled": "completed"},
        },
    ),
    "lead": (
        {
            "lead.registered": lambda n: leads.lead(value=f"{n}"),
            "lead.accepted": lambda n: leads.step("accepted", author=f"Li {n}"),
            "lead.rejected": lambda n: leads.step("rejected", reason=f"{n}"),
            "lead.won": lambda n: leads.step("won", amount=f"{n}"),
            "lead.lost": lambda n: leads.step("lost", reason=f"{n}"),
        },
        {
            "lead.registered": {None: "registered"},
            "lead.accepted": {"registered": "accepted"},
            "lead.rejected": {"registered": "rejected", "accepted": "rejected"},
            "lead.won": {"accepted": "won"},
            "lead.lost": {"registered": "lost", "accepted": "lost"},
        },
    ),
}
CODES = {"wrong-state", "already-there", "not-there"}


@st.composite
def lives(draw: st.DrawFn) -> tuple[str, list[str], int]:
    """A kind, commands at one thing of that kind, and where the history is cut in two batches."""
    kind = draw(st.sampled_from(sorted(MACHINES)))
    asked = draw(st.lists(st.sampled_from(sorted(MACHINES[kind][0])), max_size=12))
    return kind, asked, draw(st.integers(0, len(asked)))


@given(lives())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_commands_reach_a_state_that_is_not_declared(store: Store, life: tuple[str, list[str], int]) -> None:
    kind, asked, cut = life
    commands, table = MACHINES[kind]
    _emptied(store)
    take(store, registered(), signed(), *([training.offered()] if kind == "training" else []))
    raws = [commands[name](number) for number, name in enumerate(asked)]
    for first, end in itertools.pairwise([0, cut, len(raws)]):
        part = messages(raws[first:end])
        if part:
            # Without recycling: what comes too early stays refused.
            record(store, [Slice(CHANNEL, 0, None, len(part))], part, clock())
    state: str | None = None
    steps, refused = 0, []
    for name in asked:
        after = table[name].get(state)
        if after is None:
            refused.append((name, state))
        else:
            state, steps = after, steps + 1
    with store.reading() as cursor:
        found = [each for each in relations.listed(cursor, kind) if kind != "course" or each.state.course == "basics"]
        said = cursor.execute("SELECT code, sentence FROM settle.suspense ORDER BY id").fetchall()
    assert [(each.state.state, each.version) for each in found] == ([] if state is None else [(state, steps)])
    assert len(said) == len(refused)
    for (code, sentence), (name, was) in zip(said, refused, strict=True):
        assert code in CODES
        if code == "wrong-state":
            assert was is not None
            possible = {other for other, moves in table.items() if was in moves}
            told = re.search(r"from there (.*) is possible", sentence)
            assert (set(told[1].split(" or ")) if told else set()) == possible, (name, was)


def test_of_two_who_decide_at_once_one_is_refused(store: Store) -> None:
    take(store, registered(), signed(), leads.lead())
    together = threading.Barrier(2)
    ended: list[str] = []

    def decide(step: str, **said: Any) -> None:
        together.wait()
        try:
            ask(store, [Asked(f"lead.{step}", {"lead": "L-1", "partner": "P-1"} | said)], clock)
        except Refused as refusal:
            ended.append(refusal.code)
        else:
            ended.append(step)

    acts = [
        threading.Thread(target=decide, args=("rejected",), kwargs={"author": "Li", "reason": "known"}),
        threading.Thread(target=decide, args=("lost",), kwargs={"reason": "price"}),
    ]
    for each in acts:
        each.start()
    for each in acts:
        each.join()
    assert len(ended) == 2
    (done,) = set(ended) & {"rejected", "lost"}
    assert set(ended) - {done} <= {"changed-meanwhile", "wrong-state"}
    assert leads.state(store).state == done
    with store.reading() as cursor:
        assert cursor.execute("SELECT count(*) FROM settle.log").fetchone() == (4,)


def test_of_several_partners_at_most_one_has_a_customer(store: Store) -> None:
    take(store, registered(), registered("P-2"), signed(), signed("C-2", partner="P-2"))
    asked = [
        leads.lead("L-2", "P-2", "C-2"),
        leads.step("accepted", "L-2", "P-2"),
        leads.lead(),
        leads.step("accepted"),
    ]
    orders = [order for order in itertools.permutations(range(4)) if order.index(0) < order.index(1)]
    for order in orders[::2]:
        _emptied(store)
        take(store, registered(), registered("P-2"), signed(), signed("C-2", partner="P-2"))
        take(store, *(asked[index] for index in order))
        with store.reading() as cursor:
            accepted = [each.id for each in relations.listed(cursor, "lead") if each.state.state == "accepted"]
        assert len(accepted) == 1, order
