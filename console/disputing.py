"""settle discrepancy."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from console.relating import By, Time, record
from console.session import JSON, opened, out, print_json, refuse
from console.settling import PERIOD, period_of
from engine.events import joined
from engine.settlement.noting import told
from engine.store import relations

app = typer.Typer(help="Lines of statements on which partners' figures and ours differ.", no_args_is_help=True)

Contract = Annotated[str, typer.Argument(help="The contract's id.")]
OfPeriod = Annotated[str, PERIOD]
Line = Annotated[str, typer.Argument(help="The line's name.")]
AsJson = Annotated[bool, JSON]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


@app.command("list")
def show_all(
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are decided.")] = False,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """Discrepancies that nobody has decided yet."""
    with opened() as store, store.reading() as cursor:
        found = [
            told(each.state)
            for each in relations.listed(cursor, "discrepancy", contracts=None if contract is None else [contract])
        ]
    found = [each for each in found if all_ or each["state"] in {"open", "assigned"}]
    if as_json:
        print_json(found)
        return
    table = Table("contract", "period", "line", box=None)
    for name in ("ours", "theirs"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for each in found[: limit or None]:
        figures = [each.get(name) or "none" for name in ("ours", "theirs")]
        state = f"assigned to {each['assigned_to']}" if each["state"] == "assigned" else each["state"]
        table.add_row(each["contract"], each["period"], each["line"], *figures, state)
    out.print(table)
    out.print(f"{len(found):,} found" + (f", {limit} shown (--limit 0 shows all)" if 0 < limit < len(found) else ""))


@app.command("show")
def show_one(contract: Contract, period: OfPeriod, line: Line, as_json: AsJson = False) -> None:
    """One discrepancy as it stands."""
    key = ("discrepancy", joined(contract, str(period_of(period)), line))
    with opened() as store, store.reading() as cursor:
        found = relations.known(cursor, [key]).get(key)
    if found is None:
        refuse(
            f"line {line} of {contract} for {period} has no discrepancy; settle discrepancy list --all shows those that are"
        )
    said = told(found.state)
    if as_json:
        print_json(said)
        return
    table = Table(show_header=False, box=None)
    for name, value in said.items():
        table.add_row(name.replace("_", " "), str(value))
    out.print(table)


@app.command()
def assign(
    contract: Contract,
    period: OfPeriod,
    line: Line,
    to: Annotated[str, typer.Option("--to", help="Who is to look into it.")],
    by: By,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Somebody is to look into it."""
    _record("assigned", contract, period, line, {"author": by, "to": to}, time, as_json=as_json)


@app.command()
def resolve(
    contract: Contract,
    period: OfPeriod,
    line: Line,
    by: By,
    approved_by: Annotated[str, typer.Option("--approved-by", help="Who approves it: somebody else.")],
    reason: Reason,
    adjustment: Annotated[
        str | None,
        typer.Option("--adjustment", metavar="AMOUNT", help="What the partner gets with its next statement."),
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="The partner's figure, where it is what it gets.")] = False,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The partner gets an adjustment, with its next statement."""
    said = {"author": by, "approver": approved_by, "reason": reason, "amount": adjustment, "accepted": accept}
    _record("resolved", contract, period, line, said, time, as_json=as_json)


@app.command()
def reject(
    contract: Contract, period: OfPeriod, line: Line, by: By, reason: Reason, time: Time = None, as_json: AsJson = False
) -> None:
    """Our figure stands."""
    _record("rejected", contract, period, line, {"author": by, "reason": reason}, time, as_json=as_json)


def _record(
    step: str, contract: str, period: str, line: str, said: dict[str, Any], time: datetime | None, *, as_json: bool
) -> None:
    named = {"contract": contract, "period": str(period_of(period)), "line": line}
    record(f"discrepancy.{step}", named | said, time, as_json=as_json)
