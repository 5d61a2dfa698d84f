"""The relations that a batch is about, as they stand after each of its events; and what they mean for its volume."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

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
    state = AGGREGATES[event.KIND].evolve(before.state if before else None, event)
    if before is None:
        return Relation(event.KIND, event.named, 1, state, event.time)
    return Relation(before.kind, before.id, before.version + 1, state, max(before.time, event.time))


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

    def __init__(self, cursor: Rows, told: Sequence[Event], streamed: Sequence[int], others: Look, also: Iterable[Key] = ()) -> None:  # fmt: skip
        """`streamed` are the places of the volume in the run, sorted; `also` are those that will be looked at: read at once."""
        self._cursor = cursor
        self._streamed = streamed
        self._others = others
        self._known: dict[Key, Relation | None] = {}
        # By kind and the group's name: of all that are known, or, where it was looked at, of all.
        self._grouped: dict[Key, _Group] = {}
        self._whole: set[Key] = set()
        own = [event for event in told if event.KIND in AGGREGATES]
        self.read({key_of(event) for event in own} | set(also))
        # What is looked at beside the relations themselves, for the others to be read at once, too.
        self.looked_at = self._read_ahead(own)
        # Each changed relation through the run: (since, relation), the first as it stood before it. Volume can tell apart only what
        # it comes between, so of several states with none of it in between the last is kept.
        self._history: dict[Key, list[tuple[int, Relation | None]]] = {}

    def read(self, keys: Collection[Key]) -> None:
        """Reads those of the relations at once that are not known yet."""
        missing = [key for key in keys if key not in self._known]
        if missing:
            found = store.known(self._cursor, missing)
            for key in missing:
                self._know(key, found.get(key))

    def _read_groups(self, groups: Iterable[Key]) -> None:
        names: dict[str, list[str]] = {}
        for kind, name in groups:
            if (kind, name) not in self._whole:
                self._whole.add((kind, name))
                names.setdefault(kind, []).append(name)
        for kind, wanted in names.items():
            for each in store.grouped(self._cursor, kind, wanted):
                if (kind, each.id) not in self._known:
                    self._know((kind, each.id), each)

    def _read_ahead(self, own: Iterable[Event]) -> set[Key]:
        """Reads the relations that decisions will look at; returns what they will look at beside."""
        wanted: set[Key] = set()
        for event in own:
            relation = self._known[key_of(event)]
            wanted.update(AGGREGATES[event.KIND].looks_at(relation.state if relation else None, event))
        self._read_groups((kind.removesuffix(ANY), name) for kind, name in wanted if kind.endswith(ANY))
        self.read([key for key in wanted if key[0] in AGGREGATES])
        return {key for key in wanted if not key[0].endswith(ANY) and key[0] not in AGGREGATES}

    @property
    def history(self) -> History:
        """What changed in the run."""
        return self._history

    @property
    def changed(self) -> list[Relation]:
        """What changed in the run, as its last step left it."""
        return [relation for steps in self._history.values() if (relation := steps[-1][1]) is not None]

    def look(self, kind: str, id_: str) -> Any:  # noqa: ANN401 - any aggregate's state
        if kind.endswith(ANY):
            return self._together(kind.removesuffix(ANY), id_)
        if kind not in AGGREGATES:
            return self._others(kind, id_)
        self.read([(kind, id_)])
        found = self._known[kind, id_]
        return None if found is None else found.state

    def _know(self, key: Key, relation: Relation | None) -> None:
        """How the relation stands by now, and in which groups."""
        kind, id_ = key
        before, self._known[key] = self._known.get(key), relation
        for each in _groups(before) - _groups(relation):
            self._grouped[kind, each].leave(id_)
        if relation is not None:
            for each in _groups(relation):
                self._grouped.setdefault((kind, each), _Group()).put(id_, relation.state)

    def _together(self, kind: str, name: str) -> list[Any]:
        """The states of all in a group, those that this run has changed as it left them."""
        self._read_groups([(kind, name)])
        found = self._grouped.get((kind, name))
        return found.states if found else []

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
        self._remember(key, seq, before, after)
        return event

    def _remember(self, key: Key, seq: int, before: Relation | None, after: Relation) -> None:
        steps = self._history.setdefault(key, [(-1, before)])
        since, _ = steps[-1]
        if since >= 0 and bisect_right(self._streamed, since) == bisect_right(self._streamed, seq):
            steps.pop()
        steps.append((seq, after))

    def arrivals(self) -> list[str]:
        """What suspended messages may have waited for, that the run's steps brought."""
        found: dict[str, None] = {}
        for (kind, id_), steps in self._history.items():
            found[f"{kind}:{id_}"] = None
            for _, relation in steps[1:]:
                assert relation is not None, (kind, id_)
                # Those of one relation are all of one gate and subject.
                for each in islice(AGGREGATES[kind].standings(relation.state), 1):
                    found[f"{each.gate}:{each.subject}"] = None
        return list(found)

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
        return [requirement for requirement, _, _ in self._through_run("requirements")]

    def _required(self, contracts: Sequence[str], models: Sequence[str]) -> pl.DataFrame:
        rows = [rows_of(*each) for each in self._through_run("requirements")]
        parts = [
            store.required(self._cursor, contracts, models, self._history),
            pl.DataFrame(rows, schema=REQUIREMENTS, orient="row"),
        ]
        return pl.concat(parts)

    def _standings(self, events: pl.DataFrame) -> pl.DataFrame:
        pairs = {("authorisation", name) for name in events["contract"].unique()}
        pairs |= {("service", name) for name in events["contract"].unique()}
        partners = events["partner"].unique()
        pairs |= {(gate, name) for gate in ("qualification", "certificate") for name in partners}
        contents = events.filter(pl.col("content").is_not_null()).select(pl.col("partner") + "\x1f" + pl.col("content"))
        pairs |= {("content", name) for name in contents.to_series().unique()}
        rows = [standing_row(*each) for each in self._through_run("standings") if each[0][:2] in pairs]
        parts = [
            store.standings(self._cursor, pairs, self._history),
            pl.DataFrame(rows, schema=STANDINGS, orient="row"),
        ]
        return pl.concat(parts)

    def _through_run(self, what: Literal["requirements", "standings"]) -> Iterator[tuple[Any, int, int]]:
        """What follows from every relation that changed in the run: each with from where up to where in it that is so."""
        for (kind, _), steps in self._history.items():
            follows = getattr(AGGREGATES[kind], what)
            since: dict[Any, int] = {}
            before: list[Any] = []
            for at, relation in steps:
                now = list(follows(relation.state)) if relation else []
                more = now[len(before) :]
                if now[: len(before)] != before:  # seldom: else all that there was is there still
                    for gone in since.keys() - set(now):
                        yield gone, since.pop(gone), at
                    more = now
                for each in more:
                    since.setdefault(each, at)
                before = now
            for each, at in since.items():
                yield each, at, FOREVER


class _Group:
    """The states of those of a group that are known, by their ids."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self.states: list[Any] = []

    def put(self, id_: str, state: Any) -> None:  # noqa: ANN401 - any aggregate's
        at = bisect_left(self._ids, id_)
        if self._ids[at : at + 1] == [id_]:
            self.states[at] = state
        else:
            self._ids.insert(at, id_)
            self.states.insert(at, state)

    def leave(self, id_: str) -> None:
        at = bisect_left(self._ids, id_)
        del self._ids[at], self.states[at]


def _groups(relation: Relation | None) -> set[str]:
    return set() if relation is None else set(AGGREGATES[relation.kind].groups(relation.state))


_STOPPED = pl.Schema({"seq": pl.Int64(), "code": pl.String(), "sentence": pl.String(), "waits_for": pl.String()})
_WHO = pl.Schema({"contract": pl.String(), "partner": pl.String(), "model": pl.String()})


def _told(row: Mapping[str, Any]) -> tuple[int, str, str, str]:
    closed = CLOSED[row["gate"]]
    said = {name: "none" if value is None else value for name, value in row.items()}
    return row["seq"], closed.code, closed.sentence.format_map(said), f"{row['gate']}:{row['subject']}"
