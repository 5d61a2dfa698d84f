"""That the journal says of every statement what the statement means, that each entry balances, and all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.events import (
    AdvancePaid,
    DepositPaid,
    DepositReturned,
    DiscrepancyResolved,
    StatementClosed,
    StatementInvoiced,
    StatementInvoiceWithdrawn,
    StatementPaid,
    StatementPaymentReturned,
    StatementPublished,
    StatementRestated,
    decoded,
)
from engine.period import Period
from engine.projections.journal import Entry, trial
from engine.projections.seals import Entry as LogEntry
from engine.settlement.journaling import entries_of, entries_paid, entries_told
from engine.settlement.taking_up import resolution_of
from engine.store import journal
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.resolutions import Resolution
from replay.audit.findings import Check, Finding, fails, holds
from replay.audit.issued import UNREADABLE

# What means something by itself; statements and their notes are proved with their period (here, and in `notes`).
Booked = AdvancePaid | DepositPaid | DepositReturned | DiscrepancyResolved
_BOOKED = frozenset(each.NAME for each in (AdvancePaid, DepositPaid, DepositReturned, DiscrepancyResolved))
_WITH_PERIOD = frozenset(
    each.NAME
    for each in (
        StatementClosed,
        StatementRestated,
        StatementPublished,
        StatementInvoiced,
        StatementInvoiceWithdrawn,
        StatementPaid,
        StatementPaymentReturned,
    )
)


class Ledger:
    """That the journal says of every deposit, advance and resolved discrepancy in the log what it means; asked page by page.

    `resolved` is what the discrepancies leave to be taken up.
    """

    def __init__(self, cursor: Rows) -> None:
        self.resolved: list[Resolution] = []
        self._cursor = cursor
        self._number = 0
        self._wrong: list[Finding] = []

    def add(self, page: Sequence[LogEntry]) -> None:
        told = [(each.position, event) for each in page if (event := _booked(each)) is not None]
        if not told:
            return
        self.resolved += [resolution_of(at, event) for at, event in told if isinstance(event, DiscrepancyResolved)]
        others = [(at, event) for at, event in told if not isinstance(event, AdvancePaid)]
        advances = [(at, event) for at, event in told if isinstance(event, AdvancePaid)]
        try:
            paid = entries_paid(self._cursor, advances)
        except KeyError:  # a contract that the table has lost: its advances mean nothing that could be in the journal
            paid = []
        expected = Counter([*entries_told(others, _no_statement), *paid])
        found = Counter(journal.entries_at(self._cursor, [at for at, _ in told]))
        self._number += len(told)
        wrong = {each.position for each in (expected - found) + (found - expected)}
        for at, event in told:
            if at in wrong:
                sentence = (
                    f"the journal does not say what {event.NAME} at position {at} means; settle rebuild makes it anew"
                )
                self._wrong.append(fails(event.contract or "", "", Check.journal, sentence))

    def findings(self) -> Iterator[Finding]:
        if self._wrong:
            yield from self._wrong
        elif self._number:
            yield holds(
                "",
                "",
                Check.journal,
                f"{self._number:,} entries say what deposits, advances and resolved discrepancies mean",
            )


def _booked(entry: LogEntry) -> Booked | None:
    """None where it is another event, or cannot be read, which is found elsewhere."""
    if entry.name not in _BOOKED:
        return None
    try:
        event = decoded(entry.name, entry.state)
        if isinstance(event, DiscrepancyResolved):
            resolution_of(entry.position, event)
    except UNREADABLE:
        return None
    assert isinstance(event, Booked), event
    return event


def _no_statement(contract: str, period: str) -> Mapping[str, Any]:
    raise AssertionError((contract, period))


def check_journal(cursor: Rows, period: Period) -> Iterator[Finding]:
    issued = statement_store.of_period(cursor, str(period))
    expected, found = Counter(entries_of(cursor, issued)), Counter[Entry]()
    positions = {each.own_position: each for each in issued}
    found.update(journal.entries_at(cursor, list(positions)))
    wrong = {each.position for each in (expected - found) + (found - expected)}
    for position in sorted(wrong):
        each = positions[position]
        version = f" version {each.version}" if each.version > 1 else ""
        sentence = "the journal does not say what the statement means; settle rebuild makes it anew"
        yield fails(each.contract, f"{period}{version}", Check.journal, sentence)
    for position, currency, amount in journal.unbalanced(cursor):
        yield fails("", "", Check.journal, f"the entry at position {position} is {amount:f} {currency} out of balance")
    for position in journal.of_no_event(cursor, _BOOKED | _WITH_PERIOD):
        sentence = f"the journal has an entry at position {position}, where the log has nothing that means one"
        yield fails("", "", Check.journal, f"{sentence}; settle rebuild makes it anew")
    sums = {currency: amount for currency, amount in trial(journal.balances(cursor)).items() if amount}
    for currency, amount in sums.items():
        yield fails("", "", Check.journal, f"all accounts together come to {amount:f} {currency}, and not to 0")
    if not wrong and not sums:
        yield holds(
            "",
            "",
            Check.journal,
            f"{expected.total():,} entries say what the statements mean, and all accounts come to 0",
        )
