"""Replay: folded and settled again, as known at one time under the rules of another, and compared with what was issued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple

import polars as pl

from engine.aggregates.refusal import Refused
from engine.events import PeriodClosed
from engine.period import Period
from engine.settlement.keeping import canonical
from engine.settlement.restating import amounts, own
from engine.store import archive_seals, recorder, seals
from engine.store import statements as statement_store
from engine.store.database import Rows
from replay import history
from replay.archive.reading import Archive
from replay.known import Known, together
from replay.recompute import count
from replay.spread import STATEMENTS, Engine, Job, here, settled, statements

Progress = Callable[[int, int], None]


class UnknownContract(Refused):
    code = "unknown-contract"


class OtherArchive(Refused):
    """The archive is not one of this store."""

    code = "other-archive"


class Difference(NamedTuple):
    """A statement that came out otherwise than it was issued. An amount is None where that side has no statement."""

    contract: str
    period: str
    version: int | None
    issued: str | None
    replayed: str | None
    currency: str

    @property
    def moved(self) -> Decimal:
        return abs(Decimal(self.replayed or 0) - Decimal(self.issued or 0))


class Replayed(NamedTuple):
    """One period as it was settled again. `payable` is by currency; `digest` covers every statement's contract and digest.

    Of those that were issued, `equal` have the digest that was issued, `same` the same amounts by another rulebook version or
    from more events, and `differences` other amounts. `open` are statements that nobody has issued.
    """

    period: str
    first: date
    statements: int
    payable: dict[str, Decimal]
    digest: str
    equal: int
    same: int
    open: int
    differences: tuple[Difference, ...]
    refused: dict[str, str]


class Replay(NamedTuple):
    """`position` and `rules_position` say what was known. `digest` is that of all periods together."""

    position: int
    rules_position: int
    events: int
    periods: tuple[Replayed, ...]
    digest: str


def replay(
    cursor: Rows,
    *,
    first: Period | None = None,
    last: Period | None = None,
    names: Sequence[str] = (),
    position: int | None = None,
    rules_position: int | None = None,
    archive: Archive | None = None,
    engine: Engine = here,
    progress: Progress = lambda *_: None,
) -> Replay:
    """The periods from `first` up to and with `last` (by default all that have closed statements), settled again.

    Contracts that are settled together with a named one are settled, but only the named ones are told. `engine` does the
    work of an archive's buckets. Raises UnknownContract.
    """
    end_of_log = recorder.last_position(cursor)
    position = end_of_log if position is None else min(position, end_of_log)
    rules_position = position if rules_position is None else min(rules_position, end_of_log)
    if archive is not None:
        check_archive(cursor, archive)
    everything = history.known_at(cursor, position, rules_position, archive)
    chosen = _chosen(everything, names)
    end = last.end if last is not None else max(statement_store.closed(cursor).values(), default=date.min)
    names_ = None if chosen is None else frozenset(chosen)
    job = Job(everything, position, first and first.first, end, names_)
    if archive is None:
        facts = history.folded(cursor, everything, position, chosen, progress=progress)
        every = frozenset(everything.contracts) if names_ is None else names_
        found, events = statements(job, facts, every), count(facts)
    else:
        tail = history.tail(cursor, everything, position, archive, chosen)
        found, events = settled(job, engine(archive, job, tail), lambda done: progress(done, archive.buckets))
    if names:
        found = found.filter(pl.col("contract").is_in(list(names)))
    by_period = {
        (key[0], str(key[1])): part for key, part in found.partition_by("first", "period", as_dict=True).items()
    }
    for name, (begins, ends) in statement_store.periods_as_of(cursor, position).items():
        # Also where nothing was settled again: what was issued must be accounted for.
        if (first is None or begins >= first.first) and ends <= end:
            by_period.setdefault((begins, name), STATEMENTS.to_frame())
    asked = list(names) or None
    periods = tuple(_compared(cursor, key, by_period[key], asked, position) for key in sorted(by_period))
    return Replay(position, rules_position, events, periods, _hash(f"{each.period} {each.digest}" for each in periods))


def check_archive(cursor: Rows, archive: Archive) -> None:
    """Raises OtherArchive."""
    recorded = archive_seals.recorded(cursor)
    found = [(seal.number, seal.first, seal.last, seal.buckets) for seal in archive.seals]
    if found != recorded[: len(found)] or not _is_closed_alike(cursor, archive):
        raise OtherArchive(
            f"the archive at {archive.location} was sealed from another store; name this one's with --archive, or make it in "
            "another folder with settle archive --to FOLDER"
        )


def _is_closed_alike(cursor: Rows, archive: Archive) -> bool:
    """Whether the last closing of a period that the archive can have is in it: its root commits to the log up to there."""
    closings = [each for each in seals.closings(cursor) if each.position < archive.last]
    closing = max(closings, key=lambda each: each.position, default=None)
    if closing is None:
        return True
    sealed = archive.told_at(closing.position + 1)
    return isinstance(sealed, PeriodClosed) and sealed.root == closing.root


def _chosen(everything: Known, names: Sequence[str]) -> list[str] | None:
    if not names:
        return None
    for name in names:
        if name not in everything.contracts:
            raise UnknownContract(
                f"contract {name} is not signed at that position; settle contract list shows those that are"
            )
    across = together(everything, everything.contracts.only(names))
    return sorted({*names, *everything.contracts.under(*across)})


def _compared(
    cursor: Rows, key: tuple[date, str], found: pl.DataFrame, asked: list[str] | None, position: int
) -> Replayed:
    first, period = key
    made = found.filter(pl.col("refused").is_null()).sort("contract")
    issued = statement_store.as_of(cursor, asked, period, position)
    payable: dict[str, Decimal] = {}
    differences: list[Difference] = []
    equal = same = 0
    for name, currency, amount, digest, says in made.select(
        "contract", "currency", "payable", "digest", "says"
    ).iter_rows():
        payable[currency] = payable.get(currency, Decimal(0)) + Decimal(amount)
        before = issued.pop(name, None)
        if before is None:
            continue
        said = own(before)
        if said["digest"] == digest:
            equal += 1
        elif sha256(canonical(amounts(said))).hexdigest() == says:
            same += 1
        else:
            differences.append(Difference(name, period, before.version, said["payable"], amount, currency))
    for name, alone in issued.items():
        said = own(alone)
        if said["lines"]:  # a statement of adjustments alone is nothing to be settled again
            differences.append(Difference(name, period, alone.version, said["payable"], None, said["currency"]))
    digest = _hash(f"{name} {period} {each}" for name, each in made.select("contract", "digest").iter_rows())
    differences.sort(key=lambda d: (-d.moved, d.contract))
    refused = dict(
        found.filter(pl.col("refused").is_not_null()).select("contract", "refused").sort("contract").iter_rows()
    )
    open_ = made.height - equal - same - sum(each.replayed is not None for each in differences)
    return Replayed(period, first, made.height, payable, digest, equal, same, open_, tuple(differences), refused)


def _hash(lines: Any) -> str:  # noqa: ANN401 - texts
    return sha256("\n".join(lines).encode()).hexdigest()
