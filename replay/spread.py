"""The work of settling again, in parts that need nothing of one another: buckets, and then what is settled together.

First every bucket gives the facts of its contracts, and settles those that stand alone. Facts of contracts that their rulebook
settles together are few; they are put together and settled in a second pass. So no event ever moves from one part to another,
and the result is the same for every number of buckets and workers.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from hashlib import sha256
from typing import NamedTuple

import polars as pl

from engine.aggregates.refusal import Refused
from engine.period import Period
from engine.projections import facts as projection
from engine.projections.facts import FACTS
from engine.settlement.keeping import canonical
from engine.settlement.restating import amounts
from engine.settlement.statements import statement_of
from engine.settlement.texts import digests
from replay.archive.reading import Archive
from replay.archive.segments import bucket_of
from replay.known import Known, together
from replay.recompute import Settlement, count, recomputed
from replay.unsettled import unsettled

# A row a statement: `digest` is the statement's, `says` that of its amounts. Where it cannot be settled `refused` says why, and
# the others are null.
STATEMENTS = pl.Schema(
    {
        "contract": pl.String(),
        "period": pl.String(),
        "first": pl.Date(),
        "currency": pl.String(),
        "payable": pl.String(),
        "digest": pl.String(),
        "says": pl.String(),
        "refused": pl.String(),
    }
)


class Job(NamedTuple):
    """What is asked of every part: up to which position, of which periods, of which contracts (None: of all)."""

    everything: Known
    position: int
    first: date | None
    end: date
    names: frozenset[str] | None

    @property
    def across(self) -> frozenset[str]:
        """The contracts that are settled in the second pass."""
        every = self.everything.contracts
        chosen = every if self.names is None else every.only(self.names)
        return frozenset(chosen.under(*together(self.everything, chosen)))


class Part(NamedTuple):
    """What buckets give: columns STATEMENTS, the facts (FACTS) for the second pass, and how many events there were."""

    statements: pl.DataFrame
    facts: pl.DataFrame
    events: int
    buckets: int = 1


# Does the job on every bucket: (archive, job, facts of the tail) -> parts, in any order.
Engine = Callable[[Archive, Job, pl.DataFrame], Iterator[Part]]


def statements(job: Job, facts: pl.DataFrame, names: frozenset[str]) -> pl.DataFrame:
    """The statements of the contracts, settled again from their facts: columns STATEMENTS."""
    parts, begins = [STATEMENTS.to_frame()], job.first or date.min
    for each in recomputed(job.everything, facts, job.end, names, job.first):
        if each.period.first >= begins:
            refused = [(name, each.period, why) for name, why in each.found.refused.items()]
            parts += [_statements(each), _refused(refused)]
    # Of a period that begins before `first` nothing is told, also where it ends after it.
    own = (
        each
        for each in unsettled(job.everything, job.everything.contracts.only(names), job.first, job.end)
        if each.period.first >= begins
    )
    return pl.concat([*parts, _refused(own)])


def _statements(each: Settlement) -> pl.DataFrame:
    settled_ = each.found.settled
    if settled_ is not None:
        made = digests(each.rulebook, each.period, each.frames.contracts, settled_, each.left, each.counted())
        currency = settled_.currency
        told = made.filter(~pl.col("contract").is_in(list(each.finals))) if each.finals else made
        in_columns = told.select(
            "contract",
            pl.lit(str(each.period)).alias("period"),
            pl.lit(each.period.first).alias("first"),
            pl.lit(currency).alias("currency"),
            "payable",
            "digest",
            "says",
            pl.lit(None, dtype=pl.String).alias("refused"),
        )
        return pl.concat([in_columns, _told(each, each.finals)]) if each.finals else in_columns
    return _told(each, each.contracts)


def _told(each: Settlement, names: Container[str]) -> pl.DataFrame:
    """The statements of those of the contracts that could be settled, one by one."""
    rows = []
    events = each.events()
    for name, said in each.lines().items():
        if name not in names:
            continue
        statement = statement_of(each.contracts[name], each.rulebook, each.period, said, events[name])
        says = sha256(canonical(amounts(statement))).hexdigest()
        key = (name, str(each.period), each.period.first)
        rows.append((*key, said.currency, said.payable, statement["digest"], says, None))
    return pl.DataFrame(rows, schema=STATEMENTS, orient="row")


def _refused(found: Iterable[tuple[str, Period, Refused]]) -> pl.DataFrame:
    rows = [(name, str(period), period.first, None, None, None, None, str(why)) for name, period, why in found]
    return pl.DataFrame(rows, schema=STATEMENTS, orient="row")


def bucket(archive: Archive, job: Job, number: int, tail: pl.DataFrame) -> Part:
    """What one bucket gives. `tail` are the facts of its contracts from behind the archive."""
    return _part(job, [_folded(archive, job, number, tail)])


class _Folded(NamedTuple):
    """A bucket's contracts, and their facts."""

    names: frozenset[str]
    facts: pl.DataFrame


