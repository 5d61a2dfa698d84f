"""What commands about relations share: asking for an event, and showing what is known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import typer
from rich.table import Table

from console.session import clock, opened, out, print_json, refuse
from consumers.commands import Asked, ask
from engine.store import relations
from engine.store.relations import Relation

BY = typer.Option("--by", help="Who decides this, for the record.")
ON = typer.Option("--time", help="When it happened, such as 2026-10-03T08:15:00Z (default: now).")
_SHOWN = 20


def record(
    type_: str, data: Mapping[str, Any], time: datetime | None, *, as_json: bool, private: Collection[str] = ()
) -> None:
    """Records one event that a person asks for, and says so, without fields that are `private`."""
    with opened() as store:
        ask(store, [Asked(type_, data, time)], clock)
    if as_json:
        print_json(
            {"recorded": type_}
            | {name: value for name, value in data.items() if value is not None and name not in private}
        )
    else:
        out.print(f"recorded {type_}")


def show(kind: str, *parts: str, as_json: bool) -> None:
    """One relation as it stands."""
    id_ = "\x1f".join(parts)
    with opened() as store, store.reading() as cursor:
        found = relations.known(cursor, [(kind, id_)]).get((kind, id_))
    if found is None:
        refuse(f"there is no {kind.replace('_', ' ')} {' '.join(parts)}; the list command shows those that are")
    told = state_of(found)
    if as_json:
        print_json(told)
        return
    table = Table(show_header=False, box=None)
    for name, value in told.items():
        table.add_row(name.replace("_", " "), _text(value))
    out.print(table)


def show_list(kind: str, columns: Iterable[str], *, partner: str | None, limit: int = _SHOWN, as_json: bool) -> None:
    """The relations of a kind, with the named fields of their states."""
    with opened() as store, store.reading() as cursor:
        found = relations.listed(cursor, kind, partner=partner)
    told = [state_of(each) for each in found]
    if as_json:
        print_json(told)
        return
    names = list(columns)
    table = Table(*(name.replace("_", " ") for name in names))
    for each in told[: limit or None]:
        table.add_row(*(_text(each.get(name)) for name in names))
    out.print(table)
    out.print(f"{len(told):,} found" + (f", {limit} shown (--limit 0 shows all)" if 0 < limit < len(told) else ""))


def state_of(relation: Relation) -> dict[str, Any]:
    """The relation's state as JSON builtins, with its version: how many events it has had."""
    told: dict[str, Any] = msgspec.to_builtins(relation.state, str_keys=True)
    return told | {"version": relation.version}


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    match value:
        case None:
            return ""
        case list():
            return "\n".join(_text(each) for each in value)
        case dict():
            return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
        case _:
            return str(value)
