"""All projections anew, beside the live ones, compared with them and put in their place; and back again.

First everything up to the end that the log had then, while taking in goes on; then what came meanwhile; then everything is
compared in one snapshot, without a lock; then, in rounds, what came since. Only the last few events are read and compared
under the writers' lock, in the transaction that exchanges the tables.

Nothing is taken in, published or sent because of it: it reads the log and writes projections. Offsets, identities, messages
in suspense and their dead letters are no projections; nothing here touches them.

A reading that began before the exchange, and comes to a table only after it, finds the new one as of the last round before:
up to EVENTS_UNDER_LOCK events behind. Whoever decides something holds the writers' lock, and cannot be in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from engine.aggregates.refusal import Refused
from engine.projections.seals import BLOCK
from engine.settlement import sealing
from engine.store import beside, differences, log, recorder, seals
from engine.store.alone import AlreadyRunning, alone
from engine.store.beside import BEFORE, NEXT
from engine.store.database import Rows, Store
from engine.store.differences import Difference, Sum, Table, Touched
from replay.rebuild import folding
from replay.rebuild.folding import stretch

# So many events at most are left for the transaction under the lock, where rounds can bring them down to that.
EVENTS_UNDER_LOCK = 5_000
ROUNDS_MAX = 20
# Where somebody reads the live tables, the exchange gives way and is tried again.
TRIES_MAX = 100
_SECONDS_BETWEEN_TRIES = 0.1

Progress = Callable[[str, int, int], None]


class RebuildRunning(Refused):
    code = "rebuild-running"


class NothingToRollBack(Refused):
    code = "nothing-to-roll-back"


class LiveInUse(Refused):
    code = "live-in-use"


class OtherVersion(Refused):
    code = "other-version"


class Rebuilt(NamedTuple):
    """What a rebuild came to. `resumed` is the position at which it went on with what an earlier run had left, else None.

    `tables` and `money` are as of `compared`, a position of the log; `differing` counts rows by table up to `position`.
    `locked` is for how many milliseconds the writers' lock was held.
    """

    position: int
    resumed: int | None
    events: int
    compared: int
    tables: tuple[Table, ...]
    money: tuple[Sum, ...]
    differing: dict[str, int]
    differences: tuple[Difference, ...]
    swapped: bool
    locked: int

    @property
    def equal(self) -> bool:
        return not any(self.differing.values())


class RolledBack(NamedTuple):
    """What a rollback did: `behind` events were read into the old tables. `locked` is in milliseconds."""

    position: int
    behind: int
    locked: int


def rebuild(
    store: Store, *, accept_differences: bool = False, fresh: bool = False, progress: Progress = lambda *_: None
) -> Rebuilt:
    """Makes the projections anew, or goes on where an earlier run stopped; swaps where they are equal to the live ones.

    Where they are not, they are swapped only if the operator accepts that; else they stay beside, to be looked at. `fresh`
    drops what an earlier run has left. Killed anywhere, it leaves the live ones whole. `progress` is told what is done, and how
    many events, or tables, of how many. Raises RebuildRunning, LiveInUse, OtherVersion.
    """
    with _alone(store), Store(store.conninfo, projections=NEXT) as made:
        resumed = _begun(made, fresh=fresh)
        behind = _Behind(made, NEXT, progress)
        behind.caught_up("rebuild")
        with made.writing() as cursor:
            beside.analyze(cursor, NEXT)
        found = _Found(behind)
        found.compare_all()
        swapped = False
        if found.equal or accept_differences:
            swapped = found.swap(anyway=accept_differences)
        return Rebuilt(
            behind.position, resumed, behind.position - (resumed or 0), found.compared, tuple(found.tables), tuple(found.money),
            found.differing, tuple(found.named.values()), swapped, behind.locked,
        )  # fmt: skip


def rollback(store: Store, *, progress: Progress = lambda *_: None) -> RolledBack:
    """Puts the projections that the last swap replaced in their place again, brought up to the end of the log.

    Those that were live until then are kept, so that rolling back again takes it back. Raises NothingToRollBack,
    RebuildRunning, LiveInUse, OtherVersion.
    """
    with _alone(store), Store(store.conninfo, projections=BEFORE) as kept:
        try:
            with kept.writing() as cursor:
                begin = beside.bookmark(cursor, BEFORE)
        except beside.OtherVersion:
            raise OtherVersion(
                "the tables of before were made by another version of the engine; they cannot be used, settle rebuild makes new ones"
            ) from None
        if begin is None:
            raise NothingToRollBack(
                "there are no tables of before a rebuild to go back to; they are kept by the settle rebuild that replaces them"
            )
        behind = _Behind(kept, BEFORE, progress)
        behind.caught_up("roll back")

        def exchange(cursor: Rows) -> bool:
            behind.bring(cursor, Touched(behind.position))
            beside.swap(cursor, BEFORE, behind.position)
            return True

        behind.last(exchange)
        return RolledBack(behind.position, behind.position - begin, behind.locked)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    try:
        with alone(store.conninfo, "rebuild"):
            yield
    except AlreadyRunning:
        raise RebuildRunning(
            "another settle rebuild is at work on this store; wait until it ends, or stop it: this one then goes on where it was"
        ) from None


def _begun(made: Store, *, fresh: bool) -> int | None:
    """Empty tables where there are none; where an earlier run left some, how far it had come."""
    with made.writing() as cursor:
        if fresh:
            beside.drop(cursor, NEXT)
        try:
            at = beside.bookmark(cursor, NEXT)
        except beside.OtherVersion:
            raise OtherVersion(
                "what an earlier run has left was made by another version of the engine; start over with settle rebuild --fresh"
            ) from None
        if at is None:
            beside.make(cursor)
            folding.read_ahead(cursor, recorder.last_position(cursor))
    return at


class _Behind:
    """Projections beside the live ones, and how far in the log they are."""

    def __init__(self, store: Store, schema: str, progress: Progress) -> None:
        self.store = store
        self.schema = schema
        self.position = 0
        self.locked = 0
        self.progress = progress

    def caught_up(self, what: str) -> None:
        """Reads the log, a stretch a transaction, until little is left."""
        with self.store.reading() as cursor:
            end = recorder.last_position(cursor)
        for _ in range(ROUNDS_MAX):
            self._read(what, end)
            with self.store.reading() as cursor:
                end = recorder.last_position(cursor)
            if end - self.position <= EVENTS_UNDER_LOCK:
                break
            what = "catch up"

    def _read(self, what: str, end: int) -> None:
        while True:
            with self.store.writing() as cursor:
                self.position = stretch(cursor, self.schema, end, self._sealed_to(cursor, end), Touched(0))
            self.progress(what, self.position, end)
            if self.position >= end:
                return

    def _sealed_to(self, cursor: Rows, end: int) -> int:
        """The rebuilt are sealed as far as the live ones, so that they can be compared. Old ones are sealed when next needed."""
        return beside.live_sealed_to(cursor, end) if self.schema == NEXT else 0

    def bring(self, cursor: Rows, touched: Touched) -> None:
        """Up to the end of the log and of the live seals as the cursor sees them, in its transaction."""
        end = recorder.last_position(cursor)
        sealed_to = self._sealed_to(cursor, end)
        position = beside.bookmark(cursor, self.schema)
        assert position is not None, self.schema
        while position < end:
            position = stretch(cursor, self.schema, end, sealed_to, touched)
        self.position = position
        chain = seals.chain(cursor)
        while chain.position < sealed_to:
            entries = log.entries(cursor, after=chain.position, to=sealed_to, limit=16 * BLOCK)
            touched.seals |= sealing.extend(cursor, chain, entries)
            chain = seals.chain(cursor)

    def last(self, exchange: Callable[[Rows], bool]) -> bool:
        """`exchange` under the writers' lock, with the live tables held; tried again while they are in use. Raises LiveInUse."""
        position = self.position
        for _ in range(TRIES_MAX):
            try:
                with self.store.writing() as cursor:
                    recorder.lock(cursor)
                    begun = time.perf_counter_ns()
                    beside.hold_live(cursor)
                    done = exchange(cursor)
            except beside.InUse:
                self.position = position
                time.sleep(_SECONDS_BETWEEN_TRIES)
            else:
                self.locked = (time.perf_counter_ns() - begun) // 1_000_000
                return done
        raise LiveInUse(
            "somebody has been reading the tables all the time, so they could not be exchanged; run it again when that is "
            "over: it goes on where it is"
        )


