"""settle lead."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

import typer

from console.relating import (
    At,
    By,
    ByIfAny,
    Limit,
    OfPartner,
    Time,
    found,
    print_list,
    print_one,
    record,
    state_of,
    today,
)
from console.session import JSON, opened, refuse
from engine.aggregates.lead import KIND, Lead, conflicting
from engine.store import registry, relations
from engine.store.database import Rows
from engine.store.relations import Relation

app = typer.Typer(help="Leads that partners register.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="LEAD", help="The lead's id.")]
AsJson = Annotated[bool, JSON]


@app.command()
def register(
    lead: Id,
    contract: Annotated[str, typer.Option("--contract", help="Under which a won lead earns its commission.")],
    customer: Annotated[
        str, typer.Option("--customer", help="Who may buy; the first to register it for a product has it.")
    ],
    product: Annotated[str, typer.Option("--product", help="The product that it is about.")],
    value: Annotated[str, typer.Option("--value", help="What the sale may come to, in the contract's currency.")],
    expires: Annotated[str, typer.Option("--expires", help="The first day on which it no longer stands.")],
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """A partner knows a customer for a product."""
    with opened() as store, store.reading() as cursor:
        signed = registry.contracts(cursor, [contract]).get(contract)
    if signed is None:
        refuse(f"contract {contract} is not signed; settle contract list shows those that are")
    said = {
        "lead": lead, "partner": signed.partner, "contract": contract, "customer": customer, "product": product, "value": value,
        "currency": signed.currency, "expires": expires, "author": by,
    }  # fmt: skip
    record("lead.registered", said, time, as_json=as_json)


@app.command()
def accept(lead: Id, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """The customer is left to the partner; the first registration that stands has it."""
    _record("accepted", lead, {"author": by}, time, as_json=as_json)


@app.command()
def reject(
    lead: Id,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The customer is not left to the partner, or no longer."""
    _record("rejected", lead, {"author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def win(
    lead: Id,
    amount: Annotated[str, typer.Option("--amount", help="What the customer bought for, in the contract's currency.")],
    reference: Annotated[str | None, typer.Option("--reference", help="What names the sale.")] = None,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The customer bought; the rulebook says what the partner earns by it."""
    currency = found(KIND, lead).state.currency
    said = {"amount": amount, "currency": currency, "reference": reference, "author": by}
    _record("won", lead, said, time, as_json=as_json)


@app.command()
def lose(
    lead: Id,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for the record.")] = None,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The customer did not buy."""
    _record("lost", lead, {"reason": reason, "author": by}, time, as_json=as_json)


def _record(step: str, lead: str, said: dict[str, Any], time: datetime | None, *, as_json: bool) -> None:
    partner = found(KIND, lead).state.partner
    record(f"lead.{step}", {"lead": lead, "partner": partner} | said, time, as_json=as_json)


@app.command("show")
def show_one(lead: Id, at: At = None, as_json: AsJson = False) -> None:
    """One lead as it stands on the day, with other partners' leads of the same customer and product."""
    known = found(KIND, lead)
    with opened() as store, store.reading() as cursor:
        told = _told(cursor, known, today(at))
    print_one(told, as_json=as_json)


@app.command("list")
def show_all(partner: OfPartner = None, at: At = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Leads by their ids, each with those that it conflicts with on the day."""
    with opened() as store, store.reading() as cursor:
        told = [_told(cursor, each, today(at)) for each in relations.listed(cursor, KIND, partner=partner)]
    columns = ("lead", "partner", "customer", "product", "value", "state", "conflicts")
    print_list(told, columns, limit=limit, as_json=as_json)


def _told(cursor: Rows, known: Relation, day: date) -> dict[str, Any]:
    state: Lead = known.state
    expired = state.state in {"registered", "accepted"} and day >= state.expires
    others = [each.state for each in relations.grouped(cursor, KIND, [state.group])] if state.stands(day) else []
    conflicts = [f"{each.lead} of {each.partner}, {each.state}" for each in conflicting(state, others, day)]
    return state_of(known) | {"state": "expired" if expired else state.state, "conflicts": conflicts}
