"""Rulebooks, points and scores on the command line, from a rulebook file to an explained amount."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.console.test_commands import Settle, settle
from tests.histories import charged, message, registered, signed

__all__ = ["settle"]

LIBRARY = Path(__file__).parents[2] / "engine/rules/library"
MARKETPLACE = """\
rulebook: simple
version: 1
valid_from: 2026-09-01
currency: CNY
values:
  commission: [{since: 2026-09-01, is: 15%}, {since: 2026-10-01, is: 12%}]
measures:
  sales:    {event: billing.charged, sum: amount}
  returned: {event: billing.refunded, sum: amount}
waterfall:
  - name: earned
    net: {of: sales, less: [{name: our commission, rate: commission, on: gross}]}
    clause: "2.1"
  - {name: taken back, clawback: {of: earned, base: sales, returns: returned}, clause: "2.2"}
  - {name: due, amount: earned + taken back, round: half_up}
  - {name: paid out, payout: {of: due, hold: 14, minimum: 50}, round: half_up, clause: "3.1"}
"""


@pytest.fixture
def marketplace(settle: Settle, tmp_path: Path) -> Settle:
    book, events = tmp_path / "simple.yaml", tmp_path / "events.jsonl"
    book.write_text(MARKETPLACE)
    refund = {
        "contract": "C-1",
        "amount": "100",
        "currency": "CNY",
        "refunds": "1",
        "charged_at": "2026-09-10T00:00:00Z",
    }
    lines = [
        registered(),
        signed(valid_from="2026-09-01"),
        charged("1", amount="200", time="2026-09-10T00:00:00Z"),
        charged("2", amount="300", time="2026-10-10T00:00:00Z"),
        message("billing.refunded", "3", refund, "2026-10-20T00:00:00Z"),
    ]
    events.write_bytes(b"\n".join(lines))
    assert settle("rulebook", "publish", str(book)).status == 0
    assert settle("ingest", str(events)).status == 0
    return settle


def test_a_chain_of_periods_closes_in_its_order_and_shows_what_it_carries(marketplace: Settle) -> None:
    refused = marketplace("close", "2026-10")
    assert refused.status == 1
    assert "earlier-period-open" in refused.out
    assert marketplace("close", "2026-09").status == marketplace("close", "2026-10").status == 0
    september = marketplace("statement", "C-1", "2026-09", "--json").json
    assert [(line["name"], line["amount"]) for line in september["lines"]] == [
        ("our commission", "-30"), ("earned", "170"), ("taken back", "0"), ("due", "170.00"), ("paid out", "0.00"),
    ]  # fmt: skip
    assert september["balances"] == [{"step": "paid out", "kind": "held", "day": "2026-10-14", "amount": "170"}]
    october = marketplace("statement", "C-1", "2026-10")
    # 88% of 300, less the 85% of September's 100 that came back; September's 170 has matured.
    assert "-85" in october.out
    assert "179 held 2026-11-14" in october.out
    assert "to partner" in october.out
    assert marketplace("statement", "C-1", "2026-10", "--json").json["payable"] == "170.00"


def test_every_new_line_is_explained(marketplace: Settle) -> None:
    assert marketplace("close", "2026-09").status == 0
    told = marketplace("explain", "C-1", "2026-10", "taken back").out
    assert "charges of 2026-09: 100 returned; by simple@1" in told
    assert "as it was in 2026-09" in told
    held = marketplace("explain", "C-1", "2026-10", "paid out").out
    assert "matured on 2026-10-14" in held
    assert "0.12" in marketplace("explain", "C-1", "2026-10", "earned").out


def test_worked_cases_come_out_as_expected(settle: Settle) -> None:
    ran = settle("rulebook", "cases", "--json")
    assert ran.status == 0
    findings = [finding for entry in ran.json for finding in entry["findings"]]
    assert len(findings) > 500
    assert all(finding["ok"] for finding in findings)
    assert "0 wrong" in settle("rulebook", "cases").out


def test_a_rulebook_is_tried_on_facts_without_a_store(settle: Settle, tmp_path: Path) -> None:
    facts = tmp_path / "facts.yaml"
    facts.write_text(
        "periods:\n  - given: {billing.charged amount: 1200000}\n  - given: {billing.charged amount: 100}\n"
    )
    ran = settle("rulebook", "check", str(LIBRARY / "app-store.yaml"), "--facts", str(facts), "--json")
    first, second = ran.json["settled"]
    assert first["contracts"][""]["balances"][0]["kind"] == "accumulated"
    assert second["contracts"][""]["lines"]
    assert "carried to the next period" in settle(
        "rulebook", "check", str(LIBRARY / "app-store.yaml"), "--facts", str(facts)
    ).out  # fmt: skip
    facts.write_text("given: {billing.charged amont: 12}\nperod: 2020-01\n")
    wrong = settle("rulebook", "check", str(LIBRARY / "app-store.yaml"), "--facts", str(facts))
    assert wrong.status == 1
    assert "facts.yaml:2:" in wrong.err


@pytest.fixture
def agency(settle: Settle, tmp_path: Path) -> Settle:
    events = tmp_path / "events.jsonl"
    terms = {"rulebook": "agency-commission", "currency": "USD", "valid_from": "2026-10-01"}
    lines = [
        registered(), registered("P-2"), signed(**terms), signed("C-2", partner="P-2", **terms),
        charged("1", amount="61000", currency="USD"), charged("2", "C-2", amount="1000", currency="USD"),
        message("training.completed", "t", {"partner": "P-1", "course": "safety"}),
        message("case.closed", "c", {"case": "X", "partner": "P-2", "kind": "complaint", "upheld": True, "author": "Wu"}),
    ]  # fmt: skip
    events.write_bytes(b"\n".join(lines))
    assert settle("rulebook", "publish", str(LIBRARY / "agency-commission.yaml")).status == 0
    assert settle("ingest", str(events), "--json").json["recorded"] == len(lines)
    return settle


def test_scores_and_points_are_shown_with_their_reasons(agency: Settle) -> None:
    assert agency("close", "2026-10").status == 0
    board = agency("scoreboard", "2026-10", "--json").json["scores"]
    assert [(each["partner"], each["grade"], each["state"]) for each in board] == [
        ("P-1", "A", "issued"), ("P-2", "D", "issued"),
    ]  # fmt: skip
    score = agency("score", "P-2", "2026-10")
    assert "what follows: coefficient 0, action terminate" in score.out
    assert "(complaints - complaints reopened) * 10000 / orders" in score.out
    assert "P-1" in agency("scoreboard", "2026-10").out
    (account,) = agency("points", "P-1", "--at", "2026-11-01", "--json").json["accounts"]
    assert (account["balance"], account["level"]) == ("710", "bronze")
    shown = agency("points", "P-1", "--at", "2026-11-01").out
    assert "710 points, level bronze since 2026-10-31" in shown
    assert "2027-11-01" in shown
    assert agency("points", "P-9").status == 1
    assert agency("points", "P-1", "--at", "soon").status == 2
    assert agency("score", "P-9", "2026-10").status == 1


def test_a_clawed_back_amount_is_the_same_as_json(marketplace: Settle) -> None:
    told = json.loads(marketplace("explain", "C-1", "2026-10", "taken back", "--json").out)
    (reason,) = told["reasons"]
    assert reason["value"] == "-85"
