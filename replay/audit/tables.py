"""That the tables which people read say what the log says: statements, scores, closings, and the account of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from engine.events import StatementRestated
from engine.period import Period
from engine.projections.seals import Entry
from engine.settlement.adjusting import is_resolution
from engine.settlement.balance import balance
from engine.settlement.keeping import canonical
from engine.settlement.scoring import issued_of as score_row
from engine.settlement.statements import count_streamed
from engine.store import assessments, intake, resolutions, seals
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.resolutions import Resolution
from engine.store.seals import Closing
from engine.store.statements import Issued as Row
from replay.audit.findings import Check, Finding, fails, holds
from replay.audit.issued import UNREADABLE, Issued, Statement, issued_of, taken_up
from replay.audit.roots import closing_of


def readable(period: Period, check: Check, find: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What `find` finds in the tables, or that it cannot read them: they may have lost, or hold otherwise, whatever they should."""
    try:
        return list(find())
    except UNREADABLE as error:
        why = str(error)[:120] or type(error).__name__
        sentence = (
            f"the tables do not hold together, so that this cannot be checked ({why}); settle rebuild makes them anew"
        )
        return [fails("", str(period), check, sentence)]


def check_tables(
    cursor: Rows, period: Period, issued: Issued, in_period: Sequence[Entry], resolved: Sequence[Resolution]
) -> Iterator[Finding]:
    """`in_period` are the entries of all that was issued in the period, `resolved` what the log's discrepancies came to."""
    name = str(period)
    every = issued_of(period, in_period)
    logged = [*every.statements, *every.cited_statements]
    rows = {(row.contract, row.period, row.version): row for row in statement_store.of_period(cursor, name)}
    seen = {each.key for each in logged}
    taken: dict[tuple[str, str, int], str] = {}
    for each in issued.statements:
        if each.event.period == name and each.version == 1:
            taken |= dict.fromkeys(taken_up(each), str(closing_of(issued, each.entry.position)))
        elif each.key not in rows:
            row = statement_store.issued(cursor, *each.key)
            rows |= {each.key: row} if row else {}
            logged.append(each)
            seen.add(each.key)
    for each in logged:
        yield _statement(each, rows.get(each.key), issued, taken)
    for key in rows.keys() - seen:
        sentence = f"the table of statements has version {key[2]} of {key[1]}, and the log has no such event"
        yield fails(key[0], key[1], Check.tables, sentence)
    yield from _taken_up(cursor, [row for row in rows.values() if row.version > 1])
    yield from _resolved(cursor, name, resolved)
    yield from _resolutions(cursor, period, issued)
    yield from _scores(cursor, name, every, issued)
    yield from _closings(cursor, name, issued)


def _statement(
    each: Statement, row: Row | None, issued: Issued, taken: dict[tuple[str, str, int], str]
) -> Finding:  # fmt: skip
    if row is None:
        sentence = f"the log issued it at position {each.entry.position}, and the table of statements has no such row"
        return fails(each.contract, each.name, Check.tables, sentence)
    event = each.event
    said = Row(
        each.contract, event.period, each.version, each.period.first, each.period.end, each.rulebook[0], event.position,
        count_streamed(each.given.facts), event.digest, event.statement, event.given, event.carried, event.seals,
        event.adjustment if isinstance(event, StatementRestated) else "", each.entry.position, row.taken_by, row.closing,
    )  # fmt: skip
    if each.version == 1 and event.period == str(issued.period):
        said = said._replace(closing=closing_of(issued, each.entry.position) or None)
    elif each.key in taken:
        said = said._replace(taken_by=str(issued.period), closing=int(taken[each.key]) or None)
    wrong = [field for field in Row._fields if getattr(row, field) != getattr(said, field)]
    if wrong:
        sentence = f"its row in the table of statements says another {', '.join(wrong)} than the log"
        return fails(each.contract, each.name, Check.tables, sentence)
    return holds(each.contract, each.name, Check.tables, "its row in the table of statements says what the log says")


def _taken_up(cursor: Rows, restated: Iterable[Row]) -> Iterator[Finding]:
    """That each adjustment which a row says was taken up is on that statement: it would be on none else."""
    takers: dict[str, list[Row]] = {}
    for row in restated:
        if row.taken_by is not None:
            takers.setdefault(row.taken_by, []).append(row)
    for taker, own in takers.items():
        said = {each.contract: each.statement for each in statement_store.of_period(cursor, taker) if each.version == 1}
        for row in own:
            if row.adjustment not in _adjustments(said.get(row.contract)):
                sentence = (
                    f"the table of statements says that {taker} took up its adjustment, and it is not on that statement"
                )
                yield fails(row.contract, f"{row.period} version {row.version}", Check.tables, sentence)


