"""settle points, settle score, settle scoreboard: how partners stand."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer
from rich.table import Table

from console.explaining import told_reason, tree_of
from console.session import JSON, clock, opened, out, print_json
from console.settling import PERIOD, period_of
from engine.money import plain
from engine.outcomes import PointsEntry
from engine.settlement import points as points_
from engine.settlement import scoring
from engine.settlement.points import InProgram
from engine.settlement.scoring import Standing

_ENTRIES_SHOWN = 20


def points(
    partner: Annotated[str, typer.Argument()],
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="As of this day; without it, today (UTC).")
    ] = None,
    entries: Annotated[
        int, typer.Option("--entries", help="How many of the last entries to show; 0 shows all.", min=0)
    ] = _ENTRIES_SHOWN,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A partner's points: balance, lots, level, and every entry with its reason."""
    day = _day(at)
    with opened() as store, store.reading() as cursor:
        found = points_.accounts(cursor, partner, day)
    if as_json:
        print_json({"partner": partner, "at": day.isoformat(), "accounts": [_told_account(each) for each in found]})
        return
    for each in found:
        _print_account(partner, each, entries)


def _day(text: str | None) -> date:
    if text is None:
        return clock().date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text[:40]!r} is not a day; write 2026-10-31") from None


def _told_account(held: InProgram) -> dict[str, Any]:
    account = held.account
    return {
        "program": held.program,
        "version": held.version,
        "balance": plain(account.balance),
        "deficit": plain(account.deficit),
        "level": account.level,
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
    partner: Annotated[str, typer.Argument()],
    period: Annotated[str, PERIOD],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A partner's assessment: metrics, score, grade and what follows, with reasons."""
    chosen = period_of(period)
    with opened() as store, store.reading() as cursor:
        found = scoring.of_partner(cursor, partner, chosen)
    if as_json:
        print_json({"partner": partner, "period": str(chosen), "scores": [_told_standing(each) for each in found]})
        return
    for each in found:
        out.print(f"{partner}, {chosen}, by {each.scorecard}: grade {each.grade}, score {_total(each)}, {each.state}")
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
