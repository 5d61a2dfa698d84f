"""What an audit finds: one sentence for each thing that was checked, by contract."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Check(StrEnum):
    """The links of the proof, from the events of a contract to the root that its partner holds."""

    readable = "readable"
    seals = "seals"
    facts = "facts"
    carried = "carried"
    grades = "grades"
    rates = "rates"
    rulebook = "rulebook"
    reference = "reference evaluator"
    columns = "column evaluator"
    digest = "digest"
    sums = "sums"
    adjustments = "adjustments"
    score = "score"
    root = "root"
    signature = "signature"
    chain = "chain"
    tables = "tables"
    journal = "journal"
    notes = "notes"
    intake = "intake"
    archive = "archive"


class Finding(NamedTuple):
    """One check of one statement; `contract` is empty for what concerns no single one.

    `statement` names the period, with its version where that is not the first. `taken` says that the evidence does not
    reach so far: what the sentence names was taken as given.
    """

    contract: str
    statement: str
    check: Check
    ok: bool
    sentence: str
    taken: bool = False


class Proof(NamedTuple):
    """All findings, and what they are about. `root` is that of the last closing, empty where there is none."""

    period: str
    root: str
    statements: int
    events: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)

    @property
    def failed(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.ok]

    @property
    def taken(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.taken]

    def checked(self) -> dict[str, tuple[int, int]]:
        """By check how many findings there are, and how many of them failed; in the order of the proof."""
        counted = {str(check): [0, 0] for check in Check}
        for finding in self.findings:
            counted[finding.check][0] += 1
            counted[finding.check][1] += not finding.ok
        return {check: (made, failed) for check, (made, failed) in counted.items() if made}

    def with_findings(self, further: Iterable[Finding]) -> Proof:
        return self._replace(findings=(*self.findings, *further))


def fails(contract: str, statement: str, check: Check, sentence: str) -> Finding:
    return Finding(contract, statement, check, ok=False, sentence=sentence)


def holds(contract: str, statement: str, check: Check, sentence: str) -> Finding:
    return Finding(contract, statement, check, ok=True, sentence=sentence)


def taken(contract: str, statement: str, check: Check, sentence: str) -> Finding:
    return Finding(contract, statement, check, ok=True, sentence=f"taken as given: {sentence}", taken=True)
