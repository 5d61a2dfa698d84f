"""What commands about relations share: asking for an event, and showing what is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import typer
from rich.table import Table

from console.session import clock, opened, out, print_json, refuse
from consumers.commands import Asked, ask
from engine.money import decimal_of_micros, plain
from engine.store import relations
from engine.store.relations import Relation

BY = typer.Option("--by", help="Who decides this, for the record.")
ON = typer.Option("--time", help="When it happened, such as 2026-10-03T08:15:00Z (default: now).")
_SHOWN = 20
# Fields of states that are numbers in micros; they are shown as on the wire.
_IN_MICROS = frozenset({"minutes", "lasted", "affected", "compensation"})
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def record(type_: str, data: Mapping[str, Any], time: datetime | None, *, as_json: bool) -> None:
    """Records one event that a person asks for, and says so."""
    with opened() as store:
        ask(store, [Asked(type_, data, time)], clock)
    if as_json:
        print_json({"recorded": type_} | {name: value for name, value in data.items() if value is not None})
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
    told |= {name: plain(decimal_of_micros(told[name])) for name in _IN_MICROS & told.keys() if told[name] is not None}
    return told | {"version": relation.version}


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return "\n".join(_row(each) for each in value)
        case dict():
            return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
        case _:
            return str(value)


def _row(value: Any) -> str:  # noqa: ANN401 - any JSON
    match value:
        case [str() as first, None | str() as end] if _DAY.fullmatch(first):
            return f"from {first} up to {end}" if end else f"from {first}"
        case list() | tuple():
            return " ".join(map(_text, value))
        case _:
            return _text(value)
