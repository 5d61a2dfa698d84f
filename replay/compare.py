"""What a rulebook version would change, before anybody publishes it: settled with it and without it, from the same facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

import polars as pl

from engine.aggregates import rulebook as rulebooks
from engine.aggregates.refusal import Refused
from engine.facts import Grain
from engine.period import Calendar, Period
from engine.projections.facts import FACTS
from engine.rules.model import Rulebook
from engine.store import copies, recorder
from engine.store import statements as statement_store
from engine.store.database import Rows
from replay import history, known
from replay.again import check_archive
from replay.apart import Spread, here
from replay.archive.reading import Archive
from replay.known import Known
from replay.members import Members
from replay.recompute import AMOUNTS
from replay.sides import Amounts, Sides, amounts, in_parts


class NotTheNextVersion(Refused):
    code = "version-not-next"


class Source(NamedTuple):
    """Where the comparison read from: the facts, or the events again; and why."""

    events: bool
    why: str


class Comparison(NamedTuple):
    """`changed` has AMOUNTS' columns but `amount`, and `partner`, `closed`, `before`, `after` and `moved`: one row an amount
    that differs. An amount that one side lacks is null there. `totals` sums the payables of all that was compared, by currency.

    `same` are the statements that the version could move and does not, and the digest of their amounts, with it and without.
    `untouched` is how many contracts there are under other rulebooks, and the digest of all that settles those.
    """

    rulebook: str
    version: int
    position: int
    source: Source
    contracts: int
    first: date
    statements: int
    changed: pl.DataFrame
    totals: dict[str, tuple[Decimal, Decimal]]
    same: int
    same_digest: str
    untouched: int
    untouched_digest: str
    refused: dict[tuple[str, str], str]


def compare(
    cursor: Rows,
    book: Rulebook,
    text: str,
    *,
    first: Period | None = None,
    last: Period | None = None,
    archive: Archive | None = None,
    spread: Spread = here,
) -> Comparison:
    """The change from now to a store in which the version is published. Writes nothing.

    With an `archive` the events, where they are needed, are read from there as far as it goes, a bucket a part, and `spread` does
    the parts. Raises NotTheNextVersion, CurrencyChanged, OtherArchive.
    """
    before = known.live(cursor)
    _check(before.rulebooks.get(book.rulebook), book)
    after = before.with_candidate(book, text)
    own, others = after.contracts.under(book.rulebook), after.contracts.beside(book.rulebook)
    assert _of_others(before, book) == _of_others(after, book), "another rulebook is touched"
    source = _source(before.grain(book.rulebook), after.grain(book.rulebook))
    since = max(first.first, book.valid_from) if first is not None else book.valid_from
    needed = None if _looks_back(after, book.rulebook) else since
    facts = copies.all_live(cursor, own.names if others else None, since=needed)
    closed = statement_store.closed(cursor, rulebook=book.rulebook, since=since)
    end = last.end if last is not None else max(_end(facts), *closed.values(), date.min)
    position = recorder.last_position(cursor)
    sides = Sides(before, after, own, since, end, position, source.events)
    found = _amounts(cursor, sides, facts, archive, spread)
    both = _beside(found.was, found.now)
    moving = both.filter(pl.col("before").ne_missing(pl.col("after")))
    changed = _changed(own, closed, moving)
    gone = changed.filter((pl.col("kind") == "payable") & pl.col("after").is_null()).height
    return Comparison(
        book.rulebook,
        book.version,
        position,
        source,
        len(own),
        since,
        found.now.filter(pl.col("kind") == "payable").height + gone,
        changed,
        _totals(found.was, found.now),
        *_same(both, moving),
        len(others),
        _settles(after, others),
        dict(sorted(found.refused.items())),
    )


def _check(published: rulebooks.Rulebook | None, book: Rulebook) -> None:
    """That the version could be published next, whoever approves it."""
    expected = len(published.versions) + 1 if published else 1
    if book.version != expected:
        raise NotTheNextVersion(
            f"the next version of {book.rulebook} is {expected}, not {book.version}; give the file that number to see what "
            "publishing it would change"
        )
    if published and published.versions[-1].currency != book.currency:
        raise rulebooks.CurrencyChanged(
            f"{book.rulebook} settles in {published.versions[-1].currency}; a rulebook in {book.currency} needs a name of its own"
        )


def _amounts(cursor: Rows, sides: Sides, facts: pl.DataFrame, archive: Archive | None, spread: Spread) -> Amounts:
    if archive is None or (spread is here and not sides.finer):
        finer = history.folded(cursor, sides.after, sides.position, sides.contracts.names) if sides.finer else facts
        return amounts(sides, facts, finer, sides.contracts)
    check_archive(cursor, archive)
    tail = FACTS.to_frame()
    if sides.finer:
        tail = history.tail(cursor, sides.after, sides.position, archive, sides.contracts.names)
    return in_parts(sides, facts, tail, archive, spread)


def _looks_back(everything: Known, rulebook: str) -> bool:
    """Whether a period needs what earlier ones leave, so that their facts are needed, too; or begins before the version does."""
    versions = everything.rulebooks[rulebook].versions
    books = [everything.book(rulebook, version.version) for version in versions]
    stated = [contents for book in books for contents in (book, *(era.contents for era in book.eras))]
    calendars = everything.contracts.under(rulebook).rows["calendar"].unique()
    first = versions[-1].valid_from
    within = any(Period.containing(first, Calendar(calendar)).first != first for calendar in calendars)
    return within or any(each.carries or any(step.clawback for step in each.waterfall) for each in stated)


def _source(live: Grain, needed: Grain) -> Source:
    """A grain that grows needs the events again: the facts no longer tell apart what it asks for."""
    missing = [f"dimension {name}" for name in sorted(set(needed.dimensions) - set(live.dimensions))]
    missing += [f"{field} of {event}" for event, field in needed.derived if (event, field) not in live.derived]
    if missing:
        return Source(True, f"from events, since the facts are not kept by {', '.join(missing)}")  # noqa: FBT003
    return Source(False, "from facts, since they are kept by all that the version measures")  # noqa: FBT003


def _end(facts: pl.DataFrame) -> date:
    """The day after the last period that has facts begins."""
    last = facts["period"].max()
    return date.min if last is None else date.fromordinal(last.toordinal() + 1)  # type: ignore[union-attr]


def _of_others(everything: Known, book: Rulebook) -> dict[str, rulebooks.Rulebook]:
    return {name: found for name, found in everything.rulebooks.items() if name != book.rulebook}


def _settles(everything: Known, others: Members) -> str:
    """The digest of all that settles these contracts: outcomes follow from it and from the facts alone."""
    books = {
        name: ",".join(f"{version.valid_from} {version.digest}" for version in found.versions)
        for name, found in everything.rulebooks.items()
    }
    said = pl.col("rulebook").replace_strict(books, default="", return_dtype=pl.String)
    lines = others.rows.select(pl.format("{} {} {}", "contract", "rulebook", said).str.join("\n")).item()
    return sha256(lines.encode()).hexdigest()


_KEY = ["contract", "period", "kind", "name", "unit"]


def _changed(own: Members, closed: Mapping[tuple[str, str], date], moving: pl.DataFrame) -> pl.DataFrame:
    stated = pl.DataFrame(list(closed), schema={"contract": pl.String, "period": pl.String}, orient="row")
    return (
        moving.join(own.rows.select("contract", "partner"), on="contract", how="left", maintain_order="left")
        .join(stated.with_columns(closed=True), on=["contract", "period"], how="left", maintain_order="left")
        .with_columns(
            pl.col("closed").fill_null(value=False),
            (pl.col("after").fill_null(0) - pl.col("before").fill_null(0)).alias("moved"),
        )
        .select("partner", *_KEY, "closed", "before", "after", "moved")
        .sort("partner", maintain_order=True)
    )


def _beside(was: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Each amount with and without the version: _KEY, `before` and `after`, in order."""
    was, now = was.rename({"amount": "before"}), now.rename({"amount": "after"})
    if was.select(_KEY).equals(now.select(_KEY)):
        both = was.hstack([now["after"]])
    else:
        both = was.join(now, on=_KEY, how="full", coalesce=True, nulls_equal=True)
    # Amounts come a line after the other, each of one contract after the other: one quick sort leaves little to the next.
    return both.sort("contract", maintain_order=True).sort(*_KEY, "before")


