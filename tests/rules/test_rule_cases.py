import re
from collections import Counter

import pytest

from engine.language.words import Unreadable
from engine.money import AmountTooLarge, in_units, minor_digits
from engine.outcomes import Balance
from engine.rules.casebook import entries, given_of
from engine.rules.check import check
from engine.rules.columns.frames import frames_of
from engine.rules.columns.settle import settle_columns
from engine.rules.evaluate import conclude
from engine.rules.formulas import Unsettleable
from engine.rules.measures import AGGREGATIONS
from engine.rules.steps import RULE_FIELDS
from engine.rules.told import STATUSES, Entry
from engine.rules.worked import every, facts_of, ready, run, settled

ENTRIES = list(every())
OF_RULEBOOKS = [entry for entry in ENTRIES if isinstance(entry, Entry)]
ACCEPTED = [check(entry.rulebook).rulebook for entry in OF_RULEBOOKS if not entry.refused]


def named(entries):
    return [pytest.param(entry, id=f"{entry.file.removesuffix('.yaml')}: {entry.name}") for entry in entries]


@pytest.mark.parametrize("entry", named(ENTRIES))
def test_case_comes_out_as_expected_by_both_evaluators(entry):
    findings = run(entry, in_both) if entry in OF_RULEBOOKS else run(entry)
    assert findings
    assert [finding for finding in findings if not finding.ok] == []


def in_both(rulebook, cohort):
    period = next(iter(cohort.contracts.values())).period
    frames = frames_of(cohort)
    try:
        conclusions = conclude(rulebook, cohort)
    except (Unsettleable, AmountTooLarge) as refusal:
        with pytest.raises(type(refusal), match=f"^{re.escape(str(refusal))}$"):
            settle_columns(rulebook, period, frames)
        raise
    columns = settle_columns(rulebook, period, frames)
    balances = {name: [] for name in columns.contracts}
    for contract, *balance in columns.carried.iter_rows():
        balances[contract].append(Balance(*balance))
    for index, contract in enumerate(columns.contracts):
        outcome = conclusions.contracts[contract]
        digits = minor_digits(outcome.currency)
        assert columns.lines.row(index) == tuple(line.amount for line in outcome.lines)
        assert columns.payable[index] == outcome.payable
        assert columns.shares.row(index) == tuple(in_units(share.amount, digits) for share in outcome.shares)
        assert balances[contract] == list(outcome.carried)
    return conclusions


@pytest.mark.parametrize(
    ("source", "entries_at_least"),
    [
        ("Stripe documentation", 2),
        ("lago-api, graduated", 1),
        ("Lago documentation, graduated percentage", 2),
        ("lago-api, percentage charge", 2),
        ("lago-api, package charge", 1),
        ("OpenFisca core tests", 1),
        ("BonusPay", 1),
        ("China Unicom Shaanxi", 3),
        ("Guangdong Monternet", 2),
        ("Numscript interpreter tests", 4),
        ("royalty accounting exercise", 1),
        ("label contract example", 2),
        ("La Cupula Music, statement", 1),
        ("OpenMeter, period-preserving rating", 1),
        ("Tolt, affiliate commissions", 1),
        ("Adempiere issue 1628", 1),
        ("tax guidance", 1),
        ("published supplier scorecard examples", 2),
        ("Beijing Mobile", 4),
        ("AlpineIQ", 1),
        ("Square Loyalty", 1),
        ("MyTime", 2),
    ],
)
def test_every_published_example_is_here(source, entries_at_least):
    found = [entry for entry in ENTRIES if source in entry.source and entry.status != "own"]
    assert len(found) >= entries_at_least


def test_every_construct_of_the_language_has_a_case():
    steps = {field for book in ACCEPTED for step in book.waterfall for field in RULE_FIELDS if getattr(step, field)}
    assert steps == set(RULE_FIELDS)
    how = {
        name
        for book in ACCEPTED
        for measure in book.measures.values()
        for name in AGGREGATIONS
        if getattr(measure, name) is not None
    }
    assert how == set(AGGREGATIONS)
    assert {entry.status for entry in ENTRIES} == set(STATUSES)


def test_what_was_published_wrong_is_refused_or_does_not_come_out():
    for entry in OF_RULEBOOKS:
        if entry.status == "published and wrong":
            assert entry.refused or any(stage.expected.wrong for case in entry.cases for stage in case.stages)


def test_names_tell_the_entries_apart():
    names = Counter((entry.file, entry.name) for entry in ENTRIES)
    assert [name for name, number in names.items() if number > 1] == []


CASE = """\
- name: example
  source: our own
  status: own
  rulebook: |
    rulebook: example
    version: 1
    valid_from: 2020-01-01
    currency: USD
    measures: {sales: {event: billing.charged, sum: amount}}
    waterfall: [{name: fee, payout: {of: sales, minimum: 10}, round: half_up}]
  cases:
    - periods:
        - {given: {billing.charged amount: 4}, expected: {fee: 0, carried fee unpaid: 4}}
        - {given: {billing.charged amount: 7}, expected: {fee: 11, party partner: 11, payable: 11}}
"""


