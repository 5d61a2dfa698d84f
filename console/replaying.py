"""settle replay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from console.archiving import WHERE, archive_at
from console.intake import bar
from console.session import JSON, opened, out, print_json, refuse
from console.settling import period_of
from engine.money import plain
from engine.period import Period
from engine.store import log
from engine.store.database import Rows
from replay import again
from replay.archive.reading import Archive
from replay.spread import here

if TYPE_CHECKING:
    from replay.cluster import Dask

_SHOWN = 10
NOTHING = "nothing"
AS_OF = "A position of the log, or a time: ISO 8601 with its zone, or a day (its end in UTC)."

ENGINE = typer.Option("--engine", help="local, or dask: on a cluster.")
SCHEDULER = typer.Option("--scheduler", help="The address of a Dask scheduler; else one of this machine's own.")


def position_of(cursor: Rows, text: str | None, option: str) -> int | None:
    """The position that a person named. Wrong usage where the text names none."""
    if text is None:
        return None
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        if len(text) == len("2017-04-05"):
            moment = datetime.combine(date.fromisoformat(text), time.max, UTC)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text[:40]!r} is neither a position, nor a day, nor a time", param_hint=option
        ) from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text} has no time zone; write {text}Z or {text}+08:00", param_hint=option)
    return log.position_at(cursor, moment)


def replay(
    first: Annotated[str | None, typer.Option("--from", help="The first period.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last period.")] = None,
    contract: Annotated[list[str] | None, typer.Option("--contract", help="Only this one; may be repeated.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help=f"What was known then. {AS_OF}")] = None,
    rules_as_of: Annotated[str | None, typer.Option("--rules-as-of", help="Under the rules known then.")] = None,
    archive: Annotated[str | None, typer.Option("--archive", help=WHERE)] = None,
    engine: Annotated[str, ENGINE] = "local",
    scheduler: Annotated[str | None, SCHEDULER] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Fold and settle again, and compare with what was issued. Without --as-of: as known now."""
    begins, ends = periods_of(first, last)
    found_archive = archive_at(archive)
    read_by(engine, found_archive)
    with (
        opened() as store,
        cluster_of(engine, scheduler) as cluster,
        store.reading() as cursor,
        bar("replay", None) as (progress, task),
    ):
        found = again.replay(
            cursor,
            first=begins,
            last=ends,
            names=contract or (),
            position=position_of(cursor, as_of, "--as-of"),
            rules_position=position_of(cursor, rules_as_of, "--rules-as-of"),
            archive=found_archive,
            engine=cluster or here,
            progress=lambda done, total: progress.update(task, completed=done, total=total, messages=done),
        )
    if as_json:
        print_json(told(found))
    else:
        show(found)
    if any(period.differences or period.refused for period in found.periods):
        raise typer.Exit(1)


@contextmanager
def cluster_of(name: str, scheduler: str | None) -> Iterator[Dask | None]:
    """The cluster, where the engine of that name is one. Wrong usage where there is no such engine."""
    if name not in {"local", "dask"}:
        raise typer.BadParameter(f"{name} is no engine; local or dask", param_hint="--engine")
    if name == "local":
        if scheduler is not None:
            raise typer.BadParameter("a scheduler is Dask's; add --engine dask", param_hint="--scheduler")
        yield None
        return
    from replay.cluster import Dask  # noqa: PLC0415 - only who asks for a cluster needs it

    with Dask(scheduler) as cluster:
        yield cluster


def read_by(engine: str, archive: Archive | None) -> None:
    """Refuses a cluster without an archive."""
    if engine == "dask" and archive is None:
        refuse("a cluster reads the archive, and there is none; settle archive makes it")


def periods_of(first: str | None, last: str | None) -> tuple[Period | None, Period | None]:
    """The periods that a person named. Wrong usage where the last ends before the first begins."""
    begins, ends = (None if text is None else period_of(text) for text in (first, last))
    if begins is not None and ends is not None and ends.end <= begins.first:
        raise typer.BadParameter(
            f"{ends} ends before {begins} begins; name the earlier one with --from", param_hint="--to"
        )
    return begins, ends


def told(found: again.Replay) -> dict[str, Any]:
    periods = [
        each._asdict()
        | {"first": str(each.first), "payable": {unit: plain(amount) for unit, amount in each.payable.items()}}
        | {"differences": [difference._asdict() for difference in each.differences]}
        for each in found.periods
    ]
    return found._asdict() | {"periods": periods}


def show(found: again.Replay) -> None:
    rules = f", under the rules known at {found.rules_position:,}" if found.rules_position != found.position else ""
    out.print(f"As known at position {found.position:,} of the log{rules}: {found.events:,} events")
    table = Table("period", box=None)
    for name in ("statements", "payable", "as issued", "otherwise", "not issued"):
        table.add_column(name, justify="right")
    for each in found.periods:
        payable = "\n".join(f"{amount:,.2f} {unit}" for unit, amount in sorted(each.payable.items()))
        table.add_row(
            each.period,
            f"{each.statements:,}",
            payable,
            f"{each.equal + each.same:,}",
            f"{len(each.differences):,}",
            f"{each.open:,}",
        )
    out.print(table)
    for each in found.periods:
        for d in each.differences[:_SHOWN]:
            out.print(f"  {d.contract} {d.period}: issued {d.issued}, now {d.replayed or 'nothing'} {d.currency}")
        if len(each.differences) > _SHOWN:
            out.print(f"  and {len(each.differences) - _SHOWN:,} more of {each.period}; --json names them all")
        for name, why in list(each.refused.items())[:_SHOWN]:
            out.print(f"  {name} {each.period} cannot be settled: {why}", soft_wrap=True)
    if any(each.differences for each in found.periods):
        out.print("settle restate makes adjustments of what differs now")
    out.print(f"digest {found.digest}")
