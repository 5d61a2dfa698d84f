"""settle statement: a contract's statement, and its way to the partner and to the bank."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from console import settling
from console.grouping import unworded
from console.relating import By, Time, record
from console.session import JSON, clock, opened, out, print_json, refuse
from console.settling import PERIOD, period_of
from console.taxing import Category, Rate, Reason, tax_of
from consumers import reconciling
from consumers.commands import Asked, ask
from consumers.figures import figures_of
from consumers.reconciling import Reconciled
from engine.money import micros_of
from engine.settlement.noting import told
from engine.store import relations

app = typer.Typer(
    cls=unworded("of"),
    no_args_is_help=True,
    subcommand_metavar="CONTRACT PERIOD | publish|dispute|confirm|invoice|withdraw-invoice|pay|return-payment|settle|reconcile CONTRACT PERIOD | list",
    help="A contract's statement: CONTRACT PERIOD shows it, as issued or as it stands now; --version N as restated.",
)
app.command("of")(settling.statement)


Contract = Annotated[str, typer.Argument(help="The contract's id.")]
OfPeriod = Annotated[str, PERIOD]
AsJson = Annotated[bool, JSON]
Agent = Annotated[
    str | None, typer.Option("--agent", help="Of the share of this party, such as parent: an agent above the partner.")
]
Day = Annotated[str, typer.Option("--day", help="Its day, such as 2026-11-20.")]
_SHOWN = 20
_STATES = ("published", "disputed", "confirmed", "invoiced", "paid", "settled")


@app.command()
def publish(
    contract: Contract,
    period: OfPeriod,
    by: By,
    party: Annotated[
        str | None,
        typer.Option("--party", help="Which party of the statement the partner is, where there are several."),
    ] = None,
    agent: Agent = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Send a closed statement to its partner."""
    _record("published", contract, period, {"author": by, "party": party, "agent": agent}, time, as_json=as_json)


