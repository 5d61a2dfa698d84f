"""The page that people read: a PDF/A-3 of a settlement note, with its XML inside (Factur-X)."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.outbound.en16931 import CATEGORIES, SELF_BILLED_CREDIT_NOTE, Document, told, withdraws
from consumers.outbound.libraries import library
from consumers.outbound.note import Kind, NoteLine
from consumers.outbound.parties import Party
from consumers.outbound.texts import REPLACEMENT, masked, one_line
from engine.money import plain

if TYPE_CHECKING:
    from fpdf import FPDF

_FILE = "factur-x.xml"
_SIZE, _SIZE_TITLE, _SIZE_SMALL = 9, 14, 7
_LINE = 4.5
_FAMILY = "Roboto"
_PRODUCER = "Tantieme"

Row = tuple[str, ...]


def facturx(document: Document, xml: bytes, fonts: Sequence[Path]) -> bytes:
    """The PDF with `xml` as its associated file. Every date in it is the note's day of issue, so its bytes are the note's."""
    pdf = _Page(document, fonts)
    pdf.head()
    pdf.parties()
    pdf.lines()
    pdf.sums()
    pdf.working()
    pdf.proofs()
    return pdf.bytes_with(xml)


def _title(document: Document) -> str:
    credit = document.type_code == SELF_BILLED_CREDIT_NOTE
    return "Settlement note (self-billed credit note)" if credit else "Settlement note (self-billed invoice)"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


class _Page:
    """One document's pages. Texts go through `_shown`, since the font has no glyph for some characters."""

    def __init__(self, document: Document, fonts: Sequence[Path]) -> None:
        self._document = document
        self._note = document.note
        self._pdf: FPDF = library("fpdf").FPDF(enforce_compliance="PDF/A-3B")
        self._pdf.set_creation_date(_midnight(self._note.issued))
        self._pdf.set_lang("en")
        files = importlib.resources.files(library("font_roboto").__name__).joinpath("files")
        self._pdf.add_font(_FAMILY, fname=str(files.joinpath("Roboto-Regular.ttf")))
        self._pdf.add_font(_FAMILY, "B", str(files.joinpath("Roboto-Bold.ttf")))
        names = [f"further{number}" for number, _ in enumerate(fonts)]
        for name, path in zip(names, fonts, strict=True):
            self._pdf.add_font(name, fname=path)
            self._pdf.add_font(name, "B", path)
        self._pdf.set_fallback_fonts(names, exact_match=False)
        self._drawable = {code for font in self._pdf.fonts.values() for code in getattr(font, "cmap", ())}
        self._pdf.add_page()

    def _shown(self, text: str) -> str:
        return "".join(char if ord(char) in self._drawable else REPLACEMENT for char in one_line(text))

    def _font(self, size: float = _SIZE, style: str = "") -> None:
        self._pdf.set_font(_FAMILY, style, size)

    def _write(self, text: str, size: float = _SIZE, style: str = "") -> None:
        self._font(size, style)
        self._pdf.multi_cell(0, size / 2, self._shown(text), new_x="LMARGIN", new_y="NEXT")

    def _table(self, head: Row | None, rows: Iterable[Row], widths: tuple[int, ...], last: str = "RIGHT") -> None:
        """A head is repeated on every page. The last column mostly holds amounts."""
        self._font()
        self._pdf.ln(2)
        aligned = (*("LEFT" for _ in widths[1:]), last)
        with self._pdf.table(
            col_widths=widths,
            text_align=aligned,
            line_height=_LINE,
            borders_layout="SINGLE_TOP_LINE",
            first_row_as_headings=head is not None,
        ) as table:
            for row in ([head] if head else []) + list(rows):
                table.row([self._shown(cell) for cell in row])

    def head(self) -> None:
        note = self._note
        self._write(_title(self._document), _SIZE_TITLE, "B")
        self._pdf.ln(2)
        self._write(f"Number {note.number}", style="B")
        if note.withdraws:
            self._write(f"Issued {note.issued}")
            self._write(f"{withdraws(note)}: {note.withdraws.reason}", style="B")
        else:
            self._write(f"Issued {note.issued}, due {note.due}")
        self._write(f"Contract {note.contract}, from {note.first} up to, and without, {note.end}")

    def parties(self) -> None:
        note = self._note
        mine, theirs = _told(note.partner), _told(note.operator)
        most = max(len(mine), len(theirs))
        padded = [(*side, *[""] * (most - len(side))) for side in (mine, theirs)]
        self._table(("Partner (supplier)", "Operator (customer)"), list(zip(*padded, strict=True)), (1, 1), "LEFT")

    def lines(self) -> None:
        counted = [line for line in self._note.lines if line.kind is not Kind.working]
        rows = [(_name(line), line.clause or "", _amount(line)) for line in counted]
        self._table(("Line", "Clause", self._note.currency), rows, (6, 2, 2))

    def sums(self) -> None:
        note, come_to = self._note, self._document.totals
        category = CATEGORIES[note.tax.category]
        why = note.tax.reason or category.reason
        rate = f"VAT {plain(note.tax.rate)}% ({category.code})" + (f": {why}" if why else "")
        held = [(_capital(told(self._document, each)), f"{-each.amount:f}") for each in note.withheld]
        # A note that is turned round is over what the partner owes; it gets money all the same where a returned deposit is above that.
        gets = (come_to.due < 0) == self._document.turned
        due = f"Due from the {'operator' if gets else 'partner'} in {note.currency}", f"{come_to.due.copy_abs():f}"
        if note.withdraws:
            due = f"Withdrawn with it in {note.currency}", f"{come_to.due:f}"
        rows = [
            ("Sum without VAT", f"{come_to.without_tax:f}"),
            (rate, f"{come_to.tax:f}"),
            ("Sum with VAT", f"{come_to.with_tax:f}"),
            *held,
            due,
        ]
        self._table(None, rows, (8, 2))
        if gets and note.partner.iban is not None and come_to.due and not note.withdraws:
            self._pdf.ln(2)
            self._write(f"To be paid to the partner's account {masked(note.partner.iban)}.")

    def working(self) -> None:
        rows = [
            (line.name, line.clause or "", line.unit or self._note.currency, _amount(line))
            for line in self._note.lines
            if line.kind is Kind.working
        ]
        if rows:
            self._table(("How it came about", "Clause", "Unit", "Amount"), rows, (5, 2, 1, 2))

    def proofs(self) -> None:
        self._pdf.ln(2)
        self._write(f"Statement, SHA-256: {self._note.digest}", _SIZE_SMALL)
        if self._note.root:
            self._write(f"Closing, root: {self._note.root}", _SIZE_SMALL)

    def bytes_with(self, xml: bytes) -> bytes:
        midnight = _midnight(self._note.issued)
        title = one_line(f"{_title(self._document)} {self._note.number}")
        author = one_line(self._note.operator.name)
        self._pdf.set_title(title)
        self._pdf.set_author(author)
        self._pdf.set_subject(title)
        self._pdf.set_creator(_PRODUCER)
        self._pdf.set_producer(_PRODUCER)
        self._pdf.set_xmp_metadata(_xmp(title, author, midnight))
        self._pdf.embed_file(
            bytes=xml,
            basename=_FILE,
            mime_type="text/xml",
            modification_date=midnight,
            associated_file_relationship="Alternative",
            desc="Factur-X XML file",
            compress=True,
        )
        return bytes(self._pdf.output())


def _xmp(title: str, author: str, stamp: datetime) -> str:
    """The metadata by which a reader knows Factur-X; written by its library, with our date instead of its clock."""
    said: dict[str, Any] = {
        "pdfa3_flavor": "B",
        "title": title,
        "author": author,
        "subject": title,
        "producer": _PRODUCER,
        "creator_tool": _PRODUCER,
        "timestamp": stamp.isoformat(timespec="seconds"),
        "version": "1.0",
        "documenttype": "INVOICE",
        "xml_filename": _FILE,
        "xmp_level": "EN 16931",
        "urn": "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#",
    }
    root = library("facturx").generate_xmp_object(said)
    return str(library("lxml.etree").tostring(root, encoding="unicode"))


def _told(party: Party) -> list[str]:
    return [party.name, f"Id {party.id}", *party.address, party.country, *([party.tax_id] if party.tax_id else [])]


def _name(line: NoteLine) -> str:
    return line.name + (f", corrects note {line.corrects.number} of {line.corrects.issued}" if line.corrects else "")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _amount(line: NoteLine) -> str:
    return f"{line.amount:f}"
