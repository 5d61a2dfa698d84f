"""The proof: everything that was issued in a period, recomputed from its evidence. No database, no file, no clock.

The store and a pack hand in the same: entries of the log. `Prover` takes what was issued and what was told first, the volume
events page by page, and proves when all are in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl

from engine.events import ContractSigned, decoded
from engine.projections.seals import Entry, Subject
from replay.apart import Spread, here
from replay.audit import basis as bases
from replay.audit.cohorts import Cohort, asked, cohorts_of
from replay.audit.findings import Check, Finding, Proof, taken
from replay.audit.inputs import check_inputs, subjects_of
from replay.audit.issued import UNREADABLE, Issued
from replay.audit.outcomes import check_digests, check_ended, in_parts, outcomes
from replay.audit.roots import check_roots
from replay.audit.scope import Scope, Told
from replay.audit.sums import check_sums
from replay.audit.volume import Sealed, Selection, Volume, seal_told, unreadable
from replay.audit.world import readable, snapshots
from replay.known import Known

Progress = Callable[[int, int], None]


def told_of(name: str, entries: Iterable[Entry]) -> tuple[list[Told], list[Finding]]:
    """The entries with their events, and findings for those that cannot be read."""
    told: list[Told] = []
    findings = []
    for entry in entries:
        try:
            told.append((entry, decoded(entry.name, entry.state)))
        except UNREADABLE as error:
            findings.append(unreadable(name, entry, error))
    return told, findings


def terms_of(told: Iterable[Told]) -> pl.DataFrame:
    """By what each signed contract cuts time into periods: columns contract, calendar and time_zone."""
    rows = {
        event.contract: (event.contract, str(event.calendar), event.time_zone)
        for _, event in told
        if isinstance(event, ContractSigned)
    }
    return pl.DataFrame(
        list(rows.values()), schema=dict.fromkeys(("contract", "calendar", "time_zone"), pl.String), orient="row"
    )


class Prover:
    """Hand in the volume events with `absorb`, then ask for the `proof`."""

    def __init__(self, issued: Issued, scope: Scope, told: Sequence[Told], findings: Iterable[Finding] = ()) -> None:
        name = str(issued.period)
        self._issued = issued
        self.scope = scope
        self._told, hindered = readable(name, told)
        self._findings = [*issued.unreadable, *findings, *hindered]
        positions = {each.position for each in issued.statements} | {each.event.position for each in issued.scores}
        self._known = snapshots(self._told, positions)
        self._cohorts: tuple[Cohort, ...] = tuple(cohorts_of(issued, self._known))
        self._sealed = Sealed(_wanted(issued, self._known))
        seal_told(self._sealed, self._told)
        terms = terms_of(self._told)
        self.selection = Selection(name, terms, scope.events)
        self._volume = Volume(terms, asked(self._cohorts, self._known, scope), self._sealed)

    def absorb(self, page: Sequence[Entry]) -> int:
        """Takes in the next of the log's entries, in its order; returns how many of them are asked for."""
        chosen = self.selection.of(page)
        self._volume.absorb(chosen)
        return len(chosen)

    def proof(self, progress: Progress = lambda *_: None, spread: Spread = here) -> Proof:
        """All findings, statement by statement, the same whatever does the parts of computing them again.

        `progress` is told steps done and in all.
        """
        volume = self._volume
        basis = bases.made(
            self._issued, self.scope, self._known, self._sealed, volume.facts(), volume.failed, self._told
        )
        checks = (check_inputs, check_digests, check_sums, check_ended)
        parts = in_parts(self._cohorts)
        findings = [*self._findings, *self.selection.findings, *self._beside()]
        for number, check in enumerate(checks, 1):
            findings += check(basis)
            progress(number, len(checks) + len(parts))
        found: dict[int, list[Finding]] = {}
        for number, own in spread(outcomes, basis, parts):
            found[number] = own
            progress(len(checks) + len(found), len(checks) + len(parts))
        findings += (finding for number in sorted(found) for finding in found[number])
        findings += check_roots(self._issued)
        events = volume.events + len(self._told)
        statements = len(self._issued.statements)
        return Proof(str(self._issued.period), self._issued.root, statements, events, tuple(findings))

    def _beside(self) -> Iterator[Finding]:
        """What the roots of the period do not commit to."""
        name = str(self._issued.period)
        if self._sealed.unsealed:
            sentence = (
                f"{self._sealed.unsealed} events that no seal covers: they came after the statements, or are those of "
                "contracts that were settled together with them or are named by their partners' events"
            )
            yield taken("", name, Check.seals, sentence)
        cited = len(self._issued.cited_statements) + len(self._issued.cited_scores)
        if cited:
            sentence = (
                f"{cited} earlier statements and scores, but for what was taken over from them: the roots of their own "
                "closings prove them"
            )
            yield taken("", name, Check.root, sentence)


def _wanted(issued: Issued, known: dict[int, Known]) -> dict[Subject, set[int]]:
    """The subjects that statements are sealed over, with the positions at which they are."""
    wanted: dict[Subject, set[int]] = {}
    for each in issued.statements:
        contract = known[each.position].contracts.get(each.contract)
        if contract is not None:
            for subject in subjects_of(contract, each.period).values():
                wanted.setdefault(subject, set()).add(each.position)
    return wanted
