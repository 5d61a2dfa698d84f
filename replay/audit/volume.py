"""The volume events of an audit, read once: sealed by contract and period, and folded as each statement knew them.

A statement knew the events up to its position. So an event is folded once for each statement of its contract and period that
knew it, all statements at once, in columns; no event is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import polars as pl

from engine.events import VOLUME, Event, StreamedEvent, decoded
from engine.period import Period, located
from engine.projections import facts as projection
from engine.projections.columns import columns, micros_since_1970
from engine.projections.derived import MeasureFails
from engine.projections.facts import FACTS
from engine.projections.seals import Entry, Seal, Subject, subject_of
from engine.store.log import stream_id
from replay.audit.findings import Check, Finding, fails
from replay.audit.issued import UNREADABLE

_PAGES_A_MERGE = 16


class Asked(NamedTuple):
    """The facts that are asked for: of a contract's period as known at a position, at a grain; `key` names them.

    `phases` is the text of those in which the contract's services were, as known there.
    """

    key: str
    contract: str
    period: Period
    position: int
    grain: str
    phases: str | None = None


_ASKED = pl.Schema(
    {
        "contract": pl.String(),
        "period": pl.Date(),
        "position": pl.Int64(),
        "key": pl.String(),
        "grain": pl.String(),
        "phases": pl.String(),
    }
)


class Sealed:
    """The seals of subjects as they were at the positions that statements name."""

    def __init__(self, positions: dict[Subject, set[int]]) -> None:
        self._open = {subject: sorted(at, reverse=True) for subject, at in positions.items()}
        self._now: dict[Subject, Seal] = dict.fromkeys(positions, Seal())
        self._until = {subject: max(at) for subject, at in positions.items()}
        self._at: dict[tuple[Subject, int], Seal] = {}
        self.unsealed = 0

    def add(self, subject: Subject, entry: Entry) -> None:
        """The next event of the subject in the order of the log."""
        now = self._now.get(subject)
        if now is None or entry.position > self._until[subject]:
            self.unsealed += 1
            return
        waiting = self._open[subject]
        while waiting and waiting[-1] < entry.position:
            self._at[subject, waiting.pop()] = now
        self._now[subject] = now.extended(entry.leaf)

    def at(self, subject: Subject, position: int) -> Seal:
        """The seal over the subject's events up to the position; asked for when all events are in."""
        return self._at.get((subject, position), self._now.get(subject, Seal()))


class Chosen(NamedTuple):
    """An event that is asked for, with the first day of its period."""

    entry: Entry
    event: StreamedEvent
    period: date


class Selection:
    """Picks the volume events that a scope asks for. `terms` has the columns contract, calendar and time_zone."""

    def __init__(self, name: str, terms: pl.DataFrame, events: Mapping[tuple[str, date], int]) -> None:
        self._name = name
        self._terms = terms
        self._events = events
        self.streams = {stream_id("contract", contract) for contract, _ in events}
        self.findings: list[Finding] = []

    def of(self, page: Sequence[Entry]) -> list[Chosen]:
        """Those of the page's volume events that are asked for."""
        read = [(entry, event) for entry in page if (event := self._read(entry)) is not None]
        if not read:
            return []
        frame = pl.DataFrame(
            {"contract": [e.contract for _, e in read], "time": [micros_since_1970(e.time) for _, e in read]},
            schema={"contract": pl.String, "time": pl.Datetime("us", "UTC")},
        )
        periods = located(frame.join(self._terms, on="contract", how="left", maintain_order="left"))["period"]
        found = []
        for (entry, event), period in zip(read, periods, strict=True):
            if entry.position <= self._events.get((event.contract, period), 0):
                found.append(Chosen(entry, event, period))
        return found

    def _read(self, entry: Entry) -> StreamedEvent | None:
        if entry.name not in VOLUME or entry.stream not in self.streams:
            return None
        try:
            event = decoded(entry.name, entry.state)
        except UNREADABLE as error:
            self.findings.append(unreadable(self._name, entry, error))
            return None
        assert isinstance(event, StreamedEvent), entry.name
        return event


class Volume:
    """Seals and folds the chosen events, page by page in the order of the log."""

    def __init__(self, terms: pl.DataFrame, asked: Iterable[Asked], sealed: Sealed) -> None:
        rows = [(each.contract, each.period.first, each.position, each.key, each.grain, each.phases) for each in asked]
        self._asked = pl.DataFrame(rows, schema=_ASKED, orient="row")
        self._names = projection.dimensions(self._asked["grain"].unique())
        self._terms = terms
        self._sealed = sealed
        self._parts: list[pl.DataFrame] = []
        self.events = 0
        self.failed: dict[str, str] = {}

    def absorb(self, chosen: Sequence[Chosen]) -> None:
        if not chosen:
            return
        for entry, event, period in chosen:
            self._sealed.add(Subject("events", event.contract, period), entry)
        self.events += len(chosen)
        positions = [each.entry.position for each in chosen]
        events, further = columns(positions, [each.event for each in chosen], self._names)
        within = events.with_columns(pl.Series("period", [each.period for each in chosen], dtype=pl.Date))
        known = (
            within.join(self._terms, on="contract", how="left", maintain_order="left")
            .join(self._asked, on=["contract", "period"])
            .filter(pl.col("seq") <= pl.col("position"))
            .with_columns(contract="key", event_seq="seq")
            .drop("seq")
            .with_row_index("seq")
            .with_columns(pl.col("seq").cast(pl.Int64))
        )
        own = known.select("seq", "event_seq").join(further, left_on="event_seq", right_on="seq")
        self._fold(known, own.select("seq", "field", "value"))
        if len(self._parts) >= _PAGES_A_MERGE:
            self._parts = [projection.merged(pl.concat(self._parts))]

    def _fold(self, known: pl.DataFrame, further: pl.DataFrame) -> None:
        try:
            self._parts.append(projection.fold(known, further))
        except MeasureFails as failure:
            rows = known.filter(pl.col("seq").is_in(list(failure.failures)))
            for seq, key in rows.select("seq", "contract").iter_rows():
                field, why = failure.failures[seq]
                self.failed.setdefault(key, f"{field} of one of its events has no value: {why}")
            rest = known.filter(~pl.col("contract").is_in(list(self.failed)))
            self._parts.append(projection.fold(rest, further.join(rest.select("seq"), on="seq", how="semi")))

    def facts(self) -> pl.DataFrame:
        """Columns engine.projections.facts.FACTS, whose contract is the key that was asked for."""
        return projection.merged(pl.concat(self._parts)) if self._parts else FACTS.to_frame()


def unreadable(name: str, entry: Entry, error: Exception) -> Finding:
    why = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    sentence = f"the event at position {entry.position} of the log cannot be read: {why}"
    return fails("", name, Check.readable, sentence)


def seal_told(sealed: Sealed, told: Iterable[tuple[Entry, Event]]) -> None:
    """Seals what did not come in volume: terms, partners' events, rulebooks, exchange rates."""
    for entry, event in told:
        if not isinstance(event, StreamedEvent) and (subject := subject_of(event, None)) is not None:
            sealed.add(subject, entry)
