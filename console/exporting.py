"""settle export: documents for other systems."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from console.journaling import export_beancount
from console.noting import Agent
from console.relating import day as day_of
from console.rulebook_files import read
from console.session import JSON, clock, opened, out, print_json, refuse, written
from console.settling import PERIOD, period_of
from consumers.outbound.invoice import invoice_cii, invoice_facturx, invoice_ubl
from consumers.outbound.notes import due_on, note_for, operator_of
from consumers.outbound.parties import Party
from consumers.outbound.payout import Payout, payout_xml
from engine.money import plain
from engine.rules.source import Source
from engine.settlement.statements import found as contract_of

app = typer.Typer(help="Documents for other systems.", no_args_is_help=True)
app.command("beancount")(export_beancount)

FILE = typer.Option("-o", "--output", metavar="FILE", help="Where to write it.", dir_okay=False)
OPERATOR = typer.Option(
    "--operator",
    metavar="FILE",
    help="YAML about whoever issues the notes: id, name, country, address, tax_id, iban, bic.",
)


class Format(StrEnum):
    """UBL 2.1, the cross industry invoice, or a PDF with that inside."""

    ubl = "ubl"
    cii = "cii"
    facturx = "facturx"


@app.command()
def invoice(
    contract: Annotated[str, typer.Argument(help="The contract's id.")],
    period: Annotated[str, PERIOD],
    file: Annotated[Path, FILE],
    operator: Annotated[Path, OPERATOR],
    format_: Annotated[Format, typer.Option("--format", help="ubl, cii, or facturx (a PDF).")] = Format.facturx,
    currency: Annotated[str | None, typer.Option("--currency", help="Where several are due, which.")] = None,
    agent: Agent = None,
    number: Annotated[
        str | None,
        typer.Option(
            "--number", help="Which: an invoice that was withdrawn, or its credit note (CN-...). By default the last."
        ),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """The settlement note of an invoiced statement, as a self-billed invoice by EN 16931, with the VAT that it was invoiced with.

    Where its invoice was withdrawn, the credit note that says so.
    """
    ours = _operator(operator)
    with opened() as store, store.reading() as cursor:
        contract_of(cursor, contract)
        note = note_for(store, cursor, contract, period_of(period), ours, currency, agent, number)
    write = {Format.ubl: invoice_ubl, Format.cii: invoice_cii, Format.facturx: invoice_facturx}[format_]
    document = write(note)
    _write(file, document)
    if as_json:
        said = {"number": note.number, "payable": plain(note.payable), "currency": note.currency}
        said |= {"withdraws": note.withdraws.number} if note.withdraws else {}
        print_json(said | {"path": str(file), "bytes": len(document)})
    else:
        what = f"withdraws {note.withdraws.number}" if note.withdraws else "payable"
        out.print(f"{note.number}: {note.payable} {note.currency} {what}, written to {file}", soft_wrap=True)


@app.command()
def payout(
    file: Annotated[Path, FILE],
    operator: Annotated[Path, OPERATOR],
    day: Annotated[date, typer.Option("--day", metavar="DAY", help="What is to be paid by this day.", parser=day_of)],
    currency: Annotated[str, typer.Option("--currency", help="SEPA pays in EUR.")] = "EUR",
    execution: Annotated[
        date | None,
        typer.Option("--execution", metavar="DAY", help="When the bank pays (default: the day).", parser=day_of),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """The file for the bank (ISO 20022 pain.001): every invoiced note that is to be paid. It pays nothing by itself."""
    ours, paid_on = _operator(operator), execution or day
    with opened() as store, store.reading() as cursor:
        found = due_on(store, cursor, day, currency)
    # Made of what it pays: the same payout is the same message, so a bank that has it does not pay it again.
    paid = sha256("\n".join(each.end_to_end for each in found.transfers).encode()).hexdigest()
    message = f"{day:%Y%m%d}-{paid[:16]}"
    document = payout_xml(Payout(message, min(_today(), paid_on), ours, paid_on, found.transfers))
    _write(file, document)
    total = plain(sum((each.amount for each in found.transfers), start=found.transfers[0].amount * 0))
    if as_json:
        left = [{"number": number, "why": why} for number, why in found.left]
        print_json(
            {"transfers": len(found.transfers), "total": total, "currency": currency, "left": left, "path": str(file)}
        )
        return
    out.print(f"{len(found.transfers):,} transfers of {total} {currency} written to {file}", soft_wrap=True)
    for number, why in found.left:
        out.print(f"not paid: {number}: {why}", soft_wrap=True)
    out.print("settle statement pay records each when the bank has paid it")


def _today() -> date:
    return clock().date()


def _operator(path: Path) -> Party:
    source = Source(read(path, "operator"), str(path))
    if source.errors:
        refuse(f"{source.errors[0]}")
    return operator_of(source.data)


def _write(file: Path, document: bytes) -> None:
    """Readable by its owner alone: it has bank data."""
    with written(file, private=True) as target:
        target.write(document)
