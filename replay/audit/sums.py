"""That a statement adds up: shares to its payable amount, payable and adjustments to what is due, adjustments to versions."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from engine.events import StatementRestated
from engine.money import total
from engine.period import Period
from engine.settlement.adjusting import adjustment, due, is_resolution, resolution
from engine.settlement.keeping import canonical
from engine.settlement.restating import own_of
from replay.audit.basis import Basis, Resolved
from replay.audit.findings import Check, Finding, fails, holds
from replay.audit.issued import Key, Statement, taken_up


def check_sums(basis: Basis) -> Iterator[Finding]:
    seen: dict[Key, Statement] = {}
    resolved: dict[Resolved, Statement] = {}
    for each in basis.issued.statements:
        yield _sums(basis, each)
        for made in filter(is_resolution, each.said["adjustments"]):
            yield _resolution(basis, each, made, resolved)
        for key in taken_up(each):
            if key in seen:
                sentence = f"the adjustment of {key[1]} version {key[2]} was taken up before, by {seen[key].name}"
                yield fails(each.contract, each.name, Check.adjustments, sentence)
            seen[key] = each
        yield from _adjustments(basis, each)


def _sums(basis: Basis, each: Statement) -> Finding:
    said = each.said
    shared = Decimal(0)
    for share in said["parties"]:
        shared = total(shared, Decimal(share["amount"]))
    wrong = None
    if said["lines"] and shared != Decimal(said["payable"]):
        wrong = f"its shares come to {shared.normalize():f}, and {said['payable']} is payable"
    elif (line := _payable_line(basis, each)) is not None and line != said["payable"]:
        wrong = f"{said['payable']} is payable, and its line says {line}"
    elif due(said) != said["due"]:
        wrong = "payable and adjustments do not come to what is due"
    else:
        for sum_ in said["due"]:
            wrong = wrong or _unshared(sum_)
    if wrong:
        return fails(each.contract, each.name, Check.sums, wrong)
    return holds(
        each.contract, each.name, Check.sums, f"{said['payable']} {said['currency']} is shared to the last unit"
    )


def _unshared(sum_: dict[str, object]) -> str | None:
    shared = Decimal(0)
    parties = sum_["parties"]
    assert isinstance(parties, list)
    for share in parties:
        shared = total(shared, Decimal(share["amount"]))
    if shared != Decimal(str(sum_["amount"])):
        return f"{sum_['amount']} {sum_['currency']} is due, and the parties get {shared.normalize():f}"
    return None


def _payable_line(basis: Basis, each: Statement) -> str | None:
    """The amount of the line that is paid; None where the statement has no lines, or its rulebook is not known."""
    then = basis.known[each.position]
    if not each.said["lines"] or each.rulebook not in then.texts:
        return None
    name = then.book(*each.rulebook).on(each.period.first).payable_step
    found = [str(line["amount"]) for line in each.said["lines"] if line["name"] == name]
    return found[-1] if found else "nothing"


def _adjustments(basis: Basis, each: Statement) -> Iterator[Finding]:
    if isinstance(each.event, StatementRestated):
        yield _restated(basis, each, each.event)
    for made in each.said["adjustments"]:
        if is_resolution(made):
            continue
        versions = basis.versions.get((each.contract, made["period"]), ())
        found = [one for one in versions if one.version == made["version"]]
        what = f"the adjustment of {made['period']} version {made['version']}"
        if not found or not isinstance(event := found[0].event, StatementRestated):
            yield fails(each.contract, each.name, Check.adjustments, f"{what} is of no restated statement")
        elif canonical(made).decode() != event.adjustment:
            yield fails(each.contract, each.name, Check.adjustments, f"{what} is not what restating issued")
        elif found[0].entry.position > each.position or found[0].period.end > each.period.first:
            yield fails(each.contract, each.name, Check.adjustments, f"{what} was not waiting for this statement")
        else:
            yield holds(each.contract, each.name, Check.adjustments, f"{what} is what restating issued")


def _resolution(basis: Basis, each: Statement, made: dict[str, Any], seen: dict[Resolved, Statement]) -> Finding:
    """That what resolved a discrepancy is what persons decided before, waited for this statement, and is on no other."""
    key = (each.contract, made["period"], made["discrepancy"])
    what = f"the resolution of line {key[2]} of {key[1]}"
    wrong = f"{what} was taken up before, by {seen[key].name}" if key in seen else None
    seen[key] = each
    position, event = basis.resolved.get(key, (0, None))
    if wrong is not None:
        pass
    elif event is None or canonical(made) != canonical(resolution(event)):
        wrong = f"{what} is not what its event says" if event else f"{what} is of no event"
    elif event.author == event.approver:  # as written; spellings are judged once, when it is decided
        wrong = f"{what} was approved by {event.author}, who wrote it"
    elif position > each.position or Period.parse(event.period).end > each.period.first:
        wrong = f"{what} was not waiting for this statement"
    if wrong:
        return fails(each.contract, each.name, Check.adjustments, wrong)
    return holds(each.contract, each.name, Check.adjustments, f"{what} is what its event says")


def _restated(basis: Basis, each: Statement, event: StatementRestated) -> Finding:
    """That the adjustment of a restated version is what changed against the version before it."""
    versions = basis.versions.get((each.contract, event.period), ())
    before = [one for one in versions if one.version == each.version - 1]
    if not before:
        sentence = f"version {each.version - 1}, which it replaces, is not among the evidence"
        return fails(each.contract, each.name, Check.adjustments, sentence)
    causes = msgspec.json.decode(event.adjustment)["causes"]
    again = adjustment(own_of(before[0].said), own_of(each.said), each.version, event.period, causes)
    if canonical(again).decode() != event.adjustment:
        sentence = f"its adjustment is not what it changes against version {each.version - 1}"
        return fails(each.contract, each.name, Check.adjustments, sentence)
    sentence = f"its adjustment is what it changes against version {each.version - 1}"
    return holds(each.contract, each.name, Check.adjustments, sentence)
