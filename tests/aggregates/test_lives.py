"""No sequence of steps brings a case, a content, an order or an assessment where its life does not lead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.aggregates.refusal import Refused
from engine.aggregates.relations import AGGREGATES
from engine.events import BY_NAME, Event

FIRST = datetime(2026, 10, 1, tzinfo=UTC)
WHO = {"partner": "P-1", "source": "test"}
CASE = {"case": "K-1", "kind": "complaint"}
SCORE = {"scorecard": "club", "period": "2026-10", "author": "ann"}
# By kind what a life looks like, told once more and otherwise than the aggregates tell it: from each state, by which event to
# which. "" is before it begins, and REST stands for every event that is not named.
LIVES: dict[str, dict[str, dict[str, str]]] = {
    "case": {
        "": {name: name for name in ("opened", "acknowledged", "answered", "escalated", "closed", "reopened")},
        "opened": {name: name for name in ("acknowledged", "answered", "escalated", "closed")},
        "acknowledged": {name: name for name in ("answered", "escalated", "closed")},
        "answered": {name: name for name in ("escalated", "closed")},
        "escalated": {name: name for name in ("acknowledged", "answered", "closed")},
        "closed": {"reopened": "reopened"},
        "reopened": {name: name for name in ("acknowledged", "answered", "escalated", "closed")},
    },
    "content": {
        "": {"submitted": "submitted", "approves": "approved", "rejects": "rejected", "published": "published",
             "withdrawn": "withdrawn"},
        "submitted": {"approves": "approved", "rejects": "rejected"},
        "approved": {"published": "published"},
        "rejected": {"submitted": "submitted"},
        "published": {"withdrawn": "withdrawn"},
        "withdrawn": {"submitted": "submitted"},
    },
    "provisioning": {"": {"ordered": "ordered"}, "ordered": {"done": "done", "failed": "failed"}, "done": {}, "failed": {}},
    "assessment": {
        "": {"published": "published"},
        "published": {"appealed": "appealed", "finalised": "final"},
        "appealed": {"grants": "decided", "dismisses": "decided"},
        "decided": {"finalised": "final"},
        "final": {},
    },
}  # fmt: skip
STEPS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "case": {name: (f"case.{name}", CASE) for name in LIVES["case"][""]},
    "content": {
        "submitted": ("content.submitted", {}), "approves": ("content.reviewed", {"approved": True}),
        "rejects": ("content.reviewed", {"approved": False}), "published": ("content.published", {}),
        "withdrawn": ("content.withdrawn", {}),
    },
    "provisioning": {
        "ordered": ("provisioning.ordered", {"due": FIRST + timedelta(hours=20)}), "done": ("provisioning.done", {}),
        "failed": ("provisioning.failed", {"reason": "x"}),
    },
    "assessment": {
        "published": ("assessment.published", SCORE),
        "appealed": ("assessment.appealed", SCORE | {"author": "eve", "reason": "x"}),
        "grants": ("assessment.decided", SCORE | {"granted": True, "grade": "A", "reason": "x", "approver": "bob"}),
        "dismisses": ("assessment.decided", SCORE | {"granted": False, "reason": "x", "approver": "bob"}),
        "finalised": ("assessment.finalised", SCORE),
    },
}  # fmt: skip
NAMED = {"case": {}, "content": {"content": "song"}, "provisioning": {"order": "O-1"}, "assessment": {}}


class _Score(NamedTuple):
    version: int = 1


def look(kind: str, _: str) -> Any:
    return _Score() if kind == "score" else None


def decided(kind: str, state: Any, command: Event) -> Event | Refused:
    try:
        return AGGREGATES[kind].decide(state, command, look)
    except Refused as refused:
        return refused


class Lives(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.states: dict[str, Any] = dict.fromkeys(LIVES)
        self.model = dict.fromkeys(LIVES, "")
        self.number = 0

    @rule(kind=st.sampled_from(sorted(LIVES)), data=st.data())
    def step(self, kind: str, data: st.DataObject) -> None:
        self.number += 1
        does = data.draw(st.sampled_from(sorted(STEPS[kind])))
        name, said = STEPS[kind][does]
        time = FIRST + timedelta(hours=self.number)
        command = BY_NAME[name](**WHO, id=f"{self.number}", time=time, **NAMED[kind], **said)
        aggregate, state = AGGREGATES[kind], self.states[kind]
        leads_to = LIVES[kind][self.model[kind]].get(does)
        found = decided(kind, state, command)
        if isinstance(found, Refused):
            assert leads_to is None, (self.model[kind], does, found)
            assert found.code in {"wrong-state", "already-there", "not-there"}
            possible = [STEPS[kind][each][0] for each in LIVES[kind][self.model[kind]]]
            if found.code == "wrong-state":
                assert all(each in str(found) for each in possible), found
                assert possible or "nothing can follow" in str(found)
            return
        assert leads_to is not None, (self.model[kind], does)
        assert (found.NAME, found.named) == (command.NAME, command.named)
        self.states[kind], self.model[kind] = aggregate.evolve(state, found), leads_to

    @invariant()
    def every_state_is_where_its_life_leads(self) -> None:
        for kind, state in self.states.items():
            assert (state.state if state else "") == self.model[kind]

    @invariant()
    def content_is_published_from_its_publication_to_its_withdrawal(self) -> None:
        content = self.states["content"]
        days = list(AGGREGATES["content"].standings(content)) if content else []
        assert [each.end for each in days[:-1]].count(None) == 0
        assert bool(days and days[-1].end is None) == (self.model["content"] == "published")


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=40, stateful_step_count=25)
