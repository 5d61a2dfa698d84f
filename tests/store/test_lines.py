"""What the store tells in lines is what it tells in rows, whatever the texts are."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from engine.facts import Fact
from engine.money import decimal_of_micros
from engine.store import facts, registry
from engine.store.database import Store
from replay.members import Members
from tests.histories import message, registered, signed
from tests.settlement.test_chains import book, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

NAMES = ("C-1", ' "a", b;\\t|#', "null", "日本\u2028語 \u0085", "'", "\\N")
STEPS = "  - {name: payable, amount: 50% * sales, round: half_up}\n"
PROVINCES = ", GD: {event: billing.charged, sum: amount, where: {province: [GD, 'S\"Z']}}"


def told(store: Store) -> None:
    take(store, registered(), book(STEPS, measures=PROVINCES))
    take(store, *(signed(name, valid_from="2026-01-01") for name in NAMES))
    take(
        store,
        signed("C-8", products=['ring"tone', "game, two"]),
        signed("C-9", rulebook="other", valid_to="2026-12-01"),
    )
    take(store, message("contract.terminated", "t", {"contract": "C-9", "valid_to": "2026-11-01"}))
    for month in (9, 10, 11):
        charges = [
            charge(f"{month} {name} {text}", f"{index}.5", f"{month:02}", name, attributes={"province": text})
            for index, name in enumerate(NAMES)
            for text in ("GD", 'S"Z', "a\\b, c", "广东")
        ]
        assert take(store, *charges).recorded == len(charges)


def in_rows(store: Store, names: tuple[str, ...], month: int) -> dict[str, list[Fact]]:
    with store.reading() as cursor:
        return facts.of_period(cursor, names, date(2026, month, 1))


def in_lines(found: pl.DataFrame, month: int) -> dict[str, list[Fact]]:
    own: dict[str, list[Fact]] = {}
    rows = found.filter(period=date(2026, month, 1)).sort("contract", "event", "field", "dimensions")
    for contract, _, event, field, dimensions, events, value, at in rows.iter_rows():
        fact = Fact(event, field, facts.pairs(dimensions), events, decimal_of_micros(value), at)
        own.setdefault(contract, []).append(fact)
    return own


@pytest.mark.parametrize("few", [1_000, 0], ids=["all at once", "a period at a time"])
def test_facts_in_lines_are_those_in_rows(store: Store, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told(store)
    monkeypatch.setattr(facts, "FEW", few)
    with store.reading() as cursor:
        every = facts.all_live(cursor)
        some = facts.all_live(cursor, NAMES[1:3])
        later = facts.all_live(cursor, NAMES, since=date(2026, 10, 2))
        assert facts.all_live(cursor, ["nobody"]).height == facts.all_live(cursor, since=date(2027, 1, 1)).height == 0
    assert sorted(every["contract"].unique()) == sorted(NAMES)
    for month in (9, 10, 11):
        assert in_lines(every, month) == in_rows(store, NAMES, month)
        assert in_lines(some, month) == in_rows(store, NAMES[1:3], month)
    assert later["period"].unique().to_list() == [date(2026, 11, 1)]
    assert in_lines(later, 11) == in_rows(store, NAMES, 11)


def test_contracts_in_lines_are_those_in_rows(store: Store) -> None:
    with store.reading() as cursor:
        assert registry.signed(cursor).height == 0
    told(store)
    with store.reading() as cursor:
        rows = {each.contract: each for each in registry.all_contracts(cursor)}
        lines = Members(registry.signed(cursor))
    assert len(rows) == len(NAMES) + 2
    assert lines == rows
    assert list(lines) == sorted(rows) == Members(rows).names
    assert Members(Members(rows).rows) == rows


def test_some_of_the_contracts_are_chosen_by_name_or_by_rulebook(store: Store) -> None:
    told(store)
    with store.reading() as cursor:
        every = Members(registry.signed(cursor))
    assert every.only(["null", "C-1", "nobody"]).names == ["C-1", "null"]
    assert every.without(["C-8", "C-9"]).names == sorted(NAMES)
    assert every.under("other").names == ["C-9"]
    assert every.beside("other").names == sorted([*NAMES, "C-8"])
    assert every.only(every).names == every.names