def _folded(archive: Archive, job: Job, number: int, tail: pl.DataFrame) -> _Folded:
    facts = archive.facts(job.everything, number, to=job.position, names=job.names)
    facts = projection.merged(pl.concat([facts, tail])) if tail.height else facts
    chosen = job.everything.contracts if job.names is None else job.names & job.everything.contracts.keys()
    return _Folded(frozenset(name for name in chosen if bucket_of(name, archive.buckets) == number), facts)


def _part(job: Job, buckets: Sequence[_Folded]) -> Part:
    own, across = frozenset[str]().union(*(each.names for each in buckets)), job.across
    facts = pl.concat([each.facts for each in buckets])
    alone, apart = facts, FACTS.to_frame()
    if across:
        is_across = pl.col("contract").is_in(list(across))
        alone, apart = facts.filter(~is_across), facts.filter(is_across)
    return Part(statements(job, alone, own - across), apart, count(facts), len(buckets))


def tails(archive: Archive, tail: pl.DataFrame) -> dict[int, pl.DataFrame]:
    """The tail's facts by bucket; each bucket has a frame."""
    numbers = {name: bucket_of(name, archive.buckets) for name in tail["contract"].unique()}
    own = {
        number: tail.filter(pl.col("contract").is_in([name for name, at in numbers.items() if at == number]))
        for number in set(numbers.values())
    }
    return {number: own.get(number, FACTS.to_frame()) for number in range(archive.buckets)}


# Settling has a fixed cost a call, so that buckets are settled together; so many facts are little memory.
_FACTS_TOGETHER = 400_000


def here(archive: Archive, job: Job, tail: pl.DataFrame) -> Iterator[Part]:
    """On this machine. Some buckets are settled while the next ones are folded: one is Python's work, the other all cores'."""
    groups = _groups(_folded(archive, job, number, own) for number, own in tails(archive, tail).items())
    with ThreadPoolExecutor(max_workers=1) as ahead:
        following = ahead.submit(next, groups, None)
        while (group := following.result()) is not None:
            following = ahead.submit(next, groups, None)
            yield _part(job, group)


def _groups(buckets: Iterable[_Folded]) -> Iterator[list[_Folded]]:
    group: list[_Folded] = []
    for each in buckets:
        group.append(each)
        if sum(folded.facts.height for folded in group) >= _FACTS_TOGETHER:
            yield group
            group = []
    if group:
        yield group


def settled(
    job: Job, parts: Iterator[Part], progress: Callable[[int], None] = lambda _: None
) -> tuple[pl.DataFrame, int]:
    """The second pass: all statements (STATEMENTS), and how many events they rest on."""
    done, facts, events = [STATEMENTS.to_frame()], [FACTS.to_frame()], 0
    number = 0
    for part in parts:
        done.append(part.statements)
        facts.append(part.facts)
        events += part.events
        number += part.buckets
        progress(number)
    across = job.across
    if across:
        done.append(statements(job, pl.concat(facts), across))
    return pl.concat(done), events
