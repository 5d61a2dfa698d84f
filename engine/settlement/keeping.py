"""What a statement was computed from, as text: so that a closed one can be computed again, to the digit, for ever."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from engine.facts import Fact
from engine.money import plain, working
from engine.outcomes import Balance
from engine.period import Period
from engine.rules.given import Final, Given, Rate


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    return msgspec.json.Encoder(order="sorted").encode(value)


def balances_text(balances: Iterable[Balance]) -> str:
    """JSON rows of step, kind, day and amount."""
    return canonical([[b.step, b.kind, b.day and b.day.isoformat(), plain(b.amount)] for b in balances]).decode()


def balances_of(text: str) -> tuple[Balance, ...]:
    return tuple(
        Balance(step, kind, None if day is None else date.fromisoformat(day), working(Decimal(amount)))
        for step, kind, day, amount in msgspec.json.decode(text)
    )


def facts_rows(facts: Iterable[Fact]) -> list[list[Any]]:
    """Rows of event, field, dimensions, events, value and at."""
    return [[f.event, f.field, dict(f.dimensions), f.events, plain(f.value), f.at] for f in facts]


def facts_of(rows: Iterable[list[Any]]) -> tuple[Fact, ...]:
    return tuple(
        Fact(event, field, tuple(sorted(dimensions.items())), events, Decimal(value), at)
        for event, field, dimensions, events, value, at in rows
    )


class KeptOrigin(NamedTuple):
    """An earlier period as it was settled: by this version of this rulebook, on this."""

    rulebook: str
    version: int
    given: Given


def given_text(given: Given) -> str:
    """JSON of all that is given, but for the period."""
    return canonical(_kept(given)).decode()


def _kept(given: Given) -> dict[str, Any]:
    return {
        "facts": facts_rows(given.facts),
        "carried": msgspec.Raw(balances_text(given.carried).encode()),
        "begins": given.begins and given.begins.isoformat(),
        "partner": given.partner,
        "grade": given.grade,
        "grade_before": given.grade_before,
        "rates": [[r.publisher, r.base, r.quote, r.day.isoformat(), plain(r.rate)] for r in given.rates],
        **({} if given.final is None else {"final": _final(given.final)}),
        "origins": [
            {
                "period": str(origin.given.period),
                "rulebook": origin.rulebook.rulebook,
                "version": origin.rulebook.version,
                "given": _kept(origin.given),
            }
            for origin in given.origins
        ],
    }


def is_same_given(one: str, other: str) -> bool:
    """Whether two such texts give the same: facts and balances have no order."""
    return one == other or _unordered(msgspec.json.decode(one)) == _unordered(msgspec.json.decode(other))


def _unordered(kept: dict[str, Any]) -> dict[str, Any]:
    return kept | {
        "facts": sorted(kept["facts"], key=canonical),
        "carried": sorted(kept["carried"], key=canonical),
        "origins": [each | {"given": _unordered(each["given"])} for each in kept["origins"]],
    }


def _final(final: Final) -> list[str]:
    return [final.day.isoformat(), plain(final.deposit), final.currency]


def given_of(text: str, period: Period) -> tuple[Given, tuple[KeptOrigin, ...]]:
    """What was given, without its origins, and those."""
    return _given(msgspec.json.decode(text), period)


def _given(kept: dict[str, Any], period: Period) -> tuple[Given, tuple[KeptOrigin, ...]]:
    begins = kept["begins"]
    given = Given(
        period,
        facts_of(kept["facts"]),
        balances_of(canonical(kept["carried"]).decode()),
        None if begins is None else date.fromisoformat(begins),
        kept["partner"],
        kept["grade"],
        kept["grade_before"],
        tuple(Rate(publisher, base, quote, date.fromisoformat(day), Decimal(rate))
              for publisher, base, quote, day, rate in kept["rates"]),
        final=_final_of(kept["final"]) if kept.get("final") else None,
    )  # fmt: skip
    origins = (
        KeptOrigin(each["rulebook"], each["version"], _given(each["given"], Period.parse(each["period"]))[0])
        for each in kept["origins"]
    )
    return given, tuple(origins)


def _final_of(row: list[str]) -> Final:
    day, deposit, currency = row
    return Final(date.fromisoformat(day), Decimal(deposit), currency)
