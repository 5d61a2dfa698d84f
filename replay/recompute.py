"""Settling again, in columns: every period of every contract from its first, forward through all that periods leave.

As if nothing had ever been closed: what was issued is never looked at. The rules and their evaluators are those of a closing
(engine.settlement.concluding); only where their input comes from differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from engine.aggregates.refusal import Refused
from engine.facts import PARTNER_FIELDS, PRIMARY_FIELD
from engine.language.columns import WORKING
from engine.outcomes import Balance, Score
from engine.period import Calendar, Period
from engine.rules.columns.frames import CARRIED, FACTS, PARTNER_FACTS, Frames, Origins, cohort_of
from engine.rules.given import Final, Given
from engine.rules.model import Rulebook
from engine.rules.steps import Convert
from engine.settlement.concluding import Found, belong_together, settled_frames
from engine.settlement.gathering import EarlierPeriodOpen
from engine.settlement.statements import Lines, finished
from replay.coverage import Coverage, Covered
from replay.known import RATE_DAYS_MAX, Known
from replay.laid import Laid, laid_out
from replay.members import Members
from replay.unsettled import unsettled

_PRIMARY = PRIMARY_FIELD | {event: fields[0] for event, fields in PARTNER_FIELDS.items()}
# Of the facts of an event, the one that counts it.
_IS_PRIMARY = pl.any_horizontal(
    pl.col("field").eq(field) & pl.col("event").is_in([name for name, own in _PRIMARY.items() if own == field])
    for field in sorted(set(_PRIMARY.values()))
)
_NO_CARRIED = CARRIED.to_frame()


# `kind` is line, payable, share, or final (what a final statement clears); `unit` a currency, quantity or number.
AMOUNTS = pl.Schema(
    {
        "contract": pl.String(),
        "period": pl.String(),
        "kind": pl.String(),
        "name": pl.String(),
        "unit": pl.String(),
        "amount": WORKING,
    }
)


class Settlement(NamedTuple):
    """Contracts that one rulebook version settles in one period: what is given of them, and what it comes to.

    `left` is what the period leaves of them: the columns of CARRIED, each contract's in their order. Final statements are of
    the contracts in `finals`, and clear it.
    """

    rulebook: Rulebook
    period: Period
    contracts: Members
    frames: Frames
    found: Found
    left: pl.DataFrame
    finals: Mapping[str, Final] = {}

    @property
    def all_named(self) -> set[str]:
        """The contracts that the version settles in the period, also those for which that fails."""
        return {*self.contracts, *self.found.refused}

    def amounts(self) -> pl.DataFrame:
        """Every amount that the statements say, columns AMOUNTS."""
        stated = self.found.amounts()
        if self.finals:
            rows = [
                (name, "final", line["name"], line["currency"], Decimal(line["amount"]))
                for name, said in self.lines().items()
                if said.final is not None
                for line in said.final["lines"]
            ]
            stated = pl.concat([stated, pl.DataFrame(rows, schema=stated.schema, orient="row")])
        return stated.select("contract", pl.lit(str(self.period)).alias("period"), "kind", "name", "unit", "amount")

    def lines(self) -> dict[str, Lines]:
        """What the statements say, by contract."""
        said = self.found.lines(_balances(self.left))
        return {
            name: finished(lines, self.rulebook, self.period, self.finals.get(name)) for name, lines in said.items()
        }

    def carried(self) -> pl.DataFrame:
        """What the next period begins with, columns CARRIED."""
        return self.left.filter(~pl.col("contract").is_in(list(self.finals))) if self.finals else self.left

    def counted(self) -> pl.DataFrame:
        """How many events statements rest on: contract and events, of the contracts that have any."""
        return self.frames.facts.filter(_IS_PRIMARY).group_by("contract").agg(pl.col("events").sum())

    def events(self) -> dict[str, int]:
        """How many events each contract's statement rests on; none is left out where it has none."""
        return dict.fromkeys(self.contracts, 0) | dict(self.counted().iter_rows())

    def givens(self, names: Iterable[str]) -> dict[str, Given]:
        """What was given of each of the contracts."""
        chosen = set(names) & self.contracts.keys()
        found = cohort_of(self.period, _only(self.frames, chosen)).contracts
        return {name: given._replace(final=self.finals.get(name)) for name, given in found.items()}


def count(facts: pl.DataFrame) -> int:
    """How many events the facts are made of."""
    return int(facts.filter(_IS_PRIMARY)["events"].sum())


