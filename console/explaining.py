"""settle explain: why an amount is what it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.tree import Tree

from console.session import JSON, opened, out, print_json, refuse
from console.settling import PERIOD, VERSION, period_of
from engine.facts import label
from engine.outcomes import How, Reason
from engine.settlement.evidence import Witness, witnesses
from engine.settlement.statements import View, shown, view
from engine.store.database import Rows

_EVENTS_SHOWN = 3
_CHAINED = {How.total, How.difference}


def explain(
    contract: Annotated[str, typer.Argument()],
    period: Annotated[str, PERIOD],
    line: Annotated[str | None, typer.Argument(help="A line or a party; without one, every line.")] = None,
    events: Annotated[
        int, typer.Option("--events", help="How many event ids to show under each fact.", min=0)
    ] = _EVENTS_SHOWN,
    version: Annotated[int, VERSION] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """The tree behind an amount: steps, clauses, operands, tiers, rounding, remainder, facts and their events."""
    chosen = period_of(period)
    with opened() as store, store.reading() as cursor:
        seen = view(cursor, contract, chosen, version)
        reasons = _whole(seen, line)
        found = _witnesses(cursor, seen, reasons, events)
    told = [told_reason(reason, found) for reason in reasons]
    if as_json:
        print_json({"contract": contract, "period": str(chosen), "digest": seen.statement["digest"], "reasons": told})
        return
    for reason in told:
        out.print(tree_of(reason))


def _whole(seen: View, line: str | None) -> list[Reason]:
    """Asked for one line, its tree goes down to the facts. Asked for all, each stands once, and the others name it."""
    outcome = seen.calculated.outcome
    lines = {item.name: item.reason for item in outcome.lines}
    reasons = lines | {share.party: share.reason for share in outcome.shares}
    if line is None:
        return list(reasons.values())
    if line not in reasons:
        refuse(f"the statement has no line or party {line!r}; it has {', '.join(reasons)}")
    return [_grown(reasons[line], {name: reason for name, reason in lines.items() if name != line})]


def _grown(reason: Reason, above: dict[str, Reason]) -> Reason:
    """The reason with each line that it names grown in full where it is named first."""
    if reason.how is How.step and not reason.parts and reason.name in above:
        reason = above.pop(reason.name)
    return reason._replace(parts=tuple(_grown(part, above) for part in reason.parts))


def _witnesses(cursor: Rows, seen: View, reasons: list[Reason], each: int) -> dict[str, list[Witness]]:
    """By the label of each fact that the reasons name, the first of its events."""
    calculated = seen.calculated
    named = {leaf.name for reason in reasons for leaf in _leaves(reason)}
    facts = [fact for fact in calculated.given.facts if label(fact.event, fact.field, fact.dimensions) in named]
    to = seen.statement["evidence"]["positions"][1]
    found = witnesses(cursor, calculated.contract.contract, calculated.given.period, facts, to=to, each=each)
    return {label(fact.event, fact.field, fact.dimensions): events for fact, events in found.items()}


def _leaves(reason: Reason) -> Iterator[Reason]:
    if reason.how is How.fact:
        yield reason
    for part in reason.parts:
        yield from _leaves(part)


def told_reason(reason: Reason, found: dict[str, list[Witness]]) -> dict[str, Any]:
    """The reason as a JSON object; a fact's with the first of its events."""
    said: dict[str, Any] = {"name": reason.name, "how": str(reason.how), "value": shown(reason.value)}
    if reason.note:
        said["note"] = reason.note
    if reason.clause:
        said["clause"] = reason.clause
    if events := found.get(reason.name) if reason.how is How.fact else None:
        said["events"] = [witness._asdict() | {"time": witness.time.isoformat()} for witness in events]
    if reason.parts:
        said["parts"] = [told_reason(part, found) for part in _operands(reason)]
    return said


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