def _same(both: pl.DataFrame, moving: pl.DataFrame) -> tuple[int, str]:
    """How many statements do not move, and the digest of their amounts, which with the version and without are the same."""
    moved = moving.select("contract", "period").unique()
    kept = both.join(moved, on=["contract", "period"], how="anti", maintain_order="left") if moved.height else both
    assert kept["before"].equals(kept["after"]), "a statement moves that is not told"
    amounts_ = kept.rename({"before": "amount"}).select(AMOUNTS.names())
    number = kept.filter(pl.col("kind") == "payable").height
    return number, sha256(amounts_.write_csv().encode()).hexdigest()


def _totals(was: pl.DataFrame, now: pl.DataFrame) -> dict[str, tuple[Decimal, Decimal]]:
    sides = [
        dict(side.filter(pl.col("kind") == "payable").group_by("unit").agg(pl.col("amount").sum()).iter_rows())
        for side in (was, now)
    ]
    return {
        unit: (sides[0].get(unit, Decimal(0)), sides[1].get(unit, Decimal(0)))
        for unit in sorted({*sides[0], *sides[1]})
    }


def as_texts(changed: pl.DataFrame) -> pl.DataFrame:
    """The changed amounts as people write them: no zeros behind, as engine.money.plain."""
    return changed.with_columns(
        pl.col(name).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
        for name in ("before", "after", "moved")
    )


def movers(comparison: Comparison, by: str, most: int) -> list[tuple[str, str, Decimal]]:
    """(partner, contract or period, currency, by how much its payable moves): those that move most."""
    payable = comparison.changed.filter(pl.col("kind") == "payable")
    sums = payable.group_by(by, "unit").agg(pl.col("moved").sum()).filter(pl.col("moved") != 0)
    return sums.sort(pl.col("moved").abs(), by, descending=[True, False]).head(most).rows()
