from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rule_cases import EXAMPLE, accepted, amounts_of, facts_of, settled

from engine.facts import Fact
from engine.money import AmountTooLarge, total
from engine.rules.check import check
from engine.rules.formulas import Unsettleable
from engine.rules.worked import Entry, every

quick = settings(max_examples=100)

FIELDS = [
    ("billing.charged", "amount"),
    ("billing.charged", "quantity"),
    ("billing.refunded", "amount"),
    ("usage.recorded", "quantity"),
]
amounts = st.decimals(-(10**9), 10**9, places=6)
facts = st.lists(
    st.builds(
        lambda key, department, meter, events, value: Fact(
            *key, (("department", department), ("meter", meter), ("product", "a")), events, value
        ),
        st.sampled_from(FIELDS),
        st.sampled_from([None, "GROCERY", "MEAT"]),
        st.sampled_from([None, "sms-mt"]),
        st.integers(1, 1000),
        amounts,
    ),
    max_size=12,
)
RULEBOOK = accepted(EXAMPLE)

HEAD = """\
rulebook: generated
version: 1
valid_from: 2020-01-01
currency: USD
measures: {base: {event: billing.charged, sum: amount}, units: {event: billing.charged, sum: quantity}}
"""


def merged(parts):
    """The facts of the whole: those of one key added up."""
    whole: dict[tuple, Fact] = {}
    for fact in parts:
        before = whole.get(fact[:3])
        whole[fact[:3]] = (
            fact
            if before is None
            else fact._replace(events=before.events + fact.events, value=total(before.value, fact.value))
        )
    return list(whole.values())


@given(facts, st.randoms(use_true_random=False))
@quick
def test_order_and_merging_of_facts_do_not_change_the_outcome(given_facts, random):
    shuffled = random.sample(given_facts, len(given_facts))
    outcome = settled(RULEBOOK, given_facts)
    assert settled(RULEBOOK, shuffled) == outcome
    assert settled(RULEBOOK, merged(given_facts)) == outcome
    assert repr(settled(RULEBOOK, merged(shuffled))) == repr(outcome)


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=6), amounts, st.sampled_from(["JPY", "USD", "KWD"]), st.booleans()
)
@quick
def test_shares_sum_to_the_payable_exactly(weights, amount, currency, remaining):
    portions = [str(Fraction(weight, sum(weights))) for weight in weights]
    if remaining:
        portions[-1] = "remaining"
    among = [{"party": f"p{i}", "portion": portion} for i, portion in enumerate(portions)]
    steps = [{"name": "payable", "amount": "base", "round": "half_even"}]
    text = HEAD.replace("USD", currency) + yaml.safe_dump(
        {"waterfall": steps, "split": {"of": "payable", "among": among}}
    )
    outcome = settled(accepted(text), [Fact("billing.charged", "amount", (), 1, amount)])
    assert sum(share.amount for share in outcome.shares) == outcome.payable
    exact = [outcome.payable * weight / sum(weights) for weight in weights]
    unit = Decimal(1).scaleb(outcome.payable.as_tuple().exponent)
    assert all(abs(share.amount - fair) <= unit for share, fair in zip(outcome.shares, exact, strict=True))
    assert "-0" not in {str(share.amount).rstrip("0.") for share in outcome.shares}


bounds = st.lists(st.integers(1, 10**6), unique=True, max_size=5).map(sorted)


def _tiered(uptos, rates):
    bands = [{"upto": str(upto), "rate": rate} for upto, rate in zip(uptos, rates, strict=False)]
    tiers = {"of": "base", "mode": "graduated", "bands": [*bands, {"rate": rates[len(uptos)]}]}
    steps = [{"name": "fee", "tiers": tiers}, {"name": "rounded", "amount": "fee", "round": "half_up"}]
    return accepted(HEAD + yaml.safe_dump({"waterfall": steps}))


def _fee(rulebook, base):
    return amounts_of(settled(rulebook, [Fact("billing.charged", "amount", (), 1, base)]))["fee"]


@given(bounds, st.lists(st.integers(0, 99), min_size=6, max_size=6), st.lists(amounts, min_size=2, max_size=8))
@quick
def test_graduated_tiers_rise_with_their_base_and_never_jump(uptos, rates, bases):
    rulebook = _tiered(uptos, [f"{rate}%" for rate in rates])
    steepest = Decimal(max(rates)) / 100
    edges = [Decimal(upto) + nudge for upto in uptos for nudge in (Decimal("-0.000001"), 0, Decimal("0.000001"))]
    for low, high in pairwise(sorted([*bases, *edges])):
        rise = _fee(rulebook, high) - _fee(rulebook, low)
        assert 0 <= rise <= (high - low) * steepest


@given(st.text(max_size=200))
@settings(max_examples=150)
def test_check_never_raises_on_any_text(text):
    checked = check(text)
    assert checked.rulebook is None
    assert checked.problems


pieces = st.sampled_from(
    ["", " ", "\n", ":", "- ", "{", "}", "[", "]", '"', "&a", "*a", "!!x", "\0", "9" * 50, "60%", "-1", "0", "~", "#",
     "remaining", "upto", "net sales", "sales", "max(", "/ 0", "<<: ", "\t", "é", "\u2028", "---"]
)  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, len(EXAMPLE)), st.integers(0, 12), pieces), min_size=1, max_size=3),
    facts,
)
@settings(max_examples=250)
def test_mutated_rulebook_is_refused_or_settles(edits, given_facts):
    text = EXAMPLE
    for at, cut, piece in edits:
        text = text[:at] + piece + text[at + cut :]
    _check_then_settle(text, given_facts)


