"""The work of settling again, in parts that need nothing of one another: buckets, and then what is settled together.

First every bucket gives the facts of its contracts, and settles those that stand alone. Facts of contracts that their rulebook
settles together are few; they are put together and settled in a second pass. So no event ever moves from one part to another,
and the result is the same for every number of buckets and workers.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from datetime import date
from hashlib import sha256
from typing import NamedTuple

import polars as pl

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
        chosen = [name for name in self.everything.contracts if self.names is None or name in self.names]
        books = together(self.everything, chosen)
        return frozenset(name for name in chosen if self.everything.contracts[name].rulebook in books)


class Part(NamedTuple):
    """What a bucket gives: columns STATEMENTS, the facts (FACTS) for the second pass, and how many events there were."""

    statements: pl.DataFrame
    facts: pl.DataFrame
    events: int


# Does the job on every bucket: (archive, job, facts of the tail) -> parts, in any order.
Engine = Callable[[Archive, Job, pl.DataFrame], Iterator[Part]]


def statements(job: Job, facts: pl.DataFrame, names: frozenset[str]) -> pl.DataFrame:
    """The statements of the contracts, settled again from their facts: columns STATEMENTS."""
    parts = [STATEMENTS.to_frame()]
    for each in recomputed(job.everything, facts, job.end, names, job.first):
        if job.first is None or each.period.first >= job.first:
            parts += [_statements(each), _refused(each)]
    return pl.concat(parts)


def _statements(each: Settlement) -> pl.DataFrame:
    settled_ = each.found.settled
    if settled_ is not None:
        made = digests(each.rulebook, each.period, each.contracts, settled_, each.left, each.events())
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


def _refused(each: Settlement) -> pl.DataFrame:
    rows = [
        (name, str(each.period), each.period.first, None, None, None, None, str(why))
        for name, why in each.found.refused.items()
    ]
    return pl.DataFrame(rows, schema=STATEMENTS, orient="row")


def bucket(archive: Archive, job: Job, number: int, tail: pl.DataFrame) -> Part:
    """What one bucket gives. `tail` are the facts of its contracts from behind the archive."""
    facts = archive.facts(job.everything, number, to=job.position, names=job.names)
    facts = projection.merged(pl.concat([facts, tail])) if tail.height else facts
    own = frozenset(
        name
        for name in job.everything.contracts
        if (job.names is None or name in job.names) and bucket_of(name, archive.buckets) == number
    )
    across = job.across
    apart = facts.filter(pl.col("contract").is_in(list(own & across)))
    alone = facts.filter(~pl.col("contract").is_in(list(across))) if across else facts
    return Part(statements(job, alone, own - across), apart, count(facts))


def tails(archive: Archive, tail: pl.DataFrame) -> dict[int, pl.DataFrame]:
    """The tail's facts by bucket; each bucket has a frame."""
    numbers = {name: bucket_of(name, archive.buckets) for name in tail["contract"].unique()}
    own = {
        number: tail.filter(pl.col("contract").is_in([name for name, at in numbers.items() if at == number]))
        for number in set(numbers.values())
    }
    return {number: own.get(number, FACTS.to_frame()) for number in range(archive.buckets)}


def here(archive: Archive, job: Job, tail: pl.DataFrame) -> Iterator[Part]:
    """On this machine, a bucket after the other; each uses all cores while it reads and folds."""
    for number, own in tails(archive, tail).items():
        yield bucket(archive, job, number, own)


def settled(
    job: Job, parts: Iterator[Part], progress: Callable[[int], None] = lambda _: None
) -> tuple[pl.DataFrame, int]:
    """The second pass: all statements (STATEMENTS), and how many events they rest on."""
    done, facts, events = [STATEMENTS.to_frame()], [FACTS.to_frame()], 0
    for number, part in enumerate(parts, 1):
        done.append(part.statements)
        facts.append(part.facts)
        events += part.events
        progress(number)
    across = job.across
    if across:
        done.append(statements(job, pl.concat(facts), across))
    return pl.concat(done), events
