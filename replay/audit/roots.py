"""That the roots of the period's closings commit to exactly what was issued, and each to the closing before it."""

from __future__ import annotations

from collections.abc import Iterator

from engine.projections.columns import micros_since_1970
from engine.settlement.sealing import SOURCE, root_of
from engine.store.log import stream_id
from replay.audit.findings import Check, Finding, fails, holds
from replay.audit.issued import Closing, Issued, Key, taken_up


def check_roots(issued: Issued) -> Iterator[Finding]:
    name = str(issued.period)
    if not issued.closings:
        yield fails(
            "", name, Check.root, f"{name} has no closing, and nothing commits to its statements; settle close {name}"
        )
        return
    leaves = leaves_of(issued)
    before: Closing | None = None
    for number, closing in enumerate(issued.closings, 1):
        yield _closing(name, number, closing, before, leaves.get(number, {}))
        before = closing
    for position, what in sorted(leaves.get(0, {}).items()):
        contract, statement = what[:2]
        sentence = "it is in no closing yet, and no root commits to it; closing the period again completes it"
        yield fails(contract, statement, Check.root, f"position {position}: {sentence}")


_Leaf = tuple[str, str, bytes, bool]


def leaves_of(issued: Issued) -> dict[int, dict[int, _Leaf]]:
    """By number of the closing, 0 for none yet, and position: contract, name, leaf, and whether it is a statement closed."""
    numbers: dict[Key, int] = {}
    found: dict[int, dict[int, _Leaf]] = {}
    closed = [each for each in issued.statements if each.event.period == str(issued.period)]
    for each in closed:
        number = closing_of(issued, each.entry.position)
        found.setdefault(number, {})[each.entry.position] = (each.contract, each.name, each.entry.leaf, True)
        numbers |= dict.fromkeys(taken_up(each), number)
    for each in issued.statements:
        if each.key in numbers:
            own = found.setdefault(numbers[each.key], {})
            own[each.entry.position] = (each.contract, each.name, each.entry.leaf, False)
    for score in issued.scores:
        own = found.setdefault(closing_of(issued, score.entry.position), {})
        own[score.entry.position] = (score.event.partner, score.name, score.entry.leaf, False)
    return found


def closing_of(issued: Issued, position: int) -> int:
    """The number of the closing that what was issued at the position is part of; 0 where there is none yet."""
    return next((each.event.number for each in issued.closings if position <= each.event.position), 0)


def _closing(name: str, number: int, closing: Closing, before: Closing | None, own: dict[int, _Leaf]) -> Finding:
    event = closing.event
    named = f"{name} closing {event.number}"
    if event.number != number or event.previous != (before.event.root if before else None):
        return fails("", named, Check.root, f"it does not follow on closing {number - 1} of {name}")
    if not _is_own(closing, name):
        return fails("", named, Check.root, "its event is not where, when and by what name a closing writes it")
    statements = sum(is_statement for *_, is_statement in own.values())
    if statements != event.statements:
        sentence = f"it issued {event.statements} statements, and there are {statements}"
        return fails("", named, Check.root, sentence)
    leaves = [own[position][2] for position in sorted(own)]
    root = root_of(name, number, event.previous, event.position, event.head, leaves)
    if root != event.root:
        sentence = f"what it issued has the root {root}, and it recorded {event.root}"
        return fails("", named, Check.root, sentence)
    return holds("", named, Check.root, f"root {root} is that of its {statements} statements")


def _is_own(closing: Closing, name: str) -> bool:
    """Whether the event lies in the log as a closing writes it: a root commits to all before it, not to its own event."""
    entry, event = closing
    identity = (entry.position, entry.stream, entry.version, entry.recorded_at, event.source, event.id)
    return identity == (
        event.position + 1, stream_id("period", name), event.number, micros_since_1970(event.time), SOURCE,
        f"{name}/{event.number}",
    )  # fmt: skip
