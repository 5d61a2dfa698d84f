"""settle compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.table import Table

from console.archiving import WHERE, archive_at
from console.replaying import ENGINE, SCHEDULER, cluster_of, periods_of, read_by
from console.rulebook_files import read_sound
from console.session import JSON, opened, out, print_json, refuse
from engine.money import plain
from replay import compare as comparing
from replay.apart import here
from replay.compare import Comparison, movers

_MOVERS = 10
_LINES = 20


def compare(
    file: Annotated[Path, typer.Argument(help="The rulebook version, not published yet (YAML).")],
    first: Annotated[str | None, typer.Option("--from", help="The first period.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last period.")] = None,
    archive: Annotated[str | None, typer.Option("--archive", help=WHERE)] = None,
    engine: Annotated[str, ENGINE] = "local",
    scheduler: Annotated[str | None, SCHEDULER] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every changed amount to this file.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """What a rulebook version would change: by partner, contract, period and line. Writes nothing to the store."""
    begins, ends = periods_of(first, last)
    book, text = read_sound(file)
    found_archive = archive_at(archive)
    read_by(engine, found_archive)
    with opened() as store, cluster_of(engine, scheduler) as cluster, store.reading() as cursor:
        spread = here if cluster is None else cluster.spread
        found = comparing.compare(cursor, book, text, first=begins, last=ends, archive=found_archive, spread=spread)
    if csv is not None:
        try:
            csv.write_text(comparing.as_texts(found.changed).write_csv())
        except OSError as error:
            refuse(f"{csv} cannot be written: {error.strerror}; name a file in a folder that is there")
    if as_json:
        print_json(told(found))
    else:
        show(found)


def told(found: Comparison) -> dict[str, Any]:
    sides = {"before": 0, "after": 1}
    return {
        "rulebook": found.rulebook,
        "version": found.version,
        "position": found.position,
        "from": "events" if found.source.events else "facts",
        "why": found.source.why,
        "contracts": found.contracts,
        "first": str(found.first),
        "statements": found.statements,
        "changed_statements": found.changed.select("contract", "period").n_unique() if found.changed.height else 0,
        "totals": {unit: {name: plain(pair[side]) for name, side in sides.items()} | {"moved": plain(pair[1] - pair[0])}
                   for unit, pair in found.totals.items()},
        "closed": {unit: plain(amount) for unit, amount in _closed(found)},
        "same": {"statements": found.same, "digest": found.same_digest},
        "untouched": {"contracts": found.untouched, "digest": found.untouched_digest},
        "movers": {by: [{by: name, "currency": unit, "moved": plain(moved)} for name, unit, moved in movers(found, by, _MOVERS)]
                   for by in ("partner", "contract", "period")},
        "changes": [
            row | {name: None if row[name] is None else plain(row[name]) for name in ("before", "after", "moved")}
            for row in found.changed.iter_rows(named=True)
        ],
        "refused": [{"contract": name, "period": period, "why": why} for (name, period), why in found.refused.items()],
    }  # fmt: skip


def _closed(found: Comparison) -> list[tuple[str, Any]]:
    payable = found.changed.filter("closed").filter(kind="payable")
    return payable.group_by("unit").agg(pl.col("moved").sum()).sort("unit").rows()


def show(found: Comparison) -> None:
    out.print(f"{found.rulebook}@{found.version} would change, as known at position {found.position:,}:")
    out.print(f"{found.source.why}", soft_wrap=True)
    changed = found.changed.select("contract", "period").n_unique() if found.changed.height else 0
    out.print(
        f"{changed:,} of {found.statements:,} statements of its {found.contracts:,} contracts, from {found.first} on; the "
        f"other {found.same:,} are the same with it and without (digest {found.same_digest[:12]})"
    )
    if found.untouched:
        out.print(
            f"{found.untouched:,} contracts of other rulebooks stay as they are (digest {found.untouched_digest[:12]})"
        )
    table = Table("payable", box=None)
    for name in ("before", "after", "moves"):
        table.add_column(name, justify="right")
    for unit, (was, now) in found.totals.items():
        table.add_row(unit, f"{was:,.2f}", f"{now:,.2f}", f"{now - was:+,.2f}")
    out.print(table)
    for unit, moved in _closed(found):
        out.print(f"{moved:+,.2f} {unit} of it in closed periods: settle restate would make adjustments of it")
    for by in ("partner", "contract", "period"):
        moving = movers(found, by, _MOVERS)
        if moving:
            out.print(_table(by, moving))
    if changed:
        out.print(_lines(found))
    for (name, period), why in list(found.refused.items())[:_MOVERS]:
        out.print(f"{name} {period} could not be settled: {why}", soft_wrap=True)


def _table(by: str, moving: list[tuple[str, str, Any]]) -> Table:
    table = Table(by, box=None)
    table.add_column("moves", justify="right")
    for name, unit, moved in moving:
        table.add_row(name, f"{moved:+,.2f} {unit}")
    return table


def _lines(found: Comparison) -> Table:
    table = Table("contract", "period", "line", box=None)
    for name in ("before", "after"):
        table.add_column(name, justify="right")
    size = pl.col("moved").abs()
    largest = found.changed.filter(kind="line").sort(size, "contract", "period", descending=[True, False, False])
    for row in largest.head(_LINES).iter_rows(named=True):
        sides = ["none" if row[name] is None else plain(row[name]) for name in ("before", "after")]
        table.add_row(row["contract"], row["period"], row["name"], *sides)
    if largest.height > _LINES:
        table.caption = f"and {largest.height - _LINES:,} lines more; --csv FILE or --json has them all"
    return table
