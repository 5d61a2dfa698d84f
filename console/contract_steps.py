"""settle contract sign, terminate."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from console.partners import contract as known
from console.relating import BY, ON, record
from console.session import JSON

app = known

Contract = Annotated[str, typer.Argument(help="The contract's id.")]


@app.command()
def sign(
    contract: Contract,
    partner: Annotated[str, typer.Option("--partner", help="The partner's id.")],
    model: Annotated[str, typer.Option("--model", help="The cooperation model (settle model list).")],
    rulebook: Annotated[str, typer.Option("--rulebook", help="What it is settled by (settle rulebook list).")],
    currency: Annotated[str, typer.Option("--currency", help="Three letters, as in ISO 4217.")],
    valid_from: Annotated[str, typer.Option("--from", help="The first day on which it is in force.")],
    by: Annotated[str, BY],
    valid_to: Annotated[str | None, typer.Option("--to", help="The first day on which it no longer is.")] = None,
    calendar: Annotated[
        str | None, typer.Option("--calendar", help="monthly (default), weekly, quarterly, yearly.")
    ] = None,
    time_zone: Annotated[str | None, typer.Option("--time-zone", help="Such as Asia/Shanghai (default: UTC).")] = None,
    products: Annotated[
        list[str] | None, typer.Option("--product", help="One that it covers; give it once a product. Without: all.")
    ] = None,
    late_events: Annotated[
        str | None, typer.Option("--late-events", help="What comes late: adjust (default), hold or suspend.")
    ] = None,
    time: Annotated[datetime | None, ON] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Sign a contract with a partner."""
    said = {"contract": contract, "partner": partner, "cooperation_model": model, "rulebook": rulebook}
    days = {"currency": currency, "valid_from": valid_from, "valid_to": valid_to, "calendar": calendar}
    rest = {"time_zone": time_zone, "products": products or None, "late_events": late_events, "author": by}
    record("contract.signed", said | days | rest, time, as_json=as_json)


@app.command()
def terminate(
    contract: Contract,
    valid_to: Annotated[str, typer.Option("--to", help="The first day on which it is no longer in force.")],
    by: Annotated[str, BY],
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for the record.")] = None,
    time: Annotated[datetime | None, ON] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """End a contract."""
    said = {"contract": contract, "valid_to": valid_to, "reason": reason, "author": by}
    record("contract.terminated", said, time, as_json=as_json)
