"""Which of a batch of volume events their contracts accept, in columns.

The same question as in `contract.decide`, asked of thousands of events at once: each row is judged by the terms that its
contract had when the row arrived, so the answer does not depend on how a history was cut into batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from engine.period import located

# Each code with the sentence that says why and what to do, for one event; {} are filled from the event and the terms.
SENTENCES = {
    "unknown-contract": (
        "contract {contract} is not signed; send its contract.signed, and this message is recycled by itself"
    ),
    "not-in-force": (
        "contract {contract} is in force from {valid_from} up to {valid_to}, and this happened on {day} in "
        "{time_zone}; correct the event or the contract, then recycle it or write it off"
    ),
    "currency-mismatch": (
        "contract {contract} settles in {contract_currency}, and this amount is in {currency}; send it in that "
        "currency under a new id and write this one off, or name the currency in the rulebook and recycle it"
    ),
    "product-not-covered": (
        "contract {contract} does not cover product {product}; send it under the contract that does, under a new id, "
        "and write this one off"
    ),
    "period-closed": (
        "the statement of contract {contract} for the period from {period} is closed, and the contract suspends what comes "
        "later; send it with a time in an open period under a new id, and write this one off"
    ),
    "measure-fails": (
        "the rulebook of contract {contract} measures {field} of such events, and for this one there is no such number: "
        "{why}; send it right under a new id and write this one off"
    ),
}


def shut_out(judged: pl.DataFrame, shut: Sequence[tuple[str, date]]) -> pl.DataFrame:
    """Of the `screened`, those are refused, too, that come for a closed period: (contract, first day) of each in `shut`."""
    if not shut:
        return judged
    closed = pl.DataFrame(shut, schema={"contract": pl.String, "period": pl.Date}, orient="row")
    late = judged.join(closed.with_columns(pl.lit("period-closed").alias("late")), on=["contract", "period"], how="left", maintain_order="left")  # fmt: skip
    return late.with_columns(pl.coalesce("refusal", "late").alias("refusal")).drop("late")


def screened(events: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """The events with their contract's terms, the local `day`, the `period`'s first day, and a `refusal` code or null.

    `events`: seq, contract, time (UTC), product, currency, and whatever else. `terms`: contract, since (the seq from
    which they hold), contract_currency, valid_from, valid_to, calendar, time_zone, products, currencies (accepted beside
    the contract's). Both sorted by seq / since. Whether a measure fails is found by the fold, of what is accepted here.
    """
    joined = events.join_asof(
        terms, left_on="seq", right_on="since", by="contract", strategy="backward", check_sortedness=False
    )
    return located(joined).with_columns(
        pl.when(pl.col("valid_from").is_null())
        .then(pl.lit("unknown-contract"))
        .when((pl.col("day") < pl.col("valid_from")) | (pl.col("day") >= pl.col("valid_to")).fill_null(value=False))
        .then(pl.lit("not-in-force"))
        .when(
            pl.col("currency").is_not_null()
            & (pl.col("currency") != pl.col("contract_currency"))
            & ~pl.col("currencies").list.contains(pl.col("currency")).fill_null(value=False)
        )
        .then(pl.lit("currency-mismatch"))
        .when(
            pl.col("products").is_not_null()
            & ~pl.col("products").list.contains(pl.col("product"), nulls_equal=True).fill_null(value=False)
        )
        .then(pl.lit("product-not-covered"))
        .alias("refusal")
    )