def recomputed(
    known: Known, facts: pl.DataFrame, end: date, names: Iterable[str] | None = None, first: date | None = None
) -> Iterator[Settlement]:
    """Every settlement of the contracts (or of all), of the periods that begin before `end`; of a rulebook by time.

    Periods that end before `first` are left out where no later one needs what they leave.

    `facts` has the columns of engine.projections.facts.FACTS, of those contracts. Contracts that are settled together must
    all be there.
    """
    chosen = known.contracts if names is None else known.contracts.only(names)
    yield from settled_from(laid_out(chosen, facts), known, end, first)


def settled_from(laid: Iterable[Laid], known: Known, end: date, first: date | None = None) -> Iterator[Settlement]:
    """As `recomputed`."""
    for each in laid:
        yield from _Chain(known, each).run(end, first)


class _Chain:
    """The contracts of one rulebook and calendar on their way through the periods."""

    def __init__(self, known: Known, laid: Laid) -> None:
        self._known = known
        self._members = laid.members
        self._coverage = Coverage(known, laid.members)
        self._facts = laid.facts
        self._memos = laid.memos
        self._left = _NO_CARRIED
        self._scores: dict[str, Score] = {}
        self._failed: dict[str, Refused] = {}
        self._history: list[Settlement] = []
        stated = [each for book in self._books() for each in (book, *(era.contents for era in book.eras))]
        self._carries = any(contents.carries for contents in stated)
        self._claws = any(step.clawback is not None for contents in stated for step in contents.waterfall)

    def _books(self) -> Iterator[Rulebook]:
        name = self._members.rows["rulebook"][0]
        found = self._known.rulebooks.get(name)
        for version in found.versions if found else ():
            yield self._known.book(name, version.version)

    def run(self, end: date, since: date | None) -> Iterator[Settlement]:
        first, last, calendar = self._members.rows.select(
            pl.col("valid_from").min(), pl.col("valid_to").fill_null(date.max).max(), pl.col("calendar").first()
        ).row(0)
        period = Period.containing(first, Calendar(calendar))
        if self._carries:
            waiting = unsettled(self._known, self._members, None, end)
            self._failed = {each.contract: _needed(each.contract, each.period, each.why) for each in waiting}
        if since is not None and not self._carries and not self._claws and period.end <= since:
            period = Period.containing(since, period.calendar)
        while period.first < min(end, last):
            done = [self._settled(covered, period) for covered in self._coverage.of(period)]
            yield from done
            self._left = pl.concat([each.carried() for each in done]) if done else _NO_CARRIED
            self._scores = {name: score for each in done for name, score in each.found.scores.items()}
            refused = {name: refusal for each in done for name, refusal in each.found.refused.items()}
            if self._carries:
                self._failed |= {name: _needed(name, period, why) for name, why in refused.items()}
            if self._claws:
                self._history += done
            period = period.next()

    def _settled(self, covered: Covered, period: Period) -> Settlement:
        book = covered.rulebook
        failed = {name: self._failed[name] for name in sorted(self._failed) if name in covered.contracts}
        if failed and belong_together(book.on(period.first)):
            # All or none: what one of them lacks, the others cannot be settled without.
            name, why = next(iter(failed.items()))
            together = EarlierPeriodOpen(f"it is settled together with {name}, and that cannot be: {why}")
            failed = {each: failed.get(each, together) for each in covered.contracts}
        covered = covered.without(failed)
        frames = self._frames(covered, period)
        found = settled_frames(book, period, frames)
        found = found._replace(refused=found.refused | failed)
        passed = _passed_on(book, period, frames.carried, found)
        # Only contracts with services can end with a final statement.
        served = [name for name in sorted(self._known.services) if name in covered.contracts]
        named = {name: self._known.final(covered.contracts[name], period) for name in served}
        finals = {name: final for name, final in named.items() if final is not None}
        return Settlement(book, period, covered.contracts, frames, found, pl.concat([found.carried, passed]), finals)

    def _frames(self, covered: Covered, period: Period) -> Frames:
        book, is_all = covered.rulebook, len(covered.contracts) == len(self._members)
        given, given_before = self._overrides(book.rulebook, period), self._overrides(book.rulebook, period.previous())
        before = {name: score.grade for name, score in self._scores.items()} | given_before
        frame = covered.rows.with_columns(_graded("grade", given), _graded("grade_before", before))
        own = self._facts.get(period.first)
        parts = [] if own is None else [_of(own, frame, is_all=is_all)]
        parts += self._named_facts(frame, period)
        facts = parts[0] if len(parts) == 1 else pl.concat([FACTS.to_frame(), *parts])
        carried = _of(self._left, frame, is_all=is_all)
        publishers = {s.rule.publisher for s in book.on(period.first).waterfall if isinstance(s.rule, Convert)}
        given_rates = self._known.rates_for(publishers, period.first - RATE_DAYS_MAX, period.end) if publishers else ()
        partner_facts, overrides = PARTNER_FACTS.to_frame(), {}
        if book.assessment is not None or book.points is not None:
            partners = sorted(set(frame["partner"]))
            partner_facts = self._partner_facts(partners, period)
            overrides = {name: given[name] for name in partners if name in given}
        return Frames(
            frame,
            facts,
            carried,
            given_rates,
            tuple(self._origins(book, facts, period)),
            partner_facts,
            overrides,
            self._memos.get(period.first),
        )

    def _overrides(self, scorecard: str, period: Period) -> dict[str, str]:
        """The grades that persons gave, by partner."""
        wanted = (scorecard, str(period))
        return {key[2]: grade for key, grade in self._known.overrides.items() if key[:2] == wanted}

    def _days(self, period: Period) -> pl.DataFrame:
        day = pl.col("day")
        return self._known.partner_facts.filter((day >= period.first) & (day < period.end))

    def _named_facts(self, frame: pl.DataFrame, period: Period) -> list[pl.DataFrame]:
        if not self._known.partner_facts.height:
            return []
        own = self._days(period).join(frame.select("contract"), on="contract", how="semi")
        return [_summed(own, "contract").select(FACTS.names())] if own.height else []

    def _partner_facts(self, partners: Sequence[str], period: Period) -> pl.DataFrame:
        own = self._days(period).filter(pl.col("partner").is_in(partners))
        return _summed(own, "partner").select(PARTNER_FACTS.names())

    def _origins(self, book: Rulebook, facts: pl.DataFrame, period: Period) -> Iterator[Origins]:
        """The earlier periods in which charges were made that are returned in this one, as they were settled."""
        if not any(step.clawback for step in book.waterfall):
            return
        charged = facts.filter(pl.col("dimensions").str.contains('"charged_in":"', literal=True)).select(
            "contract", pl.col("dimensions").str.json_path_match("$.charged_in").str.to_date().alias("first")
        )
        wanted = charged.filter(pl.col("first") < period.first).unique()
        for earlier in self._history:
            names = wanted.filter(pl.col("first") == earlier.period.first)["contract"]
            own = set(names) & earlier.contracts.keys()
            if own:
                yield Origins(earlier.rulebook, earlier.period, _only(earlier.frames, own)._replace(origins=()))