def _adjustments(statement: str | None) -> list[str]:
    return (
        []
        if statement is None
        else [canonical(each).decode() for each in msgspec.json.decode(statement)["adjustments"]]
    )


def _resolved(cursor: Rows, name: str, resolved: Sequence[Resolution]) -> Iterator[Finding]:
    """That the table has all that resolved discrepancies of any period: one that it lost would be on no statement."""
    logged = set(resolved)
    rows = resolutions.every(cursor)
    for each in sorted({row._replace(taken_by=None) for row in rows} ^ logged):
        sentence = f"the table of resolutions does not say what the log says at position {each.position}"
        yield fails(each.contract, each.period, Check.tables, f"{sentence}; settle rebuild makes it anew")
    for taker in sorted({row.taken_by for row in rows if row.period == name and row.taken_by}):
        own = [row for row in rows if row.period == name and row.taken_by == taker]
        said = {each.contract: each.statement for each in statement_store.of_period(cursor, taker) if each.version == 1}
        for row in own:
            if row.adjustment not in _adjustments(said.get(row.contract)):
                sentence = f"the table of resolutions says that {taker} took it up, and it is not on that statement"
                yield fails(row.contract, name, Check.tables, sentence)


def _resolutions(cursor: Rows, period: Period, issued: Issued) -> Iterator[Finding]:
    """That each resolution which waited for a statement is on it, and the table says so."""
    name = str(period)
    closed = [each for each in issued.statements if each.version == 1 and each.event.period == name]
    kept = resolutions.of_contracts(cursor, [each.contract for each in closed])
    for each in closed:
        said = [canonical(made).decode() for made in each.said["adjustments"] if is_resolution(made)]
        rows = kept.get(each.contract, [])
        taken = [row.adjustment for row in rows if row.taken_by == name]
        left = [
            row
            for row in rows
            if row.taken_by is None and row.position <= each.position and row.end <= each.period.first
        ]
        if said != taken or left:
            sentence = "the table of resolutions says that it took up others than it did"
            yield fails(each.contract, each.name, Check.tables, sentence)
        elif said:
            yield holds(each.contract, each.name, Check.tables, f"{len(said)} resolutions are on it, and on no other")


def _scores(cursor: Rows, name: str, every: Issued, issued: Issued) -> Iterator[Finding]:
    closings = assessments.closings(cursor, name)
    rows = {row.own_position: row for row in assessments.of_period(cursor, name)}
    for each in every.scores:
        position = each.entry.position
        row = rows.pop(position, None)
        said = (score_row(each.event, position), closing_of(issued, position) or None)
        if (row, closings.get(position)) != said:
            sentence = "the table of scores says something else than the log"
            yield fails(each.event.partner, each.name, Check.tables, sentence)
    for row in rows.values():
        sentence = f"the table of scores has version {row.version}, and the log has no such event"
        yield fails(row.partner, name, Check.tables, sentence)


def _closings(cursor: Rows, name: str, issued: Issued) -> Iterator[Finding]:
    events = [each.event for each in issued.closings]
    logged = [Closing(e.period, e.number, e.position, e.statements, e.head, e.root) for e in events]
    if seals.closings(cursor, name) != logged:
        yield fails("", name, Check.tables, "the table of closings says something else than the log")
    else:
        yield holds("", name, Check.tables, f"{len(logged)} closings are as the log says")


def check_intake(cursor: Rows) -> Iterator[Finding]:
    """That every message consumed ended as something, that the log holds what was recorded, and no more, and that the identity of
    each is kept: one that is lost would be recorded twice.
    """
    found = balance(cursor)
    if not found.balanced:
        sentence = (
            f"{found.consumed} messages were consumed and {sum(found.total)} are accounted for; the log ends at position "
            f"{found.position}, and {found.total.recorded} recorded, {found.recycled} recycled and {found.issued} issued "
            "events should be in it"
        )
        yield fails("", "", Check.intake, sentence)
    identities, without_event = intake.identities(cursor)
    known = found.position - found.issued + without_event
    if identities != known:
        sentence = (
            f"{identities} identities are kept of {known} messages that were recorded, or are in suspense: what repeats one that "
            "is missing would be counted twice"
        )
        yield fails("", "", Check.intake, sentence)
    if found.balanced and identities == known:
        sentence = f"{found.consumed} messages consumed and {found.position} events balance, each known by its identity"
        yield holds("", "", Check.intake, sentence)
