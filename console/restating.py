"""settle restate."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.table import Table

from console.intake import bar
from console.session import JSON, clock, opened, out, print_json, user
from console.settling import told_cause
from engine.money import plain
from engine.settlement.restating import Approval, Restated
from engine.settlement.statements import found
from replay import restate as restating
from replay.restate import Outcome

_SHOWN = 20


def restate(
    contract: Annotated[list[str] | None, typer.Option("--contract", help="Only this one; may be repeated.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")] = False,
    approved_by: Annotated[
        str | None, typer.Option("--approved-by", help="Who approves adjustments of contracts that hold late events.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who asks for it; by default who is at the keyboard.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Compute closed periods again from all that is known now, and make adjustments of what changed."""
    approval = None if approved_by is None else Approval(by or user(), approved_by)
    with opened() as store, bar("restate", None) as (progress, task):
        with store.reading() as cursor:
            for each in contract or ():
                found(cursor, each)
        done = restating.restate(
            store,
            clock(),
            contract,
            approval,
            dry_run=dry_run,
            progress=lambda part, parts: progress.update(task, completed=part, total=parts, messages=part),
        )
    if as_json:
        print_json(told(done, dry_run=dry_run))
    else:
        show(done, dry_run=dry_run)
    if done.refused:
        raise typer.Exit(1)


def told(done: Outcome, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "statements": done.statements,
        "restated": [_told(each) for each in done.restated],
        "held": [_told(each) for each in done.held],
        "refused": [each._asdict() for each in done.refused],
        "totals": {unit: plain(amount) for unit, amount in totals(done.restated).items()},
    }


def _told(each: Restated) -> dict[str, Any]:
    return {"contract": each.contract.contract, "partner": each.contract.partner} | each.adjustment


def totals(restated: tuple[Restated, ...]) -> dict[str, Decimal]:
    """What the adjustments of payables come to, by currency."""
    found: dict[str, Decimal] = {}
    for each in restated:
        for row in each.adjustment["payable"]:
            found[row["currency"]] = found.get(row["currency"], Decimal(0)) + Decimal(row["amount"])
    return dict(sorted(found.items()))


def show(done: Outcome, *, dry_run: bool) -> None:
    verb = "would come" if dry_run else "came"
    out.print(
        f"{len(done.restated):,} of {done.statements:,} closed statements {verb} out otherwise than they were issued"
    )
    if done.restated:
        out.print(_table(done.restated))
        for unit, amount in totals(done.restated).items():
            out.print(f"adjustments of {amount:+,.2f} {unit}, due with each contract's next statement", style="bold")
    if done.held:
        out.print(f"{len(done.held):,} wait for a person, since their contracts hold late events; --approved-by WHO")
        out.print(_table(done.held))
    for each in done.refused[:_SHOWN]:
        out.print(f"{each.contract} {each.period}: {each.code}: {each.sentence}", soft_wrap=True)


def _table(restated: tuple[Restated, ...]) -> Table:
    table = Table("contract", "period", box=None)
    table.add_column("adjustment", justify="right")
    table.add_column("because of")
    ordered = sorted(restated, key=_size)
    for each in ordered[:_SHOWN]:
        amounts = [f"{row['amount']} {row['currency']}" for row in each.adjustment["payable"]] or [_beside_money(each)]
        causes = "; ".join(told_cause(cause) for cause in each.causes)
        table.add_row(each.contract.contract, each.before.period, "\n".join(amounts), causes)
    if len(ordered) > _SHOWN:
        table.caption = f"and {len(ordered) - _SHOWN:,} more; --json has them all"
    return table


def _beside_money(each: Restated) -> str:
    return "no amount" if each.carried == each.before.carried and not each.adjustment["lines"] else "balances alone"


def _size(each: Restated) -> tuple[Decimal, str, str]:
    moved = sum((abs(Decimal(row["amount"])) for row in each.adjustment["payable"]), Decimal(0))
    return -moved, each.contract.contract, each.before.period
