"""What is given of the contracts of a rulebook, drawn at random: facts, carried balances, rates, grades and origins."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import strategies as st
from strategies import EDGES, SMALLEST

from engine.facts import Fact
from engine.outcomes import Balance
from engine.period import Calendar, Period
from engine.rules.given import Cohort, Given, Origin, PartnerGiven, Rate
from engine.rules.model import Rulebook

CONTRACTS = ["C-1", "C-10", "C-2", "Ä-1", "c-3"]
PARTNERS = ["", "P-1", "P-2"]
GRADES = [None, "A", "B", "C"]
_FIELDS = {
    "billing.charged": ["amount", "max amount", "min amount", "last amount", "each max(2.99% * amount, 1.75)"],
    "billing.refunded": ["amount"],
    "advance.paid": ["amount"],
    "usage.recorded": ["quantity"],
}


values = st.one_of(
    st.sampled_from(EDGES),
    st.sampled_from(EDGES),
    st.integers(-10_000, 1_000_000).map(lambda cents: Decimal(cents).scaleb(-2)),
    st.decimals(-5, 5000, places=6),
    st.sampled_from([Decimal(0), Decimal("0.000001"), Decimal(10**12), Decimal(-(10**15))]),
)
extremes = st.sampled_from([Decimal(10**24), Decimal(-(10**24)), Decimal("999999999999999999999999.999999")])


@st.composite
def facts(draw: st.DrawFn, days: list[str | None], currency: str) -> Fact:
    event = draw(st.sampled_from(list(_FIELDS)))
    dimensions = {
        "channel": draw(st.sampled_from([None, "app", "web", "shop"])),
        "customer": draw(st.sampled_from([None, "ann", "bob", "Ä"])),
        "level": draw(st.sampled_from([None, "1", "4.5", "5", "high"])),
        "currency": None if event == "usage.recorded" else draw(st.sampled_from([None, currency, currency, "EUR", "GBP"])),
        "charged_in": draw(st.sampled_from(days)) if event == "billing.refunded" else None,
    }  # fmt: skip
    value = draw(extremes) if draw(st.integers(0, 150)) == 150 else draw(values)
    field = draw(st.sampled_from(_FIELDS[event]))
    at = draw(st.integers(1, 3)) if field.startswith("last") else 0
    return Fact(event, field, tuple(sorted(dimensions.items())), draw(st.integers(1, 9)), value, at)


@st.composite
def cohorts(draw: st.DrawFn, rulebook: Rulebook) -> Cohort:
    """A few contracts of a rulebook in one period; rates are for all of them."""
    calendar = draw(st.sampled_from([Calendar.monthly, Calendar.monthly, *Calendar]))
    period = Period.containing(draw(st.sampled_from([date(2026, 3, 15), date(2028, 1, 5)])), calendar)
    earlier = Period.containing(date.fromordinal(period.first.toordinal() - 1), calendar)
    published = draw(st.lists(st.builds(
        Rate,
        st.sampled_from(["ECB", "ECB", "other"]),
        st.just(rulebook.currency), st.just("EUR"),
        st.sampled_from([period.first, date.fromordinal(period.end.toordinal() - 1), earlier.first]),
        st.sampled_from([Decimal("1.1"), Decimal("0.00693"), Decimal("7.123456789012")]),
    ), max_size=3, unique_by=lambda rate: rate[:4]))  # fmt: skip
    if draw(st.booleans()):
        published = [rate._replace(base=rate.quote, quote=rate.base) for rate in published]
    days = [None, period.first.isoformat(), earlier.first.isoformat()]
    contracts = {}
    for name in draw(st.lists(st.sampled_from(CONTRACTS), min_size=1, unique=True)):
        given = draw(_givens(period, rulebook, days, tuple(published)))
        if draw(st.integers(0, 9)):
            before = draw(_givens(earlier, rulebook, [None], tuple(published)))
            given = given._replace(origins=(Origin(rulebook, before._replace(grade=before.grade or "A")),))
        contracts[name] = given
    override = st.builds(PartnerGiven, st.just(()), st.sampled_from([None, None, "A"]))
    return Cohort(contracts, draw(st.dictionaries(st.sampled_from(PARTNERS), override, max_size=2)))


@st.composite
def _givens(
    draw: st.DrawFn, period: Period, rulebook: Rulebook, days: list[str | None], published: tuple[Rate, ...]
) -> Given:
    return Given(
        period,
        tuple(draw(st.lists(facts(days, rulebook.currency), max_size=6))),
        tuple(draw(_balances(period, rulebook))),
        draw(st.sampled_from([None, date(2020, 1, 1), date(2026, 3, 9), date(2028, 1, 1), date(2028, 11, 30)])),
        draw(st.sampled_from(PARTNERS)),
        draw(st.sampled_from(GRADES)),
        draw(st.sampled_from(GRADES)),
        published,
    )


@st.composite
def _balances(draw: st.DrawFn, period: Period, rulebook: Rulebook) -> list[Balance]:
    """What the period before may have left: at most one balance of a step, kind and day, none of 0."""
    positive = st.one_of(st.decimals("0.01", 500, places=2), st.just(Decimal(SMALLEST)))
    any_amount = st.one_of(positive, st.decimals(-300, -1, places=6))
    year = date(period.first.year, 1, 1)
    found = []
    for step in rulebook.waterfall:
        if step.tiers is not None and step.tiers.over != "period":
            found.append((step.name, "accumulated", None if step.tiers.over == "life" else year, any_amount))
        if step.guarantee is not None:
            lapse = period
            for _ in range(step.guarantee.recoup_within + 1):
                found.append((step.name, "short-workings", lapse.first, positive))
                lapse = lapse.next()
        if step.advance is not None:
            found.append((step.name, "unrecouped", None, positive))
        if step.payout is not None:
            found.append((step.name, "unpaid", None, any_amount))
            ends = [period.first, date.fromordinal(period.end.toordinal() - 1), period.end]
            found += [(step.name, "held", day, any_amount) for day in dict.fromkeys(ends)]
        if step.clawback is not None:
            found += [(step.name, "returned", day, positive) for day in (period.first, date(2025, 12, 1))]
    return [Balance(step, kind, day, draw(amount)) for step, kind, day, amount in found if draw(st.booleans())]
