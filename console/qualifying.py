"""settle qualification, settle model."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from console.relating import BY, ON, record, show, show_list
from console.session import JSON, refuse

app = typer.Typer(help="Qualifications that partners hold.", no_args_is_help=True)
model = typer.Typer(help="The catalogue of cooperation models.", no_args_is_help=True)

Partner = Annotated[str, typer.Argument(help="The partner's id.")]
Number = Annotated[str, typer.Argument(help="The qualification's number.")]
By = Annotated[str, BY]
Time = Annotated[datetime | None, ON]
From = Annotated[str, typer.Option("--from", help="The first day of its validity.")]
To = Annotated[str | None, typer.Option("--to", help="The first day on which it is no longer valid.")]
AsJson = Annotated[bool, JSON]


@app.command()
def submit(
    partner: Partner,
    number: Number,
    type: Annotated[str, typer.Option("--type", help="What kind of qualification it is.")],  # noqa: A002
    issuer: Annotated[str, typer.Option("--issuer")],
    valid_from: From,
    valid_to: To = None,
    evidence: Annotated[str | None, typer.Option("--evidence", help="Where the document lies.")] = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """A partner shows a qualification."""
    said = {"partner": partner, "qualification": number, "type": type, "issuer": issuer, "evidence": evidence}
    days = {"valid_from": valid_from, "valid_to": valid_to}
    record("qualification.submitted", said | days, time, as_json=as_json)


@app.command()
def approve(partner: Partner, number: Number, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """The evidence was seen, and it holds."""
    _record("approved", partner, number, {"author": by}, time, as_json=as_json)


@app.command()
def reject(
    partner: Partner,
    number: Number,
    by: By,
    reason: Annotated[str, typer.Option("--reason")],
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
    reason: Annotated[str, typer.Option("--reason")],
    valid_to: Annotated[str, typer.Option("--to", help="The first day on which it is no longer valid.")],
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """It is taken away."""
    said = {"author": by, "reason": reason, "valid_to": valid_to}
    _record("revoked", partner, number, said, time, as_json=as_json)


@app.command("show")
def show_one(partner: Partner, number: Number, as_json: AsJson = False) -> None:
    """One qualification as it stands."""
    show("qualification", partner, number, as_json=as_json)


@app.command("list")
def show_all(
    partner: Annotated[str | None, typer.Option("--partner", help="Only this partner's.")] = None,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """Qualifications, by partner and number."""
    columns = ("partner", "qualification", "type", "state", "valid")
    show_list("qualification", columns, partner=partner, limit=limit, as_json=as_json)


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
    try:
        said = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    except (OSError, ValueError, yaml.YAMLError) as error:
        refuse(f"{path} cannot be read: {str(error).splitlines()[0]}; name a YAML file of a cooperation model")
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
def show_model(name: Annotated[str, typer.Argument(help="The model's id.")], as_json: AsJson = False) -> None:
    """A model's versions."""
    show("cooperation_model", name, as_json=as_json)


@model.command("list")
def show_models(
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = 20, as_json: AsJson = False
) -> None:
    """The catalogue."""
    show_list("cooperation_model", ("model", "versions"), partner=None, limit=limit, as_json=as_json)
