"""Statements on their way to the partner and to the bank, as commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.test_commands import Settle, settle
from tests.histories import registered, signed
from tests.settlement.test_authorisations import CHAIN, SHARED, granted
from tests.settlement.test_chains import book, charge
from tests.settlement.test_notes import HALF, model

__all__ = ["settle"]

AT = "2026-11-07T09:00:00Z"


@pytest.fixture
def closed(settle: Settle, tmp_path: Path) -> Settle:
    """October 2026 of C-1 is closed, and comes to 50.00."""
    contract = signed(valid_from="2026-10-01", cooperation_model="sp")
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([registered(), model(), contract, book(HALF), charge("1", "100", 10)]))
    assert settle("ingest", str(file)).status == 0
    assert settle("close", "2026-10").status == 0
    return settle


def test_a_statement_is_shown_without_a_word_before_it_and_with_its_note(closed: Settle) -> None:
    assert closed("statement", "C-1", "2026-10", "--json").json["note"] is None
    said = closed("statement", "publish", "C-1", "2026-10", "--by", "ann", "--time", "2026-11-05T09:00:00Z", "--json")
    assert said.json == {"recorded": "statement.published", "contract": "C-1", "period": "2026-10", "author": "ann"}
    note = closed("statement", "--json", "C-1", "2026-10").json["note"]
    assert (note["state"], note["due"], note["pay_by"]) == (
        "published",
        [{"currency": "CNY", "amount": "50.00"}],
        "2026-11-30",
    )
    shown = closed("statement", "C-1", "2026-10", "--version", "1").out
    assert "note   published since 2026-11-05; may be disputed up to 2026-11-15; to be paid by 2026-11-30" in shown
    assert closed("statement", "list", "--json").json[0]["publisher"] == "ann"
    assert closed("statement", "list", "--state", "paid", "--json").json == []


def test_an_agent_above_has_a_note_of_its_own(settle: Settle, tmp_path: Path) -> None:
    events, operator, invoice = (tmp_path / name for name in ("events.jsonl", "operator.yaml", "note.xml"))
    lines = [model(), book(CHAIN, more=SHARED), *(registered(f"P-{n}") for n in (1, 2, 3))]
    terms = {"valid_from": "2026-10-01", "cooperation_model": "sp"}
    lines += [signed(f"C-{n}", partner=f"P-{n}", **terms) for n in (1, 2, 3)]
    lines += [granted(), granted("A-2", "C-2", "P-2", parent="A-1"), granted("A-3", "C-3", "P-3", parent="A-2")]
    events.write_bytes(b"\n".join([*lines, charge("1", "3333.40", 10, "C-3")]))
    operator.write_text("{id: O, name: Operator, country: DE}")
    assert settle("ingest", str(events), "--json").json["suspended"] == 0
    assert settle("close", "2026-10").status == 0
    assert settle("partner", "change", "P-2", "--country", "CN", "--by", "ann").status == 0
    named = ["C-3", "2026-10", "--by", "ann", "--time", AT]
    early = settle("statement", "publish", *named, "--agent", "parent")
    assert "is not published to its partner; send that statement.published" in early.err
    assert settle("statement", "publish", *named).status == 0
    assert "parent (P-2): not published" in settle("statement", "C-3", "2026-10").out
    assert settle("statement", "publish", *named, "--agent", "parent").status == 0
    asked = ["statement", "dispute", *named, "--agent", "parent", "--reason", "low"]
    assert "lines are disputed with the contract's partner" in settle(*asked, "--line", "net").err
    assert settle(*asked).status == 0
    own = ["C-3", "2026-10", "--by", "P-2", "--time", AT, "--agent", "parent"]
    assert settle("statement", "confirm", *own).status == 0
    assert settle("statement", "invoice", *own, "--day", "2026-11-07").status == 0
    shown = settle("statement", "list").out
    assert ("(parent)" in shown, "66.67 CNY" in shown) == (True, True)
    export = ["export", "invoice", "C-3", "2026-10", "--operator", str(operator), "--format", "ubl", "-o", str(invoice)]
    assert "is published; settle statement invoice gives it a number" in settle(*export).err
    said = settle(*export, "--agent", "parent", "--json")
    assert (said.json["number"], said.json["payable"]) == ("SN-C-3-2026-10-parent", "66.67")


def test_a_dispute_by_hand_is_decided_line_by_line(closed: Settle) -> None:
    closed("statement", "publish", "C-1", "2026-10", "--by", "ann", "--time", "2026-11-05T09:00:00Z")
    asked = ["statement", "dispute", "C-1", "2026-10", "--by", "partner", "--reason", "low", "--line", "net=53.50"]
    assert closed(*asked, "--line", "gross", "--time", AT).status == 0
    assert "line gross is disputed and not decided" in closed("statement", "C-1", "2026-10").out
    refused = closed("statement", "confirm", "C-1", "2026-10", "--by", "partner", "--time", AT)
    assert (refused.status, "has open discrepancies: net, gross; resolve or reject" in refused.err) == (1, True)
    line = ["C-1", "2026-10", "net"]
    closed("discrepancy", "assign", *line, "--to", "wu", "--by", "ann", "--time", AT)
    decided = ["--by", "wu", "--reason", "r", "--time", AT]
    assert closed("discrepancy", "resolve", *line, *decided, "--approved-by", "wu", "--accept").status == 1
    both = closed("discrepancy", "resolve", *line, *decided, "--approved-by", "bo", "--accept", "--adjustment", "1")
    assert "a resolution has an amount, or accepts the partner's figure; give one of the two" in both.err
    assert closed("discrepancy", "resolve", *line, *decided, "--approved-by", "bo", "--adjustment=-3.50").status == 0
    shown = closed("discrepancy", "show", *line, "--json").json
    assert (shown["amount"], shown["currency"], shown["ours"], shown["theirs"]) == ("-3.5", "CNY", "50.00", "53.5")
    assert closed("discrepancy", "reject", "C-1", "2026-10", "gross", *decided).status == 0
    assert closed("discrepancy", "list", "--json").json == []
    assert [each["state"] for each in closed("discrepancy", "list", "--all", "--json").json] == ["rejected", "resolved"]
    assert closed("discrepancy", "show", "C-1", "2026-10", "nothing").status == 1
    assert closed("statement", "confirm", "C-1", "2026-10", "--by", "partner", "--time", AT).status == 0


def test_a_day_is_run_and_says_what_is_to_be_paid(closed: Settle) -> None:
    day = closed("run-day", "2026-11-05", "--by", "ann", "--json")
    assert day.json["steps"] == [{"step": "statement.published", "contract": "C-1", "period": "2026-10"}]
    closed("statement", "confirm", "C-1", "2026-10", "--by", "partner", "--time", AT)
    closed("statement", "invoice", "C-1", "2026-10", "--by", "ann", "--day", "2026-11-07", "--time", AT)
    note = closed("statement", "C-1", "2026-10", "--json").json["note"]
    assert (note["state"], note["number"]) == ("invoiced", "SN-C-1-2026-10")
    pay = [
        "statement",
        "pay",
        "C-1",
        "2026-10",
        "--by",
        "bank",
        "--currency",
        "CNY",
        "--reference",
        "T",
        "--day",
        "2026-11-08",
    ]
    refused = closed(*pay, "--amount", "49", "--time", AT)
    assert "49 CNY was paid, and 50 CNY is to pay" in refused.err
    assert closed(*pay, "--amount", "50", "--time", AT).status == 0
    assert closed("statement", "settle", "C-1", "2026-10", "--by", "ann", "--time", AT).status == 0
    paid = closed("statement", "C-1", "2026-10", "--json").json["note"]["payments"]
    assert paid == [{"currency": "CNY", "amount": "50", "reference": "T", "day": "2026-11-08", "author": "bank"}]


def test_an_invoice_states_its_vat_and_the_statement_shows_what_is_to_pay_with_it(closed: Settle) -> None:
    closed("statement", "publish", "C-1", "2026-10", "--by", "ann", "--time", "2026-11-05T09:00:00Z")
    closed("statement", "confirm", "C-1", "2026-10", "--by", "partner", "--time", AT)
    asked = ["statement", "invoice", "C-1", "2026-10", "--by", "ann", "--day", "2026-11-07", "--time", AT]
    wrong = closed(*asked, "--tax-category", "S")
    assert (wrong.status, "tax: VAT of category S has a rate above 0" in wrong.err) == (1, True), wrong.err
    assert closed(*asked, "--tax-category", "S", "--tax-rate", "6").status == 0
    note = closed("statement", "C-1", "2026-10", "--json").json["note"]
    assert note["tax"] == {"category": "S", "rate": "6"}
    assert [note[name] for name in ("due", "taxes", "to_pay")] == [
        [{"currency": "CNY", "amount": amount}] for amount in ("50.00", "3.00", "53.00")
    ]
    assert "; 53.00 CNY with VAT of 6%, 3.00" in closed("statement", "C-1", "2026-10").out
    assert "+ 3.00 VAT" in closed("statement", "list").out
    pay = [
        "statement",
        "pay",
        "C-1",
        "2026-10",
        "--by",
        "bank",
        "--currency",
        "CNY",
        "--reference",
        "T",
        "--day",
        "2026-11-30",
    ]
    refused = closed(*pay, "--amount", "50")
    assert "50 CNY was paid, and 53 CNY is to pay for the statement of C-1 for 2026-10, 3 of it VAT" in refused.err
    assert closed(*pay, "--amount", "53").status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["statement", "publish", "C-1", "soon", "--by", "ann"], 2, "not a period"),
        (["statement", "publish", "C-1", "2026-10", "--by", "ann", "--time", "noon"], 2, "not a time"),
        (["statement", "publish", "C-1", "2026-10"], 2, "--by"),
        (["statement", "reconcile", "C-1", "2026-10", "none.csv", "--by", "p"], 1, "cannot be read"),
        (["statement", "reconcile", "C-1", "2026-10", "none.csv", "--by", "p", "--tolerance", "-1"], 2, "0 or more"),
        (
            ["statement", "invoice", "C-1", "2026-10", "--by", "a", "--day", "2026-11-07", "--tax-rate", "6"],
            2,
            "give --tax-category",
        ),
        (["partner", "change", "P-1", "--by", "a", "--tax-reason", "r"], 2, "give --tax-category"),
        (["run-day", "tomorrow"], 2, "tomorrow"),
        (["run-day", "2099-01-01"], 1, "has not come yet"),
    ],
)
def test_what_cannot_be_asked_is_refused(closed: Settle, arguments: list[str], status: int, said: str) -> None:
    ran = closed(*arguments)
    assert (ran.status, said in ran.err) == (status, True), ran.err
