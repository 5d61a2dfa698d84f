"""That the journal says of every statement what the statement means, that each entry balances, and all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from engine.period import Period
from engine.projections.journal import Entry, trial
from engine.settlement.journaling import entries_of
from engine.store import journal
from engine.store import statements as statement_store
from engine.store.database import Rows
from replay.audit.findings import Check, Finding, fails, holds


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
