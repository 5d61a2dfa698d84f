"""settle close, settle statement."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.table import Table

from console.intake import bar
from console.session import JSON, clock, opened, out, print_json
from consumers.suspense import recycle_ripe
from engine.period import Period, UnreadablePeriod
from engine.settlement import closing, scoring
from engine.settlement.noting import standing_of
from engine.settlement.statements import view
from engine.store import suspense

PERIOD = typer.Argument(metavar="PERIOD", help="2017-03, 2017-W09, 2017-Q1 or 2017.")
VERSION = typer.Option("--version", help="1 as closed, later ones as restated.", min=1)
_REFUSED_SHOWN = 10
_CAUSES_SHOWN = 3


def period_of(text: str) -> Period:
    """Wrong usage where the text names no period."""
    try:
        return Period.parse(text)
    except UnreadablePeriod as error:
        raise typer.BadParameter(str(error)) from error


def close(
    period: Annotated[str, PERIOD],
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Freeze a period's statements. What is closed never changes; closing again closes only what is still open."""
    chosen = period_of(period)
    with opened() as store, bar(f"close {chosen}", None) as (progress, task):
        closed = closing.close(
            store,
            chosen,
            clock(),
            contract,
            lambda done, total: progress.update(task, completed=done, total=total, messages=done),
        )
        again = scoring.reassess(store, chosen, clock())
        recycle_ripe(store, clock)
        with store.reading() as cursor:
            waiting = sum(number for state, _, number in suspense.totals(cursor) if state == "suspended")
    if as_json:
        refused = [{"contract": c, "code": code, "sentence": sentence} for c, code, sentence in closed.refused]
        print_json(
            {
                "period": str(chosen),
                "closed": closed.closed,
                "already": closed.already,
                "root": closed.root,
                "refused": refused,
                "reassessed": again,
                "waiting": waiting,
            }
        )
    else:
        out.print(
            f"{chosen}: closed {closed.closed:,} statements; {closed.already:,} were closed before; "
            f"{len(closed.refused):,} could not be"
        )
        if not closed.closed + closed.already + len(closed.refused):
            out.print(
                f"no contract that settles {chosen.calendar} is in force in it; settle contract list shows those that are"
            )
        if closed.root:
            out.print(f"root {closed.root}")
        for scorecard, number in again.items():
            out.print(f"{number:,} scores by {scorecard} came out otherwise than they were issued, and are issued anew")
        for _, code, sentence in closed.refused[:_REFUSED_SHOWN]:
            out.print(f"  {code}: {sentence}", soft_wrap=True)
        if len(closed.refused) > _REFUSED_SHOWN:
            out.print(f"  and {len(closed.refused) - _REFUSED_SHOWN:,} more; --json names them all")
        if waiting:
            out.print(f"{waiting:,} messages wait in suspense and are in no statement; settle suspense list shows why")
    if closed.refused:
        raise typer.Exit(1)