TOO_LARGE = (
    "period 1 settling: settled, found refused: rulebook example version 1, step 'fee': 1.000000E+26 has more than 26 "
    "digits before the point"
)


def failing(old, new):
    assert CASE.count(old) == 1
    (entry,) = entries(CASE.replace(old, new), "r.yaml", ready)
    return [f"{each.what}: {each.expected}, found {each.found}" for each in run(entry) if not each.ok]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("status: own", "status: published", []),
        ("fee: 11,", "fee: 12,", ["2020-02 fee: 12, found 11"]),
        ("party partner: 11", "party partner: 1", ["2020-02 party partner: 1, found 11"]),
        ("payable: 11", "feee: 11", ["2020-02 feee: 11, found nothing of this name"]),
        ("unpaid: 4", "unpaid: 0", ["2020-01 carried fee unpaid: 0, found 4"]),
        ("expected: {fee: 0,", "refused: no, expected: {fee: 0,", ["2020-01 settling: refused: no, found settled"]),
        ("payable: 11}", "payable: 11}, published_wrong: {fee: 11}", ["2020-02 fee: not 11, found 11"]),
        ("of: sales,", "of: sale,", ["the rulebook: accepted, found unknown name 'sale'; write 'sales'"]),
        (
            "  cases:",
            "  refused: [loop]\n  cases:",
            ["the rulebook: loop, found accepted"],
        ),
        (
            "amount: 4}",
            "amount: 99999999999999999999999999}, carried: {fee unpaid: 2}",
            [TOO_LARGE],
        ),
    ],
)
def test_what_does_not_come_out_is_found(old, new, found):
    assert failing(old, new) == found


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "status: own",
            "status: mine",
            "r.yaml:3:3 [0].status: 'mine' is no status; write published, derived, own or ",
        ),
        (
            "amount: 4",
            "amount: four",
            "r.yaml:13:20 [0].cases[0].periods[0].given.billing.charged amount: 'four' is not a number",
        ),
        ("charged amount: 4", "charge amount: 4", "'billing.charge' is not an event that facts are made of; write "),
        ("charged amount: 4", "charged: 4", "the field is missing; write billing.charged amount: 100"),
        ("charged amount: 4", "charged product=x amount: 4", "'product=x amount' is no field of billing.charged"),
        ("fee unpaid", "unpaid", "'unpaid' is no carried balance; write STEP KIND [DAY]; kinds are accumulated, "),
        ("- {given: {billing.charged amount: 4}", "- {gives: {}", "unknown field 'gives'; write 'given'"),
        ("- {given: {billing.charged amount: 4}", "- {period: May, given: {}", "'May' is not a period; write 2017-03"),
        ("rulebook: |", "library: app-store\n  rulebook: |", "exactly one of rulebook and library"),
        ("source: our own", "sauce: our own", "unknown field 'sauce'; write 'source'"),
        ("  source: our own\n", "", "r.yaml:1:3 [0].source: a text or a number must stand here; write one"),
        ("- periods:", "- given: {}\n      periods:", "unknown field 'given'"),
        ("- name: example", "- name: &a example", "anchors and aliases (& and *) are not allowed"),
    ],
)
def test_unreadable_case_is_refused_with_place_cause_and_remedy(old, new, sentence):
    assert CASE.count(old) == 1
    with pytest.raises(Unreadable) as refused:
        list(entries(CASE.replace(old, new), "r.yaml", ready))
    assert str(refused.value).startswith("r.yaml:")
    assert sentence in str(refused.value)


def test_ready_rulebook_that_there_is_not_is_refused_with_the_nearest():
    with pytest.raises(Unreadable, match="write 'app-store'"):
        ready("appstore")


def test_facts_to_try_a_rulebook_on_may_be_json():
    text = '{"period": "2020-03", "given": {"billing.charged amount product=\\"ring tone\\"": {"events": 2, "value": "7.5"}}}'
    (entry,) = entries(CASE, "r.yaml", ready)
    rulebook = check(entry.rulebook).rulebook
    (now,) = settled(given_of(text), rulebook)
    assert str(now.period) == "2020-03"
    (fact,) = now.cohort.contracts[""].facts
    assert (fact.dimensions, fact.events, str(fact.value)) == ((("product", "ring tone"),), 2, "7.5")


def test_events_told_one_by_one_are_folded_as_the_rulebook_needs_them():
    rulebook = check(
        "{rulebook: r, version: 1, valid_from: 2020-01-01, currency: USD, measures: {m: {event: billing.charged,"
        " each: amount / 3}, n: {event: billing.charged, last: tax}}, waterfall: [{name: w, amount: m + n, round: up}]}"
    ).rulebook
    case = given_of("given: {billing.charged product=a: [1, {amount: 2, tax: 5}, {amount: 4, tax: 3}]}")
    facts = facts_of(case.stages[0].contracts[""].recorded, rulebook)
    found = {fact.field: (fact.events, str(fact.value.normalize()), fact.at) for fact in facts}
    assert found == {
        "amount": (3, "7", 0),
        "tax": (2, "8", 0),
        "each amount / 3": (3, "2.333333", 0),
        "last tax": (2, "3", 3),
    }