@app.command()
def dispute(
    contract: Contract,
    period: OfPeriod,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    line: Annotated[
        list[str] | None,
        typer.Option("--line", metavar="LINE[=AMOUNT]", help="What is wrong, and the partner's figure."),
    ] = None,
    agent: Agent = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The partner does not agree. Each line that it names has to be decided before the statement can be confirmed."""
    said = {"contract": contract, "period": str(period_of(period)), "author": by}
    about = said if agent is None else said | {"agent": agent}
    figures = [each.partition("=")[::2] for each in line or []]
    lines = [name.strip() for name, _ in figures]
    asked = [Asked("statement.disputed", about | {"reason": reason, "lines": lines}, time)]
    asked += [
        Asked("discrepancy.opened", said | {"line": name.strip(), "theirs": theirs.strip() or None}, time)
        for name, theirs in figures
    ]
    with opened() as store:
        ask(store, asked, clock)
    if as_json:
        print_json({"recorded": "statement.disputed", "lines": lines} | about)
    else:
        out.print(f"recorded statement.disputed, and {len(lines)} discrepancies")


@app.command()
def confirm(
    contract: Contract, period: OfPeriod, by: By, agent: Agent = None, time: Time = None, as_json: AsJson = False
) -> None:
    """The partner agrees."""
    _record("confirmed", contract, period, {"author": by, "agent": agent}, time, as_json=as_json)


@app.command()
def invoice(
    contract: Contract,
    period: OfPeriod,
    by: By,
    day: Day,
    category: Category = None,
    rate: Rate = None,
    reason: Reason = None,
    agent: Agent = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The self-billed invoice is made, with the VAT that is stated here, or else the partner's."""
    said = {"author": by, "day": day, "tax": tax_of(category, rate, reason), "agent": agent}
    _record("invoiced", contract, period, said, time, as_json=as_json)


@app.command("withdraw-invoice")
def withdraw_invoice(
    contract: Contract,
    period: OfPeriod,
    number: Annotated[str, typer.Argument(help="The invoice's, as it stands.")],
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why, as its credit note says it.")],
    day: Annotated[str, typer.Option("--day", help="That of its credit note, such as 2026-11-20.")],
    agent: Agent = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """An invoice of which no payment stands is withdrawn, by somebody else than recorded it; the statement is invoiced again."""
    said = {"author": by, "day": day, "number": number, "reason": reason, "agent": agent}
    _record("invoice_withdrawn", contract, period, said, time, as_json=as_json)


@app.command()
def pay(
    contract: Contract,
    period: OfPeriod,
    by: By,
    amount: Annotated[
        str, typer.Option("--amount", help="All that is open, with its VAT; below 0 where the partner gives it back.")
    ],
    currency: Annotated[str, typer.Option("--currency", help="Three letters, as in ISO 4217.")],
    reference: Annotated[str, typer.Option("--reference", help="The transfer's.")],
    day: Day,
    part: Annotated[bool, typer.Option("--part", help="The amount is a part of what is open.")] = False,
    agent: Agent = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """What is open was paid, with its VAT: all of it or, with --part, a part."""
    said: dict[str, Any] = {"author": by, "agent": agent, "amount": amount, "currency": currency}
    said |= {"reference": reference, "day": day} | ({"part": True} if part else {})
    _record("paid", contract, period, said, time, as_json=as_json)


@app.command("return-payment")
def return_payment(
    contract: Contract,
    period: OfPeriod,
    by: By,
    reference: Annotated[str, typer.Option("--reference", help="The transfer's, as its payment was recorded.")],
    currency: Annotated[str, typer.Option("--currency", help="Three letters, as in ISO 4217.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, such as the bank's: AC04, account closed.")],
    day: Annotated[str, typer.Option("--day", help="That of its return, such as 2026-12-02.")],
    agent: Agent = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """A payment came back, or was recorded by mistake: told by somebody else than recorded it, and what it paid is open again."""
    said = {"author": by, "agent": agent, "currency": currency, "reference": reference, "day": day, "reason": reason}
    _record("payment_returned", contract, period, said, time, as_json=as_json)


@app.command()
def settle(
    contract: Contract, period: OfPeriod, by: By, agent: Agent = None, time: Time = None, as_json: AsJson = False
) -> None:
    """Nothing is left to be done."""
    _record("settled", contract, period, {"author": by, "agent": agent}, time, as_json=as_json)


@app.command("list")
def show_all(
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's.")] = None,
    state: Annotated[str | None, typer.Option("--state", help=f"Only those that are so: {', '.join(_STATES)}.")] = None,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """Published statements: how far each is, what is due and the VAT that was added to it, and its days."""
    if state not in {None, *_STATES}:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(_STATES)}", param_hint="--state")
    with opened() as store, store.reading() as cursor:
        found = [
            told(each.state)
            for each in relations.listed(cursor, "note", contracts=None if contract is None else [contract])
        ]
    found = [each for each in found if state is None or each["state"] == state]
    if as_json:
        print_json(found)
        return
    table = Table("contract", "period", "state", "since", box=None)
    table.add_column("due", justify="right")
    table.add_column("dispute until")
    table.add_column("pay by")
    for each in found[: limit or None]:
        added = {row["currency"]: f"\n+ {row['amount']} VAT" for row in each["taxes"]}
        due = "\n".join(f"{row['amount']} {row['currency']}{added.get(row['currency'], '')}" for row in each["due"])
        days = [each.get(name, "") for name in ("dispute_until", "pay_by")]
        named = each["contract"] + (f" ({each['agent']})" if each.get("agent") else "")
        table.add_row(named, each["period"], each["state"], each["day"], due, *days)
    out.print(table)
    out.print(f"{len(found):,} found" + (f", {limit} shown (--limit 0 shows all)" if 0 < limit < len(found) else ""))


@app.command()
def reconcile(
    contract: Contract,
    period: OfPeriod,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with the columns line,amount.", dir_okay=False)],
    by: By,
    tolerance: Annotated[str, typer.Option("--tolerance", help="By how much a line may differ.")] = "0.01",
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Match the partner's own figures with the statement; every line that differs is disputed, with a discrepancy."""
    chosen = period_of(period)
    try:
        micros = micros_of(tolerance)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if micros < 0:
        raise typer.BadParameter("a tolerance is 0 or more")
    figures = figures_of(file)
    if not file.name.isprintable():
        refuse(f"{file.name!a} is no printable name; rename the file, since the record of the dispute names it")
    with opened() as store:
        found = reconciling.reconcile(
            store, contract, chosen, figures, by, clock, tolerance=Decimal(tolerance),
            reason=f"own figures of {file.name}"[:256], time=time,
        )  # fmt: skip
    if as_json:
        lines = {name: [each._asdict() for each in getattr(found, name)] for name in ("opened", "known")}
        print_json({"contract": contract, "period": str(chosen), "agreeing": found.agreeing} | lines)
    else:
        _show(found)


def _show(found: Reconciled) -> None:
    known = f", {len(found.known):,} of them known before" if found.known else ""
    out.print(f"{found.agreeing:,} lines agree, {len(found.opened) + len(found.known):,} differ{known}")
    if not found.opened:
        return
    table = Table("line", box=None)
    for name in ("ours", "theirs"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for each in found.opened[:_SHOWN]:
        table.add_row(each.line, each.ours or "none", each.theirs or "none", each.unit or "")
    out.print(table)
    more = f"; {len(found.opened) - _SHOWN:,} more are not shown, --json has them all" if found.opened[_SHOWN:] else ""
    out.print(f"{len(found.opened):,} discrepancies opened (settle discrepancy list){more}")


def _record(
    step: str, contract: str, period: str, said: dict[str, Any], time: datetime | None, *, as_json: bool
) -> None:
    named = {"contract": contract, "period": str(period_of(period))}
    record(f"statement.{step}", named | said, time, as_json=as_json)
