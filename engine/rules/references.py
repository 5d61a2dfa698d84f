"""Checks of names: that each is known, stands above, is given once, and is used."""

from __future__ import annotations

from collections.abc import Iterator

from engine.language.expression import Name, names
from engine.rules.draft import POINTS_EARNED, Draft, formulas, references
from engine.rules.problems import Path, nearest
from engine.rules.source import Data, Source
from engine.rules.steps import Clawback, Pool, Step


def check(draft: Draft, source: Source) -> None:
    """Adds the problems of names to the source's."""
    _check_unique(draft, source)
    for index, step in enumerate(draft.steps):
        if step is None or source.full:
            continue
        seen: set[tuple[Path, str]] = set()
        for field, name in references(step):
            if (field, name.text) not in seen:
                seen.add((field, name.text))
                _check_reference(draft, source, index, ("waterfall", index, *field), name)
        _check_measures(draft, source, index, step)
    for path, formula in formulas(draft.points, draft.assessment):
        for name in names(formula):
            _check_formula(draft, source, path, name)
    if draft.split is not None:
        _check_split(draft, source, draft.split.of)
    if draft.is_whole:
        _check_used(draft, source)


def _check_unique(draft: Draft, source: Source) -> None:
    taken = {name: f"values.{name}" for name in sorted(draft.values) if name}
    for name in draft.measures:
        if name in taken:
            path: Path = ("measures", name)
            cause = f"the name {name!r} is taken by {taken[name]}"
            source.error(path, cause, "give this measure another name", source.keys.get(path))
        elif name:
            taken[name] = f"measures.{name}"
    for index, path, name in _lines(draft):
        if name in taken:
            source.error(path, f"the name {name!r} is taken by {taken[name]}", "give this step another name")
        elif name == POINTS_EARNED:
            source.error(path, f"{name!r} means the points that a period earns", "give this step another name")
        else:
            taken[name] = f"waterfall[{index}]"


def _lines(draft: Draft) -> Iterator[tuple[int, Path, str]]:
    """The names of lines from the top: deductions, and the step that they belong to."""
    for index, (name, step) in enumerate(zip(draft.names, draft.steps, strict=True)):
        if step is not None and step.net is not None:
            for number, each in enumerate(step.net.less):
                yield index, ("waterfall", index, "net", "less", number, "name"), each.name
        if name:
            yield index, ("waterfall", index, "name"), name


def _check_reference(draft: Draft, source: Source, index: int, path: Path, name: Name) -> None:
    above = {*draft.values, *draft.measures, *(line for at, _, line in _lines(draft) if at < index)}
    step = draft.steps[index]
    if step is not None and step.net is not None and path[2:4] == ("net", "less"):
        above |= {each.name for each in step.net.less[: int(path[4])]}
    word = name.text
    if word in above or source.full:
        return
    place = source.place_in(path, name.column)
    if word == draft.names[index]:
        source.error(path, f"step {word!r} names itself", "name measures and steps above it", place)
    elif word in draft.lines:
        source.error(path, f"step {word!r} stands below; a step knows only what stands above it", "move it up", place)
    else:
        known = sorted(each for each in above if each)
        otherwise = f"the names here are {', '.join(known)[:300]}" if known else "declare it under measures"
        source.error(path, f"unknown name {word!r}", nearest(word, known, otherwise), place)


def _check_measures(draft: Draft, source: Source, index: int, step: Step) -> None:
    """Where a step looks into facts, what it names must be a measure."""
    match step.rule:
        case Pool(of=of, by=by, per=str()):
            wanted = {"of": of, "by": by}
        case Clawback(base=base, returns=returns):
            wanted = {"base": base, "returns": returns}
        case _:
            return
    field = type(step.rule).__name__.lower()
    for where, name in wanted.items():
        if name in draft.lines or name in draft.values:
            path: Path = ("waterfall", index, field, where)
            source.error(path, f"{name!r} is no measure, and {where} looks into its facts", "name a measure")


def _check_formula(draft: Draft, source: Source, path: Path, name: Name) -> None:
    known = {*draft.values, *draft.measures, *draft.lines}
    if path[0] == "assessment" and draft.points is not None:
        known.add(POINTS_EARNED)
    if name.text not in known and not source.full:
        otherwise = f"the names here are {', '.join(sorted(filter(None, known)))[:300]}"
        place = source.place_in(path, name.column)
        source.error(
            path, f"unknown name {name.text!r}", nearest(name.text, sorted(filter(None, known)), otherwise), place
        )


def _check_split(draft: Draft, source: Source, of: str) -> None:
    if of in draft.names:
        return
    path: Path = ("split", "of")
    if of in draft.measures:
        source.error(path, f"{of!r} is a measure, and a split is of a step", "write the name of a rounded step")
    else:
        known = sorted(name for name in draft.names if name)
        source.error(path, f"unknown step {of!r}", nearest(of, known, "write the name of a rounded step"))


def _check_used(draft: Draft, source: Source) -> None:
    used = {name.text for step in draft.steps if step is not None for _, name in references(step)}
    used |= {name.text for _, formula in formulas(draft.points, draft.assessment) for name in names(formula)}
    for measure in draft.measures:
        if measure and measure not in used:
            path: Path = ("measures", measure)
            cause = f"measure {measure!r} is used by no step"
            source.warn(path, cause, "use it, or take it out", source.keys.get(path))
    written = set(_texts({key: value for key, value in _whole(source).items() if key != "values"}))
    for value in sorted(draft.values - used - written):
        path = ("values", value)
        source.warn(path, f"value {value!r} is used nowhere", "use it, or take it out", source.keys.get(path))


def _whole(source: Source) -> dict[str, Data]:
    return source.data if isinstance(source.data, dict) else {}


def _texts(data: Data) -> Iterator[str]:
    match data:
        case dict():
            for value in data.values():
                yield from _texts(value)
        case list():
            for value in data:
                yield from _texts(value)
        case str():
            yield " ".join(data.split())
        case _:
            return