def _needed(name: str, period: Period, why: Refused) -> Refused:
    return EarlierPeriodOpen(f"{period} of contract {name} cannot be settled, and the next one needs it: {why}")


def _graded(name: str, grades: Mapping[str, str]) -> pl.Expr:
    if not grades:
        return pl.lit(None, dtype=pl.String).alias(name)
    return pl.col("partner").replace_strict(grades, default=None, return_dtype=pl.String).alias(name)


def _of(rows: pl.DataFrame, frame: pl.DataFrame, *, is_all: bool) -> pl.DataFrame:
    """The rows of the frame's contracts, of which there are others or not."""
    return rows if is_all else rows.join(frame.select("contract"), on="contract", how="semi", maintain_order="left")


def _summed(days: pl.DataFrame, whose: str) -> pl.DataFrame:
    return (
        days.group_by(whose, "event", "field", "dimensions")
        .agg(pl.col("events").sum(), pl.col("value").sum())
        .with_columns(pl.lit(0, dtype=pl.Int64).alias("at"))
    )


def _passed_on(book: Rulebook, period: Period, carried: pl.DataFrame, found: Found) -> pl.DataFrame:
    """Balances that no step of this version takes up, of the contracts that it settled (engine.settlement.gathering)."""
    if not carried.height:
        return _NO_CARRIED
    steps = book.on(period.first).steps
    taken = pl.DataFrame(
        [(name, kind) for name, step in steps.items() for kind in step.carries],
        schema={"step": pl.String, "kind": pl.String},
        orient="row",
    )
    kept = carried.filter(~pl.col("contract").is_in(list(found.refused)))
    return kept.join(taken, on=["step", "kind"], how="anti", maintain_order="left").select(CARRIED.names())


def _only(frames: Frames, names: set[str]) -> Frames:
    mine = pl.DataFrame({"contract": sorted(names)}, schema={"contract": pl.String})
    own = {
        name: getattr(frames, name).join(mine, on="contract", how="semi", maintain_order="left")
        for name in ("contracts", "facts", "carried")
    }
    origins = tuple(
        each._replace(frames=_only(each.frames, names))
        for each in frames.origins
        if names & set(each.frames.contracts["contract"])
    )
    return frames._replace(**own, origins=origins)


def _balances(left: pl.DataFrame) -> dict[str, tuple[Balance, ...]]:
    found: dict[str, list[Balance]] = {}
    for name, *balance in left.select(CARRIED.names()).iter_rows():
        found.setdefault(name, []).append(Balance(*balance))
    return {name: tuple(each) for name, each in found.items()}
