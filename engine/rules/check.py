"""From a rulebook's text to a checked rulebook, or to everything that is wrong with it at once.

What is broken in one measure or step does not hide what is broken in another: the checks between fields work on a
draft that holds every part that could be read, and the names of those that could not. Where values are dated, what the
text states from each of their days on is checked.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from engine.language.words import Unreadable, name
from engine.rules import dated, fitting, references, sentences, shapes
from engine.rules.digest import digest_of
from engine.rules.draft import Draft
from engine.rules.measures import Measure
from engine.rules.model import STEPS_MAX, Contents, Era, Rulebook
from engine.rules.problems import Problem
from engine.rules.program_check import check_program
from engine.rules.programs import Program
from engine.rules.scorecard_check import check_scorecard
from engine.rules.scorecards import Scorecard
from engine.rules.source import Data, Source
from engine.rules.splitting import Split
from engine.rules.steps import Step

_Model = TypeVar("_Model", bound=BaseModel)


class Checked(NamedTuple):
    """The rulebook where no problem is an error, else None; and the problems in the order of the text."""

    rulebook: Rulebook | None
    problems: tuple[Problem, ...]


def check(text: str, file: str = "rulebook") -> Checked:
    """Reads and checks a rulebook's YAML. Whatever the text, the answer is a value: nothing is raised."""
    source = Source(text, file)
    eras: list[tuple[date | None, Contents]] = []
    if source.data is not None or not source.errors:
        for since, data in dated.stated(source):
            source.since = f" (from {since} on)" if since else ""
            contents = _checked(source, data)
            if contents is not None:
                eras.append((since, contents))
        source.since = ""
    problems = tuple(sorted([*source.errors, *source.warnings], key=lambda problem: (problem.line, problem.column)))
    if source.errors or not eras:
        return Checked(None, problems)
    return Checked(_rulebook(eras), problems)


def _checked(source: Source, data: Data) -> Contents | None:
    contents = None
    try:
        contents = Contents.model_validate(data)
    except ValidationError as error:
        sentences.report(error, source)
    if isinstance(data, dict):
        draft = _draft(data)
        references.check(draft, source)
        shapes.check(draft, source)
        fitting.check(draft, source)
        if draft.points is not None:
            check_program(draft.points, ("points",), source)
        if draft.assessment is not None:
            check_scorecard(draft.assessment, ("assessment",), source)
    return contents


def _rulebook(eras: list[tuple[date | None, Contents]]) -> Rulebook:
    first = eras[0][1]
    later = tuple(Era(since=since, contents=contents) for since, contents in eras[1:] if since is not None)
    fields = {field: getattr(first, field) for field in Contents.model_fields}
    # What was read from the text is not read again: a constructed model is the same, without the cost.
    return Rulebook.model_construct(**fields, digest=digest_of(first, later), eras=later)


def _draft(data: dict[str, Data]) -> Draft:
    waterfall = data.get("waterfall")
    # A longer list is refused by the model; its first steps are enough to say what is wrong.
    steps = waterfall[:STEPS_MAX] if isinstance(waterfall, list) else []
    split, points = _read(Split, data.get("split")), _read(Program, data.get("points"))
    assessment = _read(Scorecard, data.get("assessment"))
    sections = {"split": split, "points": points, "assessment": assessment}
    head = _read(_Head, {key: data[key] for key in ("currency", "currencies") if data.get(key) is not None})
    return Draft(
        values=frozenset(_name(key) for key in _mapping(data.get("values"))),
        measures={_name(key): _read(Measure, value) for key, value in _mapping(data.get("measures")).items()},
        names=[_name(_mapping(step).get("name")) for step in steps],
        steps=[_read(Step, step) for step in steps],
        split=split,
        points=points,
        assessment=assessment,
        broken=frozenset(name for name, read in sections.items() if read is None and data.get(name) is not None),
        currency=head.currency if head else None,
        currencies=head.currencies if head else (),
    )


class _Head(BaseModel):
    currency: str | None = None
    currencies: tuple[str, ...] = ()


def _mapping(data: Data) -> dict[str, Data]:
    return data if isinstance(data, dict) else {}


def _name(data: object) -> str:
    try:
        return name(data)
    except Unreadable:
        return ""


def _read(model: type[_Model], data: Data | dict[str, Data]) -> _Model | None:
    try:
        return model.model_validate(data)
    except ValidationError:
        return None


__all__ = ["Checked", "Problem", "check"]
