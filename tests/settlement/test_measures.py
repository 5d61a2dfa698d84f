"""Derived facts, returned charges and further currencies, in a real store."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.facts import Fact
from engine.period import Period
from engine.settlement.evidence import witnesses
from engine.store import facts, recorder, registry, suspense
from engine.store.database import Store
from engine.store.intake import Counts
from replay.facts import verify
from tests.histories import charged, message, registered, signed
from tests.settlement.test_recording import kept, live, store, take

__all__ = ["store"]

OCTOBER = Period.parse("2026-10")
BOOK = """
rulebook: simple
version: {version}
valid_from: 2026-{version:02}-01
currency: CNY
{more}
measures:
  sales: {{event: billing.charged, sum: amount, currency: CNY}}
  asked: {{event: billing.charged, {measure}}}
waterfall:
  - {{name: payable, amount: 50% * sales, round: half_up}}
"""


def book(measure: str, version: int = 1, more: str = "", id: str = "") -> bytes:
    text = BOOK.format(measure=measure, version=version, more=more)
    data = {"rulebook": "simple", "version": version, "text": text}
    return message("rulebook.published", id or f"r{version}", data)


def of_october(store: Store, contract: str = "C-1") -> dict[str, list[Fact]]:
    """The contract's facts of October by their fields."""
    found: dict[str, list[Fact]] = {}
    with store.reading() as cursor:
        for fact in facts.of_period(cursor, [contract], OCTOBER.first)[contract]:
            found.setdefault(fact.field, []).append(fact)
    return found


LATEST = "2026-10-09T00:00:00.000001Z"
# At the latest time there are several, of which the greatest counts; two have it, and the first is shown.
CHARGES = [
    charged("1", amount="3", time="2026-10-03T00:00:00Z"),
    charged("2", amount="5", time=LATEST, quantity=4),
    charged("3", amount="1", time="2026-10-05T00:00:00Z", quantity=8),
    charged("4", amount="9", time=LATEST),
    charged("5", amount="9", time=LATEST),
    charged("6", amount="7", time=LATEST),
]
LAST_AT = 1_791_504_000_000_001


