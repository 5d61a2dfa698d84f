"""settle course."""

from __future__ import annotations

from datetime import date
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
from console.session import JSON, opened
from engine.aggregates.training import Training
from engine.store import relations

app = typer.Typer(help="Courses, and who is trained by them.", no_args_is_help=True)

Course = Annotated[str, typer.Argument(help="The course's id.")]
Partner = Annotated[str, typer.Argument(help="The partner's id.")]
Who = Annotated[str | None, typer.Option("--participant", help="Which of the partner's people.")]
AsJson = Annotated[bool, JSON]


@app.command()
def offer(
    course: Course,
    name: Annotated[str, typer.Option("--name", help="What people call it.")],
    by: By,
    months: Annotated[
        int | None, typer.Option("--months", help="For how long a certificate is valid; without it, for ever.")
    ] = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Partners' people can be enrolled in it."""
    said = {"course": course, "name": name, "author": by, "months_valid": months}
    record("course.offered", said, time, as_json=as_json)


@app.command()
def withdraw(
    course: Course,
    by: By,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for the record.")] = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Nobody can be enrolled any more. Certificates stay valid, and who has begun may complete it."""
    record("course.withdrawn", {"course": course, "author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def enrol(
    course: Course,
    partner: Partner,
    who: Who = None,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """One of a partner's people begins a course."""
    record("training.enrolled", _named(course, partner, who, by), time, as_json=as_json)


@app.command()
def complete(
    course: Course,
    partner: Partner,
    who: Who = None,
    certificate: Annotated[str | None, typer.Option("--certificate", help="Its number.")] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="The first day on which it is not valid; else as the course says.")
    ] = None,
    by: ByIfAny = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """It is done. Events that were suspended for want of the certificate are tried again."""
    said = _named(course, partner, who, by) | {"certificate": certificate, "expires": expires}
    record("training.completed", said, time, as_json=as_json)


def _named(course: str, partner: str, who: str | None, by: str | None) -> dict[str, Any]:
    return {"partner": partner, "course": course, "participant": who, "author": by}


@app.command("show")
def show_one(course: Course, at: At = None, as_json: AsJson = False) -> None:
    """One course, with who was enrolled in it and whose certificates hold on the day."""
    known = found("course", course)
    with opened() as store, store.reading() as cursor:
        trained = [each.state for each in relations.listed(cursor, "training") if each.state.course == course]
    people = [_person(each, today(at)) for each in trained]
    print_one(state_of(known) | {"trained": people}, as_json=as_json)


def _person(known: Training, day: date) -> dict[str, Any]:
    return {"partner": known.partner, "participant": known.participant, "state": _state_on(known, day)}


def _state_on(known: Training, day: date) -> str:
    if known.state == "completed":
        holds = any(each.first <= day and (each.end is None or day < each.end) for each in known.valid)
        return "certified" if holds else "lapsed"
    return known.state


@app.command("list")
def show_all(
    partner: OfPartner = None,
    at: At = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """The catalogue; with --partner the courses of its people, in the catalogue or not."""
    with opened() as store, store.reading() as cursor:
        known = relations.listed(cursor, "course" if partner is None else "training", partner=partner)
    if partner is None:
        columns = ("course", "name", "state", "months_valid")
        print_list([state_of(each) for each in known], columns, limit=limit, as_json=as_json)
        return
    told = [state_of(each) | {"state": _state_on(each.state, today(at))} for each in known]
    print_list(told, ("course", "participant", "state", "certificate", "valid"), limit=limit, as_json=as_json)
