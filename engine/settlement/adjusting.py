"""What a restated statement changes against the version before it, and what a statement with such adjustments comes to.

An adjustment is *computed again, less all that was issued before*: the version before holds the sum of the closed statement and
of every adjustment since. What persons granted by resolving a discrepancy is an adjustment of a kind of its own: it is in no
version of the statement that was disputed, so computing that again neither sees nor undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.events import DiscrepancyResolved
from engine.money import MICRO_DIGITS, difference, in_units, minor_digits, of_units, total

Json = dict[str, Any]


def adjustment(before: Json, after: Json, version: int, period: str, causes: Sequence[Json]) -> Json:
    """The JSON object of an adjustment: `after` is version `version` of the period's statement, `before` the one before it.

    Only what changed is listed; every amount is what is added now to what was issued.
    """
    return {
        "period": period,
        "version": version,
        "digest": after["digest"],
        "replaces": before["digest"],
        "rulebook": after["rulebook"],
        "lines": _changed(_lines(before), _lines(after), ("name",), ("clause", "unit")),
        "payable": _changed(_payable(before), _payable(after), ("currency",)),
        "parties": _changed(_parties(before), _parties(after), ("party", "currency")),
        "causes": list(causes),
    }


def _lines(statement: Json) -> list[Json]:
    """All lines, also those of a final statement, under names of their own."""
    return [
        *statement["lines"],
        *(
            {"name": f"final: {each['name']}", "clause": None, "amount": each["amount"]}
            | ({} if each["currency"] == statement["currency"] else {"unit": each["currency"]})
            for each in _final(statement, "lines")
        ),
    ]


def _final(statement: Mapping[str, Any], what: str) -> list[Json]:
    found: list[Json] = statement["final"][what] if "final" in statement else []
    return found


def _payable(statement: Json) -> list[Json]:
    """What the statement of the period alone pays, by currency."""
    own = [{"currency": statement["currency"], "amount": statement["payable"]}]
    if "final" not in statement:
        return own
    rows = [*own, *_final(statement, "lines")]
    return [{"currency": unit, "amount": _sum(rows, unit)} for unit in dict.fromkeys(row["currency"] for row in rows)]


def _parties(statement: Json) -> list[Json]:
    """What each party gets of that."""
    own = [each | {"currency": statement["currency"]} for each in statement["parties"]]
    if "final" not in statement:
        return own
    rows = [*own, *_final(statement, "parties")]
    return [
        {"party": party, "currency": unit, "amount": _sum([row for row in rows if row["party"] == party], unit)}
        for party, unit in dict.fromkeys((row["party"], row["currency"]) for row in rows)
    ]


def _changed(
    before: Iterable[Json], after: Iterable[Json], key: tuple[str, ...], kept: tuple[str, ...] = ()
) -> list[Json]:
    was = {tuple(each[name] for name in key): each for each in before}
    now = {tuple(each[name] for name in key): each for each in after}
    rows = []
    for named in [*now, *(each for each in was if each not in now)]:
        one, other = was.get(named), now.get(named)
        texts = [each["amount"] if each else "0" for each in (one, other)]
        if Decimal(texts[0]) != Decimal(texts[1]):
            stands = other or one or {}
            rows.append(
                dict(zip(key, named, strict=True))
                | {name: stands[name] for name in kept if name in stands}
                | {"was": texts[0], "now": texts[1], "amount": _less(texts[1], texts[0])}
            )
    return rows


def _less(now: str, was: str) -> str:
    return _shown(difference(Decimal(now), Decimal(was)), _digits([now, was]))


def _digits(texts: Iterable[str]) -> int:
    """The most digits behind the point that any of the texts has."""
    return max(len(text.partition(".")[2]) for text in texts)


def _shown(amount: Decimal, digits: int) -> str:
    return format(of_units(in_units(amount, digits), digits), "f")


def resolution(event: DiscrepancyResolved) -> Json:
    """The JSON object of the adjustment that a resolved discrepancy is."""
    assert event.amount is not None, event
    assert event.currency is not None, event
    digits = minor_digits(event.currency)
    amount = format(of_units(event.amount // 10 ** (MICRO_DIGITS - digits), digits), "f")
    told = {name: getattr(event, name) for name in ("line", "ours", "theirs", "reason", "author", "approver")}
    return {
        "period": event.period,
        "discrepancy": event.line,
        "lines": [],
        "payable": [{"currency": event.currency, "amount": amount}],
        "parties": [{"party": event.party, "currency": event.currency, "amount": amount}],
        "causes": [{"cause": "discrepancy"} | told],
    }


def is_resolution(adjustment: Mapping[str, Any]) -> bool:
    """Whether the adjustment is what resolved a discrepancy, and not what restating made."""
    return "discrepancy" in adjustment


def due(statement: Mapping[str, Any]) -> list[Json]:
    """What a statement's payable, its adjustments and what it clears come to, by currency, and what each party gets of that."""
    if not statement["adjustments"] and "final" not in statement:
        own = {"amount": statement["payable"], "parties": statement["parties"]}
        return [{"currency": statement["currency"], **own}]
    payable = [*_payable(dict(statement)), *(row for each in statement["adjustments"] for row in each["payable"])]
    parties = [*_parties(dict(statement)), *(row for each in statement["adjustments"] for row in each["parties"])]
    return [
        {
            "currency": currency,
            "amount": _sum(payable, currency),
            "parties": [
                {"party": party, "amount": _sum([row for row in parties if row["party"] == party], currency)}
                for party in dict.fromkeys(row["party"] for row in parties if row["currency"] == currency)
            ],
        }
        for currency in dict.fromkeys(row["currency"] for row in payable)
    ]


def _sum(rows: Iterable[Json], currency: str) -> str:
    texts = [row["amount"] for row in rows if row["currency"] == currency]
    amount = Decimal(0)
    for text in texts:
        amount = total(amount, Decimal(text))
    return _shown(amount, _digits(texts))
