"""The input of the rules benchmark: the same contracts, facts and carried balances for every variant and on every machine,
made from their numbers alone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl

from engine.language.columns import WORKING
from engine.period import Period

RULEBOOK = Path(__file__).parent / "eight-steps.yaml"
PERIOD = Period.parse("2026-10")

_SOLD, _REFUNDED, _ADVANCED = "billing.charged", "billing.refunded", "advance.paid"
_WEB, _APP, _TRIAL = '{"channel":"web"}', '{"channel":"app"}', '{"channel":"trial"}'
# Sales in a month, in thousands: 40 contracts in a hundred stay below 2, 30 below 20, and so on.
_SIZES = (*[2] * 40, *[20] * 30, *[100] * 20, *[500] * 8, *[3_000] * 2)
_FILES = ("contracts", "facts", "carried")
_MICROS = 1_000_000
_MICRO = Decimal("0.000001")
# What was short from June on; June's lapses this month.
_LAPSE_DAYS = (date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1))


class _Draws:
    """Columns of numbers without a pattern, each call's its own. The mixing is splitmix64's (Steele, Lea, Flood, 2014)."""

    def __init__(self, count: int) -> None:
        self._numbers = pl.int_range(count, dtype=pl.UInt64, eager=True)
        self._calls = 0

    def below(self, bound: int) -> pl.Series:
        """Uniform from 0 to below the bound."""
        self._calls += 1
        # Unsigned columns wrap modulo 2 to the 64th, as this mixing wants it.
        mixed = self._numbers * 0x9E3779B97F4A7C15 + (self._calls * 0xD1B54A32D192ED03) % 2**64
        mixed = (mixed ^ (mixed // 2**30)) * 0xBF58476D1CE4E5B9
        mixed = (mixed ^ (mixed // 2**27)) * 0x94D049BB133111EB
        return ((mixed ^ (mixed // 2**31)) % bound).cast(pl.Int64)

    def chosen(self, in_thousand: int) -> pl.Series:
        return self.below(1_000) < in_thousand


def write(folder: Path, count: int) -> int:
    """Writes contracts, facts and carried balances as Parquet files for so many contracts; returns the number of facts."""
    draws = _Draws(count)
    contracts = _contracts(count)
    facts = _facts(contracts["contract"], draws)
    contracts.write_parquet(folder / "contracts.parquet")
    facts.write_parquet(folder / "facts.parquet")
    _carried(contracts["contract"], draws).write_parquet(folder / "carried.parquet")
    return facts.height


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Contracts, facts and carried balances, as the engine has them. The files' micros have 64 bits, which others can read."""
    contracts, facts, carried = (pl.read_parquet(folder / f"{name}.parquet") for name in _FILES)
    return contracts, facts.with_columns(pl.col("value").cast(pl.Int128)), carried


def _contracts(count: int) -> pl.DataFrame:
    numbers = pl.int_range(count)
    return pl.select(
        contract=pl.format("C-{}", numbers.cast(pl.String).str.zfill(8)),
        partner=pl.format("P-{}", (numbers // 10).cast(pl.String).str.zfill(7)),
        begins=pl.lit(date(2025, 1, 1)),
        grade=pl.lit(None, pl.String),
        grade_before=pl.lit(None, pl.String),
    )


def _facts(contracts: pl.Series, draws: _Draws) -> pl.DataFrame:
    """Sales on the web of every contract, in the app of half of them, trials of some, and a discount on each; refunds to
    three contracts in ten, at times of more than was sold; advances to one in twenty-five. All with six digits.
    """
    thousands = pl.Series(_SIZES)[draws.below(len(_SIZES))]
    web = draws.below(1_000 * _MICROS) * thousands
    facts = []
    for channel, in_thousand, part in ((_WEB, 1_000, 1), (_APP, 500, 3), (_TRIAL, 50, 11)):
        chosen = draws.chosen(in_thousand)
        sold = (web // part + 1).filter(chosen)
        discount = sold * draws.below(100).filter(chosen) // 1_000
        facts.append(_told(contracts.filter(chosen), _SOLD, "amount", channel, sold))
        facts.append(_told(contracts.filter(chosen), _SOLD, "discount", channel, discount))
    chosen = draws.chosen(300)
    refunded = (web * draws.below(20) // 100 * (1 + 9 * draws.chosen(20).cast(pl.Int64))).filter(chosen) + 1
    facts.append(_told(contracts.filter(chosen), _REFUNDED, "amount", _WEB, refunded))
    chosen = draws.chosen(40)
    advanced = (1_000 * _MICROS * (1 + draws.below(50))).filter(chosen)
    facts.append(_told(contracts.filter(chosen), _ADVANCED, "amount", '{"channel":null}', advanced))
    return pl.concat(facts)


def _told(contracts: pl.Series, event: str, field: str, dimensions: str, micros: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"contract": contracts, "value": micros}).select(
        "contract",
        event=pl.lit(event),
        field=pl.lit(field),
        dimensions=pl.lit(dimensions),
        events=pl.col("value") % 40 + 1,
        value="value",
        at=pl.lit(0, pl.Int64),
    )


def _carried(contracts: pl.Series, draws: _Draws) -> pl.DataFrame:
    """Short-workings of each of the four months before for one contract in five, advances to recoup for a third: seven
    contracts in ten have something.
    """
    carried = [
        _left(contracts, "guaranteed share", "short-workings", day, draws.below(150 * _MICROS) + 1, draws.chosen(200))
        for day in _LAPSE_DAYS
    ]
    advances = draws.below(20_000 * _MICROS) + 1
    carried.append(_left(contracts, "after advances", "unrecouped", None, advances, draws.chosen(300)))
    return pl.concat(carried)


def _left(
    contracts: pl.Series, step: str, kind: str, day: date | None, micros: pl.Series, chosen: pl.Series
) -> pl.DataFrame:
    return (
        pl.DataFrame({"contract": contracts, "micros": micros})
        .filter(chosen)
        .select(
            "contract",
            step=pl.lit(step),
            kind=pl.lit(kind),
            day=pl.lit(day, pl.Date),
            amount=pl.col("micros").cast(WORKING) * pl.lit(_MICRO, WORKING),
        )
    )
