"""Content, orders, cases and assessments as their users meet them."""

from __future__ import annotations

from pathlib import Path

from engine.store.database import Store
from tests.console.test_commands import Settle, settle
from tests.settlement.test_assessments import closed
from tests.settlement.test_cases import complained
from tests.settlement.test_recording import store

__all__ = ["settle", "store"]
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_content_is_reviewed_and_published_and_an_order_done_late(settle: Settle) -> None:
    settle("ingest", str(EXAMPLES / "content.jsonl"))
    assert settle("content", "publish", "P-content", "song", "--time", "2026-10-06T08:00:00Z").status == 1
    assert (
        settle(
            "content", "review", "P-content", "song", "--approve", "--by", "bob", "--time", "2026-10-05T14:00:00Z"
        ).status
        == 0
    )
    assert settle("content", "publish", "P-content", "song", "--time", "2026-10-06T08:00:00Z").status == 0
    assert settle("provisioning", "done", "P-content", "O-song", "--time", "2026-10-06T08:00:00Z").status == 0
    (song,) = settle("content", "list", "--partner", "P-content", "--json").json
    assert (song["state"], song["published"]) == ("published", [["2026-10-06", None]])
    assert "from 2026-10-06" in settle("content", "show", "P-content", "song").out
    (order,) = settle("provisioning", "list", "--json").json
    assert (order["state"], order["on_time"]) == ("done", False)
    # 50% of the charge that was recycled, less 20 for the late delivery.
    assert settle("statement", "C-content", "2026-10", "--json").json["payable"] == "30.00"
    refused = settle("provisioning", "fail", "P-content", "O-song", "--reason", "x")
    assert (refused.status, "nothing can follow from there" in " ".join(refused.err.split())) == (1, True)
    assert "write this message off" not in refused.err
    assert settle("content", "withdraw", "P-content", "song", "--time", "2026-10-08T08:00:00Z", "--json").status == 0
    assert settle("content", "submit", "P-content", "song", "--on-time").status == 0
    said = ["--contract", "C-content", "--due", "2026-11-05T12:00:00Z", "--by", "ann", "--service", "sms"]
    assert settle("provisioning", "order", "P-content", "O-2", *said).status == 0
    assert settle("provisioning", "show", "P-content", "O-2", "--json").json["service"] == "sms"


def test_a_case_goes_through_its_life_by_command(settle: Settle) -> None:
    settle("ingest", str(EXAMPLES / "consultation.jsonl"))
    about = ["--partner", "P-consultation", "--kind", "consultation", "--contract", "C-consultation"]
    assert settle("case", "open", "K", *about, "--time", "2026-10-09T09:00:00Z").status == 0
    for step, time in (("acknowledge", "09T09:01"), ("escalate", "09T09:02"), ("answer", "12T02:00"), ("close", "12T03:00"),
                       ("reopen", "12T04:00")):  # fmt: skip
        assert settle("case", step, "K", "--by", "ann", "--time", f"2026-10-{time}:00Z").status == 0, step
    told = settle("case", "show", "K", "--json").json
    # Friday 17:00 to 18:00 and Monday 9:00 to 10:00 in Shanghai.
    assert (told["state"], told["minutes"], told["on_time"], told["version"]) == ("reopened", "120", True, 6)
    assert told["author"] == "ann"
    refused = settle("case", "reopen", "K", "--by", "ann")
    assert "case.answered or case.escalated or case.closed is possible" in " ".join(refused.err.split())
    assert settle("case", "answer", "K-9").status == 1
    assert [each["case"] for each in settle("case", "list", "--json").json] == ["K"]


def test_a_complaint_is_followed_in_text_and_in_json(settle: Settle, store: Store) -> None:
    complained(store)
    told = settle("case", "follow", "K-1", "--json").json
    assert [each["type"] for each in told["events"]][-1] == "case.closed"
    # 20 for the complaint and 30 of compensation, as tests/settlement/test_cases.py computes it.
    assert told["statements"][0]["lines"][0] == {
        "name": "penalty", "amount": "-70", "without": "-20", "moved": "-50", "unit": "CNY",
    }  # fmt: skip
    assert told["scores"][0]["grade_without"] == "A"
    text = settle("case", "follow", "K-1").out
    assert "penalty CNY" in text
    assert "grade B instead of A" in text
    assert "-40 by complaint" in text
    assert max(len(line) for line in text.splitlines() if "fact" not in line) <= 80
    assert settle("case", "follow", "K-9").status == 1


def test_an_assessment_is_published_appealed_decided_and_final(settle: Settle, store: Store) -> None:
    closed(store)
    key = ["simple", "2026-10", "P-1"]
    assert settle("assessment", "list", "simple", "2026-10", "--json").json[0]["state"] == "computed"
    refused = settle("assessment", "finalise", *key, "--by", "ann")
    assert "is computed, so assessment.finalised does not apply" in " ".join(refused.err.split())
    assert settle("assessment", "publish", *key, "--by", "ann").status == 0
    assert settle("assessment", "appeal", *key, "--by", "eve", "--reason", "a question").status == 0
    decide = ["assessment", "decide", *key, "--by", "ann", "--reason", "so it was"]
    assert settle(*decide, "--approver", "bob").status == 2
    assert settle(*decide, "--approver", "ann", "--grant", "A").status == 1
    assert settle(*decide, "--approver", "bob", "--grant", "A").status == 0
    assert settle("assessment", "finalise", *key, "--by", "ann", "--json").json["proposed"] == []
    told = settle("assessment", "show", *key, "--json").json
    assert (told["state"], told["grade"], told["assessed"], told["score"]) == ("final", "A", "B", "75")
    assert settle("assessment", "show", "simple", "2026-11", "P-1").status == 1
    # 500 at 110% instead of 90%.
    assert settle("restate", "--json").json["totals"] == {"CNY": "100"}
