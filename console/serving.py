"""settle service, settle deposit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from console.relating import ON, By, ByIfAny, in_units, record, show, show_list
from console.session import JSON, opened, refuse
from engine.store import registry, relations

app = typer.Typer(help="Services that partners run under their contracts: entry and exit.", no_args_is_help=True)
deposit = typer.Typer(help="Deposits of contracts.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="SERVICE", help="The service's id.")]
Day = Annotated[str, typer.Option("--day", help="The first day on which it holds, such as 2026-10-01.")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
Time = Annotated[datetime | None, ON]
AsJson = Annotated[bool, JSON]


@app.command()
def apply(
    service: Id,
    contract: Annotated[str, typer.Option("--contract", help="Under which contract it is to run.")],
    name: Annotated[str, typer.Option("--name", help="What people call it.")],
    product: Annotated[list[str] | None, typer.Option("--product", help="Only this product; may be repeated.")] = None,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """A partner asks to run a service."""
    said = {"service": service, "partner": _partner_of(contract), "contract": contract, "name": name}
    record("service.applied", said | {"products": product or None, "author": by}, time, as_json=as_json)


@app.command()
def review(
    service: Id,
    by: By,
    approved: Annotated[bool, typer.Option("--approve/--reject", help="What comes of the application.")],
    reason: Annotated[str | None, typer.Option("--reason", help="A rejection has one.")] = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Judge an application; approving it takes somebody other than who applied."""
    _record("reviewed", service, {"approved": approved, "author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def trial(service: Id, day: Day, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """Start its trial: usage counts from the day on."""
    _record("trial_started", service, {"day": day, "author": by}, time, as_json=as_json)


@app.command()
def launch(service: Id, day: Day, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """It is live from the day on."""
    _record("launched", service, {"day": day, "author": by}, time, as_json=as_json)


@app.command("propose-suspension")
def propose_suspension(
    service: Id,
    by: By,
    reason: Why,
    cause: Annotated[str | None, typer.Option("--cause", help="Such as a scorecard and its period.")] = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Propose that it be suspended; another person confirms that with suspend."""
    _record("suspension_proposed", service, {"author": by, "reason": reason, "cause": cause}, time, as_json=as_json)


@app.command("reject-suspension")
def reject_suspension(service: Id, by: By, reason: Why, time: Time = None, as_json: AsJson = False) -> None:
    """Decide that it goes on, though its suspension was proposed."""
    _record("suspension_rejected", service, {"author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def suspend(service: Id, day: Day, by: By, reason: Why, time: Time = None, as_json: AsJson = False) -> None:
    """Suspend it: usage of the day and later ones does not count."""
    _record("suspended", service, {"day": day, "author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def resume(service: Id, day: Day, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """It goes on from the day on. Events that were suspended for want of it are tried again."""
    _record("resumed", service, {"day": day, "author": by}, time, as_json=as_json)


@app.command("request-exit")
def request_exit(service: Id, day: Day, by: By, reason: Why, time: Time = None, as_json: AsJson = False) -> None:
    """It is to be left; usage counts until its clearing starts."""
    _record("exit_requested", service, {"day": day, "author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def clear(service: Id, day: Day, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """Start its clearing: usage of the day and later ones does not count."""
    _record("clearing_started", service, {"day": day, "author": by}, time, as_json=as_json)


@app.command("exit")
def leave(service: Id, day: Day, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """It is left. When all of a contract's are, the statement of the last one's period is final."""
    _record("exited", service, {"day": day, "author": by}, time, as_json=as_json)


@app.command("show")
def show_one(service: Id, as_json: AsJson = False) -> None:
    """One service as it stands."""
    show("service", service, as_json=as_json)


@app.command("list")
def show_all(
    partner: Annotated[str | None, typer.Option("--partner", help="Only this partner's.")] = None,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """Services, by their ids."""
    show_list(
        "service", ("service", "contract", "state", "since", "open"), partner=partner, limit=limit, as_json=as_json
    )


Contract = Annotated[str, typer.Argument(help="The contract's id.")]
Amount = Annotated[str, typer.Argument(help="In the contract's currency, such as 1000.00.")]
Currency = Annotated[str, typer.Option("--currency", help="The contract's currency.")]


@deposit.command("pay")
def pay(
    contract: Contract,
    amount: Amount,
    currency: Currency,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The partner has paid a deposit, or more of it."""
    _of_deposit("paid", contract, amount, currency, by, time, as_json=as_json)


@deposit.command("return")
def give_back(
    contract: Contract, amount: Amount, currency: Currency, by: By, time: Time = None, as_json: AsJson = False
) -> None:
    """A deposit, or a part of it, was given back before the final statement."""
    _of_deposit("returned", contract, amount, currency, by, time, as_json=as_json)


@deposit.command("show")
def show_deposit(contract: Contract, as_json: AsJson = False) -> None:
    """What is held of a contract's deposit."""
    show("deposit", contract, as_json=as_json, shown=lambda told, _: in_units(told, "held"))


def _of_deposit(
    step: str, contract: str, amount: str, currency: str, by: str | None, time: datetime | None, *, as_json: bool
) -> None:
    said = {"partner": _partner_of(contract), "contract": contract, "amount": amount, "currency": currency}
    record(f"deposit.{step}", said | {"author": by}, time, as_json=as_json)


def _partner_of(contract: str) -> str:
    with opened() as store, store.reading() as cursor:
        found = registry.contracts(cursor, [contract]).get(contract)
    if found is None:
        refuse(f"contract {contract} is not signed; settle contract list shows those that are")
    return found.partner


def _record(step: str, service: str, said: dict[str, Any], time: datetime | None, *, as_json: bool) -> None:
    with opened() as store, store.reading() as cursor:
        found = relations.known(cursor, [("service", service)]).get(("service", service))
    if found is None:
        refuse(f"there is no service {service}; settle service list shows those that are, and apply begins one")
    named = {"service": service, "partner": found.state.partner, "contract": found.state.contract}
    record(f"service.{step}", named | said, time, as_json=as_json)
