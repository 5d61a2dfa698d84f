"""settle qualification, settle model."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from console.relating import (
    At,
    By,
    ByIfAny,
    Limit,
    OfPartner,
    Time,
    found,
    in_units,
    print_list,
    print_one,
    record,
    show,
    show_list,
    state_of,
    today,
)
from console.relating import day as day_of
from console.rulebook_files import read
from console.session import JSON, opened, refuse
from engine.aggregates import cooperation_model, qualification
from engine.rules.source import Source
from engine.store import relations
from engine.store.relations import Relation

app = typer.Typer(help="Qualifications that partners hold.", no_args_is_help=True)
model = typer.Typer(help="The catalogue of cooperation models.", no_args_is_help=True)

Partner = Annotated[str, typer.Argument(help="The partner's id.")]
Number = Annotated[str, typer.Argument(help="The qualification's number.")]
From = Annotated[str, typer.Option("--from", help="The first day of its validity.")]
To = Annotated[str | None, typer.Option("--to", help="The first day on which it is no longer valid.")]
AsJson = Annotated[bool, JSON]


@app.command()
def submit(
    partner: Partner,
    number: Number,
    type: Annotated[str, typer.Option("--type", help="What kind of qualification it is.")],  # noqa: A002
    issuer: Annotated[str, typer.Option("--issuer", help="Who issued it.")],
    valid_from: From,
    valid_to: To = None,
    evidence: Annotated[str | None, typer.Option("--evidence", help="Where the document lies.")] = None,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """A partner shows a qualification."""
    said = {"partner": partner, "qualification": number, "type": type, "issuer": issuer, "evidence": evidence}
    days = {"valid_from": valid_from, "valid_to": valid_to, "author": by}
    record("qualification.submitted", said | days, time, as_json=as_json)


@app.command()
def approve(partner: Partner, number: Number, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """The evidence was seen by somebody other than who submitted it, and it holds."""
    _record("approved", partner, number, {"author": by}, time, as_json=as_json)


@app.command()
def reject(
    partner: Partner,
    number: Number,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The evidence was seen, and it does not hold."""
    _record("rejected", partner, number, {"author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def renew(
    partner: Partner,
    number: Number,
    by: By,
    valid_from: From,
    valid_to: To = None,
    evidence: Annotated[str | None, typer.Option("--evidence", help="Where the document lies.")] = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """It holds for further days. Events that were suspended for want of it are tried again."""
    said = {"author": by, "valid_from": valid_from, "valid_to": valid_to, "evidence": evidence}
    _record("renewed", partner, number, said, time, as_json=as_json)


@app.command()
def revoke(
    partner: Partner,
    number: Number,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    valid_to: Annotated[str, typer.Option("--to", help="The first day on which it is no longer valid.")],
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """It is taken away."""
    said = {"author": by, "reason": reason, "valid_to": valid_to}
    _record("revoked", partner, number, said, time, as_json=as_json)


@app.command("show")
def show_one(partner: Partner, number: Number, at: At = None, as_json: AsJson = False) -> None:
    """One qualification as it stands; `lapsed` where it was approved and none of its days are left."""
    show("qualification", partner, number, as_json=as_json, shown=_on(today(at)))


@app.command("list")
def show_all(partner: OfPartner = None, at: At = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Qualifications, by partner and number."""
    columns = ("partner", "qualification", "type", "state", "valid")
    show_list("qualification", columns, partner=partner, limit=limit, as_json=as_json, shown=_on(today(at)))


def _on(day: date) -> Any:  # noqa: ANN401 - console.relating.Shown
    def shown(told: dict[str, Any], relation: Relation) -> dict[str, Any]:
        return told | {"state": qualification.state_on(relation.state, day)}

    return shown


@app.command()
def expiring(
    within: Annotated[int, typer.Option("--within", help="Within so many days.", min=0, max=3_660)],
    at: At = None,
    partner: OfPartner = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Qualifications that hold on the day and lapse within so many days after it, the first to lapse first."""
    day = today(at)
    with opened() as store, store.reading() as cursor:
        known = relations.listed(cursor, "qualification", partner=partner)
    lapsing = [(end, each) for each in known if (end := qualification.ends(each.state, day)) is not None]
    told = [
        state_of(each) | {"lapses": str(end), "days": (end - day).days}
        for end, each in sorted(lapsing, key=lambda found: (found[0], found[1].id))
        if end <= day + timedelta(days=within)
    ]
    print_list(told, ("partner", "qualification", "type", "lapses", "days"), limit=limit, as_json=as_json)


def _record(
    step: str, partner: str, number: str, said: dict[str, Any], time: datetime | None, *, as_json: bool
) -> None:
    named = {"partner": partner, "qualification": number}
    record(f"qualification.{step}", named | said, time, as_json=as_json)


@model.command()
def publish(
    path: Annotated[Path, typer.Argument(help="A YAML file with the fields of cooperation_model.published.")],
    by: By,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Publish a version of a cooperation model."""
    text = read(path, "cooperation model")
    source = Source(text, str(path))
    if source.errors and text.strip():
        refuse(f"{source.errors[0]}")
    said = source.data
    if not isinstance(said, dict):
        refuse(
            f"{path} is no YAML object; give it the fields of cooperation_model.published, such as model and version"
        )
    record("cooperation_model.published", _typed(said) | {"author": by}, time, as_json=as_json)


_NUMBERS = frozenset(
    {"version", "publish_by", "dispute_until", "pay_by", "minutes", "report_within", "begins", "ends", "weekdays"}
)
_YES_OR_NO = {"true": True, "yes": True, "false": False, "no": False}


def _typed(said: Any, name: str = "") -> Any:  # noqa: ANN401 - any YAML
    """The texts of the file as the wire wants them: whole numbers and truths by their fields, all else as text."""
    match said:
        case dict():
            return {each: _typed(value, str(each)) for each, value in said.items()}
        case list():
            return [_typed(value, name) for value in said]
        case str() if name in _NUMBERS and said.isascii() and said.isdecimal() and len(said) < 10:  # noqa: PLR2004
            return int(said)
        case str() if name in {"authorisation", "published_content"}:
            return _YES_OR_NO.get(said, said)
        case _:
            return said


@model.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="The model's id.")],
    at: Annotated[
        date | None, typer.Option("--at", help="Only the version in force on this day.", parser=day_of, metavar="DAY")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A model's versions, or the one in force on a day."""
    if at is None:
        show("cooperation_model", name, as_json=as_json, shown=_model)
        return
    known = found("cooperation_model", name)
    version = cooperation_model.on(known.state, at)
    if version is None:
        refuse(
            f"no version of cooperation model {name} is in force on {at}; the first begins on {known.state.versions[0].valid_from}"
        )
    print_one(_version(msgspec.to_builtins(version)), as_json=as_json)


def _version(told: dict[str, Any]) -> dict[str, Any]:
    """A version as it was published, without how it was sent."""
    return in_units({name: value for name, value in told.items() if name not in {"source", "id", "time"}}, "deposit")


def _model(told: dict[str, Any], _: Relation) -> dict[str, Any]:
    versions = [_version(each) for each in told["versions"]]
    latest = {name: versions[-1][name] for name in ("kind", "valid_from")} | {"latest": versions[-1]["version"]}
    return told | latest | {"versions": versions}


@model.command("list")
def show_models(limit: Limit = 20, as_json: AsJson = False) -> None:
    """The catalogue."""
    columns = ("model", "kind", "latest", "valid_from")
    show_list("cooperation_model", columns, partner=None, limit=limit, as_json=as_json, shown=_model)
