"""The whole log, read once from its first position: is it the log that the closings recorded?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from engine.events import PeriodClosed, StatementClosed, StatementRestated, decoded
from engine.projections.seals import Chain, Entry
from replay.audit.findings import Check, Finding, fails, holds
from replay.audit.issued import UNREADABLE, Statement

_NAMED_MAX = 10
_VERSIONS = frozenset({StatementClosed.NAME, StatementRestated.NAME})


class Walk:
    """Hand in all entries of the log with `add`, then ask for the findings. `kept` is the chain as it is stored, if it is.

    `heads` are those of the chain at the positions that are asked for.
    """

    def __init__(self, kept: Chain | None, asked: frozenset[int] = frozenset()) -> None:
        self.heads: dict[int, str] = {}
        self._asked = asked
        self._kept = kept or Chain()
        self._chain = Chain()
        self._next = 1
        self._versions: dict[bytes, int] = {}
        # Up to where the log is as a closing recorded it, and the first that says otherwise.
        self._good = 0
        self._closings = 0
        self._broken: tuple[int, str] | None = None
        self._told: list[Finding] = []
        if kept is None:
            self._fail("the chain as it is stored is gone; settle rebuild makes it anew")
        # By the position of each version of a statement, where the last event before it is that was not issued with it.
        self._before: dict[int, int] = {}
        self._issuing, self._foreign = "", 0

    def add(self, page: Sequence[Entry]) -> None:
        leaves: list[bytes] = []
        for entry in page:
            self._order(entry)
            self._follow(entry)
            if entry.name == PeriodClosed.NAME:
                self._extend(leaves)
                self._compare(entry)
            leaves.append(entry.leaf)
            if entry.position in self._asked:
                self._extend(leaves)
                self.heads[entry.position] = self._chain.now
            if entry.position == self._kept.position:
                self._extend(leaves)
                self._compare_kept()
        self._extend(leaves)

    def _extend(self, leaves: list[bytes]) -> None:
        self._chain = self._chain.extended(leaves)
        leaves.clear()

    def _order(self, entry: Entry) -> None:
        if entry.position != self._next:
            until = f" to {entry.position - 1}" if entry.position - 1 > self._next else ""
            self._fail(f"position {self._next}{until} is missing from the log")
        self._next = entry.position + 1
        before = self._versions.get(entry.stream, 0)
        if entry.version != before + 1:
            self._fail(
                f"position {entry.position} is version {entry.version} of its stream {entry.stream.hex()}, and follows on "
                f"version {before}"
            )
        self._versions[entry.stream] = entry.version

    def _follow(self, entry: Entry) -> None:
        if entry.name not in _VERSIONS:
            self._issuing, self._foreign = "", entry.position
            return
        if entry.name != self._issuing:
            self._issuing, self._foreign = entry.name, entry.position - 1
        self._before[entry.position] = self._foreign

    def unknown(self, statements: Iterable[Statement]) -> Iterator[Finding]:
        """Of statements that did not know all that was in the log when they were issued."""
        for each in statements:
            before = self._before.get(each.entry.position, 0)
            if each.position < before:
                sentence = f"it knew the log up to position {each.position}, and there were events up to {before}"
                yield fails(each.contract, each.name, Check.seals, sentence)

    def _compare(self, entry: Entry) -> None:
        try:
            closing = decoded(entry.name, entry.state)
        except UNREADABLE:
            self._fail(f"the closing at position {entry.position} cannot be read")
            return
        assert isinstance(closing, PeriodClosed), entry
        self._closings += 1
        named = f"closing {closing.number} of {closing.period}"
        if (closing.position, closing.head) != (entry.position - 1, self._chain.now):
            self._breaks(entry.position - 1, named)
        elif self._broken is None:
            self._good = closing.position

    def _compare_kept(self) -> None:
        if (self._kept.head, self._kept.leaves) != (self._chain.head, self._chain.leaves):
            self._breaks(self._kept.position, "the chain as it is stored")
        elif self._broken is None:
            self._good = self._kept.position

    def _breaks(self, position: int, named: str) -> None:
        if self._broken is None:
            self._broken = position, named

    def _fail(self, sentence: str) -> None:
        if len(self._told) < _NAMED_MAX:
            self._told.append(fails("", "", Check.chain, sentence))

    def findings(self) -> list[Finding]:
        position = self._next - 1
        found = list(self._told)
        if self._kept.position > position:
            sentence = f"the log ends at position {position}, and was sealed up to {self._kept.position}"
            found.append(fails("", "", Check.chain, sentence))
        if self._broken is not None:
            end, named = self._broken
            sentence = (
                f"{named} recorded another log: an event past position {self._good} and up to {end} was changed, left out, "
                "added or moved, or what was recorded of it was"
            )
            found.append(fails("", "", Check.chain, sentence))
        elif not found:
            rest = position - max(self._kept.position, self._good)
            sentence = f"{position} events in order are as {self._closings} closings and the stored chain recorded them"
            found.append(
                holds("", "", Check.chain, f"{sentence}; the last {rest} are not sealed yet" if rest else sentence)
            )
        return found
