"""settle status, settle verify."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from console.intake import bar
from console.session import JSON, opened, out, print_json
from engine.settlement.balance import balance
from engine.store import log, registry, statements
from engine.store.database import Rows
from replay import facts

verify = typer.Typer(help="Proofs that what is kept is right.", no_args_is_help=True)
_DIFFERENCES_SHOWN = 10


def status(as_json: Annotated[bool, JSON] = False) -> None:
    """Offsets, counts and their balance; the log; suspense; open and closed periods."""
    with opened() as store, store.reading() as cursor:
        told = _told(cursor)
    if as_json:
        print_json(told)
    else:
        _print(told)
    if not told["balanced"]:
        raise typer.Exit(1)


def _told(cursor: Rows) -> dict[str, Any]:
    found = balance(cursor)
    position = found.position
    made = statements.count(cursor)
    late = statements.late_events(cursor)
    return {
        "log": {"position": position, "recorded_at": _time(log.recorded_at(cursor, position))},
        "intake": [
            {"channel": a.channel, "partition": a.partition, "start": a.start, "next": a.next} | a.counts._asdict()
            for a in found.accounts
        ],
        "consumed": found.consumed,
        "total": found.total._asdict(),
        "balanced": found.balanced,
        "recycled": found.recycled,
        "issued": found.issued,
        "statements": made,
        "suspense": found.in_suspense,
        "partners": registry.count(cursor, "partners"),
        "contracts": registry.count(cursor, "contracts"),
        "periods": [
            {"period": p, "closed": closed, "open": open_, "late": late.get(p, 0)}
            for p, closed, open_ in statements.periods(cursor)
        ],
    }


def _time(value: Any) -> str | None:  # noqa: ANN401
    return value.isoformat(timespec="seconds") if value else None


def _print(told: dict[str, Any]) -> None:
    out.print(
        f"log: position {told['log']['position']:,}, last recorded {told['log']['recorded_at'] or 'never'}; "
        f"{told['partners']:,} partners, {told['contracts']:,} contracts"
    )
    table = Table("channel", title="messages consumed", title_justify="left")
    for name in ("next", "recorded", "duplicate", "suspended", "rejected"):
        table.add_column(name, justify="right")
    for a in told["intake"]:
        name = a["channel"] if a["channel"].startswith("file:") else f"{a['channel']}/{a['partition']}"
        table.add_row(name, *(f"{a[k]:,}" for k in ("next", "recorded", "duplicate", "suspended", "rejected")))
    total = told["total"]
    table.add_section()
    table.add_row(
        "all", f"{told['consumed']:,}", *(f"{total[k]:,}" for k in ("recorded", "duplicate", "suspended", "rejected"))
    )
    out.print(table)
    skipped = f" + {total['skipped']:,} without message" if total["skipped"] else ""
    out.print(
        f"{told['consumed']:,} consumed = {total['recorded']:,} recorded + {total['duplicate']:,} duplicate + "
        f"{total['suspended']:,} suspended + {total['rejected']:,} rejected{skipped}"
    )
    out.print(
        f"{told['log']['position']:,} in the log = {total['recorded']:,} recorded + {told['recycled']:,} recycled + "
        f"{told['issued']:,} issued"
    )
    out.print("both balance" if told["balanced"] else "THEY DO NOT BALANCE: stop, and report this", style="bold")
    out.print(f"{told['statements']:,} statements are closed")
    for state, codes in told["suspense"].items():
        said = ", ".join(f"{code} {number:,}" for code, number in codes.items())
        out.print(f"suspense, {state.replace('_', ' ')}: {said}")
    if told["periods"]:
        periods = Table("period", title="periods", title_justify="left")
        for name in ("closed", "open", "late events"):
            periods.add_column(name, justify="right")
        for p in told["periods"]:
            periods.add_row(p["period"], f"{p['closed']:,}", f"{p['open']:,}", f"{p['late']:,}")
        out.print(periods)


@verify.command("facts")
def verify_facts(as_json: Annotated[bool, JSON] = False) -> None:
    """Fold the whole log again and compare it with the live facts, and those with their copies."""
    with opened() as store, bar("fold the log", None) as (progress, task):
        proof = facts.verify(
            store, lambda done, total: progress.update(task, completed=done, total=total, messages=done)
        )
    if as_json:
        print_json({"positions": proof.positions, "facts": proof.facts, "equal": proof.equal,
                    "differences": [d._asdict() for d in proof.differences], "copies": proof.copies,
                    "wrong_copies": [str(day) for day in proof.wrong_copies]})  # fmt: skip
    elif proof.differences:
        out.print(f"{len(proof.differences):,} facts differ from the log:")
        for d in proof.differences[:_DIFFERENCES_SHOWN]:
            out.print(
                f"  {d.whose} {d.first} {d.event} {d.field} {d.dimensions}: live {d.events_live:,} events, "
                f"{d.value_live} micros; log {d.events_log:,} events, {d.value_log} micros"
            )  # fmt: skip
    elif proof.equal:
        out.print(f"{proof.positions:,} positions folded to {proof.facts:,} facts, equal to the live ones")
    if proof.wrong_copies and not as_json:
        out.print(
            f"the copies of the facts of {len(proof.wrong_copies):,} periods are not what the facts are "
            f"({proof.wrong_copies[0]} first); settle rebuild drops all copies, and settle close makes them anew"
        )
    if not proof.equal:
        raise typer.Exit(1)


@verify.callback()
def _group() -> None:
    """So that `facts` stays a word of its own, beside the proofs to come."""
