"""Contracts that no rulebook version settles are told by contract and period, with the sentence that a closing has for them."""

from __future__ import annotations

from pathlib import Path

from engine.settlement import closing
from engine.store.database import Store
from replay import again
from replay.archive.reading import Archive
from replay.archive.writing import seal
from tests.histories import registered, signed
from tests.replay.test_again_and_compare import compared
from tests.replay.test_restate import NOW, SIMPLE
from tests.settlement.test_chains import DECEMBER, GUARANTEE, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

MONTHS = (OCTOBER, NOVEMBER, DECEMBER)


def closed(store: Store) -> dict[tuple[str, str], str]:
    """What closing period after period refuses, by contract and period."""
    return {(each.contract, str(m)): each.sentence for m in MONTHS for each in closing.close(store, m, NOW).refused}


def replayed(store: Store, archive: Archive | None = None, *names: str) -> dict[tuple[str, str], str]:
    with store.reading() as cursor:
        found = again.replay(cursor, last=DECEMBER, names=names, archive=archive)
    return {(name, each.period): why for each in found.periods for name, why in each.refused.items()}


def some(store: Store, steps: str = SIMPLE % "50%") -> None:
    """C-1 settles from November on, C-2 never, C-3 in another currency, C-4 always."""
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-2", rulebook="none", valid_from="2026-11-01"))
    take(store, signed("C-3", rulebook="simple", currency="USD", valid_from="2026-10-01"))
    take(store, signed("C-4", valid_from="2026-11-01"))
    take(store, book(steps, valid_from="2026-11-01"), charge("1", "100", 10), charge("2", "100", 11, "C-4"))


def test_they_are_refused_as_a_closing_refuses_them(store: Store, tmp_path: Path) -> None:
    some(store)
    found = replayed(store)
    assert found == closed(store)
    assert sorted(found) == [
        ("C-1", "2026-10"), ("C-2", "2026-11"), ("C-2", "2026-12"),
        ("C-3", "2026-10"), ("C-3", "2026-11"), ("C-3", "2026-12"),
    ]  # fmt: skip
    assert "no version is valid on 2026-10-01; publish one (settle rulebook publish FILE)" in found["C-1", "2026-10"]
    assert "C-3 is in USD, but rulebook simple settles in CNY" in found["C-3", "2026-11"]
    seal(store, tmp_path, 3)
    assert replayed(store, Archive(str(tmp_path))) == found
    assert sorted(replayed(store, None, "C-2")) == [("C-2", "2026-11"), ("C-2", "2026-12")]


def test_only_the_periods_that_are_asked_for_are_told(store: Store) -> None:
    some(store)
    with store.reading() as cursor:
        (november,) = again.replay(cursor, first=NOVEMBER, last=NOVEMBER).periods
    assert (sorted(november.refused), november.statements) == (["C-2", "C-3"], 2)


def test_what_needs_the_balances_of_such_a_period_cannot_be_settled_either(store: Store) -> None:
    some(store, GUARANTEE)
    found = replayed(store)
    assert sorted(found) == sorted(closed(store))
    assert "2026-10 of contract C-1 cannot be settled, and the next one needs it" in found["C-1", "2026-12"]


def test_compare_tells_those_that_the_version_does_not_settle(store: Store) -> None:
    take(store, registered(), signed(valid_from="2026-10-01"), signed("C-3", currency="USD", valid_from="2026-11-01"))
    take(store, signed("C-2", calendar="quarterly", valid_from="2026-10-01"))
    take(store, charge("1", "100", 10), charge("2", "100", 11), charge("3", "9", 10, "C-2"))
    found = compared(store, book(SIMPLE % "50%", valid_from="2026-11-01"), OCTOBER)
    assert {key: "no version is valid" in why for key, why in found.refused.items()} == {
        ("C-2", "2026-Q4"): True, ("C-3", "2026-11"): False,
    }  # fmt: skip
    assert found.totals["CNY"] == (0, 50)
