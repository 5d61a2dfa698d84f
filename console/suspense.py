"""settle suspense: what could not be recorded, and what to do with it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from console.relating import Limit
from console.session import JSON, clock, opened, out, print_json, refuse, user
from consumers.suspense import recycle_all
from consumers.suspense import write_off as given_up
from engine.store import suspense
from engine.store.suspense import Entry

app = typer.Typer(help="Messages that were suspended or rejected.", no_args_is_help=True)

_STATES = ("suspended", "rejected", "recycled", "written_off")
_ALL = 2**62
_RAW_SHOWN = 2_000


def _told(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "state": entry.state,
        "code": entry.code,
        "sentence": entry.sentence,
        "channel": entry.channel,
        "partition": entry.partition,
        "offset": entry.offset,
        "received_at": entry.received_at.isoformat(),
        "decided_at": entry.decided_at.isoformat() if entry.decided_at else None,
        "decided_by": entry.decided_by,
        "reason": entry.reason,
        "bytes": entry.raw_bytes,
    }


@app.command("list")
def list_(
    state: Annotated[str, typer.Option(help="suspended, rejected, recycled, written_off, open or all.")] = "open",
    code: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    limit: Limit = 20,
    after: Annotated[int, typer.Option(help="Begin after this id.", min=0)] = 0,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Messages in suspense, the oldest first."""
    states = {"open": _STATES[:2], "all": _STATES}.get(state, (state,))
    if states[0] not in _STATES:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(_STATES)}, open, all")
    with opened() as store, store.reading() as cursor:
        entries = suspense.entries(cursor, states=states, code=code, after=after, limit=limit or _ALL)
        totals = [t for t in suspense.totals(cursor) if t[0] in states and code in {None, t[1]}]
    if as_json:
        print_json([_told(entry) for entry in entries])
        return
    table = Table("id", "from", "code", "why and what to do")
    for entry in entries:
        table.add_row(str(entry.id), f"{entry.channel}/{entry.partition}@{entry.offset}", entry.code, entry.sentence)
    out.print(table)
    for told_state, told_code, number in totals:
        out.print(f"{told_state} {told_code}: {number:,}")
    if len(entries) == limit and sum(number for *_, number in totals) > limit:
        out.print(f"{limit} shown (--limit 0 shows all, --after {entries[-1].id} those that follow)")
    elif not totals:
        out.print("0 found")


@app.command("show")
def show(
    id: Annotated[int, typer.Argument(help="The message's number in settle suspense list.")],  # noqa: A002
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """One message with its bytes."""
    with opened() as store, store.reading() as cursor:
        entry = _found(suspense.entry(cursor, id), id)
    raw = entry.raw.decode("utf-8", "backslashreplace")
    if as_json:
        print_json(_told(entry) | {"raw": raw})
        return
    for name, value in _told(entry).items():
        if value is not None:
            out.print(f"{name.replace('_', ' ')}: {value}", soft_wrap=True)
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in raw[:_RAW_SHOWN])
    out.print(printable, soft_wrap=True)
    if len(raw) > _RAW_SHOWN:
        out.print(f"and {len(raw) - _RAW_SHOWN:,} characters more; --json has them all")


@app.command("recycle")
def recycle(
    code: Annotated[str | None, typer.Option(help="Only messages of this reason code.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Tries suspended messages again."""
    with opened() as store:
        tried, recorded = recycle_all(store, clock, code)
    if as_json:
        print_json({"tried": tried, "recorded": recorded})
    else:
        out.print(f"tried {tried:,}, recorded {recorded:,}")


@app.command("write-off")
def write_off(
    id: Annotated[int, typer.Argument(help="The message's number in settle suspense list.")],  # noqa: A002
    reason: Annotated[str, typer.Option("--reason", help="Why it will never be recorded.")],
    by: Annotated[str | None, typer.Option("--by", help="Who decides; the user by default.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Gives a message up, for a reason that is kept."""
    if not reason.strip():
        raise typer.BadParameter("a write-off needs a reason")
    with opened() as store:
        with store.reading() as cursor:
            entry = _found(suspense.entry(cursor, id), id)
        if not given_up(store, id, clock(), by or user(), reason):
            refuse(f"message {id} is {entry.state.replace('_', ' ')}; only suspended and rejected ones are written off")
    if as_json:
        print_json({"id": id, "state": "written_off"})
    else:
        out.print(f"message {id} is written off")


def _found(entry: Entry | None, id: int) -> Entry:  # noqa: A002
    if entry is None:
        refuse(f"there is no message {id} in suspense; settle suspense list --state all shows them")
    return entry
