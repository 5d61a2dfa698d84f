"""What the engine issued in a period, read from the log's entries: statements, scores and closings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from engine.aggregates.statement import version_of
from engine.events import AssessmentCompleted, PeriodClosed, StatementClosed, StatementRestated, decoded
from engine.facts import Fact
from engine.outcomes import Balance
from engine.period import Period
from engine.projections.seals import Entry
from engine.rules.given import Given
from engine.settlement.adjusting import is_resolution
from engine.settlement.keeping import KeptOrigin, balances_of, facts_of, given_of
from replay.audit import shapes
from replay.audit.findings import Check, Finding, fails

Json = dict[str, Any]
# Contract, period and version.
Key = tuple[str, str, int]
# What reading a text of unknown origin may raise.
UNREADABLE = (ValueError, KeyError, TypeError, RecursionError, ArithmeticError, AssertionError)


class Statement(NamedTuple):
    """One version of a statement as issued: its entry in the log, and what its texts say."""

    entry: Entry
    event: StatementClosed | StatementRestated
    period: Period
    version: int
    said: Json
    given: Given
    origins: tuple[KeptOrigin, ...]
    carried: tuple[Balance, ...]
    seals: dict[str, str]

    @property
    def key(self) -> Key:
        return self.event.contract, self.event.period, self.version

    @property
    def contract(self) -> str:
        return self.event.contract

    @property
    def name(self) -> str:
        """How findings name it."""
        return self.event.period if self.version == 1 else f"{self.event.period} version {self.version}"

    @property
    def position(self) -> int:
        """The end of the log that it knew."""
        return self.event.position

    @property
    def rulebook(self) -> tuple[str, int]:
        return self.said["rulebook"]["id"], self.said["rulebook"]["version"]

    @property
    def is_again(self) -> bool:
        """Whether it was computed again, as if nothing had ever been closed."""
        return self.version > 1


class Score(NamedTuple):
    """A score as issued. `facts` are those of the partner's own events that it rests on."""

    entry: Entry
    event: AssessmentCompleted
    said: Json
    facts: tuple[Fact, ...]

    @property
    def name(self) -> str:
        version = "" if self.event.version == 1 else f" version {self.event.version}"
        return f"{self.event.period} score{version}"


class Closing(NamedTuple):
    entry: Entry
    event: PeriodClosed


class Issued(NamedTuple):
    """What an audit of the period is about, and what that cites.

    `statements` are those closed in the period, and the restated ones whose adjustments they took up; `scores` those of the
    period; `closings` in their order. The cited are earlier statements and scores that stand behind them.
    """

    period: Period
    closings: tuple[Closing, ...]
    statements: tuple[Statement, ...]
    scores: tuple[Score, ...]
    cited_statements: tuple[Statement, ...]
    cited_scores: tuple[Score, ...]
    unreadable: tuple[Finding, ...]

    @property
    def root(self) -> str:
        return self.closings[-1].event.root if self.closings else ""

    @property
    def end(self) -> int:
        """Up to where of the log the proof reaches: the last closing's position."""
        return self.closings[-1].event.position if self.closings else 0


Read = dict[int, "Statement | Score | Closing | None"]


def issued_of(period: Period, entries: Iterable[Entry], known: Read | None = None) -> Issued:
    """Sorts the entries. What cannot be read is a finding; nothing is raised.

    `known` remembers by position what was read, for whoever asks again with more entries.
    """
    known = {} if known is None else known
    name = str(period)
    closings: list[Closing] = []
    statements: list[Statement] = []
    scores: list[Score] = []
    unreadable: list[Finding] = []
    for entry in entries:
        try:
            if entry.position not in known:
                known[entry.position] = _read(entry)
            read = known[entry.position]
        except UNREADABLE as error:
            unreadable.append(fails("", name, Check.readable, _unreadable(entry, error)))
            continue
        match read:
            case Closing() if read.event.period == name:
                closings.append(read)
            case Statement():
                statements.append(read)
            case Score():
                scores.append(read)
            case _:
                sentence = f"position {entry.position} of the log, {entry.name}, has no place in an audit of {name}"
                unreadable.append(fails("", name, Check.readable, sentence))
    closed = [each for each in statements if each.event.period == name and each.version == 1]
    own = {each.key for each in closed} | {key for each in closed for key in taken_up(each)}
    return Issued(
        period,
        tuple(sorted(closings, key=lambda each: each.event.number)),
        tuple(each for each in statements if each.key in own),
        tuple(each for each in scores if each.event.period == name),
        tuple(each for each in statements if each.key not in own),
        tuple(each for each in scores if each.event.period != name),
        tuple(unreadable),
    )


def taken_up(statement: Statement) -> list[Key]:
    """The restated versions whose adjustments the statement took up."""
    return [
        (statement.contract, each["period"], each["version"])
        for each in statement.said["adjustments"]
        if not is_resolution(each)
    ]


def is_disputed(statement: Statement) -> bool:
    """Whether the statement took up what resolved a discrepancy."""
    return any(map(is_resolution, statement.said["adjustments"]))


def _unreadable(entry: Entry, error: Exception) -> str:
    why = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return f"position {entry.position} of the log, {entry.name[:60]}, cannot be read: {why}"


def _read(entry: Entry) -> Statement | Score | Closing | None:
    event = decoded(entry.name, entry.state)
    match event:
        case PeriodClosed():
            return Closing(entry, event)
        case AssessmentCompleted():
            shapes.score.decode(event.score)
            said = msgspec.json.decode(event.score)
            return Score(entry, event, said["score"], facts_of(said["facts"]))
        case StatementClosed() | StatementRestated():
            return _statement(entry, event)
        case _:
            return None


def _statement(entry: Entry, event: StatementClosed | StatementRestated) -> Statement:
    for decoder, text in (
        (shapes.statement, event.statement),
        (shapes.given, event.given),
        (shapes.carried, event.carried),
    ):
        decoder.decode(text)
    if isinstance(event, StatementRestated):
        shapes.adjustment.decode(event.adjustment)
    period = Period.parse(event.period)
    given, origins = given_of(event.given, period)
    said = msgspec.json.decode(event.statement)
    for made in said["adjustments"]:
        msgspec.convert(made, shapes.Resolution if is_resolution(made) else shapes.Adjustment)
    return Statement(
        entry, event, period, version_of(event), said, given, origins, balances_of(event.carried),
        shapes.seals.decode(event.seals),
    )  # fmt: skip
