"""settle authorisation."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer

from console.relating import (
    At,
    By,
    Limit,
    OfPartner,
    Time,
    found,
    in_units,
    print_list,
    print_one,
    record,
    record_all,
    state_of,
    today,
)
from console.session import JSON, opened, refuse
from consumers.commands import Asked
from engine.aggregates.authorisation import KIND, Authorisation, under
from engine.store import registry, relations, volumes
from engine.store.database import Rows
from engine.store.relations import Relation

app = typer.Typer(help="What agents may sell.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="AUTHORISATION", help="Its id.")]
AsJson = Annotated[bool, JSON]


@app.command()
def grant(
    authorisation: Id,
    contract: Annotated[str, typer.Option("--contract", help="The agent's contract.")],
    by: By,
    valid_from: Annotated[str, typer.Option("--from", help="The first day of its validity.")],
    valid_to: Annotated[str | None, typer.Option("--to", help="The first day on which it no longer holds.")] = None,
    products: Annotated[list[str] | None, typer.Option("--product", help="Only this one; may be repeated.")] = None,
    regions: Annotated[list[str] | None, typer.Option("--region", help="Only this one; may be repeated.")] = None,
    volume: Annotated[str | None, typer.Option("--volume", help="Up to how much.")] = None,
    meter: Annotated[str | None, typer.Option("--meter", help="What the volume counts; without it, amounts.")] = None,
    parent: Annotated[str | None, typer.Option("--parent", help="That of the agent above a sub-agent.")] = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """An agent may sell under its contract. Events that were suspended for want of it are tried again."""
    with opened() as store, store.reading() as cursor:
        signed = registry.contracts(cursor, [contract]).get(contract)
    if signed is None:
        refuse(f"contract {contract} is not signed; settle contract list shows those that are")
    said = {
        "authorisation": authorisation, "partner": signed.partner, "contract": contract, "author": by, "valid_from": valid_from,
        "valid_to": valid_to, "products": products or None, "regions": regions or None, "volume_max": volume, "meter": meter,
        "parent": parent,
    }  # fmt: skip
    record("authorisation.granted", said, time, as_json=as_json)


@app.command()
def revoke(
    authorisation: Id,
    by: By,
    valid_to: Annotated[str, typer.Option("--to", help="The first day on which it no longer holds.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    chain: Annotated[bool, typer.Option("--chain", help="With those of all sub-agents that lie within it.")] = False,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """An authorisation is taken away; with --chain from the lowest sub-agents upwards, all or none."""
    top = found(KIND, authorisation)
    with opened() as store, store.reading() as cursor:
        whole = [top, *(_within(cursor, top) if chain else ())]
    asked = [
        Asked(
            "authorisation.revoked",
            {"authorisation": each.id, "partner": each.state.partner, "author": by, "valid_to": valid_to, "reason": reason},
            time,
        )
        for each in reversed(whole)
        if each is top or each.state.state == "granted"
    ]  # fmt: skip
    record_all(asked, as_json=as_json)


def _within(cursor: Rows, top: Relation) -> list[Relation]:
    """Sub-agents' authorisations within this one, each after the one within which it lies."""
    found: list[Relation] = []
    for each in relations.grouped(cursor, KIND, [under(top.id)]):
        found += [each, *_within(cursor, each)]
    return found


@app.command("show")
def show_one(authorisation: Id, at: At = None, as_json: AsJson = False) -> None:
    """One authorisation: its terms, how much is sold under it, the agents above and the sub-agents within."""
    known = found(KIND, authorisation)
    with opened() as store, store.reading() as cursor:
        told = _told(cursor, [known], today(at))[0]
        above: list[str] = []
        parent = known.state.parent
        while parent is not None:
            above.append(parent)
            parent = relations.known(cursor, [(KIND, parent)])[KIND, parent].state.parent
        within = [each.id for each in _within(cursor, known)]
    print_one(told | {"within": above, "sub_agents": within}, as_json=as_json)


@app.command("list")
def show_all(partner: OfPartner = None, at: At = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Authorisations by their ids."""
    with opened() as store, store.reading() as cursor:
        told = _told(cursor, relations.listed(cursor, KIND, partner=partner), today(at))
    columns = ("authorisation", "contract", "state", "volume_max", "sold", "parent")
    print_list(told, columns, limit=limit, as_json=as_json)


def _told(cursor: Rows, known: list[Relation], day: date) -> list[dict[str, Any]]:
    used = volumes.used(cursor, [each.id for each in known])
    return [
        in_units(
            state_of(each)
            | {"state": _state_on(each.state, day)}
            | ({} if each.state.volume_max is None else {"sold": used.get(each.id, 0)}),
            "sold",
        )
        for each in known
    ]


def _state_on(known: Authorisation, day: date) -> str:
    lapsed = known.state == "granted" and known.valid_to is not None and known.valid_to <= day
    return "lapsed" if lapsed else known.state
