"""settle rebuild."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.table import Table

from console.intake import bar
from console.session import JSON, opened, out, print_json
from engine.store.differences import Difference
from replay.rebuild import running
from replay.rebuild.running import Progress, Rebuilt

_DIFFERENCES_SHOWN = 10
_TEXT_SHOWN = 60  # characters of a column


def rebuild(
    accept: Annotated[
        bool, typer.Option("--accept-differences", help="Swap also where the live tables differ: they were wrong.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over; drop what an earlier run has left.")] = False,
    back: Annotated[
        bool, typer.Option("--rollback", help="Go back to the tables that the last swap replaced.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Make all projections anew from the log, beside the live ones; compare, and swap where they are equal."""
    if back:
        if accept or fresh:
            raise typer.BadParameter("--rollback goes by itself")
        _roll_back(as_json=as_json)
        return
    with opened() as store, _watched() as progress:
        done = running.rebuild(store, accept_differences=accept, fresh=fresh, progress=progress)
    if as_json:
        print_json(done._asdict() | {
            "equal": done.equal,
            "tables": [each._asdict() for each in done.tables],
            "money": [each._asdict() for each in done.money],
            "differences": [each._asdict() for each in done.differences],
        })  # fmt: skip
    else:
        _print(done)
    if not done.swapped:
        raise typer.Exit(1)


@contextmanager
def _watched() -> Iterator[Progress]:
    with bar("rebuild", 1) as (shown, task):
        begun: dict[str, int] = {}

        def tell(what: str, position: int, end: int) -> None:
            if what not in begun:
                begun[what] = position
                shown.reset(task, description=what, total=end, completed=position)
            shown.update(task, completed=position, total=end, messages=position - begun[what])

        yield tell


def _roll_back(*, as_json: bool) -> None:
    with opened() as store, _watched() as progress:
        done = running.rollback(store, progress=progress)
    if as_json:
        print_json(done._asdict())
    else:
        out.print(f"rolled back: the tables of before are live again, up to position {done.position:,}")
        out.print(f"{done.behind:,} events were read into them; the writers' lock was held for {done.locked:,} ms")
        out.print("settle rebuild --rollback takes that back")


def _print(done: Rebuilt) -> None:
    if done.resumed is not None:
        out.print(f"went on at position {done.resumed:,}, where an earlier run had stopped (--fresh starts over)")
    table = Table("table", title=f"{done.events:,} events read, up to position {done.position:,}", title_justify="left")
    for name in ("rows live", "rebuilt", "differ"):
        table.add_column(name, justify="right")
    table.add_column("digest")
    for each in done.tables:
        same = each.digest_live == each.digest_rebuilt
        digest = each.digest_live[:12] if same else f"{each.digest_live[:12]} / {each.digest_rebuilt[:12]}"
        table.add_row(
            each.table, f"{each.rows_live:,}", f"{each.rows_rebuilt:,}", f"{done.differing[each.table]:,}", digest
        )
    out.print(table)
    wrong = [each for each in done.money if each.live != each.rebuilt]
    out.print(f"{len(done.money):,} sums of amounts and points compared, {len(wrong):,} differ")
    for total in wrong[:_DIFFERENCES_SHOWN]:
        out.print(f"  {total.table} {total.what}: live {total.live}, rebuilt {total.rebuilt}", soft_wrap=True)
    for difference in done.differences[:_DIFFERENCES_SHOWN]:
        out.print(f"  {_said(difference)}", soft_wrap=True)
    if len(done.differences) > _DIFFERENCES_SHOWN:
        out.print("  and more; --json names the first ten of each table")
    if done.swapped:
        out.print(f"swapped: the rebuilt tables are live; the writers' lock was held for {done.locked:,} ms")
        out.print("settle rebuild --rollback goes back")
    else:
        out.print("not swapped: the live tables are not what the log says, and stay as they are")
        out.print("the rebuilt ones lie beside them in schema settle_next, to be looked at")
        out.print("settle rebuild --accept-differences puts them in their place")


def _said(difference: Difference) -> str:
    live, rebuilt = difference.live, difference.rebuilt
    whose = f"{difference.table} {difference.key}"
    if live is None:
        return f"{whose}: missing among the live ones"
    if rebuilt is None:
        return f"{whose}: live, and not in the log"
    return f"{whose}: " + "; ".join(f"{name} live {_cut(live[name])}, log {_cut(rebuilt[name])}" for name in live)


def _cut(text: str | None) -> str:
    if text is None:
        return "nothing"
    return text if len(text) <= _TEXT_SHOWN else text[:_TEXT_SHOWN] + "..."
