"""settle case."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from console.following import follow
from console.relating import ON, By, ByIfAny, record, show_list, state_of
from console.relating import show as show_relation
from console.session import JSON, opened, refuse
from engine.store import relations

app = typer.Typer(help="Consultations, complaints and failure reports.", no_args_is_help=True)
app.command("follow")(follow)


class Kind(StrEnum):
    consultation = "consultation"
    complaint = "complaint"
    failure = "failure"


class Severity(StrEnum):
    low = "low"
    medium = "medium"
    high = "high"
    critical = "critical"


Case = Annotated[str, typer.Argument(help="The case's id.")]
HowBad = Annotated[Severity | None, typer.Option("--severity", help="How bad it is.")]
Time = Annotated[datetime | None, ON]
AsJson = Annotated[bool, JSON]


@app.command("open")
def open_(
    case: Case,
    partner: Annotated[str, typer.Option("--partner", help="The partner's id.")],
    kind: Annotated[Kind, typer.Option("--kind", help="What it is.")],
    contract: Annotated[str | None, typer.Option("--contract", help="The contract that it is about.")] = None,
    service: Annotated[str | None, typer.Option("--service", help="The service that it is about.")] = None,
    product: Annotated[str | None, typer.Option("--product", help="The product that it is about.")] = None,
    severity: HowBad = None,
    start: Annotated[
        str | None, typer.Option("--start", help="When a failure began, such as 2026-10-03T08:15:00Z.")
    ] = None,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """A case is raised."""
    said = {"case": case, "partner": partner, "kind": kind, "contract": contract, "service": service}
    said |= {"product": product, "severity": severity, "start": start, "author": by}
    record("case.opened", said, time, as_json=as_json)


@app.command()
def acknowledge(case: Case, by: ByIfAny = None, time: Time = None, as_json: AsJson = False) -> None:
    """Somebody has taken it up."""
    _step("acknowledged", case, {"author": by}, time, as_json=as_json)


@app.command()
def answer(case: Case, by: ByIfAny = None, time: Time = None, as_json: AsJson = False) -> None:
    """It is answered: on time or not, by its cooperation model's service times."""
    _step("answered", case, {"author": by}, time, as_json=as_json)


@app.command()
def escalate(
    case: Case, severity: HowBad = None, by: ByIfAny = None, time: Time = None, as_json: AsJson = False
) -> None:
    """It is handed upwards."""
    _step("escalated", case, {"severity": severity, "author": by}, time, as_json=as_json)


@app.command()
def close(
    case: Case,
    by: By,
    upheld: Annotated[bool | None, typer.Option("--upheld/--not-upheld", help="Of a complaint.")] = None,
    compensation: Annotated[str | None, typer.Option("--compensation", help="What the partner is charged.")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="Of the compensation.")] = None,
    affected: Annotated[str | None, typer.Option("--affected", help="How many uses a failure hit.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="When a failure ended.")] = None,
    severity: HowBad = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """It has ended, and what comes of it is decided."""
    said = {"upheld": upheld, "compensation": compensation, "currency": currency, "affected": affected, "end": end}
    _step("closed", case, said | {"severity": severity, "author": by}, time, as_json=as_json)


@app.command()
def reopen(case: Case, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """It goes on: what its closing said is taken back."""
    _step("reopened", case, {"author": by}, time, as_json=as_json)


@app.command("show")
def show(case: Case, as_json: AsJson = False) -> None:
    """One case as it stands; settle case follow shows what it moved."""
    show_relation("case", case, as_json=as_json)


@app.command("list")
def show_all(
    partner: Annotated[str | None, typer.Option("--partner", help="Only this partner's.")] = None,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """Cases, by id."""
    columns = ("case", "kind", "state", "partner", "severity", "on_time", "upheld")
    show_list("case", columns, partner=partner, limit=limit, as_json=as_json)


def _step(step: str, case: str, said: dict[str, Any], time: datetime | None, *, as_json: bool) -> None:
    """One step of a case that is known: whose it is, and of which kind, is taken from its opening."""
    with opened() as store, store.reading() as cursor:
        known = relations.known(cursor, [("case", case)]).get(("case", case))
    if known is None:
        refuse(f"there is no case {case}; settle case open opens one, and settle case list shows those that are")
    opening = {name: state_of(known).get(name) for name in ("case", "partner", "kind", "contract")}
    record(f"case.{step}", opening | said, time, as_json=as_json)
