"""Rulebooks and what is given of their contracts, drawn at random: every kind of measure, step and split, with extremes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import yaml
from hypothesis import strategies as st

from engine.rules.check import check
from engine.rules.model import Rulebook
from engine.rules.steps import RULE_FIELDS

LARGEST = "99999999999999999999999999.999999999999"
SMALLEST = "0.000000000001"

# Amounts of money, numbers of things, and a ratio; what each is made of is said in `_measures`.
MONEY = ["sales", "app sales", "refunds", "advances", "biggest", "least", "latest", "fees", "euros"]
COUNTS = ["uses", "charges", "customers", "minutes used"]

_measures = {
    "sales": {"event": "billing.charged", "sum": "amount"},
    "app sales": {"event": "billing.charged", "sum": "amount", "where": {"channel": ["app", "web"]}},
    "refunds": {"event": "billing.refunded", "sum": "amount"},
    "advances": {"event": "advance.paid", "sum": "amount"},
    "biggest": {"event": "billing.charged", "max": "amount"},
    "least": {"event": "billing.charged", "min": "amount", "where": {"channel": "app"}},
    "latest": {"event": "billing.charged", "last": "amount"},
    "fees": {"event": "billing.charged", "each": "max(2.99% * amount, 1.75)"},
    "euros": {"event": "billing.charged", "sum": "amount", "currency": "EUR"},
    "uses": {"event": "usage.recorded", "sum": "quantity"},
    "charges": {"event": "billing.charged", "count": "events", "where": {"level": {"from": "1", "below": "5"}}},
    "customers": {"event": "usage.recorded", "distinct": "customer"},
    "minutes used": {"event": "usage.recorded", "sum": "quantity", "where": {"customer": ["ann", "bob"]}},
}
# Steps of a contract by itself, whose share can be clawed back.
_ALONE = ["tiers", "tiers", "net", "guarantee", "topup", "payout", "tax", "coefficient"]
_ROUNDINGS = ["half_up", "half_even", "down", "up"]


def _number(value: Decimal) -> str:
    return format(value, "f")


rates = st.one_of(
    st.integers(0, 120).map("{}%".format),
    st.decimals(-2, 2, places=4).map(_number),
    st.sampled_from(["0", "0.333333333333", "-5%", SMALLEST]),
)
amounts = st.one_of(
    st.sampled_from(["10", "100", "250.5"]),
    st.integers(0, 10_000).map(str),
    st.decimals(-1000, 1000, places=2).map(_number),
    st.sampled_from(["0", "1", SMALLEST]),
)
# Numbers at which bands end and which amounts come to, so that amounts fall on bounds.
EDGES = [Decimal(10), Decimal(100), Decimal("250.5"), Decimal(1000), Decimal(4000)]
ends = st.lists(
    st.one_of(
        st.sampled_from(EDGES),
        st.sampled_from(EDGES),
        st.integers(1, 5000).map(Decimal),
        st.decimals("0.01", 5000, places=2),
    ),
    unique=True,
    max_size=4,
).map(sorted)
seldom = st.integers(0, 40).map(lambda drawn: drawn == 40)


@st.composite
def formulas(draw: st.DrawFn, money: list[str], depth: int = 2) -> str:
    """An amount of money."""
    kind = draw(st.sampled_from(["name", "name", "sum", "times", "by", "extreme", "priced"])) if depth else "name"
    name = draw(st.sampled_from(money))
    match kind:
        case "sum":
            other = draw(formulas(money, depth - 1))
            return f"({name} {draw(st.sampled_from('+-'))} {other})"
        case "times":
            return f"{draw(st.one_of(rates, amounts)).replace('-', '')} * {draw(formulas(money, depth - 1))}"
        case "by":
            return f"{name} / {draw(st.sampled_from([*COUNTS, '3', '7', '0.07']))}"
        case "extreme":
            other = draw(formulas(money, depth - 1))
            return f"{draw(st.sampled_from(['min', 'max']))}({name}, {other}, {draw(st.integers(0, 500))})"
        case "priced":
            return f"-({draw(st.sampled_from(COUNTS))} * {draw(amounts).replace('-', '')}) + {name}"
        case _:
            return f"{name} + {LARGEST}" if draw(st.integers(0, 150)) == 150 else name


@st.composite
def bands(draw: st.DrawFn, mode: str) -> list[dict[str, str]]:
    number = LARGEST
    extreme = draw(seldom)
    made = []
    for end in [*draw(ends), None]:
        band = {"rate": number if extreme else draw(rates)} if mode != "flat" else {}
        if draw(st.booleans()) or mode == "flat":
            band["flat"] = draw(amounts)
        if end is not None:
            band[draw(st.sampled_from(["upto", "below"]))] = _number(end)
        made.append(band)
    return made


@st.composite
def tiers(draw: st.DrawFn, of: str) -> dict[str, Any]:
    mode = draw(st.sampled_from(["graduated", "graduated", "volume", "flat", "package"]))
    made: dict[str, Any] = {"of": of, "mode": mode, "over": draw(st.sampled_from(["period", "year", "life"]))}
    if mode == "package":
        sizes = st.one_of(st.integers(1, 500).map(str), st.sampled_from(["0.03", SMALLEST]))
        free = draw(amounts).replace("-", "")
        return made | {"size": draw(sizes), "price": draw(amounts), "free": free}
    if made["over"] == "year" and draw(st.booleans()):
        made["prorate"] = draw(st.sampled_from(["months", "days"]))
    return made | {"bands": draw(bands(mode))}


@st.composite
def nets(draw: st.DrawFn, of: str, money: list[str], index: int) -> dict[str, Any]:
    less: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 3))):
        named = {"name": f"less {index} {number}"}
        known = [*money, *(each["name"] for each in less)]
        if draw(st.booleans()):
            less.append(named | {"rate": draw(rates), "on": draw(st.sampled_from(["gross", "rest"]))})
        else:
            less.append(named | {"amount": draw(formulas(known, 1))})
    return {"of": of, "less": less}


@st.composite
def rules(  # noqa: C901, PLR0911, PLR0912 - one return a kind
    draw: st.DrawFn, kind: str, money: list[str], above: list[str], *, assessed: bool
) -> dict[str, Any]:
    """The rule of one step of the kind; `above` are the steps that stand there."""
    of = draw(st.sampled_from(money))
    formula = formulas([name for name in money if name != of] or money)
    match kind:
        case "tiers":
            return draw(tiers(draw(st.sampled_from([of, of, *COUNTS])) if len(money) > 1 else of))
        case "net":
            return draw(nets(of, money, len(above)))
        case "floor" | "cap":
            return {"of": of, "at": draw(formula)}
        case "guarantee":
            return {"of": of, "minimum": draw(st.one_of(amounts, formula)), "recoup_within": draw(st.integers(1, 3))}
        case "advance":
            across = draw(st.sampled_from(["contract", "partner"]))
            return {"of": of, "paid": draw(st.sampled_from(["advances", of])), "across": across}
        case "pool" if draw(st.booleans()):
            by = draw(st.sampled_from(["uses", "minutes used"]))
            return {"of": draw(st.sampled_from(["sales", "app sales"])), "by": by, "per": "customer"}
        case "pool":
            return {"of": of, "by": draw(st.sampled_from([*COUNTS, *money]))}
        case "coefficient":
            factors = {grade: draw(rates) for grade in ("A", "B", "C")}
            if not assessed and draw(seldom):
                del factors["C"]
            grade = draw(st.sampled_from(["this", "previous"]))
            ungraded = {"ungraded": draw(rates)} if draw(st.integers(0, 5)) else {}
            return {"of": of, "grade": grade, "factors": factors, **ungraded}
        case "clawback":
            return {"of": draw(st.sampled_from(above)), "base": "sales", "returns": "refunds"}
        case "topup":
            return {"of": of, "commitment": draw(formula)}
        case "payout":
            minimum = {"minimum": draw(st.one_of(amounts, formula))} if draw(st.booleans()) else {}
            return {"of": of, "hold": draw(st.sampled_from([0, 1, 14, 45])), **minimum}
        case "tax":
            return {"of": of, "rate": draw(st.sampled_from(["0%", "6.63%", "19%", "99.9%"])),
                    "method": draw(st.sampled_from(["withhold", "gross_up"]))}  # fmt: skip
        case _:
            assert kind == "convert", kind
            on = draw(st.sampled_from(["first_day", "last_day"]))
            return {"of": of, "to": "EUR", "publisher": "ECB", "on": on, "within": draw(st.sampled_from([0, 3, 40]))}


@st.composite
def splits(draw: st.DrawFn, prefix: str = "p", depth: int = 1) -> list[dict[str, Any]]:
    among: list[dict[str, Any]] = [
        {"party": f"{prefix}fixed {number}", "amount": draw(amounts).replace("-", "")}
        for number in range(draw(st.integers(0, 2)))
    ]
    weights = draw(st.lists(st.integers(1, 97), min_size=1, max_size=4))
    remaining = draw(st.integers(0, len(weights) - 1))
    for number, weight in enumerate(weights):
        portion = "remaining" if number == remaining else f"{weight}/{sum(weights)}"
        each: dict[str, Any] = {"portion": portion}
        if portion != "remaining" and draw(st.booleans()):
            each["cap"] = draw(amounts).replace("-", "")
        if depth and draw(st.integers(0, 4)) == 0:
            each["among"] = draw(splits(f"{prefix}{number}.", depth - 1))
        else:
            each["party"] = f"{prefix}{number}"
        among.append(each)
    return draw(st.permutations(among))


_ASSESSMENT = {
    "metrics": [
        {"name": "volume", "weight": "50%", "value": "uses", "linear": [{"at": 0, "score": 0}, {"at": 90, "score": 100}]},
        {"name": "growth", "weight": "50%", "value": "charges", "cohort": "share"},
    ],
    "grades": [{"grade": "C", "below": 30}, {"grade": "B", "upto": 60}, {"grade": "A"}],
}  # fmt: skip


@st.composite
def rulebook_texts(draw: st.DrawFn, kinds: list[str] | None = None) -> str:
    """A rulebook of a few steps, one of each of the kinds where they are named, and a rounded one that is paid."""
    wanted = kinds or draw(st.lists(st.sampled_from(RULE_FIELDS), min_size=1, max_size=4))
    if "clawback" in wanted:
        wanted = [draw(st.sampled_from(_ALONE)), *wanted]
    assessed = draw(st.integers(0, 5)) == 0
    money = [*MONEY[:-1]]
    waterfall: list[dict[str, Any]] = []
    for index, kind in enumerate(wanted):
        name = f"s{index}"
        above = [each["name"] for each in waterfall]
        rule = (
            draw(formulas(money))
            if kind == "amount"
            else draw(rules(kind, money if above or "clawback" not in wanted else ["sales"], above, assessed=assessed))
        )
        rounding = {"round": draw(st.sampled_from(_ROUNDINGS))} if draw(st.integers(0, 3)) == 0 else {}
        waterfall.append({"name": name, kind: rule, **rounding})
        if kind != "convert":
            money.append(name)
            if kind == "net":
                money += [each["name"] for each in rule["less"]]
    paid = {"name": "payable", "amount": "s0" if len(wanted) == 1 else draw(formulas([*money, money[-1]], 1))}
    if "convert" in wanted:
        paid["amount"] = f"s{wanted.index('convert')}"
    waterfall.append({**paid, "round": draw(st.sampled_from(_ROUNDINGS))})
    text: dict[str, Any] = {
        "rulebook": "drawn", "version": 1, "valid_from": "2020-01-01", "currency": draw(st.sampled_from(["USD", "JPY", "KWD"])),
        "currencies": ["EUR"], "measures": _measures, "waterfall": waterfall,
    }  # fmt: skip
    if assessed:
        text["assessment"] = _ASSESSMENT
    if draw(st.booleans()):
        text["split"] = {"of": "payable", "among": draw(splits())}
    return yaml.safe_dump(text, allow_unicode=True, sort_keys=False)


@st.composite
def rulebooks(draw: st.DrawFn, kinds: list[str] | None = None) -> Rulebook:
    checked = check(draw(rulebook_texts(kinds).filter(lambda text: check(text).rulebook is not None)))
    assert checked.rulebook is not None, checked.problems
    return checked.rulebook
