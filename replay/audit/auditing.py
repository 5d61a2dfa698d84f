"""The audit of a period on what the store holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.aggregates.refusal import Refused
from engine.period import Period
from engine.projections.seals import Entry
from engine.store import archive_seals, log, recorder, seals
from engine.store.database import Rows, Store
from replay.apart import Spread, here
from replay.archive.checking import check
from replay.archive.reading import Archive
from replay.audit.findings import Check, Finding, Proof, fails, holds
from replay.audit.gathering import gathered
from replay.audit.ledger import Ledger, check_journal
from replay.audit.notes import check_notes
from replay.audit.proving import Progress, Prover
from replay.audit.tables import check_intake, check_tables, readable
from replay.audit.walking import Walk


class NothingIssued(Refused):
    code = "nothing-issued"


def audit(
    store: Store,
    period: Period,
    archive: Archive | None = None,
    progress: Progress = lambda *_: None,
    spread: Spread = here,
) -> Proof:
    """Proves what was issued in the period, from the log; and the log, by what closings recorded of it; and the archive.

    `spread` does the parts of computing statements again; the log is read here.
    `progress` is told how much of how much is done: positions read, and then statements proved. Raises NothingIssued.
    """
    with store.reading() as cursor:
        broken = log.untimed(cursor)
        if broken:
            return Proof(str(period), "", 0, 0, tuple(_untimed(*each) for each in broken))
        evidence = gathered(cursor, period)
        if not evidence.in_period:
            raise NothingIssued(f"nothing was issued in {period}, so there is nothing to prove; settle close {period}")
        prover = Prover(evidence.issued, evidence.scope, evidence.told, evidence.findings)
        walk = Walk(
            seals.kept_chain(cursor), frozenset(seal.last for seal in archive.seals) if archive else frozenset()
        )
        ledger = Ledger(cursor)
        last = recorder.last_position(cursor)
        for page in pages(cursor, last):
            walk.add(page)
            prover.absorb(page)
            ledger.add(page)
            progress(page[-1].position, last)
        findings = [
            *walk.findings(),
            *walk.unknown(evidence.issued.statements),
            *readable(
                period,
                Check.tables,
                lambda: check_tables(cursor, period, evidence.issued, evidence.in_period, ledger.resolved),
            ),
            *readable(period, Check.journal, lambda: check_journal(cursor, period)),
            *ledger.findings(),
            *readable(period, Check.notes, lambda: check_notes(cursor, evidence.issued)),
            *check_intake(cursor),
        ]
        sealed = archive_seals.recorded(cursor)
    if archive is not None:
        findings += _archive(archive, walk.heads, len(sealed), progress)
    return prover.proof(progress, spread).with_findings(findings)


def pages(cursor: Rows, last: int) -> Iterator[list[Entry]]:
    """The log from its first position up to the last, a page at a time."""
    after = 0
    while after < last:
        page = log.entries(cursor, after=after, to=last)
        if not page:
            return
        yield page
        after = page[-1].position


def _untimed(expected: int, found: int) -> Finding:
    sentence = (
        f"the times of recording should go on at position {expected}, and go on at {found}: without them no event is what "
        "was sealed"
    )
    return fails("", "", Check.chain, sentence)


def _archive(archive: Archive, heads: Mapping[int, str], sealed: int, progress: Progress) -> Iterator[Finding]:
    """Every byte of the archive, that each seal is of this log, and that none of the `sealed` is missing."""
    wrong = list(check(archive, progress))
    other = [seal for seal in archive.seals if heads.get(seal.last) != seal.head]
    wrong += [f"seal {seal.number} up to position {seal.last} is of another log" for seal in other]
    if len(archive.seals) < sealed:
        wrong.append(
            f"{len(archive.seals)} of {sealed} seals are in the archive; settle archive makes the others again"
        )
    yield from (fails("", "", Check.archive, sentence) for sentence in wrong)
    if not wrong:
        segments = sum(len(seal.segments) for seal in archive.seals)
        yield holds(
            "", "", Check.archive, f"{segments} segments hold the log up to position {archive.last}, byte for byte"
        )
