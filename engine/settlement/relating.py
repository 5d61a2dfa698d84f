"""The relations that a batch is about, as they stand after each of its events; and what they mean for its volume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from engine.aggregates.contract import Contract
from engine.aggregates.relation import ANY, Look, OutOfTurn, Requirement, WrongState
from engine.aggregates.relations import AGGREGATES
from engine.aggregates.standing import CLOSED, CONTENT, FOREVER, REGION, REQUIREMENTS, STANDINGS, stopped
from engine.events import Event
from engine.projections.facts import attribute
from engine.store import relations as store
from engine.store.database import Rows
from engine.store.relations import Key, Relation, rows_of, standing_row

# Each changed relation with its states: from which place on each counts, the first as it stood before.
History = Mapping[Key, Sequence[tuple[int, Relation | None]]]

# The attributes that gates look at, beside the dimensions of the rulebooks.
GATE_ATTRIBUTES = frozenset({CONTENT, REGION})


def key_of(event: Event) -> Key:
    return event.KIND, event.named


def evolved(before: Relation | None, event: Event) -> Relation:
    kind, id_ = key_of(event)
    state = AGGREGATES[kind].evolve(before.state if before else None, event)
    if before is None:
        return Relation(kind, id_, 1, state, event.time)
    return Relation(kind, id_, before.version + 1, state, max(before.time, event.time))


def keep(cursor: Rows, events: Sequence[Event]) -> None:
    """What events of relations, in the order of the log, leave behind. The caller holds the writers' lock."""
    own = [event for event in events if event.KIND in AGGREGATES]
    if not own:
        return
    known = store.known(cursor, {key_of(event) for event in own})
    changed: dict[Key, Relation] = {}
    for event in own:
        key = key_of(event)
        changed[key] = known[key] = evolved(known.get(key), event)
    store.save(cursor, list(changed.values()))


def steps_of(cursor: Rows, told: Sequence[tuple[int, Event]]) -> History:
    """What events (place, event) that are kept after this make of their relations, at every point of it."""
    if not told:
        return {}
    known = store.known(cursor, {key_of(event) for _, event in told})
    steps: dict[Key, list[tuple[int, Relation | None]]] = {}
    for at, event in told:
        own = steps.setdefault(key_of(event), [(-1, known.get(key_of(event)))])
        own.append((at, evolved(own[-1][1], event)))
    return steps