@pytest.mark.parametrize(
    ("measure", "field", "value", "events", "at", "behind"),
    [
        ("max: amount", "max amount", "9", 6, 0, [("4", "9")]),
        ("min: amount", "min amount", "1", 6, 0, [("3", "1")]),
        ("last: amount", "last amount", "9", 6, LAST_AT, [("4", "9")]),
        ("last: quantity", "last quantity", "4", 2, LAST_AT, [("2", "4")]),
        ("min: quantity", "min quantity", "4", 2, 0, [("2", "4")]),
        ('each: "max(amount / 3, 1) * 2"', "each max(amount / 3, 1) * 2", "24", 6, 0,
         [("1", "2"), ("2", "3.333333"), ("3", "2"), ("4", "6"), ("5", "6"), ("6", "4.666667")]),
        ('each: "amount * quantity"', "each amount * quantity", "28", 6, 0,
         [("1", "0"), ("2", "20"), ("3", "8"), ("4", "0"), ("5", "0"), ("6", "0")]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("published_last", [False, True])
def test_a_derived_fact_is_folded_live_and_again_and_leads_to_its_events(
    store: Store, measure: str, field: str, value: str, events: int, at: int, behind: list[Any], published_last: bool
) -> None:
    history = [registered(), signed(), book(measure), *CHARGES]
    if published_last:
        history = [*history[:2], *CHARGES, book(measure)]
    for raw in history:  # one by one, so that every fact is merged in PostgreSQL
        take(store, raw)
    (fact,) = of_october(store)[field]
    assert fact == Fact("billing.charged", field, (), events, Decimal(value), at)
    assert verify(store).equal
    with store.reading() as cursor:
        to = recorder.last_position(cursor)
        found = witnesses(cursor, "C-1", OCTOBER, [fact], to=to, each=9)[fact]
        assert [(w.id, w.value) for w in found] == behind
        assert witnesses(cursor, "C-1", OCTOBER, [fact], to=to, each=1)[fact] == found[:1]


def test_a_returned_charge_is_kept_by_the_period_in_which_it_was_made(store: Store) -> None:
    def refund(id: str, charged_at: str | None) -> bytes:
        data = {"contract": "C-1", "amount": "1", "currency": "CNY", "refunds": "e1"}
        return message("billing.refunded", id, data | ({} if charged_at is None else {"charged_at": charged_at}))

    # 2026-09-30 16:00 UTC is the first of October in Shanghai
    take(store, registered(), signed(time_zone="Asia/Shanghai"), book("max: amount", more="dimensions: [charged_in]"),
         refund("1", "2026-09-30T15:59:59Z"), refund("2", "2026-09-30T16:00:00Z"), refund("3", None))  # fmt: skip
    found = of_october(store)["amount"]
    assert {dict(fact.dimensions)["charged_in"] for fact in found} == {"2026-09-01", "2026-10-01", None}
    assert verify(store).equal
    with store.reading() as cursor:
        seen = witnesses(cursor, "C-1", OCTOBER, found, to=99, each=9)
    assert {dict(fact.dimensions)["charged_in"]: [w.id for w in events] for fact, events in seen.items()} == {
        "2026-09-01": ["1"], "2026-10-01": ["2"], None: ["3"],
    }  # fmt: skip


def test_a_currency_that_the_rulebook_names_is_accepted_and_kept_apart(store: Store) -> None:
    dollars = charged("1", currency="USD")
    assert take(store, registered(), signed(), dollars).suspended == 1
    take(store, book("max: amount", more="currencies: [USD]"), charged("2"), charged("3", currency="USD"))
    assert kept(store) == [("suspended", "currency-mismatch")]
    assert [(dict(f.dimensions)["currency"], f.events) for f in of_october(store)["amount"]] == [("CNY", 1), ("USD", 1)]
    with store.reading() as cursor:
        terms = registry.terms(cursor, ["C-1"])
    assert terms["currencies"].to_list() == [["USD"]]
    assert verify(store).equal


def sentences(store: Store) -> list[tuple[str, str]]:
    with store.reading() as cursor:
        return [(entry.code, entry.sentence) for entry in suspense.entries(cursor)]


RATIO = 'each: "amount / quantity"'


def test_an_event_for_which_a_measure_fails_is_suspended_and_the_others_are_folded(store: Store) -> None:
    counts = take(
        store, registered(), signed(), book(RATIO), charged("1", quantity=2), charged("2"), charged("3", "C-9"),
        charged("4", quantity=1),
    )  # fmt: skip
    assert counts == Counts(recorded=5, suspended=2)
    assert sentences(store)[0] == (
        "measure-fails",
        (
            "the rulebook of contract C-1 measures each amount / quantity of such events, and for this one there is no "
            "such number: it divides by zero; send it right under a new id and write this one off"
        ),
    )
    (fact,) = of_october(store)["each amount / quantity"]
    assert (fact.value, fact.events) == (Decimal(3), 2)
    assert verify(store).equal


def test_a_rulebook_whose_measure_fails_for_a_recorded_event_is_suspended_and_leaves_nothing(store: Store) -> None:
    take(store, registered(), signed(), book("max: amount"), charged("1", quantity=2), charged("2"))
    before = live(store)
    assert take(store, book(RATIO, 2), charged("3")) == Counts(recorded=1, suspended=1)
    assert sentences(store) == [
        (
            "measure-fails",
            (
                "version 2 of simple measures each amount / quantity, and for the event at position 5 of the log there is "
                "no such number: it divides by zero; change the measure, and publish it under a new id"
            ),
        )
    ]
    with store.reading() as cursor:
        assert len(registry.rulebooks(cursor)["simple"].versions) == 1
    assert [row[:5] for row in live(store)] == [row[:5] for row in before]
    assert verify(store).equal


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_whether_a_measure_fails_does_not_depend_on_how_a_history_is_cut(store: Store, size: int) -> None:
    history = [
        registered(), signed(), charged("1"), book(RATIO, id="refused"), charged("2"), book("max: amount"),
        charged("3", quantity=1), book(RATIO, 2), charged("4"),
    ]  # fmt: skip
    for at in range(0, len(history), size):
        take(store, *history[at : at + size])
    # Only the second of the rulebooks is accepted: the others fail for the charge that came before them.
    assert [code for code, _ in sentences(store)] == ["measure-fails", "measure-fails"]
    (fact,) = of_october(store)["max amount"]
    assert fact.events == 4
    assert verify(store).equal
