"""The evidence of a period, read from the store's log: what was issued, what that cites, and what it stands on."""

from __future__ import annotations

from typing import NamedTuple

from engine.events import BY_NAME, REPORTED, DiscrepancyEvent, FxRatePublished, PartnerRegistered
from engine.period import Period
from engine.projections.seals import Entry
from engine.store import log
from engine.store.database import Rows
from replay.audit.findings import Finding
from replay.audit.issued import Issued, Read, issued_of, taken_up
from replay.audit.proving import told_of
from replay.audit.scope import TERMS, Scope, Told, cited, scope_of

_DISPUTED = [name for name, event in BY_NAME.items() if issubclass(event, DiscrepancyEvent)]
_TOLD = (PartnerRegistered.NAME, *REPORTED, FxRatePublished.NAME, *_DISPUTED)


class Gathered(NamedTuple):
    """All but the volume events. `entries` are those of what was issued and what that cites, in the order of the log.

    `in_period` is everything that the engine issued in the period, also what is no part of the audit.
    """

    issued: Issued
    entries: list[Entry]
    scope: Scope
    told: list[Told]
    findings: list[Finding]
    in_period: list[Entry]


def gathered(cursor: Rows, period: Period, *, closed_only: bool = False) -> Gathered:
    """`closed_only` leaves out what no closing commits to yet, so that the same closings have the same evidence."""
    in_period = log.issued_in(cursor, str(period))
    read: Read = {}
    own = issued_of(period, in_period, read)
    entries = {entry.position: entry for entry in in_period}
    if closed_only:
        closings = {each.entry.position for each in own.closings}
        entries = {at: entry for at, entry in entries.items() if at <= own.end or at in closings}
        own = issued_of(period, entries.values(), read)
    streams = {log.stream_id("statement", f"{key[0]}\0{key[1]}") for each in own.statements for key in taken_up(each)}
    own = _with(entries, period, log.entries_of(cursor, streams), own, read)
    terms, findings = told_of(str(period), _all(cursor, TERMS, own))
    scope = scope_of(own, terms)
    behind = cited(own, scope, terms)
    streams = {log.stream_id("statement", f"{contract}\0{name}") for contract, name in behind.statements}
    streams |= {log.stream_id("assessment", "\0".join(each)) for each in behind.scores}
    issued = _with(entries, period, log.entries_of(cursor, streams), own, read)
    kept = _needed(issued, streams, scope)
    told, unreadable = _told(cursor, period, scope, terms)
    return Gathered(issued_of(period, kept, read), kept, scope, told, [*findings, *unreadable], in_period)


def _with(entries: dict[int, Entry], period: Period, further: list[Entry], before: Issued, read: Read) -> Issued:
    entries |= {entry.position: entry for entry in further}
    return issued_of(period, [entries[at] for at in sorted(entries)], read) if further else before


def _needed(issued: Issued, streams: set[bytes], scope: Scope) -> list[Entry]:
    """The entries of what is proved and what that cites, in order: nothing that came after all of it."""
    own = [each.entry for each in issued.statements]
    own += [each.entry for each in issued.scores]
    own += [each.entry for each in issued.closings]
    behind = [each.entry for each in issued.cited_statements] + [each.entry for each in issued.cited_scores]
    kept = [entry for entry in behind if entry.stream in streams and entry.position <= scope.end]
    return sorted([*own, *kept])


def _all(cursor: Rows, names: tuple[str, ...], issued: Issued) -> list[Entry]:
    end = max([each.entry.position for each in issued.statements], default=issued.end)
    return [entry for page in log.named(cursor, names, to=max(end, issued.end)) for entry in page]


def _told(cursor: Rows, period: Period, scope: Scope, terms: list[Told]) -> tuple[list[Told], list[Finding]]:
    wanted, findings = list(terms), []
    for page in log.named(cursor, _TOLD, to=scope.end):
        told, unreadable = told_of(str(period), page)
        wanted += [each for each in told if scope.wants(each[1])]
        findings += unreadable
    return scope.chosen(sorted(wanted, key=lambda each: each[0].position)), findings
