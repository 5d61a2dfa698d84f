"""What commands about relations share: asking for an event, and showing what is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from console.session import clock, opened, out, print_json, refuse
from consumers.commands import Asked, ask
from engine.money import decimal_of_micros, plain
from engine.store import relations
from engine.store.relations import Relation


def moment(text: str | datetime) -> datetime:
    """A time with its zone; without one it is in UTC. Raises typer.BadParameter."""
    try:
        said = datetime.fromisoformat(text) if isinstance(text, str) else text
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-10-03T08:15:00Z") from None
    return said if said.tzinfo else said.replace(tzinfo=UTC)


def day(text: str | date) -> date:
    """Raises typer.BadParameter."""
    try:
        return date.fromisoformat(text) if isinstance(text, str) else text
    except ValueError:
        raise typer.BadParameter(f"{str(text)[:40]!r} is not a day such as 2026-10-03") from None


BY = typer.Option("--by", help="Who decides this, for the record.")
ON = typer.Option(
    "--time", help="When it happened, such as 2026-10-03T08:15:00Z (default: now).", parser=moment, metavar="TIME"
)
AT = typer.Option("--at", help="As of this day (default: today in UTC).", parser=day, metavar="DAY")
_SHOWN = 20
# Fields of states that are numbers in micros; they are shown as on the wire.
_IN_MICROS = frozenset({"minutes", "lasted", "affected", "compensation", "volume_max", "value", "won"})
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
LIMIT = typer.Option("--limit", help="How many to show; 0 shows all.", min=0)

By = Annotated[str, BY]
ByIfAny = Annotated[str | None, typer.Option("--by", help="Who says so, for the record.")]
Time = Annotated[datetime | None, ON]
At = Annotated[date | None, AT]
Limit = Annotated[int, LIMIT]
OfPartner = Annotated[str | None, typer.Option("--partner", help="Only this partner's.")]

# What of a state is shown, by its JSON and the relation.
Shown = Callable[[dict[str, Any], Relation], dict[str, Any]]


def today(at: date | None) -> date:
    return at or clock().date()


def record(
    type_: str, data: Mapping[str, Any], time: datetime | None, *, as_json: bool, private: Collection[str] = ()
) -> None:
    """Records one event that a person asks for, and says so, without fields that are `private`."""
    record_all([Asked(type_, data, time)], as_json=as_json, private=private)


def record_all(asked: Sequence[Asked], *, as_json: bool, private: Collection[str] = ()) -> None:
    """Records events that a person asks for, all or none, and says so of the last of them."""
    with opened() as store:
        ask(store, asked, clock)
    for each in asked[:-1] if not as_json else ():
        out.print(f"recorded {each.type}")
    type_, data = asked[-1].type, asked[-1].data
    if as_json:
        print_json(
            {"recorded": type_}
            | {name: value for name, value in data.items() if value is not None and name not in private}
        )
    else:
        out.print(f"recorded {type_}")


def found(kind: str, *parts: str) -> Relation:
    """The relation as it stands; refuses what is not there."""
    id_ = "\x1f".join(parts)
    with opened() as store, store.reading() as cursor:
        known = relations.known(cursor, [(kind, id_)]).get((kind, id_))
    if known is None:
        looked = f"there is no {kind.replace('_', ' ')} {' '.join(parts)}"
        if kind == "deposit":
            refuse(f"{looked}; settle deposit pay records what is paid of one")
        refuse(f"{looked}; settle {_COMMANDS.get(kind, kind)} list shows those that are")
    return known


_COMMANDS = {"cooperation_model": "model"}


def _as_it_is(told: dict[str, Any], _: Relation) -> dict[str, Any]:
    return told


def show(kind: str, *parts: str, as_json: bool, shown: Shown = _as_it_is) -> None:
    """One relation as it stands."""
    known = found(kind, *parts)
    print_one(shown(state_of(known), known), as_json=as_json)


def print_one(told: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    table = Table(show_header=False, box=None)
    for name, value in told.items():
        table.add_row(name.replace("_", " "), _text(value))
    out.print(table)


def show_list(
    kind: str,
    columns: Iterable[str],
    *,
    partner: str | None,
    limit: int = _SHOWN,
    as_json: bool,
    shown: Shown = _as_it_is,
) -> None:
    """The relations of a kind, with the named fields of their states."""
    with opened() as store, store.reading() as cursor:
        known = relations.listed(cursor, kind, partner=partner)
    print_list([shown(state_of(each), each) for each in known], columns, limit=limit, as_json=as_json)


def print_list(told: Sequence[Mapping[str, Any]], columns: Iterable[str], *, limit: int, as_json: bool) -> None:
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


def in_units(told: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """With the named numbers of micros as decimal texts."""
    return {name: plain(decimal_of_micros(value)) if name in names else value for name, value in told.items()}


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return "\n".join(_row(each) for each in value)
        case dict():
            return ", ".join(f"{name} {_text(each)}".replace("\n", " ") for name, each in value.items())
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
