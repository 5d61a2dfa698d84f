"""What the models refuse, said in a rulebook's words: where, why, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from engine.language.expression import ExpressionError
from engine.language.words import Unreadable, quoted
from engine.rules.model import Contents
from engine.rules.problems import PROBLEMS_MAX, Path, nearest
from engine.rules.source import Source
from engine.rules.steps import BandTiers, PackageTiers

_EXAMPLES = {
    "rulebook": "rulebook: grocery-supplier",
    "version": "version: 1",
    "valid_from": "valid_from: 2017-01-01",
    "currency": "currency: USD",
    "waterfall": "waterfall: with a list of steps",
    "event": "event: billing.charged",
    "name": "name: net sales",
    "of": "of: net sales",
    "from": "from: net sales",
    "at": "at: 25",
    "mode": "mode: graduated, volume, flat or package",
    "bands": "bands: [{upto: 10000, rate: 60%}, {rate: 70%}]",
    "rate": "rate: 60%",
    "size": "size: 100",
    "price": "price: 2.50",
    "less": "less: [{name: bad debt, rate: 8%, on: gross}]",
    "minimum": "minimum: 75000",
    "recoup_within": "recoup_within: 2 (periods)",
    "paid": "paid: advances",
    "by": "by: streams",
    "grade": "grade: this, or grade: previous",
    "base": "base: sales",
    "returns": "returns: refunds",
    "commitment": "commitment: 1000",
    "method": "method: withhold, or method: gross_up",
    "to": "to: EUR",
    "publisher": "publisher: ECB",
    "on": "on: last_day, or on: first_day",
    "metrics": "metrics: with a list of metrics",
    "grades": "grades: [{below: 60, grade: C}, {upto: 100, grade: A}]",
    "weight": "weight: 30%",
    "value": "value: complaints / uses",
    "score": "score: 100",
    "is": "is: 50%",
    "since": "since: 2010-12-01",
    "among": "among: [{party: supplier, portion: 95%}, {party: broker, portion: remaining}]",
    "party": "party: supplier",
    "portion": "portion: 95%",
}
_KINDS = {
    "dict_type": ("a mapping", "write name: value lines below it"),
    "model_type": ("a mapping", "write name: value lines below it"),
    "model_attributes_type": ("a mapping", "write name: value lines below it"),
    "list_type": ("a list", "write [one, two], or lines that begin with -"),
    "tuple_type": ("a list", "write [one, two], or lines that begin with -"),
    "string_type": ("a text", "write a text"),
}
_MODES = ("graduated", "volume", "flat", "package")


def report(error: ValidationError, source: Source, at: Path = ()) -> None:
    """Adds each of pydantic's findings to the source's problems; `at` is where the validated data stands."""
    for details in error.errors(include_url=False)[:PROBLEMS_MAX]:
        path, is_key = _path(details, source, at)
        if details["type"] == "too_short" and source.raw(path):
            continue  # its entries are there, and what is wrong with them is said
        cause, remedy = _sentence(details, path, source)
        wrong = details.get("ctx", {}).get("error")
        if is_key:
            place = source.keys.get(path)
        elif isinstance(wrong, ExpressionError):
            place = source.place_in(path, wrong.column)
        elif details["type"] == "extra_forbidden":
            place = source.keys.get(path)
        else:
            place = None
        source.error(path, cause, remedy, place)


def _path(details: ErrorDetails, source: Source, at: Path) -> tuple[Path, bool]:
    """The path in the text: without pydantic's marks for the kind of tiers, and whether it means a mapping's key."""
    path: list[str | int] = list(at)
    location = details["loc"]
    for part in location:
        if part in _MODES and path[-1:] == ["tiers"] and not source.has((*path, part)):
            continue
        if part == "[key]":
            return tuple(path), True
        path.append(part)
    if details["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        path.append("mode")
    return tuple(path), False


def _sentence(details: ErrorDetails, path: Path, source: Source) -> tuple[str, str]:  # noqa: PLR0911 - one return a sentence
    kind = details["type"]
    context = details.get("ctx", {})
    value = source.raw(path)
    wrong = context.get("error")
    word = str(path[-1]) if path else "the text"
    if kind == "extra_forbidden":
        return _unknown_field(word, path, source)
    if kind in {"missing", "union_tag_not_found"}:
        return f"field {word!r} is missing", f"write {_EXAMPLES.get(word, word)}"
    if value is None and source.has(path):
        return f"{word} has no value", f"write {_EXAMPLES.get(word, 'one, or take it out')}"
    if isinstance(wrong, Unreadable):
        return wrong.cause, wrong.remedy
    if kind in _KINDS:
        wanted, remedy = _KINDS[kind]
        return f"{word} must be {wanted}, and is {_described(value)}", remedy
    if kind in {"literal_error", "enum"}:
        return f"{quoted(value)} is not possible here", f"write {context['expected']}".replace("'", "")
    if kind == "union_tag_invalid":
        return f"{quoted(value)} is no mode of tiers", nearest(
            str(value), _MODES, "write graduated, volume, flat or package"
        )
    if kind == "too_short":
        return f"{word} is empty", f"write {_EXAMPLES.get(word, 'at least one')}"
    if kind == "too_long":
        return f"{word} has more than {context['max_length']} entries", "split the rulebook"
    return f"{word} is not accepted: {details['msg'][:200]}", "see docs/rulebooks.md"


def _described(value: object) -> str:
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else quoted(value)


def _unknown_field(word: str, path: Path, source: Source) -> tuple[str, str]:
    model = _model_at(path[:-1], source)
    allowed = [field.alias or name for name, field in model.model_fields.items()]
    return f"unknown field {quoted(word)}", nearest(word, allowed, f"the fields here are {', '.join(allowed)}")


def _model_at(path: Path, source: Source) -> type[BaseModel]:
    """The model whose fields stand at a path: found by following the models' own fields."""
    models: tuple[type[BaseModel], ...] = (Contents,)
    for index, part in enumerate(path):
        found = _field(models[0], part) if isinstance(part, str) else None
        if found is not None:  # else an entry of a list or mapping, which its models stand for already
            models = tuple(_models_in(found.annotation)) or models
        if len(models) > 1:
            package = source.raw((*path[: index + 1], "mode")) == "package"
            models = (PackageTiers if package else BandTiers,)
    return models[0]


def _field(model: type[BaseModel], name: str) -> FieldInfo | None:
    fields = model.model_fields
    return fields.get(name) or next((field for field in fields.values() if field.alias == name), None)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
