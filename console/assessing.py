"""settle assessment: what becomes of scores that were issued."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from console.relating import ON, By, record, state_of
from console.session import JSON, clock, opened, out, print_json, refuse
from console.settling import period_of
from consumers.commands import Asked, ask
from engine.events import joined
from engine.settlement.finalising import proposed
from engine.store import assessments, relations
from engine.store.database import Rows

app = typer.Typer(help="Scores on their way from computed to final.", no_args_is_help=True)

Scorecard = Annotated[str, typer.Argument(help="The rulebook that has the assessment.")]
Period = Annotated[str, typer.Argument(metavar="PERIOD", help="2017-03, 2017-W09, 2017-Q1 or 2017.")]
Partner = Annotated[str, typer.Argument(help="The partner's id.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
Time = Annotated[datetime | None, ON]
AsJson = Annotated[bool, JSON]


@app.command()
def publish(
    scorecard: Scorecard, period: Period, partner: Partner, by: By, time: Time = None, as_json: AsJson = False
) -> None:
    """Show a partner the score that was issued."""
    _record("published", scorecard, period, partner, {"author": by}, time, as_json=as_json)


@app.command()
def appeal(
    scorecard: Scorecard,
    period: Period,
    partner: Partner,
    by: Annotated[str, typer.Option("--by", help="Who speaks for the partner.")],
    reason: Reason,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The partner does not agree."""
    _record("appealed", scorecard, period, partner, {"author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def decide(
    scorecard: Scorecard,
    period: Period,
    partner: Partner,
    by: By,
    approver: Annotated[str, typer.Option("--approver", help="Who approves it: somebody else.")],
    reason: Reason,
    grant: Annotated[
        str | None, typer.Option("--grant", metavar="GRADE", help="The grade that stands instead.")
    ] = None,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="The appeal is not granted.")] = False,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """An appeal is granted, with the grade that stands instead, or dismissed."""
    if dismiss is (grant is not None):
        raise typer.BadParameter("say either --grant GRADE or --dismiss")
    said = {"granted": not dismiss, "grade": grant, "reason": reason, "author": by, "approver": approver}
    _record("decided", scorecard, period, partner, said, time, as_json=as_json)


@app.command()
def finalise(
    scorecard: Scorecard, period: Period, partner: Partner, by: By, time: Time = None, as_json: AsJson = False
) -> None:
    """Nothing more is decided about it. A veto proposes that the partner's services be suspended."""
    chosen = period_of(period)
    key = {"scorecard": scorecard, "period": str(chosen), "partner": partner, "author": by}
    with opened() as store:
        with store.reading() as cursor:
            services = proposed(cursor, scorecard, chosen, partner)
        ask(store, [Asked("assessment.finalised", key, time)], clock)
    if as_json:
        print_json({"recorded": "assessment.finalised", **key, "proposed": [each._asdict() for each in services]})
        return
    out.print("recorded assessment.finalised")
    for each in services:
        out.print(f"proposed that service {each.service} be suspended: {each.reason}", soft_wrap=True)


@app.command("show")
def show_one(scorecard: Scorecard, period: Period, partner: Partner, as_json: AsJson = False) -> None:
    """One assessment as it stands; settle score explains its score."""
    with opened() as store, store.reading() as cursor:
        found = _told(cursor, scorecard, str(period_of(period)), partner)
    if not found:
        refuse(
            f"no score of partner {partner} by {scorecard} in {period} was issued; settle assessment list shows them"
        )
    if as_json:
        print_json(found[0])
        return
    table = Table(show_header=False, box=None)
    for name, value in found[0].items():
        table.add_row(name.replace("_", " "), _text(value))
    out.print(table)


@app.command("list")
def show_all(
    scorecard: Scorecard,
    period: Period,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """The scores that were issued in a period, and where each stands."""
    with opened() as store, store.reading() as cursor:
        found = _told(cursor, scorecard, str(period_of(period)))
    if as_json:
        print_json(found)
        return
    table = Table("partner", "state", "score", "grade", "assessed")
    for each in found[: limit or None]:
        table.add_row(*(_text(each[name]) for name in ("partner", "state", "score", "grade", "assessed")))
    out.print(table)
    out.print(f"{len(found):,} found" + (f", {limit} shown (--limit 0 shows all)" if 0 < limit < len(found) else ""))


def _told(cursor: Rows, scorecard: str, period: str, partner: str | None = None) -> list[dict[str, Any]]:
    """Each issued score with its processing: `grade` is the one that stands, `assessed` the one that was issued."""
    issued = assessments.issued(cursor, scorecard, period, None if partner is None else [partner])
    given = assessments.overrides(cursor, scorecard, period, list(issued))
    keys = {name: ("assessment", joined(scorecard, period, name)) for name in issued}
    known = relations.known(cursor, keys.values())
    found = []
    for name, score in sorted(issued.items()):
        said: dict[str, Any] = {"scorecard": scorecard, "period": period, "partner": name, "state": "computed"}
        said |= {"score": score.score, "assessed": score.grade, "score_version": score.version}
        if keys[name] in known:
            said |= state_of(known[keys[name]])
        found.append(said | {"grade": given[name].grade if name in given else score.grade})
    return found


def _record(
    step: str, scorecard: str, period: str, partner: str, said: dict[str, Any], time: datetime | None, *, as_json: bool
) -> None:
    key = {"scorecard": scorecard, "period": str(period_of(period)), "partner": partner}
    record(f"assessment.{step}", key | said, time, as_json=as_json)


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    return "" if value is None else str(value)
