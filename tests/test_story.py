"""One partner's story, from its application to its final statement, over Kafka; every figure is computed by hand."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from console.story_chapters import MONTHS
from tests.console.test_commands import Settle, settle

if TYPE_CHECKING:
    from tests.broker import Broker

__all__ = ["settle"]

# 40% of what is charged on trial, 60% of what is charged live; times 1.1 for grade A, 1.0 for B, 0.9 for C; less compensation and
# 50.00 for each failure that is reported late; out of what is earned an advance is recouped.
# A month scores 100, less 20 for an upheld complaint, less 10 for a late report: A from 80, B from 75, else C.
JANUARY = {
    # On trial 40.00 and 60.00 are charged: 40% of 100.00 are 40.00. Nothing was amiss, 100 is an A: 40.00 * 1.1 = 44.00.
    "grade": "A", "payable": "44.00", "adjustments": [], "unrecouped": [], "final": {}, "due": ["44.00"],
    "lines": {"trial share": "40", "live share": "0", "gross": "40", "weighted": "44", "penalties": "0", "earned": "44",
              "payable": "44.00"},
}  # fmt: skip
FEBRUARY = {
    # Live, 4 * 250.00 are charged, one of them told twice and counted once: 60% of 1,000.00 are 600.00. 100 - 20 for the complaint
    # - 10 for the failure = 70 is a C: 600.00 * 0.9 = 540.00. The penalties are 25.00 of compensation + 50.00: 75.00 less, 465.00.
    "grade": "C", "payable": "465.00", "adjustments": [], "unrecouped": [], "final": {}, "due": ["465.00"],
    "lines": {"trial share": "0", "live share": "600", "gross": "600", "weighted": "540", "penalties": "75", "earned": "465",
              "payable": "465.00"},
}  # fmt: skip
FEBRUARY_RESTATED = {
    # The appeal gives a B: 600.00 * 1.0 - 75.00 = 525.00, so 525.00 - 465.00 = 60.00 more.
    "grade": "B", "payable": "525.00", "adjustments": [], "unrecouped": [], "final": {}, "due": ["525.00"],
    "lines": {"trial share": "0", "live share": "600", "gross": "600", "weighted": "600", "penalties": "75", "earned": "525",
              "payable": "525.00"},
}  # fmt: skip
MARCH = {
    # 200.00 + 300.00 are charged: 60% are 300.00, an A makes 330.00 of them. With the 60.00 of February 390.00 are due.
    "grade": "A", "payable": "330.00", "adjustments": ["60.00"], "unrecouped": [], "final": {}, "due": ["390.00"],
    "lines": {"trial share": "0", "live share": "300", "gross": "300", "weighted": "330", "penalties": "0", "earned": "330",
              "payable": "330.00"},
}  # fmt: skip
APRIL = {
    # 100.00 + 150.00 + 250.00 wait for the licence, and count once it is renewed: 330.00 again. Of the advance of 400.00 they
    # recoup 330.00, which leaves 0.00, and 70.00 unrecouped. The disputed line of March was 12.00 short, at an A 13.20: due.
    "grade": "A", "payable": "0.00", "adjustments": ["13.20"], "unrecouped": ["70"], "final": {}, "due": ["13.20"],
    "lines": {"trial share": "0", "live share": "300", "gross": "300", "weighted": "330", "penalties": "0", "earned": "330",
              "payable": "0.00"},
}  # fmt: skip
MAY = {
    # 60% of 50.00 are 30.00, at an A 33.00, which all goes into the advance: 70.00 - 33.00 = 37.00 stay unrecouped. They are
    # taken out of the deposit of 500.00: 463.00 are due.
    "grade": "A", "payable": "0.00", "adjustments": [], "unrecouped": [], "due": ["463.00"],
    "final": {"unrecouped of payable": "-37.00", "deposit": "500.00"},
    "lines": {"trial share": "0", "live share": "30", "gross": "30", "weighted": "33", "penalties": "0", "earned": "33",
              "payable": "0.00"},
}  # fmt: skip

# By chapter: the service at its end; how many messages wait and were recycled by then; and the statements, with their versions.
CHAPTERS = [
    ("trial", 0, 0, [("2025-01", 1, JANUARY)]),
    ("live", 0, 0, [("2025-02", 1, FEBRUARY)]),
    ("live", 0, 0, [("2025-02", 2, FEBRUARY_RESTATED), ("2025-03", 1, MARCH)]),
    # The three of April waited for the licence.
    ("live", 0, 3, [("2025-04", 1, APRIL)]),
    # What was charged after the service was left waits for ever.
    ("exited", 1, 3, [("2025-05", 1, MAY)]),
]
COUNTS = {
    "100.00 charged on 10 January": {"recorded": 2},
    "1,000.00 charged on 10 February; one of the four messages comes twice": {"recorded": 4, "duplicate": 1},
    "500.00 charged on 10 March": {"recorded": 2},
    "500.00 charged on 10 April, ten days after the licence lapsed": {"suspended": 3},
    "an advance of 400.00 paid": {"recorded": 1},
    "50.00 charged on 8 May": {"recorded": 1},
    "10.00 charged on 28 May, by a shop that does not know it yet": {"suspended": 1},
}
# What nobody disputes for fifteen days after the period is confirmed by default; what was paid is settled on the next day that is run.
DAYS = {
    "January closed": [],
    "January's statement published": ["published"],
    "January's confirmed by default, since nobody disputed it, and invoiced": ["confirmed", "invoiced"],
    "February closed": ["settled"],
    "February's statement published, confirmed by default and invoiced": ["published", "confirmed", "invoiced"],
    "March closed": ["settled"],
    "March's statement published": ["published"],
    "March's invoiced": ["invoiced"],
    "April closed": ["settled"],
    "April's statement published": ["published"],
    "April's confirmed by default and invoiced": ["confirmed", "invoiced"],
    "May closed: the final statement": ["settled"],
    "published, confirmed by default and invoiced": ["published", "confirmed", "invoiced"],
    "everything settled": ["settled"],
}
# The expense is what was earned: 44.00 + 525.00 + 330.00 + 13.20 + 330.00 + 33.00 = 1,275.20.
# The bank paid 44.00 + 465.00 + 390.00 + 13.20 + 463.00 = 1,375.20, and the advance of 400.00; it got the deposit of 500.00.
JOURNAL = {"share expense": "1275.2", "bank": "-1275.2"}


def expect(told: dict[str, Any]) -> None:
    """What was told is what was computed by hand."""
    found = [
        (
            each["service"], each["suspended"], each["recycled"],
            [(said.pop("period"), said.pop("version"), {k: v for k, v in said.items() if k != "note"}) for said in each["statements"]],
        )
        for each in told["chapters"]
    ]  # fmt: skip
    assert found == CHAPTERS
    steps = {step["said"]: step for chapter in told["chapters"] for step in chapter["steps"]}
    counts = {
        said: {name: number for name, number in step["counts"].items() if number}
        for said, step in steps.items()
        if "counts" in step
    }
    assert counts == COUNTS
    run = {said: step["steps"] for said, step in steps.items() if "steps" in step}
    assert run == {said: [f"statement.{each}" for each in done] for said, done in DAYS.items()}
    assert steps["February computed again"]["adjusted"] == ["60.00"]
    (disputed,) = (step["opened"] for step in steps.values() if "opened" in step)
    assert disputed == [{"line": "live share", "ours": "300", "theirs": "312"}]
    assert told["notes"] == dict.fromkeys(MONTHS, "settled")
    assert (told["journal"], told["trial"]) == (JOURNAL, {"EUR": "0"})
    assert told["audit"] == dict.fromkeys(MONTHS, True)


@pytest.mark.kafka
def test_a_partner_from_application_to_final_statement(
    settle: Settle, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTLE_SECRET_KEY", base64.b64encode(bytes(range(32))).decode())
    told = settle("demo", "partner", "--bootstrap", broker.bootstrap, "--json").json
    assert not any(step.get("left_out") for chapter in told["chapters"] for step in chapter["steps"])
    expect(told)
    assert settle("partner", "show", "P-story", "--json").json["account"]["masked"] == "****3000"
    (waits,) = settle("suspense", "list", "--json").json
    assert waits["code"] == "service-not-live"
    recycled = settle("suspense", "list", "--state", "recycled", "--json").json
    assert [each["code"] for each in recycled] == ["qualification-lapsed"] * 3
    assert settle("rebuild", "--json").json["equal"]
    assert all(settle("audit", month, "--json").json["ok"] for month in MONTHS)
    again = settle("demo", "partner")
    assert (again.status, "has been through the demo" in again.err) == (1, True)


def test_the_same_story_from_files_and_without_a_key(settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SETTLE_SECRET_KEY", raising=False)
    told = settle("demo", "partner", "--json").json
    assert [step["said"] for chapter in told["chapters"] for step in chapter["steps"] if step.get("left_out")] == [
        "its bank account given, and approved by bob"
    ]
    expect(told)
