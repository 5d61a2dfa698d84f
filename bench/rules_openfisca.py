"""(a) The graduated share alone, by OpenFisca-core's marginal-rate scale over columns of binary floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from openfisca_core.taxscales import MarginalRateTaxScale

_BANDS = ((0, 0.5), (1_000, 0.525), (10_000, 0.55), (50_000, 0.575), (250_000, 0.6))


def loaded(folder: Path) -> Any:
    """The net revenue of each contract, in binary floats: it has no others."""
    return duckdb.sql(f"SELECT CAST(base AS DOUBLE) AS base FROM read_parquet('{folder}/base.parquet')").fetchnumpy()[
        "base"
    ]


def scale() -> MarginalRateTaxScale:
    made = MarginalRateTaxScale()
    for threshold, rate in _BANDS:
        made.add_bracket(threshold, rate)
    return made


def write(shares: Any, folder: Path) -> None:
    """One number a row, in the order of the bases."""
    (folder / "shares.f64").write_bytes(shares.astype("<f8").tobytes())
