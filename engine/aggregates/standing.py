"""Which of a batch of volume events pass the gates that stand before their contracts, in columns.

Requirements and standings may change within a batch: each row counts for events whose place in it is at or after `since` and
before `until`, so the answer does not depend on how a history was cut into batches.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

import polars as pl

from engine.aggregates.relation import Gate
from engine.events import AdvancePaid

_DAYS = {"first": pl.Date(), "end": pl.Date(), "since": pl.Int64(), "until": pl.Int64()}
REQUIREMENTS = pl.Schema(
    {"scope": pl.String(), "subject": pl.String(), "gate": pl.String(), "key": pl.String(), **_DAYS}
)
STANDINGS = pl.Schema(
    {
        "gate": pl.String(),
        "subject": pl.String(),
        "key": pl.String(),
        "product": pl.String(),
        "region": pl.String(),
        **_DAYS,
    }
)
# Attributes of events that gates look at.
CONTENT, REGION = "content", "region"
FOREVER = 2**62


class Closed(NamedTuple):
    """How an event is refused at a gate."""

    code: str
    sentence: str


CLOSED: dict[Gate, Closed] = {
    "qualification": Closed(
        "qualification-lapsed",
        "partner {partner} holds no valid {key} on {day}, and cooperation model {model} needs it; have it approved or renewed "
        "for that day, and this message is recycled by itself",
    ),
    "certificate": Closed(
        "certificate-lapsed",
        "nobody of partner {partner} holds a certificate of course {key} on {day}, and cooperation model {model} needs it; have "
        "the course completed for that day, and this message is recycled by itself",
    ),
    "service": Closed(
        "service-not-live",
        "no service of contract {contract} is on trial or live for product {product} on {day}; have one launched or resumed as "
        "of that day, and this message is recycled by itself, or write it off",
    ),
    "authorisation": Closed(
        "not-authorised",
        "no agency authorisation of contract {contract} covers product {product} in region {region} on {day}; grant one that "
        "does, and this message is recycled by itself, or write it off",
    ),
    "content": Closed(
        "content-not-published",
        "content {content} of partner {partner} was not published on {day}; have it published as of that day, and this message "
        "is recycled by itself, or write it off",
    ),
}
GATES = get_args(Gate)


def stopped(events: pl.DataFrame, required: pl.DataFrame, standings: pl.DataFrame) -> pl.DataFrame:
    """The first gate that each event does not pass: columns of `events`, `gate`, `key`, `subject`; none for those that pass all.

    `events`: seq, event, contract, partner, model, day, product, region, content. The others as REQUIREMENTS and STANDINGS.
    """
    needs = asked(events, required)
    met = (
        needs.lazy()
        .join(_open(needs, standings).lazy(), on=[*_ASKED, "day"], suffix="_of")
        .filter(
            *_IN_PLACE,
            pl.col("product_of").is_null() | pl.col("product").eq_missing(pl.col("product_of")),
            pl.col("region_of").is_null() | pl.col("region").eq_missing(pl.col("region_of")),
        )
        .select("seq", "gate", "key")
        .unique()
        .collect()
    )
    order = pl.col("gate").replace_strict(dict(zip(GATES, range(len(GATES)), strict=True)))
    return (
        needs.join(met, on=["seq", "gate", "key"], how="anti").sort("seq", order, "key").unique("seq", keep="first", maintain_order=True)
    )  # fmt: skip


def asked(events: pl.DataFrame, required: pl.DataFrame) -> pl.DataFrame:
    """One row an event and a gate that it has to pass, with the gate's `subject` for it."""
    once = _united(required, ["scope", "subject", "gate", "key", "first", "end"])
    parts = [
        events.join(once.filter(pl.col("scope") == scope).drop("scope"), left_on=column, right_on="subject").filter(
            *_ON_DAY, *_IN_PLACE
        )
        for scope, column in (("model", "model"), ("contract", "contract"))
    ]
    subject = (
        pl.when(pl.col("gate").is_in(["qualification", "certificate"]))
        .then("partner")
        .when(pl.col("gate") == "content")
        .then(pl.col("partner") + "\x1f" + pl.col("content"))
        .otherwise("contract")
    )
    together = pl.concat(parts).drop("first", "end", "since", "until").with_columns(subject.alias("subject"))
    # Only usage of content has to be of published content; and what was paid ahead is no usage, and paid whatever stands open.
    exempt = pl.col("subject").is_null() | (pl.col("event") == AdvancePaid.NAME)
    return together.filter(~exempt).unique(maintain_order=True)


def _open(needs: pl.DataFrame, standings: pl.DataFrame) -> pl.DataFrame:
    """On which of the days, and for which product and region, each gate stands open from which place up to which.

    A subject may have thousands of standings, renewed again and again; of a day few are left.
    """
    days = needs.select(*_ASKED, "day").unique()
    held = days.lazy().join(standings.lazy(), on=_ASKED).filter(*_ON_DAY).collect()
    return _united(held, [*_ASKED, "day", "product", "region"])


def _united(rows: pl.DataFrame, same: list[str]) -> pl.DataFrame:
    """Rows that are the `same` but for their places, as few as there can be: `same`, since, until."""
    before = pl.col("until").cum_max().shift(1)
    return (
        rows.lazy()
        .sort("since")
        .with_columns(stretch=(pl.col("since") > before).fill_null(value=False).cum_sum().over(same))
        .group_by([*same, "stretch"])
        .agg(pl.col("since").min(), pl.col("until").max())
        .drop("stretch")
        .collect()
    )


_ASKED = ["gate", "subject", "key"]
_ON_DAY = (
    pl.col("first") <= pl.col("day"),
    pl.col("end").is_null() | (pl.col("day") < pl.col("end")),
)
_IN_PLACE = (pl.col("since") <= pl.col("seq"), pl.col("seq") < pl.col("until"))
