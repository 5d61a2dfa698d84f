"""From a rulebook's text to a checked rulebook, or to everything that is wrong with it at once.

What is broken in one measure or step does not hide what is broken in another: the checks between fields work on a
draft that holds every part that could be read, and the names of those that could not.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from engine.rules import references, sentences, shapes
from engine.rules.digest import digest_of
from engine.rules.draft import Draft
from engine.rules.model import STEPS_MAX, Contents, Measure, Rulebook, Split, Step
from engine.rules.problems import Problem
from engine.rules.source import Data, Source
from engine.rules.words import Unreadable, name

_Model = TypeVar("_Model", bound=BaseModel)


class Checked(NamedTuple):
    """The rulebook where no problem is an error, else None; and the problems in the order of the text."""

    rulebook: Rulebook | None
    problems: tuple[Problem, ...]


def check(text: str, file: str = "rulebook") -> Checked:
    """Reads and checks a rulebook's YAML. Whatever the text, the answer is a value: nothing is raised."""
    source = Source(text, file)
    contents = None
    if source.data is not None or not source.errors:
        contents = _contents(source)
        if isinstance(source.data, dict):
            draft = _draft(source.data)
            references.check(draft, source)
            shapes.check(draft, source)
    problems = tuple(sorted([*source.errors, *source.warnings], key=lambda problem: (problem.line, problem.column)))
    if contents is None or source.errors:
        return Checked(None, problems)
    return Checked(_rulebook(contents), problems)


def _contents(source: Source) -> Contents | None:
    try:
        return Contents.model_validate(source.data)
    except ValidationError as error:
        sentences.report(error, source)
        return None


def _rulebook(contents: Contents) -> Rulebook:
    fields = {field: getattr(contents, field) for field in Contents.model_fields}
    return Rulebook.model_validate({**fields, "digest": digest_of(contents)})


def _draft(data: dict[str, Data]) -> Draft:
    measures, waterfall, split = data.get("measures"), data.get("waterfall"), data.get("split")
    # A longer list is refused by the model; its first steps are enough to say what is wrong.
    steps = waterfall[:STEPS_MAX] if isinstance(waterfall, list) else []
    return Draft(
        measures={_name(key): _read(Measure, value) for key, value in _mapping(measures).items()},
        names=[_name(_mapping(step).get("name")) for step in steps],
        steps=[_read(Step, step) for step in steps],
        split=_read(Split, split),
        has_split=split is not None,
    )


def _mapping(data: Data) -> dict[str, Data]:
    return data if isinstance(data, dict) else {}


def _name(data: object) -> str:
    try:
        return name(data)
    except Unreadable:
        return ""


def _read(model: type[_Model], data: Data) -> _Model | None:
    try:
        return model.model_validate(data)
    except ValidationError:
        return None


__all__ = ["Checked", "Problem", "check"]
