"""The demo's first month against the same sums written straight down in Polars over the source."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl
import pytest

from console import grocery
from tests.console.test_commands import Settle, settle

__all__ = ["settle"]


@pytest.fixture(scope="module")
def expected() -> dict[str, int]:
    """Net sales of January in cents, by contract."""
    source = grocery._table("transactions").collect()
    local = pl.col("transaction_timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    cents = [
        (pl.col(c) * 100).round().cast(pl.Int64)
        for c in ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
    ]
    net = cents[0] - cents[1] - cents[2] - cents[3]
    sums = (
        source.filter(local.dt.month() == 1, local.dt.year() == 2017)
        .join(grocery._table("products").collect(), on="product_id")
        .group_by("manufacturer_id")
        .agg(net.sum().alias("net"))
    )
    return {f"C-{number}": net for number, net in sums.select("manufacturer_id", "net").iter_rows()}


def payable(net: int) -> Decimal:
    """The contract of the demo's rulebook, written out: 60, 65 and 70 %, less 2 % of net sales, at least 5."""
    dollars = Decimal(net) / 100
    share = (
        Decimal("0.6") * min(dollars, Decimal(10_000))
        + Decimal("0.65") * max(min(dollars, Decimal(50_000)) - 10_000, Decimal(0))
        + Decimal("0.7") * max(dollars - 50_000, Decimal(0))
    )
    return max(share - Decimal("0.02") * dollars, Decimal(5)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def test_the_demo_settles_every_supplier_as_its_contract_says(settle: Settle, expected: dict[str, int]) -> None:
    told = settle("demo", "--months", "1", "--json").json
    assert told["charges"] == 124_744
    assert told["without_manufacturer"] == told["counts"]["suspended"] == 280
    assert told["counts"]["recorded"] == 124_744 - 280 + 2 * 6_471 + 1
    assert told["statements"] == told["closed"] == 6_471
    by_hand = {contract: payable(expected.get(contract, 0)) for contract in [f"C-{n}" for n in range(1, 6_478)]}
    contracts = {c["contract"] for c in settle("contract", "list", "--json").json}
    total = sum(by_hand[contract] for contract in contracts)
    assert told["totals"]["2017-01"]["payable"] == f"{total:,}"
    for contract, row in told["largest"].items():
        assert row["payable"] == f"{by_hand[contract]:,}"
        assert settle("statement", contract, "2017-01", "--json").json["payable"] == str(by_hand[contract])
    again = settle("demo", "--months", "1", "--json").json
    assert again["counts"]["recorded"] == again["closed"] == 0
    assert again["totals"] == told["totals"]
    assert settle("verify", "facts").status == 0
    assert settle("status").status == 0


def test_the_demo_of_replay_corrects_february_and_proves_it(settle: Settle) -> None:
    told = settle("demo", "replay", "--months", "2", "--json").json
    assert told["compared"]["closed"] == {"USD": told["restated"]["totals"]["USD"]}
    assert {row["period"] for row in told["restated"]["restated"]} == {"2017-02"}
    adjusted = {row["contract"]: row["payable"][0]["amount"] for row in told["restated"]["restated"]}
    # One point more on the 40,000 between the bounds of the second band.
    assert adjusted["C-69"] == "400.00"
    (due,) = told["statement"]["due"]
    assert due["amount"] == "405.00"
    assert told["audit"]["ok"]
    assert told["verified"]
    assert told["pack"]["root"] == told["statement"]["root"]
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"settle audit 2018-01\)\n\n checked +holds +fails\n((?: \S.*\n)+)", readme)
    assert shown, "the README shows what the audit of the demo checked"
    assert re.findall(r"^ (\S.*?)  ", shown[1], re.MULTILINE) == list(told["audit"]["checked"])
