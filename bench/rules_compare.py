"""Whether the variants of the rules benchmark come to the same, contract by contract, digit by digit."""

from __future__ import annotations

import array
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl

from bench.runs import RunFailed

_TABLES = {"lines": ["contract"], "shares": ["contract"], "carried": ["contract", "step", "kind", "day"]}
# Binary floats have some 16 digits; relative to the greatest share they may differ in the last three of them.
_FLOAT_TOLERANCE = 1e-13
_LAST_DIGIT = Decimal("1E-12")


def findings(results: Path, kinds: set[str]) -> dict[str, str]:
    """A sentence for each variant that ours is compared with. Raises RunFailed where one differs that must not."""
    found = {}
    if "polars" in kinds:
        differing = _differing(results / "ours", results / "polars")
        if differing:
            raise RunFailed(f"ours and (b) differ: {_listed(differing)}")
        found["polars"] = (
            "Ours and (b) are equal to the last digit: every line, share and carried balance of every contract"
        )
    if "reference" in kinds:
        differing = _differing(results / "reference", results / "ours", semi=True)
        if differing:
            raise RunFailed(f"ours and (d) differ: {_listed(differing)}")
        found["reference"] = "So are ours and (d), for every contract of the sample"
    if "duckdb" in kinds:
        found["duckdb"] = _halves(results)
    if "openfisca" in kinds:
        found["openfisca"] = _floats(results)
    return found


def _differing(one: Path, other: Path, *, semi: bool = False) -> dict[str, int]:
    """How many contracts differ, by column. `semi`: of the other, only contracts that the one has are looked at."""
    found = {}
    for table, key in _TABLES.items():
        left, right = (pl.read_parquet(folder / f"{table}.parquet") for folder in (one, other))
        columns = [name for name in left.columns if name not in key]
        missing = sorted(set(columns) ^ {name for name in right.columns if name not in key})
        if missing:
            raise RunFailed(f"{table} of {one.name} and {other.name} have not the same columns: {', '.join(missing)}")
        if semi:
            contracts = pl.read_parquet(one / "lines.parquet", columns=["contract"])
            right = right.join(contracts, on="contract", how="semi")
        numbers = [pl.col(name).cast(pl.Decimal(38, 12)) for name in columns]
        both = left.select(*key, *numbers).join(
            right.select(*key, *numbers), on=key, how="full", nulls_equal=True, coalesce=True, suffix=" of the other"
        )
        if left.height != right.height:
            found[f"rows of {table}"] = abs(left.height - right.height)
        counts = both.select(
            pl.col(name).ne_missing(pl.col(f"{name} of the other")).sum().alias(name) for name in columns
        ).row(0, named=True)
        found |= {name if table != "carried" else "carried": count for name, count in counts.items() if count}
    return found


def _halves(results: Path) -> str:
    differing = _differing(results / "ours", results / "duckdb")
    if not differing:
        return "(c) came to the same in every digit"
    names = [name for name in differing if name in _columns(results / "ours" / "lines.parquet")]
    if set(differing) - set(names) or _furthest(results, names) > _LAST_DIGIT:
        raise RunFailed(f"ours and (c) differ in more than a last digit of a line: {_listed(differing)}")
    return f"(c) differs in the last of 12 digits, and nowhere else, in so many contracts: {_listed(differing)}"


def _columns(file: Path) -> set[str]:
    return set(pl.scan_parquet(file).collect_schema().names())


def _furthest(results: Path, names: list[str]) -> Decimal:
    """The greatest difference between ours and (c) in these lines."""
    ours, theirs = (
        pl.scan_parquet(results / kind / "lines.parquet").sort("contract").select(names).collect()
        for kind in ("ours", "duckdb")
    )
    furthest = pl.DataFrame([(ours[name] - theirs[name]).abs() for name in names]).max().row(0)
    return max(Decimal(each) for each in furthest)


def _floats(results: Path) -> str:
    shares = array.array("d")
    shares.frombytes((results / "openfisca" / "shares.f64").read_bytes())
    if sys.byteorder == "big":
        shares.byteswap()
    exact = pl.read_parquet(results / "ours-tiers" / "shares.parquet")["share"]
    both = pl.DataFrame({"exact": exact.cast(pl.Float64), "float": pl.Series(shares)})
    # A marginal scale has nothing for a base below 0, where a rulebook's first band goes on.
    above = both.filter(pl.col("exact") >= 0)
    worst = above.select(((pl.col("exact") - pl.col("float")).abs() / pl.max_horizontal("exact", 1)).max()).item()
    if worst > _FLOAT_TOLERANCE:
        raise RunFailed(f"(a) and our tier step differ by {worst:.1e} of the share: they are not the same scale")
    return (
        f"(a) has binary floats: its shares are within {worst:.0e} of ours, and 0 for the {both.height - above.height:,} "
        "net revenues below 0"
    )


def _listed(differing: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in differing.items())
