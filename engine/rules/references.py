"""Checks of names: that each is known, stands above, is given once, and is used."""

from __future__ import annotations

from engine.rules.draft import Draft, references
from engine.rules.expression import Name
from engine.rules.problems import Path, nearest
from engine.rules.source import Source


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
    if draft.split is not None:
        _check_split(draft, source, draft.split.of)
    if draft.is_whole:
        _check_used(draft, source)


def _check_unique(draft: Draft, source: Source) -> None:
    taken = {name: f"measures.{name}" for name in draft.measures if name}
    for index, name in enumerate(draft.names):
        if name in taken:
            path: Path = ("waterfall", index, "name")
            source.error(path, f"the name {name!r} is taken by {taken[name]}", "give this step another name")
        elif name:
            taken[name] = f"waterfall[{index}]"


def _check_reference(draft: Draft, source: Source, index: int, path: Path, name: Name) -> None:
    above = {*draft.measures, *draft.names[:index]}
    word = name.text
    if word in above or source.full:
        return
    place = source.place_in(path, name.column)
    if word == draft.names[index]:
        source.error(path, f"step {word!r} names itself", "name measures and steps above it", place)
    elif word in draft.names:
        source.error(path, f"step {word!r} stands below; a step knows only what stands above it", "move it up", place)
    else:
        known = sorted(each for each in above if each)
        otherwise = f"the names here are {', '.join(known)[:300]}" if known else "declare it under measures"
        source.error(path, f"unknown name {word!r}", nearest(word, known, otherwise), place)


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
    for measure in draft.measures:
        if measure and measure not in used:
            path: Path = ("measures", measure)
            cause = f"measure {measure!r} is used by no step"
            source.warn(path, cause, "use it, or take it out", source.keys.get(path))
