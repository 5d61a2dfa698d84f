"""settle partner, contract and points as a person meets them: what they record, show, and keep to themselves."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.console.test_commands import Settle, settle
from tests.consumers.test_personal import EMAIL, IBAN, KEY, NAME, OTHER, betrayed
from tests.histories import message, registered
from tests.settlement.test_chains import book
from tests.settlement.test_redemptions import PROGRAM, STEP

__all__ = ["settle"]

BY = ("--by", "Li")


@pytest.fixture
def ready(settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settle:
    monkeypatch.setenv("SETTLE_SECRET_KEY", KEY)
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([registered(), book(STEP, more=PROGRAM)]))
    assert settle("ingest", str(tmp_path / "in.jsonl")).status == 0
    terms = (
        "--partner",
        "P-1",
        "--model",
        "share",
        "--rulebook",
        "simple",
        "--currency",
        "CNY",
        "--from",
        "2026-01-01",
    )
    assert settle("contract", "sign", "C-1", *terms, *BY).out == "recorded contract.signed\n"
    return settle


def test_personal_fields_are_shown_by_one_command_alone(ready: Settle) -> None:
    told = [
        ready("partner", "contact", "P-1", "c1", "--role", "finance", "--name", NAME, "--email", EMAIL, *BY, "--json"),
        ready("partner", "contact", "P-1", "c2", "--role", "legal", "--phone", EMAIL, *BY, "--json"),
        ready("partner", "bank", "P-1", "--currency", "EUR", "--holder", NAME, "--iban", IBAN, *BY, "--json"),
        ready("partner", "bank", "P-1", "--currency", "EUR", "--holder", NAME, "--iban", IBAN[:-1] + "9", *BY),
        ready("partner", "show", "P-1", "--json"),
        ready("partner", "show", "P-1"),
        ready("partner", "list", "--json"),
        ready("status", "--json"),
        ready("suspense", "list", "--state", "all", "--json"),
    ]
    assert [ran.status for ran in told] == [0, 1, 0, 1, 0, 0, 0, 0, 0]
    assert [betrayed(ran.out + ran.err) for ran in told] == [[]] * len(told)
    assert IBAN[:-1] not in "".join(ran.out + ran.err for ran in told)
    assert told[4].json["proposed"] == {"change": 1, "masked": "****3000", "currency": "EUR", "author": "Li"}
    assert ready("partner", "contacts", "P-1", "--json").json == [
        {"contact": "c1", "role": "finance", "name": NAME, "email": EMAIL}
    ]
    assert ready("partner", "erase", "P-1", "c1", "--by", "Wu").status == 0
    assert ready("partner", "contacts", "P-1", "--json").json == [{"contact": "c1", "role": "erased"}]


def test_personal_fields_can_be_given_in_a_file_or_on_standard_input(
    ready: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "account.yaml").write_text(f"holder: {NAME}\niban: {IBAN}\n", encoding="utf-8")
    assert (
        ready("partner", "bank", "P-1", "--currency", "EUR", "--from", str(tmp_path / "account.yaml"), *BY).status == 0
    )
    monkeypatch.setattr("sys.stdin", io.StringIO(f"phone: 0123\nmail: {EMAIL}"))
    refused = ready("partner", "contact", "P-1", "c1", "--role", "finance", "--from", "-", *BY)
    assert refused.status == 1
    assert "nothing but name, email, phone" in refused.err
    assert betrayed(refused.err) == []
    monkeypatch.setattr("sys.stdin", io.StringIO("phone: 0123"))
    assert ready("partner", "contact", "P-1", "c1", "--role", "finance", "--from", "-", *BY).status == 0
    assert ready("partner", "contacts", "P-1", "--json").json[0]["phone"] == "0123"


def test_an_account_is_proposed_by_one_and_approved_by_another(ready: Settle) -> None:
    ready("partner", "bank", "P-1", "--currency", "EUR", "--holder", NAME, "--iban", IBAN, *BY)
    assert "cannot approve it" in ready("partner", "approve-bank", "P-1", *BY).err
    assert "is not the one that waits" in ready("partner", "approve-bank", "P-1", "--change", "2", "--by", "Wu").err
    assert ready("statement", "C-1", "2026-10", "--json").json["payout_held"].startswith("bank account ****3000 of")
    assert ready("partner", "approve-bank", "P-1", "--change", "1", "--by", "Wu").status == 0
    assert ready("partner", "reject-bank", "P-1", "--reason", "x", *BY).status == 1
    shown = ready("partner", "show", "P-1", "--json").json
    assert (shown["account"]["masked"], shown["proposed"], shown["payout_held"]) == ("****3000", None, None)


def test_a_partner_lives_from_registration_to_merge(ready: Settle) -> None:
    assert (
        ready("partner", "register", "P-2", "--name", "Two", "--kind", "agent", "--address", "Street 1", *BY).status
        == 0
    )
    assert ready("partner", "register", "P-2", "--name", "Two", "--kind", "agent", *BY).status == 1
    assert (
        ready("partner", "change", "P-2", "--name", "Two Ltd", "--country", "DE", *BY, "--json").json["name"]
        == "Two Ltd"
    )
    assert "nothing is changed" in ready("partner", "change", "P-2", *BY).err
    assert ready("partner", "block", "P-1", "--reason", "doubts", *BY).status == 0
    assert "payout held" in ready("statement", "C-1", "2026-10").out
    assert ready("partner", "unblock", "P-1", "--reason", "seen", *BY).status == 0
    merge = ("partner", "merge", "P-1", "--into", "P-2", "--reason", "bought", *BY, "--approved-by")
    assert "Li cannot approve what Li wrote; have somebody else approve it" in ready(*merge, "Li").err
    assert ready(*merge, "Wu").status == 0
    assert "paid to partner P-2, into which P-1 was merged" in ready("statement", "C-1", "2026-10").out
    assert (
        "circle" in ready("partner", "merge", "P-2", "--into", "P-1", "--reason", "x", *BY, "--approved-by", "Wu").err
    )
    shown = ready("partner", "show", "P-2", "--json").json
    assert (shown["name"], shown["country"], shown["address"]) == ("Two Ltd", "DE", ["Street 1"])


def test_contracts_are_signed_and_terminated(ready: Settle) -> None:
    further = ("--to", "2027-01-01", "--calendar", "weekly", "--time-zone", "Asia/Shanghai", "--late-events", "hold")
    terms = (
        "--partner",
        "P-1",
        "--model",
        "share",
        "--rulebook",
        "simple",
        "--currency",
        "CNY",
        "--from",
        "2026-02-01",
    )
    assert ready("contract", "sign", "C-2", *terms, *further, "--product", "a", "--product", "b", *BY).status == 0
    assert ready("contract", "terminate", "C-2", "--to", "2026-12-01", "--reason", "over", *BY).status == 0
    assert ready("contract", "terminate", "C-2", "--to", "2026-12-01", *BY).status == 1
    shown = ready("contract", "show", "C-2", "--json").json
    assert (shown["calendar"], shown["time_zone"], shown["products"]) == ("weekly", "Asia/Shanghai", ["a", "b"])
    assert (shown["valid_to"], shown["terminated"], shown["late_events"]) == ("2026-12-01", True, "hold")


def test_points_are_given_asked_for_and_spent(ready: Settle, tmp_path: Path) -> None:
    on = ("--time", "2026-11-01T09:00:00Z")
    given = ("--points", "120", "--reason", "agreed", *BY, "--approved-by", "Wu", *on)
    assert ready("points", "adjust", "P-1", "simple", *given).status == 0
    assert (
        ready("points", "redeem", "P-1", "simple", "r1", "--points", "30", "--benefit", "leads first", *BY, *on).status
        == 0
    )
    assert ready("points", "redeem", "P-1", "simple", "r2", "--points", "20", *BY, *on).status == 0
    (account,) = ready("points", "P-1", "--at", "2026-11-01", "--json").json["accounts"]
    assert (account["balance"], account["level"], account["grants"]) == ("120", "gold", ["leads first"])
    assert account["redemptions"][0] == {"reference": "r1", "points": "30", "author": "Li", "benefit": "leads first"}
    shown = ready("points", "P-1", "--at", "2026-11-01").out
    assert "level gold grants leads first" in shown
    assert "30 points are asked for as r1 for leads first, by Li" in shown
    assert ready("points", "approve", "P-1", "simple", "r1", *BY, *on).status == 1
    assert ready("points", "approve", "P-1", "simple", "r1", "--by", "Wu", *on).status == 0
    assert ready("points", "reject", "P-1", "simple", "r2", "--by", "Wu", "--reason", "no", *on).status == 0
    # 120 - 30 = 90.
    (account,) = ready("points", "P-1", "--at", "2026-11-01", "--json").json["accounts"]
    assert (account["balance"], account["redemptions"], account["grants"]) == ("90", [], [])


def test_a_rejected_message_shows_its_ids_alone(ready: Settle, tmp_path: Path) -> None:
    said = {"partner": "P-1", "contact": "c1", "role": "x", "author": "Li", "email": f"{EMAIL} or so"}
    (tmp_path / "bad.jsonl").write_bytes(message("partner.contact_set", "bad 1", said))
    assert ready("ingest", str(tmp_path / "bad.jsonl"), "--json").json["rejected"] == 1
    (entry,) = ready("suspense", "list", "--json").json
    shown = ready("suspense", "show", str(entry["id"]), "--json")
    assert json.loads(shown.json["raw"])["id"] == "bad 1"
    assert betrayed(shown.out) == []


def test_the_secret_key_is_exchanged_and_no_key_is_shown(ready: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    ready("partner", "contact", "P-1", "c1", "--role", "finance", "--email", EMAIL, *BY)
    ready("partner", "bank", "P-1", "--currency", "EUR", "--holder", NAME, "--iban", IBAN, *BY)
    told = [ready("secret-key", "exchange")]
    assert (told[0].status, "SETTLE_SECRET_KEY_NEW is not set" in told[0].err) == (1, True)
    monkeypatch.setenv("SETTLE_SECRET_KEY_NEW", OTHER)
    told += [ready("secret-key", "exchange", *json_) for json_ in ((), ("--json",))]
    assert told[1].out.startswith("2 data keys are wrapped by SETTLE_SECRET_KEY_NEW now")
    assert told[2].json == {"data_keys": 2, "exchanged_before": True}
    assert not [ran for ran in told if KEY in ran.out + ran.err or OTHER in ran.out + ran.err]
    monkeypatch.delenv("SETTLE_SECRET_KEY_NEW")
    refused = ready("partner", "contacts", "P-1")
    assert (refused.status, "SETTLE_SECRET_KEY is not the key" in refused.err) == (1, True)
    monkeypatch.setenv("SETTLE_SECRET_KEY", OTHER)
    assert ready("partner", "contacts", "P-1", "--json").json[0]["email"] == EMAIL


def test_a_bank_account_is_erased_by_its_number_with_a_reason(ready: Settle) -> None:
    for iban in (IBAN, "GB82WEST12345698765432"):
        ready("partner", "bank", "P-1", "--currency", "EUR", "--holder", NAME, "--iban", iban, *BY)
        ready("partner", "approve-bank", "P-1", "--by", "Wu")
    shown = ready("partner", "show", "P-1", "--json").json
    assert shown["account"] == {"change": 2, "masked": "****5432", "currency": "EUR", "author": "Li"}
    assert shown["bank_accounts"] == [{"change": 1, "masked": "****3000"}, {"change": 2, "masked": "****5432"}]
    assert ready("partner", "erase-bank", "P-1", "--change", "1", *BY).status == 2, "without a reason"
    erase = ("partner", "erase-bank", "P-1", "--reason", "kept for ten years", *BY, "--change")
    assert ready(*erase, "1").out == "recorded partner.bank_account_erased\n"
    assert "is erased already\n" in ready(*erase, "1").err
    assert "is not there: 2 were proposed; send its partner.bank_account_changed first\n" in ready(*erase, "3").err
    shown = ready("partner", "show", "P-1", "--json").json
    assert (shown["account"]["masked"], shown["bank_accounts"][0]) == ("****5432", {"change": 1, "erased": True})
