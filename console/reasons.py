"""Reasons as people and programs read them: a tree, and a JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.tree import Tree

from engine.outcomes import How, Reason
from engine.settlement.evidence import Witness
from engine.settlement.statements import shown

_CHAINED = {How.total, How.difference}


def told_reason(reason: Reason, found: Mapping[str, Sequence[Witness]]) -> dict[str, Any]:
    """The reason as a JSON object; a fact's with the first of its events."""
    said: dict[str, Any] = {"name": reason.name, "how": str(reason.how), "value": shown(reason.value)}
    if reason.note:
        said["note"] = reason.note
    if reason.clause:
        said["clause"] = reason.clause
    if events := found.get(reason.name) if reason.how is How.fact else None:
        said["events"] = told_events(events)
    if reason.parts:
        said["parts"] = [told_reason(part, found) for part in _operands(reason)]
    return said


def told_events(events: Sequence[Witness]) -> list[dict[str, Any]]:
    return [witness._asdict() | {"time": witness.time.isoformat()} for witness in events]


def _operands(reason: Reason) -> tuple[Reason, ...]:
    """The operands of a - b - c beside one another, as they are read, instead of (a - b) within ... - c."""
    first = reason.parts[0]
    if reason.how in _CHAINED and first.how in _CHAINED:
        return (*_operands(first), *reason.parts[1:])
    return reason.parts


def tree_of(told: dict[str, Any]) -> Tree:
    root = Tree(_label(told), guide_style="dim")
    _grow(root, told)
    return root


def _grow(tree: Tree, told: dict[str, Any]) -> None:
    for part in told.get("parts", ()):
        _grow(tree.add(_label(part)), part)
    if events := told.get("events"):
        tree.add(", ".join(f"{event['id']} {event['value']}" for event in events))


def _label(told: dict[str, Any]) -> str:
    clause = f" (clause {told['clause']})" if "clause" in told else ""
    note = f": {told['note']}" if "note" in told else ""
    name = "" if told["how"] == How.constant else f"  {told['name']}"
    return f"{told['value']}{name}{clause}{note}"
