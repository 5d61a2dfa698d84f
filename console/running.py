"""settle run-day."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Annotated, Any

import typer
from rich.table import Table

from console.intake import bar
from console.relating import day as day_of
from console.session import JSON, clock, opened, out, print_json, user
from consumers import run_day as running
from consumers.run_day import Done
from engine.settlement.calendar import ToPay, Waits

_SHOWN = 20
# How the steps are told, in their order.
_TOLD = {
    "statement.published": "published",
    "statement.confirmed": "confirmed by default",
    "statement.invoiced": "invoiced",
    "statement.settled": "settled",
}


def run_day(
    day: Annotated[date, typer.Argument(metavar="DAY", parser=day_of, help="Such as 2017-04-10.")],
    by: Annotated[str | None, typer.Option("--by", help="Who runs it; by default who is at the keyboard.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Take every step of every statement that is due on the day, and say what waits for a person. Twice adds nothing."""
    with opened() as store, bar(f"day {day}", None) as (progress, task):
        done = running.run_day(
            store, day, by or user(), clock,
            lambda what, number, of: progress.update(task, description=what, completed=number, total=of, messages=number),
        )  # fmt: skip
    if as_json:
        print_json(told(done))
    else:
        _show(done)


def told(done: Done) -> dict[str, Any]:
    return {
        "day": done.day.isoformat(),
        "closed": done.closed,
        "steps": [
            {"step": each.type} | {name: each.data[name] for name in ("contract", "period")} for each in done.steps
        ],
        "to_pay": [each._asdict() | {"pay_by": each.pay_by and each.pay_by.isoformat()} for each in done.to_pay],
        "waits": [each._asdict() for each in done.waits],
    }


def _show(done: Done) -> None:
    closed = ", ".join(f"{number:,} of {period}" for period, number in done.closed.items())
    counts = Counter(each.type for each in done.steps)
    steps = ", ".join(f"{counts[type_]:,} {word}" for type_, word in _TOLD.items() if counts[type_])
    out.print(f"{done.day}: statements closed: {closed or 'none'}; steps: {steps or 'none'}")
    if done.to_pay:
        out.print(_payments(done.to_pay))
    if done.waits:
        out.print(_waits(done.waits))


def _payments(to_pay: tuple[ToPay, ...]) -> Table:
    table = Table("to pay", "number", box=None)
    table.add_column("amount", justify="right")
    table.add_column("")
    for each in to_pay[:_SHOWN]:
        by = "by no day" if each.pay_by is None else f"{'overdue since' if each.overdue else 'today,'} {each.pay_by}"
        who = each.partner if not each.amount.startswith("-") else f"{each.partner} gives it back"
        said = [f"held: {each.held}" if each.held else by, *([each.returned] if each.returned else [])]
        table.add_row(who, each.number, f"{each.amount} {each.currency}", "; ".join(said))
    if to_pay[_SHOWN:]:
        table.caption = f"and {len(to_pay) - _SHOWN:,} more; --json has them all"
    return table


def _waits(waits: tuple[Waits, ...]) -> Table:
    table = Table("waits", "period", "because", box=None)
    for each in waits[:_SHOWN]:
        table.add_row(each.contract, each.period, f"{each.code}: {each.sentence}")
    if waits[_SHOWN:]:
        table.caption = f"and {len(waits) - _SHOWN:,} more; --json has them all"
    return table
