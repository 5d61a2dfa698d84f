"""settle points, settle score, settle scoreboard: how partners stand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from console.grouping import unworded
from console.reasons import told_reason, tree_of
from console.relating import BY, ON, At, record, today
from console.session import JSON, opened, out, print_json, refuse
from console.settling import PERIOD, period_of
from engine.aggregates.redemption import Redemption
from engine.money import decimal_of_micros, plain
from engine.outcomes import PointsEntry
from engine.settlement import points as points_
from engine.settlement import scoring
from engine.settlement.points import InProgram
from engine.settlement.scoring import Standing
from engine.store import registry

_ENTRIES_SHOWN = 20


points = typer.Typer(
    cls=unworded("of"),
    no_args_is_help=True,
    subcommand_metavar="PARTNER | adjust | redeem | approve | reject",
    help="Points: PARTNER's accounts; points given or taken by hand; points spent.",
)
Program = Annotated[str, typer.Argument(help="The rulebook that keeps the account.")]
Reference = Annotated[str, typer.Argument(help="The redemption's own name.")]


@points.command()
def adjust(
    partner: Annotated[str, typer.Argument(help="The partner's id.")],
    program: Program,
    number: Annotated[str, typer.Option("--points", help="How many; taken where negative.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    by: Annotated[str, BY],
    approved_by: Annotated[str, typer.Option("--approved-by", help="Somebody else than --by.")],
    time: Annotated[datetime | None, ON] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Give points by hand, or take them."""
    said = {"partner": partner, "program": program, "points": number, "reason": reason}
    record("points.adjusted", said | {"author": by, "approver": approved_by}, time, as_json=as_json)


