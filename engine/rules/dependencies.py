"""What has to be known before what: steps, and the assessment whose grade a coefficient of the same period takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.language.expression import names
from engine.rules.draft import POINTS_EARNED, formulas, references
from engine.rules.programs import Program
from engine.rules.scorecards import Scorecard
from engine.rules.steps import Advance, Coefficient, Pool, Step

# What stands for the assessment among steps, none of which can have this name.
ASSESSED = "(assessment)"

Graph = dict[str, tuple[str, ...]]


def graph(steps: Iterable[Step], points: Program | None, assessment: Scorecard | None) -> Graph:
    """By step, and for the assessment, the steps that it needs, in the order in which they are named."""
    steps = list(steps)
    owner = {line: step.name for step in steps for line in step.lines}
    found: Graph = {}
    for step in steps:
        # A step knows only what stands above it; so only an assessment can close a loop.
        needed = [owner[name.text] for _, name in references(step) if owner.get(name.text) in found]
        if isinstance(step.rule, Coefficient) and step.rule.grade == "this" and assessment is not None:
            needed.append(ASSESSED)
        found[step.name] = tuple(dict.fromkeys(needed))
    if assessment is not None:
        named = {name.text for _, formula in formulas(None, assessment) for name in names(formula)}
        if POINTS_EARNED in named:
            named |= {name.text for _, formula in formulas(points, None) for name in names(formula)}
        found[ASSESSED] = tuple(sorted({owner[name] for name in named if name in owner}))
    return found


def loop(dependencies: Graph) -> list[str]:
    """The names along a loop, the first again at the end; empty where there is none."""
    done: set[str] = set()
    for start in dependencies:
        path: list[str] = []
        if found := _visit(start, dependencies, done, path):
            return found
    return []


def _visit(name: str, dependencies: Graph, done: set[str], path: list[str]) -> list[str]:
    if name in path:
        return [*path[path.index(name) :], name]
    if name in done:
        return []
    path.append(name)
    for needed in dependencies.get(name, ()):
        if found := _visit(needed, dependencies, done, path):
            return found
    path.pop()
    done.add(name)
    return []


def order(dependencies: Graph) -> tuple[str, ...]:
    """Every step, and the assessment (ASSESSED), in an order in which each finds what it needs."""
    done: list[str] = []
    for name in dependencies:
        _follow(name, dependencies, done)
    return tuple(done)


def needed(dependencies: Graph, name: str) -> frozenset[str]:
    """The step and all the steps that it needs, directly or not."""
    done: list[str] = []
    _follow(name, dependencies, done)
    return frozenset(done)


def _follow(name: str, dependencies: Graph, done: list[str]) -> None:
    if name in done:
        return
    for needed in dependencies[name]:
        _follow(needed, dependencies, done)
    done.append(name)


def crossing(steps: Sequence[Step]) -> list[Step]:
    """Those whose value depends on other contracts of the rulebook."""
    return [
        step
        for step in steps
        if isinstance(step.rule, Pool) or (isinstance(step.rule, Advance) and step.rule.across == "partner")
    ]
