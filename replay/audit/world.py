"""What was known at each of the positions that an audit asks about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from engine.aggregates import contract as contracts
from engine.aggregates import rulebook as rulebooks
from engine.aggregates.contract import Contract
from engine.events import (
    ContractSigned,
    Event,
    FxRatePublished,
    ReportedEvent,
    RulebookPublished,
    ServiceApplied,
    ServiceEvent,
)
from engine.period import Period
from engine.projections.seals import Entry
from engine.rules.check import check
from engine.rules.model import Contents, Rulebook
from replay import known
from replay.audit.findings import Check, Finding, fails
from replay.audit.shapes import is_number
from replay.known import Known

Told = tuple[Entry, Event]


def readable(name: str, told: Sequence[Told]) -> tuple[list[Told], list[Finding]]:
    """Those of the events that can be taken in, and findings for the others."""
    signed = {event.contract for _, event in told if isinstance(event, ContractSigned)}
    applied: set[str] = set()
    kept, findings = [], []
    for entry, event in told:
        if isinstance(event, ServiceApplied):
            applied.add(event.service)
        why = _hindrance(event, signed, applied)
        if why is None:
            kept.append((entry, event))
        else:
            findings.append(fails("", name, Check.readable, f"position {entry.position} of the log: {why}"))
    return kept, findings


def _hindrance(event: Event, signed: set[str], applied: set[str]) -> str | None:
    match event:
        case RulebookPublished() if check(event.text, event.rulebook).rulebook is None:
            return f"version {event.version} of {event.rulebook} cannot be read; settle rulebook check says why"
        case FxRatePublished() if not is_number(event.rate):
            return "its rate is no number"
        case ReportedEvent() if event.contract is not None and event.contract not in signed:
            return f"it names contract {event.contract}, whose terms are missing"
        case ServiceEvent() if event.service not in applied:
            return f"it is a step of service {event.service}, whose application does not come before it"
        case _:
            return None


def snapshots(told: Iterable[Told], positions: Iterable[int]) -> dict[int, Known]:
    """What was known at each of the positions; each event is read once."""
    found = {}
    rest = [(entry.position, event) for entry, event in told]
    now = known.nothing()
    at = 0
    for position in sorted(set(positions)):
        end = at
        while end < len(rest) and rest[end][0] <= position:
            end += 1
        now = known.of(rest[at:end], position=position, rules_position=position, before=now)
        at = end
        found[position] = now
    return found


def in_force(known_: Known, contract: Contract, period: Period) -> int | None:
    """The number of the rulebook's version that settles the contract in the period; None where none does."""
    published = known_.rulebooks.get(contract.rulebook)
    version = rulebooks.in_force(published, max(period.first, contract.valid_from)) if published else None
    return version.version if version and version.currency == contract.currency else None


def settled_with(known_: Known, book: Rulebook, period: Period) -> list[Contract]:
    """The contracts that the version settles in the period, by what was known."""
    return [
        each
        for each in known_.contracts.values()
        if each.rulebook == book.rulebook
        and each.calendar is period.calendar
        and contracts.in_force(each, period.first, period.end)
        and in_force(known_, each, period) == book.version
    ]


def carries(known_: Known, rulebook: str) -> bool:
    """Whether any version leaves something from period to period (engine.settlement.books)."""
    return any(contents.carries for contents in _all_contents(known_, rulebook))


def _all_contents(known_: Known, rulebook: str) -> Iterator[Contents]:
    published = known_.rulebooks.get(rulebook)
    for version in published.versions if published else ():
        book = known_.book(rulebook, version.version)
        yield from (book, *(era.contents for era in book.eras))
