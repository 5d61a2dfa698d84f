"""settle content, settle provisioning."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from console.relating import ON, By, ByIfAny, record, show, show_list
from console.session import JSON

content = typer.Typer(help="Content that partners deliver.", no_args_is_help=True)
provisioning = typer.Typer(help="What partners are asked to provide by a certain time.", no_args_is_help=True)

Partner = Annotated[str, typer.Argument(help="The partner's id.")]
Content = Annotated[str, typer.Argument(help="The content's id.")]
Order = Annotated[str, typer.Argument(help="The order's id.")]
Contract = Annotated[str | None, typer.Option("--contract", help="The contract that it is under.")]
Product = Annotated[str | None, typer.Option("--product", help="The product that it is about.")]
OnTime = Annotated[bool | None, typer.Option("--on-time/--not-on-time", help="Whether it came when it was due.")]
Time = Annotated[datetime | None, ON]
Limit = Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)]
Only = Annotated[str | None, typer.Option("--partner", help="Only this partner's.")]
AsJson = Annotated[bool, JSON]


@content.command()
def submit(
    partner: Partner,
    name: Content,
    contract: Contract = None,
    product: Product = None,
    on_time: OnTime = None,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """A partner delivers a piece of content."""
    said = {"contract": contract, "product": product, "on_time": on_time, "author": by}
    _content("submitted", partner, name, said, time, as_json=as_json)


@content.command()
def review(
    partner: Partner,
    name: Content,
    approved: Annotated[bool, typer.Option("--approve/--reject", help="What the review came to.")],
    by: By,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """It is approved, by somebody other than who submitted it, or it is not."""
    _content("reviewed", partner, name, {"approved": approved, "author": by}, time, as_json=as_json)


@content.command()
def publish(
    partner: Partner,
    name: Content,
    on_time: OnTime = None,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """It goes live. Usage that was suspended for want of it is tried again."""
    _content("published", partner, name, {"on_time": on_time, "author": by}, time, as_json=as_json)


@content.command()
def withdraw(partner: Partner, name: Content, by: ByIfAny = None, time: Time = None, as_json: AsJson = False) -> None:
    """It is taken back."""
    _content("withdrawn", partner, name, {"author": by}, time, as_json=as_json)


@content.command("show")
def show_content(partner: Partner, name: Content, as_json: AsJson = False) -> None:
    """One piece of content as it stands."""
    show("content", partner, name, as_json=as_json)


@content.command("list")
def list_content(partner: Only = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Content, by partner and id."""
    columns = ("partner", "content", "state", "product", "published")
    show_list("content", columns, partner=partner, limit=limit, as_json=as_json)


def _content(step: str, partner: str, name: str, said: dict[str, Any], time: datetime | None, *, as_json: bool) -> None:
    record(f"content.{step}", {"partner": partner, "content": name} | said, time, as_json=as_json)


@provisioning.command()
def order(
    partner: Partner,
    name: Order,
    contract: Annotated[str, typer.Option("--contract", help="The contract that it is under.")],
    due: Annotated[
        str, typer.Option("--due", help="When it is to be done at the latest, such as 2026-10-05T18:00:00Z.")
    ],
    by: By,
    content: Annotated[str | None, typer.Option("--content", help="The content to be delivered.")] = None,
    service: Annotated[str | None, typer.Option("--service", help="The service to be set up.")] = None,
    product: Product = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """A partner is asked to provide something by a certain time."""
    what = {"content": content, "service": service, "product": product}
    said = {"partner": partner, "order": name, "contract": contract, "due": due, "author": by} | what
    record("provisioning.ordered", said, time, as_json=as_json)


@provisioning.command()
def done(partner: Partner, name: Order, by: ByIfAny = None, time: Time = None, as_json: AsJson = False) -> None:
    """It is there: on time or not, by what was due."""
    record("provisioning.done", {"partner": partner, "order": name, "author": by}, time, as_json=as_json)


@provisioning.command()
def fail(
    partner: Partner,
    name: Order,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """It will not come."""
    said = {"partner": partner, "order": name, "reason": reason, "author": by}
    record("provisioning.failed", said, time, as_json=as_json)


@provisioning.command("show")
def show_order(partner: Partner, name: Order, as_json: AsJson = False) -> None:
    """One order as it stands."""
    show("provisioning", partner, name, as_json=as_json)


@provisioning.command("list")
def list_orders(partner: Only = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Orders, by partner and id."""
    columns = ("partner", "order", "state", "due", "on_time")
    show_list("provisioning", columns, partner=partner, limit=limit, as_json=as_json)