@points.command()
def redeem(
    partner: Annotated[str, typer.Argument(help="The partner's id.")],
    program: Program,
    reference: Reference,
    number: Annotated[str, typer.Option("--points", help="How many.")],
    by: Annotated[str, BY],
    benefit: Annotated[str | None, typer.Option("--benefit", help="Which of its level's grants it is for.")] = None,
    time: Annotated[datetime | None, ON] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Ask to spend points. Somebody else has to approve it."""
    said = {"partner": partner, "program": program, "reference": reference, "points": number}
    record("points.redemption_requested", said | {"author": by, "benefit": benefit}, time, as_json=as_json)


@points.command()
def approve(
    partner: Annotated[str, typer.Argument(help="The partner's id.")],
    program: Program,
    reference: Reference,
    by: Annotated[str, BY],
    time: Annotated[datetime | None, ON] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Approve a redemption: its points are spent."""
    said = {"partner": partner, "program": program, "reference": reference, "approver": by}
    record("points.redemption_approved", said, time, as_json=as_json)


@points.command()
def reject(
    partner: Annotated[str, typer.Argument(help="The partner's id.")],
    program: Program,
    reference: Reference,
    by: Annotated[str, BY],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    time: Annotated[datetime | None, ON] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Reject a redemption: its points stay."""
    said = {"partner": partner, "program": program, "reference": reference, "author": by, "reason": reason}
    record("points.redemption_rejected", said, time, as_json=as_json)


@points.command("of")
def points_of(
    partner: Annotated[str, typer.Argument(help="The partner's id.")],
    at: At = None,
    entries: Annotated[
        int, typer.Option("--entries", help="How many of the last entries to show; 0 shows all.", min=0)
    ] = _ENTRIES_SHOWN,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A partner's points: balance, lots, level and what it grants, open redemptions, and every entry with its reason.

    The word `of` may be left out.
    """
    day = today(at)
    with opened() as store, store.reading() as cursor:
        found = points_.accounts(cursor, partner, day)
        asked = points_.open_redemptions(cursor, partner)
    if as_json:
        told = [_told_account(each) | {"redemptions": _told_open(each, asked)} for each in found]
        print_json({"partner": partner, "at": day.isoformat(), "accounts": told})
        return
    for each in found:
        _print_account(partner, each, entries)
        for said in _told_open(each, asked):
            benefit = f" for {said['benefit']}" if "benefit" in said else ""
            out.print(f"{said['points']} points are asked for as {said['reference']}{benefit}, by {said['author']}")


def _told_open(held: InProgram, asked: Sequence[Redemption]) -> list[dict[str, Any]]:
    return [
        {"reference": each.reference, "points": plain(decimal_of_micros(each.points)), "author": each.author}
        | ({"benefit": each.benefit} if each.benefit else {})
        for each in asked
        if each.program == held.program
    ]


def _told_account(held: InProgram) -> dict[str, Any]:
    account = held.account
    return {
        "program": held.program,
        "version": held.version,
        "balance": plain(account.balance),
        "deficit": plain(account.deficit),
        "level": account.level,
        "grants": list(held.grants),
        "levels": [{"level": each.level, "since": each.since.isoformat()} for each in account.levels],
        "lots": [
            {
                "earned": lot.earned.isoformat(),
                "expires": lot.expires and lot.expires.isoformat(),
                "points": plain(lot.points),
            }
            for lot in account.lots
        ],
        "expires_next": account.expires_next
        and {"day": account.expires_next.day.isoformat(), "points": plain(account.expires_next.points)},
        "entries": [_told_entry(entry) for entry in account.entries],
    }


def _told_entry(entry: PointsEntry) -> dict[str, Any]:
    said = {
        "day": entry.day.isoformat(),
        "kind": str(entry.kind),
        "name": entry.name,
        "points": plain(entry.points),
        "balance": plain(entry.balance),
        "reason": told_reason(entry.reason, {}),
    }
    further = {"period": entry.period, "text": entry.text, "author": entry.author, "approver": entry.approver}
    return said | {name: value for name, value in further.items() if value}


def _print_account(partner: str, held: InProgram, shown: int) -> None:
    account = held.account
    level = f", level {account.level} since {account.levels[-1].since}" if account.level and account.levels else ""
    out.print(f"{partner} in {held.program}, {account.at}: {plain(account.balance)} points{level}")
    if held.grants:
        out.print(f"level {account.level} grants {', '.join(held.grants)}")
    if account.deficit:
        out.print(f"{plain(account.deficit)} points are owed: more was taken than lots covered")
    if account.expires_next:
        out.print(f"{plain(account.expires_next.points)} points expire on {account.expires_next.day}")
    lots = Table("earned", "expires", "points left")
    for lot in account.lots:
        lots.add_row(str(lot.earned), str(lot.expires or "never"), plain(lot.points))
    out.print(lots)
    table = Table("day", "points", "balance", "why")
    last = account.entries[-shown or None :]
    for entry in last:
        table.add_row(str(entry.day), plain(entry.points), plain(entry.balance), _why(entry))
    out.print(table)
    if len(last) < len(account.entries):
        out.print(f"the last {len(last)} of {len(account.entries):,} entries (--entries 0 shows all)")


def _why(entry: PointsEntry) -> str:
    by = f", by {entry.author}, approved by {entry.approver}" if entry.author and entry.approver else ""
    said = [f"{entry.kind} {entry.name}".strip(), entry.text or entry.reason.note]
    return ": ".join(each for each in said if each) + by


def score(
    partner: Annotated[str, typer.Argument(help="The partner's id.")],
    period: Annotated[str, PERIOD],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A partner's assessment: metrics, score, grade and what follows, with reasons."""
    chosen = period_of(period)
    with opened() as store, store.reading() as cursor:
        if partner not in registry.partners(cursor, [partner]):
            refuse(f"partner {partner} is not registered; settle partner list shows those that are")
        found = scoring.of_partner(cursor, partner, chosen)
    if as_json:
        print_json({"partner": partner, "period": str(chosen), "scores": [_told_standing(each) for each in found]})
        return
    for each in found:
        out.print(f"{partner}, {chosen}, by {each.scorecard}: grade {each.grade}, score {_total(each)}, {each.state}")
        if each.moved and each.issued is not None:
            was = f"version {each.issued.version} was issued with grade {each.issued.grade}, score {each.issued.score or None}"
            out.print(
                f"{was}; what is known now comes to what is shown (assessment.reassessed asks for it)", soft_wrap=True
            )
        if (by := each.override) is not None:
            out.print(f"the grade was given by {by.author}, approved by {by.approver}: {by.reason}")
        if each.follows:
            out.print(f"what follows: {each.follows}")
        out.print(tree_of(told_reason(each.score.reason, {})))


def scoreboard(
    period: Annotated[str, PERIOD],
    scorecard: Annotated[str | None, typer.Option("--scorecard", help="Only this rulebook's.")] = None,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = _ENTRIES_SHOWN,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """All partners that are assessed in a period, the best first."""
    chosen = period_of(period)
    with opened() as store, store.reading() as cursor:
        found = scoring.board(cursor, chosen, scorecard)
    if as_json:
        print_json({"period": str(chosen), "scores": [_told_standing(each) for each in found]})
        return
    table = Table("scorecard", "partner", "score", "grade", "what follows", "state")
    for each in found[: limit or None]:
        table.add_row(each.scorecard, each.partner, _total(each) or "none", each.grade, each.follows, each.state)
    out.print(table)
    rest = f", {limit} shown (--limit 0 shows all)" if 0 < limit < len(found) else ""
    out.print(f"{len(found):,} partners are assessed in {chosen}{rest}")


def _total(standing: Standing) -> str | None:
    """None where a veto stands and something of the score divides by zero."""
    return None if standing.score.total is None else plain(standing.score.total)


def _told_standing(standing: Standing) -> dict[str, Any]:
    override = standing.override
    return {
        "scorecard": standing.scorecard,
        "partner": standing.partner,
        "state": standing.state,
        "version": standing.version,
        "issued": standing.issued
        and {"grade": standing.issued.grade, "score": standing.issued.score or None, "digest": standing.issued.digest},
        "moved": standing.moved,
        "score": _total(standing),
        "grade": standing.grade,
        "assessed_grade": standing.score.assessed,
        "override": override
        and {
            "grade": override.grade,
            "reason": override.reason,
            "author": override.author,
            "approver": override.approver,
        },
        "consequence": standing.consequence,
        "reason": told_reason(standing.score.reason, {}),
    }