class Relations:
    """What is decided of relations in one run, and the gates that stand open in it."""

    def __init__(self, cursor: Rows, told: Sequence[Event], others: Look, also: Iterable[Key] = ()) -> None:
        """`also` are those that will be looked at: read at once."""
        self._cursor = cursor
        self._others = others
        own = {key_of(event) for event in told if event.KIND in AGGREGATES} | set(also)
        self._known: dict[Key, Relation | None] = dict.fromkeys(own)
        # The ids of those of a group, by kind and the group's name: of all that are known, or, where it was looked at, of all.
        self._grouped: dict[tuple[str, str], set[str]] = {}
        self._whole: set[tuple[str, str]] = set()
        if own:
            for key, relation in store.known(cursor, own).items():
                self._know(key, relation)
        # Each changed relation through the run: (since, relation), the first as it stood before it.
        self._history: dict[Key, list[tuple[int, Relation | None]]] = {}
        self.arrived: list[str] = []

    @property
    def history(self) -> History:
        """What changed in the run."""
        return self._history

    def look(self, kind: str, id_: str) -> Any:  # noqa: ANN401 - any aggregate's state
        if kind.endswith(ANY):
            return self._together(kind.removesuffix(ANY), id_)
        if kind not in AGGREGATES:
            return self._others(kind, id_)
        key = (kind, id_)
        if key not in self._known:
            self._know(key, store.known(self._cursor, [key]).get(key))
        found = self._known[key]
        return None if found is None else found.state

    def _know(self, key: Key, relation: Relation | None) -> None:
        """How the relation stands by now, and in which groups."""
        kind, id_ = key
        before, self._known[key] = self._known.get(key), relation
        for each in _groups(before) - _groups(relation):
            self._grouped[kind, each].discard(id_)
        for each in _groups(relation) - _groups(before):
            self._grouped.setdefault((kind, each), set()).add(id_)

    def _together(self, kind: str, name: str) -> list[Any]:
        """The states of all in a group, those that this run has changed as it left them."""
        if (kind, name) not in self._whole:
            self._whole.add((kind, name))
            for each in store.grouped(self._cursor, kind, name):
                if (kind, each.id) not in self._known:
                    self._know((kind, each.id), each)
        found = (self._known[kind, id_] for id_ in sorted(self._grouped.get((kind, name), ())))
        return [each.state for each in found if each is not None]

    def decide(self, seq: int, command: Event, *, waited: bool = False) -> Event:
        """`waited` is whether it waited for the step before it. Raises what the aggregate refuses."""
        key = key_of(command)
        before = self._known[key]
        if waited and before is not None and command.time < before.time:
            raise WrongState(
                f"this {command.NAME} waited for the step before it, and meanwhile one of {before.time:%Y-%m-%d %H:%M} UTC was taken, "
                "which is later; send it with a later time under a new id where it is still meant, and write this message off"
            )
        try:
            event = AGGREGATES[command.KIND].decide(before.state if before else None, command, self.look)
        except OutOfTurn as refused:
            if before is None or command.time <= before.time:
                raise
            # What happened before it may be on its way still.
            raise WrongState(refused.early, waits_for=f"{command.KIND}:{command.named}") from None
        assert key_of(event) == key, (command, event)
        after = evolved(before, event)
        self._know(key, after)
        self._history.setdefault(key, [(-1, before)]).append((seq, after))
        opened = AGGREGATES[command.KIND].standings(after.state)
        self.arrived += sorted({f"{s.gate}:{s.subject}" for s in opened} | {f"{command.KIND}:{command.named}"})
        return event

    def gates(self) -> bool:
        """Whether any event of the run may have to pass a gate."""
        return bool(self._asked()) or store.any_required(self._cursor)

    def stopped(self, accepted: pl.DataFrame, changed: Mapping[str, Contract]) -> pl.DataFrame:
        """Of events that their contracts accept, those that a gate stops: seq, code, sentence, waits_for.

        `accepted`: seq, contract, day, product, and columns of GATE_ATTRIBUTES. `changed` are contracts of this run.
        """
        asked = self._asked()
        models = [each.subject for each in asked if each.scope == "model"]
        also = [each.subject for each in asked if each.scope == "contract"]
        named = accepted["contract"].unique().to_list()
        rows = [row for row in store.gated(self._cursor, named, models, also) if row[0] not in changed]
        rows += [(name, each.partner, each.cooperation_model) for name, each in changed.items()]
        who = pl.DataFrame(rows, schema=_WHO, orient="row")
        events = accepted.join(who, on="contract").select(
            "seq", "event", "contract", "partner", "model", "day", "product",
            *(pl.col(attribute(name)).alias(name) for name in (REGION, CONTENT)),
        )  # fmt: skip
        if not events.height:
            return _STOPPED.to_frame()
        required = self._required(who["contract"].to_list(), who["model"].unique().to_list())
        found = stopped(events, required, self._standings(events))
        return pl.DataFrame([_told(row) for row in found.iter_rows(named=True)], schema=_STOPPED, orient="row")

    def _asked(self) -> list[Requirement]:
        """What the relations that changed in the run require, at any point of it."""
        return [
            each
            for _, _, relation in self._stretches()
            for each in AGGREGATES[relation.kind].requirements(relation.state)
        ]

    def _required(self, contracts: Sequence[str], models: Sequence[str]) -> pl.DataFrame:
        parts = [store.required(self._cursor, contracts, models, self._history)]
        rows = [
            rows_of(each, since, until)
            for since, until, relation in self._stretches()
            for each in AGGREGATES[relation.kind].requirements(relation.state)
        ]
        return pl.concat([*parts, pl.DataFrame(rows, schema=REQUIREMENTS, orient="row")])

    def _standings(self, events: pl.DataFrame) -> pl.DataFrame:
        pairs = {("authorisation", name) for name in events["contract"].unique()}
        pairs |= {("service", name) for name in events["contract"].unique()}
        partners = events["partner"].unique()
        pairs |= {(gate, name) for gate in ("qualification", "certificate") for name in partners}
        contents = events.filter(pl.col("content").is_not_null()).select(pl.col("partner") + "\x1f" + pl.col("content"))
        pairs |= {("content", name) for name in contents.to_series().unique()}
        rows = [
            standing_row(each, since, until)
            for since, until, relation in self._stretches()
            for each in AGGREGATES[relation.kind].standings(relation.state)
        ]
        parts = [
            store.standings(self._cursor, pairs, self._history),
            pl.DataFrame(rows, schema=STANDINGS, orient="row"),
        ]
        return pl.concat(parts)

    def _stretches(self) -> list[tuple[int, int, Relation]]:
        """Of every relation that changed in the run: from where up to where in it which state counts."""
        return [
            (since, until, relation)
            for steps in self._history.values()
            for (since, relation), until in zip(steps, [*(at for at, _ in steps[1:]), FOREVER], strict=True)
            if relation is not None
        ]


def _groups(relation: Relation | None) -> set[str]:
    return set() if relation is None else set(AGGREGATES[relation.kind].groups(relation.state))


_STOPPED = pl.Schema({"seq": pl.Int64(), "code": pl.String(), "sentence": pl.String(), "waits_for": pl.String()})
_WHO = pl.Schema({"contract": pl.String(), "partner": pl.String(), "model": pl.String()})


def _told(row: Mapping[str, Any]) -> tuple[int, str, str, str]:
    closed = CLOSED[row["gate"]]
    said = {name: "none" if value is None else value for name, value in row.items()}
    return row["seq"], closed.code, closed.sentence.format_map(said), f"{row['gate']}:{row['subject']}"
