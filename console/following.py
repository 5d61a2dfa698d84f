"""settle case follow: a case from its events to what it moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from console.session import JSON, opened, out, print_json
from engine.facts import label
from engine.money import plain
from engine.settlement import following
from engine.settlement.following import Counted, Followed, Moved, OnScore, OnStatement
from engine.settlement.statements import shown


def follow(case: Annotated[str, typer.Argument(help="The case's id.")], as_json: Annotated[bool, JSON] = False) -> None:
    """A case from its events by its facts and measures to the lines, points and scores that it moved."""
    with opened() as store, store.reading() as cursor:
        found = following.follow(cursor, case)
    if as_json:
        print_json(told(found))
    else:
        _print(found)


def told(found: Followed) -> dict[str, Any]:
    """What was found as a JSON object. `moved` is what a line comes to, less what it would come to without the case."""
    return {
        "case": found.case.case,
        "partner": found.case.partner,
        "kind": found.case.kind,
        "state": found.case.state,
        "events": [
            {
                "position": each.position,
                "type": each.event.NAME,
                "time": each.event.time.isoformat(),
                "day": each.day.isoformat(),
                "source": each.event.source,
                "id": each.event.id,
                "author": each.event.author,
                "facts": [
                    {"fact": label(f.event, f.field, f.dimensions), "value": plain(f.value)} for f in each.facts
                ],
            }
            for each in found.told
        ],
        "statements": [_statement(each) for each in found.statements],
        "scores": [_score(each) for each in found.scores],
        "points": [
            {"program": each.program, "day": each.entry.day.isoformat(), "name": each.entry.name,
             "points": plain(each.entry.points)}
            for each in found.points
        ],
    }  # fmt: skip


def _statement(each: OnStatement) -> dict[str, Any]:
    return {
        "contract": each.contract,
        "period": str(each.period),
        "version": each.version,
        "taken_by": each.taken_by,
        "measures": [_counted(measure) for measure in each.measures],
        "lines": [_moved(line) | {"unit": line.unit} for line in each.lines],
    }


def _score(each: OnScore) -> dict[str, Any]:
    return {
        "scorecard": each.scorecard,
        "period": str(each.period),
        "version": each.version,
        "measures": [_counted(measure) for measure in each.measures],
        "parts": [_moved(part) for part in each.parts],
        "grade": each.grade,
        "grade_without": each.grade_without,
    }


def _counted(each: Counted) -> dict[str, Any]:
    said = {"name": each.name, "counts": each.described, "value": plain(each.value)}
    return said | {"without": plain(each.without)}


def _moved(each: Moved) -> dict[str, Any]:
    moved = each.value - each.without
    return {"name": each.name, "amount": shown(each.value), "without": shown(each.without), "moved": shown(moved)}


def _print(found: Followed) -> None:
    case = found.case
    out.print(f"case {case.case}: {case.kind} about partner {case.partner}, {case.state}")
    for each in found.told:
        by = f"  by {each.event.author}" if each.event.author else ""
        out.print(f"  {each.position}  {each.event.NAME}  {each.event.time:%Y-%m-%d %H:%M} UTC{by}", soft_wrap=True)
        for fact in each.facts:
            # Dimensions that the case says nothing of would only hide the others.
            named = tuple((name, text) for name, text in fact.dimensions if text is not None)
            out.print(f"       fact {label(fact.event, fact.field, named)}: {plain(fact.value)}", soft_wrap=True)
    for on in found.statements:
        state = ("open", "closed")[on.version] if on.version <= 1 else f"version {on.version}"
        taken = f", taken up by {on.taken_by}" if on.taken_by else ""
        out.print(f"statement of contract {on.contract}, {on.period}, {state}{taken}")
        _print_rows(on.measures, on.lines)
    for score in found.scores:
        grades = (
            score.grade if score.grade == score.grade_without else f"{score.grade} instead of {score.grade_without}"
        )
        out.print(f"score by {score.scorecard}, {score.period}: grade {grades}")
        _print_rows(score.measures, score.parts)
    for point in found.points:
        entry = point.entry
        out.print(f"points in {point.program} on {entry.day}: {plain(entry.points)} by {entry.name}")
    if not (found.statements or found.scores or found.points):
        out.print("no statement, score or points account counts it")


def _print_rows(measures: Sequence[Counted], moved: Sequence[Moved]) -> None:
    table = Table("", "comes to", "without it", "moved by", box=None, padding=(0, 2))
    for column in table.columns[1:]:
        column.justify = "right"
    for each in measures:
        table.add_row(f"measure {each.name}", plain(each.value), plain(each.without), plain(each.value - each.without))
    for line in moved:
        unit = f" {line.unit}" if line.unit not in {"", "quantity", "number"} else ""
        table.add_row(line.name + unit, shown(line.value), shown(line.without), shown(line.value - line.without))
    out.print(table if measures or moved else "  nothing in it counts the case")
