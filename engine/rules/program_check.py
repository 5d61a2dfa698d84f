"""Checks of a points program: levels that can all be reached, rules that can be told apart, numbers that do something."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from engine.money import plain
from engine.rules.problems import Path, field_of
from engine.rules.programs import Earn, Levels, Program
from engine.rules.source import Source

_MULTIPLIER_DOUBTFUL = Decimal(10)  # from here on a percentage was meant: no program multiplies by so much


def check_program(program: Program, path: Path, source: Source) -> None:
    """Adds the problems of the program, which stands at the path, to the source's."""
    _check_names((earn.name for earn in program.earn), (*path, "earn"), "rule", source)
    for index, earn in enumerate(program.earn):
        _check_earn(earn, (*path, "earn", index), source)
    if program.levels is not None:
        _check_levels(program.levels, (*path, "levels", "bands"), source)
    _check_together(program, path, source)


def _check_names(names: Iterable[str], path: Path, kind: str, source: Source) -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in first:
            cause = f"the name {name!r} is taken by {field_of((*path, first[name]))}"
            source.error((*path, index, "name"), cause, f"give this {kind} another name")
        first.setdefault(name, index)


def _check_earn(earn: Earn, path: Path, source: Source) -> None:
    if earn.rate == 0:
        source.warn(
            (*path, "rate"), "a rate of 0 earns nothing", "write how many points a unit earns, or take the rule out"
        )
    if earn.cap is not None and earn.cap != earn.cap.to_integral_value():
        cause = f"points are whole, and a cap of {plain(earn.cap)} is not"
        source.error((*path, "cap"), cause, "write a whole number")


def _check_levels(levels: Levels, path: Path, source: Source) -> None:
    _check_names((level.name for level in levels.bands), path, "level", source)
    before: Decimal | None = None
    for index, level in enumerate(levels.bands):
        here: Path = (*path, index)
        if before is None and level.from_ > 0:
            cause = f"nothing is said below {plain(level.from_)} points"
            source.error((*here, "from"), cause, "let the first level begin from: 0")
        elif before is not None and level.from_ <= before:
            cause = f"level begins at {plain(level.from_)}, but the one above begins at {plain(before)}"
            source.error(
                (*here, "from"), cause, "write the levels from the lowest to the highest, each from another number"
            )
        before = level.from_
        if level.multiplier == 0:
            source.warn((*here, "multiplier"), "a multiplier of 0 earns nothing", "write 1 for what the rate says")
        elif level.multiplier >= _MULTIPLIER_DOUBTFUL:
            text = plain(level.multiplier)
            cause = f"a multiplier of {text} means {text} times the points"
            source.warn((*here, "multiplier"), cause, f"write {text}% if a percentage is meant")


def _check_together(program: Program, path: Path, source: Source) -> None:
    multiplied = [index for index, earn in enumerate(program.earn) if earn.multiplied == "yes"]
    multiplies = program.levels is not None and any(level.multiplier != 1 for level in program.levels.bands)
    if multiplies and not multiplied:
        cause = "the levels have multipliers, but no rule is multiplied"
        source.warn((*path, "levels"), cause, "write multiplied: yes in the rules that they are for")
    for index in multiplied if not multiplies else ():
        cause = "no level has a multiplier, so this changes nothing"
        source.warn((*path, "earn", index, "multiplied"), cause, "write multiplier: 150% in a level, or take this out")
    if program.levels is not None and program.levels.of == "earned" and not program.earn:
        cause = "no rule earns points, so only the first level is ever held"
        source.error((*path, "levels", "of"), cause, "write of: balance, or a rule in earn")