class _Found:
    """What comparing has found so far: everything once, and after that whatever events have touched since."""

    def __init__(self, behind: _Behind) -> None:
        self._behind = behind
        self.compared = 0
        self.tables: list[Table] = []
        self.money: list[Sum] = []
        self.differing: dict[str, int] = {}
        self.named: dict[tuple[str, str], Difference] = {}

    @property
    def equal(self) -> bool:
        return not any(self.differing.values())

    def compare_all(self) -> None:
        with self._snapshot() as cursor:
            self._behind.bring(cursor, Touched(0))
            self.tables, named = differences.tables(
                cursor, NEXT, lambda done, of: self._behind.progress("compare", done, of)
            )
            self.money = differences.money(cursor, NEXT)
        self.compared = self._behind.position
        self._add({each.table: each.differing for each in self.tables}, named)

    @contextmanager
    def _snapshot(self) -> Iterator[Rows]:
        """In one transaction the live tables as of one position, and the rebuilt ones brought there: no lock is needed."""
        with self._behind.store.writing() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield cursor

    def swap(self, *, anyway: bool) -> bool:
        """Compares what came meanwhile, the last of it under the lock, and swaps where all is equal, or `anyway`."""
        for _ in range(ROUNDS_MAX):
            with self._behind.store.reading() as cursor:
                left = recorder.last_position(cursor) - self._behind.position
            if left <= EVENTS_UNDER_LOCK:
                break
            with self._snapshot() as cursor:
                self._compare_since(cursor)
        if not self.equal and not anyway:
            return False

        def exchange(cursor: Rows) -> bool:
            self._compare_since(cursor)
            if not self.equal and not anyway:
                return False
            beside.swap(cursor, NEXT, self._behind.position)
            return True

        return self._behind.last(exchange)

    def _compare_since(self, cursor: Rows) -> None:
        touched = Touched(self._behind.position)
        self._behind.bring(cursor, touched)
        numbers, named = differences.touched(cursor, NEXT, touched)
        self._add(numbers, named)

    def _add(self, numbers: dict[str, int], named: list[Difference]) -> None:
        for table, number in numbers.items():
            self.differing[table] = max(number, self.differing.get(table, 0))
        self.named |= {(each.table, each.key): each for each in named}
