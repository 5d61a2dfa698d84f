"""settle rulebook check --facts, settle rulebook cases: rulebooks tried on facts, without a store."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from console.reasons import told_reason, tree_of
from console.session import out, refuse
from engine.language.words import Unreadable
from engine.money import AmountTooLarge, plain
from engine.outcomes import Outcome
from engine.rules.formulas import Unsettleable
from engine.rules.model import Rulebook
from engine.rules.worked import Finding, Settled, every, given_of, run, settled
from engine.settlement.statements import shown


def tried(rulebook: Rulebook, text: str, file: str) -> list[Settled]:
    """The rulebook on the facts that the text states, period by period. A refusal is told."""
    try:
        return list(settled(given_of(text, file), rulebook))
    except (Unreadable, Unsettleable, AmountTooLarge) as error:
        refuse(str(error))


def told(each: Settled) -> dict[str, Any]:
    """One period as a JSON object."""
    return {
        "period": str(each.period),
        "contracts": {name: _outcome(outcome) for name, outcome in each.conclusions.contracts.items()},
        "scores": {
            partner: {"score": None if score.total is None else plain(score.total), "grade": score.grade,
                      "reason": told_reason(score.reason, {})}
            for partner, score in each.conclusions.scores.items()
        },
        "points": {
            partner: [{"name": earn.name, "points": plain(reason.value)} for earn, reason in earned]
            for partner, earned in each.conclusions.points.items()
        },
    }  # fmt: skip


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "lines": [
            {"name": line.name, "amount": shown(line.amount), "clause": line.clause, "unit": line.unit}
            for line in outcome.lines
        ],
        "payable": shown(outcome.payable),
        "currency": outcome.currency,
        "parties": [{"party": share.party, "amount": shown(share.amount)} for share in outcome.shares],
        "balances": [
            {"step": b.step, "kind": b.kind, "day": b.day and b.day.isoformat(), "amount": plain(b.amount)}
            for b in outcome.carried
        ],
        "reasons": [told_reason(line.reason, {}) for line in outcome.lines],
    }


def show(each: Settled) -> None:
    """One period for a person: the tree of every line, the shares and what is carried."""
    for name, outcome in each.conclusions.contracts.items():
        out.print(f"{each.period}{f', contract {name}' if name else ''}:")
        for line in outcome.lines:
            out.print(tree_of(told_reason(line.reason, {})))
        for share in outcome.shares:
            out.print(f"{share.party} gets {shown(share.amount)} {outcome.currency}")
        for balance in outcome.carried:
            day = f" {balance.day}" if balance.day else ""
            out.print(f"carried to the next period: {plain(balance.amount)} {balance.kind}{day} ({balance.step})")
    for partner, score in each.conclusions.scores.items():
        out.print(f"{each.period}, partner {partner}:")
        out.print(tree_of(told_reason(score.reason, {})))
    for partner, earned in each.conclusions.points.items():
        for earn, reason in earned:
            out.print(f"{each.period}, partner {partner}: {plain(reason.value)} points by {earn.name}")


def worked() -> list[tuple[dict[str, Any], list[Finding]]]:
    """Every worked case: what it is, and what was expected and found."""
    return [
        ({"name": entry.name, "source": entry.source, "status": entry.status, "file": entry.file}, run(entry))
        for entry in every()
    ]


def show_worked(found: list[tuple[dict[str, Any], list[Finding]]]) -> None:
    """A line a case for a person, and what failed in full."""
    table = Table("case", "status", "checked", "result")
    for entry, findings in found:
        bad = [each for each in findings if not each.ok]
        table.add_row(entry["name"], entry["status"], str(len(findings)), f"{len(bad)} wrong" if bad else "as expected")
    out.print(table)
    for entry, findings in found:
        for each in findings:
            if not each.ok:
                out.print(f"{entry['name']}: {each.what}: expected {each.expected}, found {each.found}", soft_wrap=True)
    number = sum(len(findings) for _, findings in found)
    wrong = sum(not each.ok for _, findings in found for each in findings)
    out.print(f"{len(found)} cases, {number:,} amounts checked, {wrong} wrong")
