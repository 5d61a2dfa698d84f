"""A synthetic archive: 20,000 contracts with a few products each, a year of charges and uses, written in columns.

What an archive of a live store would hold, without the hours of sending it through one: the segments, the manifest and the
events that are told are the engine's own; only the volume is drawn here. The chain's head is not computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from engine import events
from engine.period import Calendar
from engine.projections.seals import Entry
from engine.store.log import stream_id
from replay.archive import manifest, writing
from replay.archive.manifest import Seal, Segment
from replay.archive.segments import EVENTS, bucket_of, rows_frame

CONTRACTS = 20_000
BUCKETS = 8
CHUNK = 1_000_000
_PROVINCES = ["GD", "HN", "SN", "BJ"]
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_YEAR = 365 * 86_400 - 1
# A tenth of the contracts is settled by a rulebook of its own, as where an operator has several models of cooperation.
BOOKS = ("carrier", "reseller")
RULEBOOK = """\
rulebook: {name}
version: {version}
valid_from: {valid_from}
currency: CNY
dimensions: [province]
measures:
  charged: {{event: billing.charged, sum: amount}}
  home: {{event: billing.charged, sum: amount, where: {{province: GD}}}}
  uses: {{event: usage.recorded, sum: quantity}}
waterfall:
  - {{name: net, amount: charged - 3% * home}}
  - name: share
    tiers: {{of: net, mode: graduated, bands: [{{upto: 1000, rate: {rate}}}, {{upto: 5000, rate: 55%}}, {{rate: 60%}}]}}
  - {{name: payable, amount: "max(share, 10)", round: half_up}}
split:
  of: payable
  among: [{{party: partner, portion: 94%}}, {{party: tax, portion: remaining}}]
"""


def told() -> list[events.Event]:
    """Partners, contracts and the rulebook."""
    about = {"source": "bench", "time": _BEGIN}
    found: list[events.Event] = [
        events.PartnerRegistered(id=f"p{n}", partner=f"P-{n}", name=f"Partner {n}", kind="agent", **about)
        for n in range(CONTRACTS // 4)
    ]
    for name in BOOKS:
        text = RULEBOOK.format(name=name, version=1, valid_from="2026-01-01", rate="50%")
        found.append(events.RulebookPublished(id=f"r {name}", rulebook=name, version=1, text=text, **about))
    found += [
        events.ContractSigned(
            id=f"c{n}", contract=f"C-{n}", partner=f"P-{n // 4}", cooperation_model="revenue share",
            rulebook=BOOKS[n % 10 == 9], currency="CNY", valid_from=date(2026, 1, 1), calendar=Calendar.monthly, **about,
        )
        for n in range(CONTRACTS)
    ]  # fmt: skip
    return found


def write(folder: Path, number: int) -> int:
    """Writes an archive of so many events of volume; returns its last position."""
    folder.mkdir(parents=True)
    entries = list(_entries())
    segments = [writing.segment_of(folder, "told", -1, (1, len(entries)), rows_frame(entries))]
    rng = np.random.default_rng(20261103)
    names = pl.Series([f"C-{n}" for n in range(CONTRACTS)])
    buckets = pl.Series([bucket_of(name, BUCKETS) for name in names])
    at = len(entries)
    for first in range(0, number, CHUNK):
        size = min(CHUNK, number - first)
        segments += _chunk(folder, rng, names, buckets, at, size)
        at += size
    seal = Seal(
        format=manifest.FORMAT, number=1, first=1, last=at, buckets=BUCKETS, head="", block="", previous="",
        segments=tuple(segments),
    )  # fmt: skip
    (folder / manifest.NAME).write_bytes(manifest.lines([seal]))
    return at


def _entries() -> Iterator[Entry]:
    for position, event in enumerate(told(), 1):
        yield Entry(position, 0, stream_id("bench", event.id), 1, event.NAME, events.encoded(event))


def _chunk(
    folder: Path, rng: np.random.Generator, names: pl.Series, buckets: pl.Series, after: int, size: int
) -> Iterator[Segment]:
    # Few contracts have much of the volume, as in any market.
    which = np.minimum((CONTRACTS * rng.random(size) ** 2).astype(np.int64), CONTRACTS - 1)
    charged = rng.random(size) < 0.6
    time = pl.Series((rng.random(size) * _YEAR * 1_000_000).astype(np.int64)) + int(_BEGIN.timestamp()) * 1_000_000
    frame = pl.DataFrame(
        {
            "position": np.arange(after + 1, after + size + 1),
            "which": which,
            "charged": charged,
            "time": time.cast(pl.Datetime("us", "UTC")),
            "cents": rng.integers(1, 5_000, size),
            "product": which * 7 % 400 + rng.integers(0, 4, size),
            "place": rng.integers(0, 4, size),
        }
    ).with_columns(
        names.gather(which).alias("contract"),
        buckets.gather(which).alias("bucket"),
        pl.Series(_PROVINCES).gather(rng.integers(0, 4, size)).alias("attribute:province"),
    )
    micros = pl.col("cents") * 10_000
    made = frame.with_columns(
        (pl.col("time") + timedelta(seconds=2)).alias("recorded_at"),
        pl.col("position").alias("version"),
        pl.when("charged").then(pl.lit("billing.charged")).otherwise(pl.lit("usage.recorded")).alias("event"),
        pl.lit("billing/eu-1").alias("source"),
        pl.format("e{}", "position").alias("id"),
        pl.format("P-{}", pl.col("which") // 4).alias("partner"),
        pl.format("product-{}", "product").alias("product"),
        pl.when(~pl.col("charged")).then(pl.lit("sms-mt")).alias("meter"),
        pl.when("charged").then(pl.lit("CNY")).alias("currency"),
        pl.when(~pl.col("charged")).then(1_000_000).alias("quantity"),
        pl.when("charged").then(micros).alias("amount"),
        pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("charged_at"),
        pl.lit(None, dtype=pl.String).alias("refunds"),
        pl.concat_list(pl.struct(pl.lit("province").alias("name"), pl.col("attribute:province").alias("value"))).alias(
            "attributes"
        ),
        pl.lit(None, dtype=EVENTS["amounts"]).alias("amounts"),
        pl.col("time").dt.date().dt.truncate("1mo").alias("period"),
    )
    span = (after + 1, after + size)
    for (number,), part in sorted(made.partition_by("bucket", as_dict=True, include_key=False).items()):
        ordered = (
            part.sort("contract", "period", "event", "attribute:province", "position")
            .select(*EVENTS.names(), "attribute:province")
            .cast(dict(EVENTS))
        )
        yield writing.segment_of(folder, "events", number, span, ordered)
