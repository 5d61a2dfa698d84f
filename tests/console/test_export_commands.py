"""What is invoiced and what is to be paid, as documents for partners and banks."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from console import running
from tests.console.test_commands import Settle, settle
from tests.consumers.outbound.schematron import broken
from tests.histories import charged, message
from tests.settlement.test_notes import HALF, model

__all__ = ["settle"]

KEY = "c2V0dGxlIHRlc3RzIHNldHRsZSB0ZXN0cyBzZXR0bGU="
IBAN = "DE89370400440532013000"
OPERATOR = """\
id: OP-1
name: Operator GmbH
country: DE
address: [Weg 1, 10115 Berlin]
tax_id: DE123456789
iban: GB82WEST12345698765432
"""


def terms(contract: str, partner: str) -> bytes:
    data = {
        "contract": contract, "partner": partner, "cooperation_model": "sp", "rulebook": "simple", "currency": "EUR",
        "valid_from": "2026-10-01",
    }  # fmt: skip
    return message("contract.signed", f"sign {contract}", data)


@pytest.fixture
def invoiced(settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settle:
    """October 2026 of C-1, 50.00 EUR with VAT of 19%, and of C-2, 10.00 EUR, are invoiced; only the first partner has a bank
    account.
    """
    monkeypatch.setenv("SETTLE_SECRET_KEY", KEY)
    (tmp_path / "operator.yaml").write_text(OPERATOR)
    text = f"rulebook: simple\nversion: 1\nvalid_from: 2026-01-01\ncurrency: EUR\nmeasures: {{sales: {{event: billing.charged, sum: amount}}}}\nwaterfall:\n{HALF}"
    who = {"kind": "agent", "country": "FR", "address": ["1 rue A", "75001 Paris"], "tax_id": "FR12345678901"}
    lines = [
        *(message("partner.registered", f"r{name}", {"partner": name, "name": f"<Ünïon & {name}>"} | who) for name in ("P-1", "P-2")),
        model(), message("rulebook.published", "book", {"rulebook": "simple", "version": 1, "text": text}),
        terms("C-1", "P-1"), terms("C-2", "P-2"),
        charged("1", amount="100", currency="EUR", time="2026-10-10T00:00:00Z"),
        charged("2", "C-2", amount="20", currency="EUR", time="2026-10-10T00:00:00Z"),
    ]  # fmt: skip
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines))
    assert settle("ingest", str(file), "--json").json["suspended"] == 0
    (tmp_path / "bank.json").write_text(json.dumps({"holder": "Union SA", "iban": IBAN}))
    account = ["partner", "bank", "P-1", "--currency", "EUR", "--from", str(tmp_path / "bank.json"), "--by", "ann"]
    asked = settle(*account)
    assert asked.status == 0, asked.err
    assert settle("partner", "approve-bank", "P-1", "--by", "bob").status == 0
    tax = ["--tax-category", "S", "--tax-rate", "19"]
    assert settle("partner", "change", "P-1", "--by", "ann", *tax).status == 0
    for day in ("2026-11-05", "2026-11-16", "2026-11-17"):
        assert settle("run-day", day, "--by", "ann").status == 0
    return settle


def test_an_invoiced_statement_is_a_self_billed_invoice(invoiced: Settle, tmp_path: Path) -> None:
    file, operator = tmp_path / "note.xml", str(tmp_path / "operator.yaml")
    said = invoiced(
        "export", "invoice", "C-1", "2026-10", "--format", "ubl", "-o", str(file), "--operator", operator, "--json"
    )
    # 50.00 and 19 % of it.
    assert (said.json["number"], said.json["payable"]) == ("SN-C-1-2026-10", "59.5")
    tree = etree.fromstring(file.read_bytes())
    assert broken("ubl", file.read_bytes()) == []
    assert [each.text for each in tree.iterfind("{*}TaxTotal/{*}TaxSubtotal/{*}TaxCategory/{*}ID")] == ["S"]
    assert tree.findtext("{*}InvoiceTypeCode") == "389"
    assert tree.findtext("{*}LegalMonetaryTotal/{*}PayableAmount") == "59.50"
    pdf = tmp_path / "note.pdf"
    assert invoiced("export", "invoice", "C-1", "2026-10", "-o", str(pdf), "--operator", operator).status == 0
    assert pdf.read_bytes().startswith(b"%PDF")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # Of the other nothing was stated when it was invoiced: it is not subject to VAT.
    other = invoiced("export", "invoice", "C-2", "2026-10", "--format", "ubl", "-o", str(file), "--operator", operator)
    assert (other.status, "10.00 EUR payable" in other.out) == (0, True)
    assert broken("ubl", file.read_bytes()) == []
    (category,) = etree.fromstring(file.read_bytes()).iterfind("{*}TaxTotal/{*}TaxSubtotal/{*}TaxCategory/{*}ID")
    assert category.text == "O"
    early = invoiced("export", "invoice", "C-1", "2026-11", "-o", str(file), "--operator", operator)
    assert (early.status, "gives it a number and a day first" in early.err) == (1, True)


def test_what_is_to_be_paid_is_a_payment_file_and_what_is_not_says_why(invoiced: Settle, tmp_path: Path) -> None:
    file, operator = tmp_path / "pay.xml", str(tmp_path / "operator.yaml")
    asked = ["export", "payout", "--day", "2026-11-30", "-o", str(file), "--operator", operator]
    said = invoiced(*asked, "--json").json
    assert (said["transfers"], said["total"]) == (1, "59.5")
    assert said["left"] == [{"number": "SN-C-2-2026-10", "why": "partner P-2 has no approved account with an IBAN"}]
    first = file.read_bytes()
    tree = etree.fromstring(first)
    assert tree.findtext(".//{*}CtrlSum") == "59.50"
    assert tree.findtext(".//{*}CdtrAcct/{*}Id/{*}IBAN") == IBAN
    shown = invoiced(*asked).out
    assert IBAN not in shown
    assert file.read_bytes() == first
    # What the bank is asked to pay is what the invoice asks for.
    note = tmp_path / "note.xml"
    shown = invoiced("export", "invoice", "C-1", "2026-10", "--format", "cii", "-o", str(note), "--operator", operator)
    assert shown.status == 0, shown.err
    assert broken("cii", note.read_bytes()) == []
    assert etree.fromstring(note.read_bytes()).findtext(".//{*}DuePayableAmount") == tree.findtext(".//{*}InstdAmt")
    pay = [
        "statement",
        "pay",
        "C-1",
        "2026-10",
        "--amount",
        "59.50",
        "--currency",
        "EUR",
        "--reference",
        "bank 7",
        "--by",
        "ann",
        "--day",
        "2026-11-30",
    ]
    done = invoiced(*pay)
    assert done.status == 0, done.err
    nothing = invoiced(*asked)
    assert (nothing.status, "nothing is to be paid in EUR by 2026-11-30" in nothing.err) == (1, True)
    found = invoiced("journal", "balance", "--json").json
    owed = {(each["account"], each["party"]): each["amount"] for each in found["balances"]}
    assert owed == {
        ("share expense", ""): "60", ("recoverable VAT", ""): "9.5", ("bank", ""): "-59.5", ("shares payable", "P-2"): "-10",
    }  # fmt: skip
    ledger = tmp_path / "journal.beancount"
    assert invoiced("export", "beancount", "-o", str(ledger)).status == 0
    subprocess.run([Path(sys.executable).parent / "bean-check", ledger], check=True, timeout=60)
    assert "Assets:X-recoverable-x20-VAT  9.5 EUR" in ledger.read_text(encoding="utf-8")


def test_after_a_part_the_bank_is_asked_for_what_is_open_by_another_transfer(invoiced: Settle, tmp_path: Path) -> None:
    file, operator = tmp_path / "pay.xml", str(tmp_path / "operator.yaml")
    asked = ["export", "payout", "--day", "2026-11-30", "-o", str(file), "--operator", operator]

    def transfer() -> tuple[str | None, ...]:
        assert invoiced(*asked).status == 0
        tree = etree.fromstring(file.read_bytes())
        return tuple(tree.findtext(f".//{{*}}{name}") for name in ("EndToEndId", "InstdAmt", "Ustrd", "MsgId"))

    *first, message = transfer()
    assert first == ["SN-C-1-2026-10", "59.50", "Settlement note SN-C-1-2026-10"]
    pay = [
        "statement",
        "pay",
        "C-1",
        "2026-10",
        "--currency",
        "EUR",
        "--by",
        "ann",
        "--day",
        "2026-11-20",
        "--amount",
        "20.00",
    ]
    short = invoiced(*pay, "--reference", "bank 7")
    assert (short.status, "give that amount or say that it is a part of it" in short.err) == (1, True)
    assert invoiced(*pay, "--reference", "bank 7", "--part").status == 0
    assert "; 39.50 EUR open" in invoiced("statement", "C-1", "2026-10").out
    # The same message would be one that the bank has already.
    *second, other = transfer()
    assert second == ["SN-C-1-2026-10/2", "39.50", "Settlement note SN-C-1-2026-10"]
    assert other != message


def test_what_the_bank_returned_it_is_asked_for_by_a_transfer_that_it_does_not_have(
    invoiced: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "clock", lambda: datetime(2026, 12, 31, tzinfo=UTC))
    file, operator = tmp_path / "pay.xml", str(tmp_path / "operator.yaml")
    asked = ["export", "payout", "--day", "2026-11-30", "-o", str(file), "--operator", operator]

    def transfer() -> tuple[str | None, ...]:
        assert invoiced(*asked).status == 0
        tree = etree.fromstring(file.read_bytes())
        return tuple(tree.findtext(f".//{{*}}{name}") for name in ("EndToEndId", "InstdAmt", "MsgId", "PmtInfId"))

    seen = [transfer()]
    note = ["C-1", "2026-10", "--currency", "EUR", "--json"]
    pay = ["statement", "pay", *note, "--by", "ann", "--day", "2026-11-30", "--time"]
    back = ["statement", "return-payment", *note, "--day", "2026-12-03", "--reason", "AC04: account closed", "--time"]
    assert invoiced(*pay, "2026-11-30T12:00:00Z", "--amount", "59.50", "--reference", "bank 7").status == 0
    done = invoiced("run-day", "2026-11-30", "--by", "ann")
    assert "1 settled" in done.out
    own = invoiced(*back, "2026-12-03T12:00:00Z", "--reference", "bank 7", "--by", "ann")
    assert own.err == (
        "settle: ann recorded the payment with reference bank 7 of the statement of C-1 for 2026-10 and cannot return it; have "
        "somebody else do it\n"
    )
    unknown = invoiced(*back, "2026-12-03T12:00:00Z", "--reference", "bank 8", "--by", "bob")
    assert (unknown.status, "or, where another one is meant, name that\n" in unknown.err) == (1, True)
    said = invoiced(*back, "2026-12-03T12:00:00Z", "--reference", "bank 7", "--by", "bob")
    assert (said.status, said.json["recorded"]) == (0, "statement.payment_returned")
    shown = invoiced("statement", "C-1", "2026-10").out
    assert "note   invoiced since 2026-12-03; invoice SN-C-1-2026-10" in shown
    assert "; 59.50 EUR open" in shown
    assert "59.5 EUR paid on 2026-11-30, reference bank 7, returned on 2026-12-03: AC04: account closed" in shown
    (listed,) = (each for each in invoiced("statement", "list", "--json").json if each["contract"] == "C-1")
    assert (listed["state"], listed["returned"][0]["amount"]) == ("invoiced", "59.5")
    due = invoiced("run-day", "2026-12-03", "--by", "ann").out
    assert "bank 7 was returned on 2026-12-03: AC04" in " ".join(due.split())
    assert max(map(len, due.splitlines())) <= 80
    seen.append(transfer())
    written = file.read_bytes()
    assert (transfer(), file.read_bytes()) == (seen[1], written), "the same file twice is the same file"
    # 20.00 of it are paid and come back: what is open is 59.50, then 39.50, then 59.50 again.
    assert invoiced(*pay, "2026-12-04T12:00:00Z", "--amount", "20", "--part", "--reference", "bank 9").status == 0
    seen.append(transfer())
    assert invoiced(*back, "2026-12-04T13:00:00Z", "--reference", "bank 9", "--by", "bob").status == 0
    seen.append(transfer())
    assert [each[:2] for each in seen] == [
        ("SN-C-1-2026-10", "59.50"), ("SN-C-1-2026-10/3", "59.50"), ("SN-C-1-2026-10/4", "39.50"), ("SN-C-1-2026-10/5", "59.50"),
    ]  # fmt: skip
    assert len({message for *_, message, _ in seen}) == len({batch for *_, batch in seen}) == 4
    found = invoiced("journal", "balance", "--json").json
    owed = {(each["account"], each["party"]): each["amount"] for each in found["balances"]}
    assert owed == {
        ("share expense", ""): "60", ("recoverable VAT", ""): "9.5", ("shares payable", "P-1"): "-59.5",
        ("shares payable", "P-2"): "-10",
    }  # fmt: skip
    ledger = tmp_path / "journal.beancount"
    assert invoiced("export", "beancount", "-o", str(ledger)).status == 0
    subprocess.run([Path(sys.executable).parent / "bean-check", ledger], check=True, timeout=60)


def test_a_withdrawn_invoice_is_a_credit_note_that_names_it(invoiced: Settle, tmp_path: Path) -> None:
    file, operator = tmp_path / "note.xml", str(tmp_path / "operator.yaml")
    export = ["export", "invoice", "C-1", "2026-10", "--format", "ubl", "-o", str(file), "--operator", operator]

    def exported(*number: str) -> tuple[str, bytes]:
        said = invoiced(*export, *number)
        assert said.status == 0, said.err
        document = file.read_bytes()
        assert broken("ubl", document) == []
        return said.out, document

    _, first = exported()
    withdraw = ["statement", "withdraw-invoice", "C-1", "2026-10", "SN-C-1-2026-10", "--day", "2026-11-18"]
    said = [*withdraw, "--reason", "the rate is 7%", "--time", "2026-11-18T12:00:00Z"]
    own = invoiced(*said, "--by", "ann")
    assert (own.status, "ann recorded invoice SN-C-1-2026-10" in own.err) == (1, True)
    assert invoiced(*said, "--by", "bob").status == 0
    told = "invoice SN-C-1-2026-10 withdrawn on 2026-11-18 by CN-C-1-2026-10: the rate is 7%"
    assert told in invoiced("statement", "C-1", "2026-10").out
    shown, credit = exported()
    assert "CN-C-1-2026-10: 59.50 EUR withdraws SN-C-1-2026-10" in shown
    tree = etree.fromstring(credit)
    assert (tree.tag.endswith("}CreditNote"), tree.findtext("{*}CreditNoteTypeCode")) == (True, "261")
    preceding = tree.find("{*}BillingReference/{*}InvoiceDocumentReference")
    assert [preceding.findtext(f"{{*}}{name}") for name in ("ID", "IssueDate")] == ["SN-C-1-2026-10", "2026-11-16"]
    assert tree.findtext("{*}LegalMonetaryTotal/{*}PayableAmount") == "59.50"
    assert invoiced("export", "payout", "--day", "2026-11-30", "-o", str(file), "--operator", operator).status == 1
    # The credit note, and the first invoice, are to whom it was; the second to whom it is.
    moved = ["partner", "change", "P-1", "--by", "ann", "--address", "9 rue Z", "--address", "69001 Lyon"]
    assert invoiced(*moved).status == 0
    anew = [
        "statement",
        "invoice",
        "C-1",
        "2026-10",
        "--by",
        "ann",
        "--day",
        "2026-11-19",
        "--time",
        "2026-11-19T12:00:00Z",
    ]
    assert invoiced(*anew, "--tax-category", "S", "--tax-rate", "7").status == 0
    shown, second = exported()
    assert "SN-C-1-2026-10.2: 53.50 EUR payable" in shown
    addresses = [b"9 rue Z" in each for each in (first, credit, second)]
    assert addresses == [False, False, True]
    # Each of the three at any time, byte for byte.
    assert exported("--number", "SN-C-1-2026-10")[1] == first
    assert exported("--number", "CN-C-1-2026-10")[1] == credit
    assert exported("--number", "SN-C-1-2026-10.2")[1] == second
    none = invoiced(*export, "--number", "SN-C-1-2026-10.3")
    assert (
        "no invoice or credit note SN-C-1-2026-10.3, but SN-C-1-2026-10, CN-C-1-2026-10, SN-C-1-2026-10.2" in none.err
    )
    # The bank is asked for what the invoice that stands asks for, under its number.
    assert invoiced("export", "payout", "--day", "2026-11-30", "-o", str(file), "--operator", operator).status == 0
    paid = etree.fromstring(file.read_bytes())
    assert (paid.findtext(".//{*}EndToEndId"), paid.findtext(".//{*}InstdAmt")) == ("SN-C-1-2026-10.2", "53.50")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("country: DE", "country: Germany", "two letters such as DE"),
        ("id: OP-1", "id: OP-1\ntax: {category: S, rate: 19}", "unknown field 'tax'"),
        ("id: OP-1", "ident: OP-1", "unknown field 'ident'"),
        ("iban: GB82", "iban: GB83", "its check digits are wrong"),
        ("address: [Weg 1, 10115 Berlin]", "address: &a [*a]", "not allowed"),
    ],
)
def test_a_wrong_file_about_the_operator_is_refused(
    settle: Settle, tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert OPERATOR.count(old) == 1
    (tmp_path / "operator.yaml").write_text(OPERATOR.replace(old, new))
    asked = settle(
        "export", "invoice", "C-1", "2026-10", "-o", str(tmp_path / "n"), "--operator", str(tmp_path / "operator.yaml")
    )
    assert asked.status == 1
    assert said in " ".join(asked.err.split())
    assert "WEST12345698765432" not in asked.err