def statement(
    contract: Annotated[str, typer.Argument(help="The contract's id.")],
    period: Annotated[str, PERIOD],
    version: Annotated[int, VERSION] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A contract's statement: as issued where the period is closed, else as it stands now. The word `of` may be left out."""
    chosen = period_of(period)
    with opened() as store, store.reading() as cursor:
        said = view(cursor, contract, chosen, version).statement
        said |= {"note": standing_of(cursor, contract, chosen) if version == 1 else None}
    if as_json:
        print_json(said)
    else:
        print_statement(said, chosen)


def print_statement(said: dict[str, Any], name: Period) -> None:
    book, evidence = said["rulebook"], said["evidence"]
    version = f", version {said['version']}" if said.get("version", 0) > 1 else ""
    out.print(f"Statement of contract {said['contract']} (partner {said['partner']}), {name}{version}")
    out.print(f"{said['period']['from']} up to {said['period']['to']}, in {said['currency']}, {said['state']}")
    out.print(_amounts(said))
    if "final" in said:
        out.print(f"final: the last service was left on {said['final']['left']}; nothing is carried on")
    for made in said["adjustments"]:
        out.print(f"adjustment of {made['period']}: {'; '.join(told_cause(cause) for cause in made['causes'])}")
    for left in said["balances"]:
        day = f" {left['day']}" if "day" in left else ""
        out.print(f"left to the next period: {left['amount']} {left['kind']}{day} ({left['step']})")
    out.print(f"by rulebook {book['id']}@{book['version']} from {evidence['events']:,} events")
    if "payee" in said:
        out.print(f"paid to partner {said['payee']}, into which {said['partner']} was merged")
    if "payout_held" in said:
        out.print(f"payout held: {said['payout_held']}")
    if said["late"]:
        out.print(f"{said['late']:,} events came later; settle restate makes adjustments of what they change")
    out.print(f"digest {said['digest']}")
    if said.get("root"):
        out.print(f"root   {said['root']}")
    if said.get("note"):
        print_note(said["note"])


def print_note(note: dict[str, Any]) -> None:
    """How far the statement is on its way to the partner and to the bank."""
    told = [f"{note['state']} since {note['day']}"]
    told += [f"invoice {note['number']}"] if "number" in note else []
    if note["state"] not in {"paid", "settled"}:
        days = {"dispute_until": "may be disputed up to"} if note["state"] in {"published", "disputed"} else {}
        days |= {"pay_by": "to be paid by"}
        told += [f"{text} {note[name]}" for name, text in days.items() if name in note]
    told += [_with_tax(note, each["currency"]) for each in note["taxes"]]
    told += (
        [f"{each['amount']} {each['currency']} open" for each in note["open"]]
        if "payments" in note or "returned" in note
        else []
    )
    out.print(f"note   {'; '.join(told)}", soft_wrap=True)
    for each in note.get("withdrawn", ()):
        sentence = f"invoice {each['number']} withdrawn on {each['day']} by {each['credit_note']}: {each['reason']}"
        out.print(f"       {sentence}", soft_wrap=True)
    for each in note.get("returned", ()):
        paid = f"{each['amount']} {each['currency']} paid on {each['paid']}, reference {each['reference']}"
        out.print(f"       {paid}, returned on {each['day']}: {each['reason']}", soft_wrap=True)
    for each in note["agents"]:
        out.print(f"       {each['party']} ({each['partner']}): {each['state'] or 'not published'}", soft_wrap=True)
    for each in note["open_discrepancies"]:
        out.print(f"       line {each} is disputed and not decided; settle discrepancy list", soft_wrap=True)


def _with_tax(note: dict[str, Any], currency: str) -> str:
    sums = {name: each["amount"] for name in ("taxes", "to_pay") for each in note[name] if each["currency"] == currency}
    return f"{sums['to_pay']} {currency} with VAT of {note['tax']['rate']}%, {sums['taxes']}"


def _amounts(said: dict[str, Any]) -> Table:
    table = Table("clause", "line", box=None)
    table.add_column("amount", justify="right")
    for line in said["lines"]:
        unit = f" {line['unit']}" if "unit" in line else ""
        table.add_row(line["clause"] or "", line["name"], line["amount"] + unit)
    table.add_section()
    table.add_row("", "payable", said["payable"], style="bold")
    for share in said["parties"]:
        who = said.get("agents", {}).get(share["party"])
        table.add_row("", f"  to {share['party']}" + (f" ({who})" if who else ""), share["amount"])
    if "final" in said:
        table.add_section()
        for line in said["final"]["lines"]:
            unit = "" if line["currency"] == said["currency"] else f" {line['currency']}"
            lapsed = "" if Decimal(line["amount"]) else f" ({line['balance']} lapses)"
            table.add_row("", f"final: {line['name']}{lapsed}", line["amount"] + unit)
    for made in said["adjustments"]:
        table.add_section()
        _add_adjustment(table, made)
    if said["adjustments"] or "final" in said:
        table.add_section()
        for sum_ in said["due"]:
            table.add_row("", "due", f"{sum_['amount']} {sum_['currency']}", style="bold")
            for share in sum_["parties"]:
                table.add_row("", f"  to {share['party']}", share["amount"])
    return table


def _add_adjustment(table: Table, made: dict[str, Any]) -> None:
    for line in made["lines"]:
        unit = f" {line['unit']}" if "unit" in line else ""
        table.add_row(line["clause"] or "", f"{made['period']} {line['name']}", f"{line['amount']}{unit}")
    for sum_ in made["payable"]:
        what = f"adjusted, was {sum_['was']}" if "was" in sum_ else f"{made['discrepancy']}, dispute resolved"
        table.add_row("", f"{made['period']} {what}", sum_["amount"], style="bold")


def told_cause(cause: dict[str, Any]) -> str:
    """Why a statement was restated, in a few words."""
    match cause["cause"]:
        case "late events":
            named = ", ".join(each["id"] for each in cause["named"][:_CAUSES_SHOWN])
            more = cause["events"] - min(len(cause["named"]), _CAUSES_SHOWN)
            return f"{cause['events']:,} late events ({named}{f' and {more:,} more' if more else ''})"
        case "discrepancy":
            figures = f"ours {cause['ours'] or 'none'}, theirs {cause['theirs'] or 'none'}"
            return f"line {cause['line']} ({figures}): {cause['reason']}, approved by {cause['approver']}"
        case "rulebook":
            return f"rulebook {cause['rulebook']}@{cause['version']}"
        case "balances":
            return f"balances of {cause['period']}"
        case said:
            return str(said)