def _check_then_settle(text, given_facts):
    checked = check(text)
    assert (checked.rulebook is None) == any(problem.severity == "error" for problem in checked.problems)
    if checked.rulebook is None:
        return False
    try:
        outcome = settled(checked.rulebook, given_facts)
    except (AmountTooLarge, Unsettleable) as error:
        assert f"rulebook {checked.rulebook.rulebook} version" in str(error)  # noqa: PT017 - both ways out are lawful
    else:
        assert sum(share.amount for share in outcome.shares) == outcome.payable
    return True


names = st.sampled_from(["base", "units", "s0", "s1"])
numbers = st.one_of(
    st.integers(-100, 10**6).map(str),
    st.integers(-100, 200).map("{}%".format),
    st.sampled_from(["0", "9" * 26, "0.000000000001", "99999999999999999999999999.999999999999"]),
)
whole = st.integers(1, 10**6).map(str)
formulas = st.recursive(
    st.one_of(names, st.integers(0, 10**6).map(str), st.sampled_from(["2%", "9" * 26, "0.000000000001"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda each: f"({each[0]} {each[1]} {each[2]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda each: f"{each[0]}({each[1]}, {each[2]})"),
        inner.map("-{}".format),
    ),
    max_leaves=5,
)
band_tiers = st.builds(
    lambda of, mode, uptos, rates, flat: {
        "of": of,
        "mode": mode,
        "bands": [
            {"rate": rate, "flat": flat, **({"upto": str(upto)} if upto else {})}
            for upto, rate in zip([*uptos, None], rates, strict=False)
        ],
    },
    names,
    st.sampled_from(["graduated", "volume"]),
    bounds,
    st.lists(numbers, min_size=6, max_size=6),
    numbers,
)
package = st.fixed_dictionaries(
    {"of": names, "mode": st.just("package"), "size": st.one_of(whole, st.just("0.000000000001")), "price": numbers}
)
rules = st.one_of(
    formulas.map(lambda text: {"amount": text}),
    band_tiers.map(lambda tiers: {"tiers": tiers}),
    package.map(lambda tiers: {"tiers": tiers}),
    st.builds(
        lambda of, rate, on: {"net": {"of": of, "less": [{"name": "less", "rate": rate, "on": on}]}},
        names,
        st.integers(-100, 200).map("{}%".format),
        st.sampled_from(["gross", "rest"]),
    ),
    st.fixed_dictionaries({"of": names, "at": formulas}).map(lambda floor: {"floor": floor}),
    st.fixed_dictionaries({"of": names, "at": formulas}).map(lambda cap: {"cap": cap}),
)


@given(rules, rules, rules, st.sampled_from(["half_up", "half_even", "down", "up"]), facts)
@settings(max_examples=200)
def test_every_accepted_rulebook_settles_any_facts(first, second, last, rounding, given_facts):
    steps = [{"name": "s0", **first}, {"name": "s1", **second}, {"name": "payable", "round": rounding, **last}]
    assume(_check_then_settle(HEAD + yaml.safe_dump({"waterfall": steps}), given_facts))


@pytest.mark.parametrize(
    "change",
    [
        ("version: 1", "version:   1   # the first"),
        ("rulebook: grocery-supplier\nversion: 1\n", "version: 1\nrulebook: grocery-supplier\n"),
        ("{event: billing.charged, sum: amount}", "{sum: 'amount', event: billing.charged}"),
        ("rate: 60%", "rate: 0.6"),
        ("rate: 60%", "rate: 60.00%"),
        ("upto: 10000,", "upto: 10000.00,"),
        ("-2% * net sales", "(-0.02) *  net  sales"),
        ("portion: 95%", "portion: 19/20"),
        ("{event: billing.refunded", "{where: {}, event: billing.refunded"),
    ],
)
def test_digest_is_of_what_is_stated_not_of_how(change):
    assert EXAMPLE.count(change[0]) == 1
    assert accepted(EXAMPLE.replace(*change)).digest == RULEBOOK.digest


@pytest.mark.parametrize(
    "change",
    [
        ("version: 1", "version: 2"),
        ("rate: 60%", "rate: 61%"),
        ('"3.1"', '"3.10"'),
        ("half_up", "half_even"),
        ("portion: 95%", "portion: 94%"),
        ("sms-mt", "sms-mo"),
        ("sales - refunds", "refunds - sales"),
        ("2017-01-01", "2017-01-02"),
    ],
)
def test_digest_changes_with_what_is_stated(change):
    assert EXAMPLE.count(change[0]) == 1
    assert accepted(EXAMPLE.replace(*change)).digest != RULEBOOK.digest


def test_digest_of_every_published_case_differs():
    texts = {entry.rulebook for entry in every() if isinstance(entry, Entry) and not entry.refused}
    digests = [accepted(text).digest for text in texts]
    assert len(set(digests)) == len(digests) > 20


def test_division_by_zero_names_rulebook_version_and_step():
    rulebook = accepted(HEAD + "waterfall: [{name: price, amount: base / units, round: half_up}]")
    with pytest.raises(Unsettleable, match="rulebook generated version 1, step 'price'"):
        settled(rulebook, facts_of({"billing.charged amount": "5"}))


def test_overflow_names_rulebook_version_and_step():
    rulebook = accepted(HEAD + "waterfall: [{name: price, amount: base * units, round: half_up}]")
    many = {"billing.charged amount": "99999999999999", "billing.charged quantity": "99999999999999"}
    with pytest.raises(AmountTooLarge, match="rulebook generated version 1, step 'price'"):
        settled(rulebook, facts_of(many))
