from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rule_cases import HERE, read

from engine.money import AmountTooLarge, plain, total
from engine.outcomes import How, Reason
from engine.rules.assess import Standing, assess
from engine.rules.formulas import Unsettleable
from engine.rules.scorecard_check import check_scorecard
from engine.rules.scorecards import Scorecard, names_used, uses_cohort
from engine.rules.source import Source
from engine.rules.worked import CASES

quick = settings(max_examples=100)

BROKEN = read(HERE / "broken" / "scorecards.yaml")
SOUND = read(CASES / "scorecards.yaml")
EXAMPLES = [
    pytest.param(entry["scorecard"], case, id=f"{entry['name']} {number}")
    for entry in SOUND
    for number, case in enumerate(entry["cases"])
]


def problems_of(text):
    """What the checker says of a scorecard, in the order of the text."""
    source = Source(text, "s.yaml")
    check_scorecard(Scorecard.model_validate(source.data), (), source)
    found = [*source.errors, *source.warnings]
    return [str(problem) for problem in sorted(found, key=lambda problem: (problem.line, problem.column))]


def errors_of(text):
    return [problem for problem in problems_of(text) if " warning: " not in problem]


@lru_cache
def accepted(text):
    """The scorecard of a text that has no errors."""
    assert errors_of(text) == []
    return Scorecard.model_validate(Source(text, "s.yaml").data)


def standing(values, override=None):
    known = {name: Reason(name, How.measure, Decimal(value)) for name, value in values.items()}
    return Standing(known, override)


def standings_of(case):
    given_by_person = case.get("given by a person", {})
    return {partner: standing(values, given_by_person.get(partner)) for partner, values in case["partners"].items()}


def scores_of(card, values):
    """Totals by partner, where each partner's one value is `value`."""
    return {partner: each.total for partner, each in assess(card, values_known(values)).items()}


def values_known(values):
    return {partner: standing({"value": value}) for partner, value in values.items()}


def shown(score, field):
    value = score.total if field == "score" else getattr(score, field)
    return "none" if value is None else plain(value) if isinstance(value, Decimal) else value


@pytest.mark.parametrize(("text", "case"), EXAMPLES)
def test_worked_example(text, case):
    card = accepted(text)
    if "refused" in case:
        with pytest.raises(ArithmeticError) as refusal:
            assess(card, standings_of(case))
        assert str(refusal.value) == case["refused"]
        return
    scores = assess(card, standings_of(case))
    found = {
        partner: {field: shown(scores[partner], field) for field in expected}
        for partner, expected in case["expected"].items()
    }
    assert found == case["expected"]
    assert list(scores) == sorted(case["partners"])


def test_every_case_names_its_source():
    assert all(entry["source"] for entry in SOUND)


@pytest.mark.parametrize("entry", BROKEN, ids=lambda entry: entry["name"])
def test_broken_scorecard_is_refused_with_sentences(entry):
    assert problems_of(_text(entry)) == entry["problems"]


def _text(entry):
    text = entry.get("scorecard", BROKEN[0]["scorecard"])
    for old, new in entry.get("change", {}).items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{metrics: [{name: a, weight: 1, value: a, cohort: share, bands: [{score: 1}]}], grades: [{grade: A}]}",
         "a metric is scored by exactly one of bands, linear or cohort"),
        ("{metrics: [{name: a, weight: 1, value: a}], grades: [{grade: A}]}",
         "a metric is scored by exactly one of bands, linear or cohort"),
        ("{metrics: [{name: a, weight: 1, value: a, bands: [{upto: 1, below: 1, score: 1}]}], grades: [{grade: A}]}",
         "a band begins once and ends once"),
        ("{metrics: [{name: a, weight: 1, value: a, cohort: best}], grades: [{grade: A, from: 1, above: 1}]}",
         "a band begins once and ends once"),
        ("{metrics: [{name: a, weight: 1, value: a, cohort: best}], grades: [{grade: A}], items: [{name: b, of: a}]}",
         "an item has exactly one of rate and bands"),
    ],
)  # fmt: skip
def test_model_refuses_what_says_two_things_or_nothing(text, cause):
    with pytest.raises(ValidationError, match=cause):
        Scorecard.model_validate(Source(text, "s.yaml").data)


def test_score_explains_itself():
    card = accepted(SOUND[4]["scorecard"])
    known = {"complaints": 2, "uses": 10000, "minutes": 100, "frauds": 0, "failures": 3}
    score = assess(card, {"P-1": standing(known, override="A")})["P-1"]
    assert _tree(score.reason) == [
        "grade A 54.666666666667 given by a person instead of C",
        "  grade C 54.666666666667 a score from 40 to below 60",
        "    fraud 0 not above 0 (9.4)",
        "      frauds 0",
        "    too many failures -7 not above 0",
        "      failures - 10 -7",
        "        failures 3",
        "        10 10",
        "    score 54.666666666667",
        "      complaints 36 60% of 60 (9.1)",
        "        band 2: above 1 and below 3 60",
        "          10000 * complaints / uses 2",
        "            10000 * complaints 20000",
        "              10000 10000",
        "              complaints 2",
        "            uses 10000",
        "      failure minutes 18.666666666667 40% of 46.666666666667",
        "        line from 60 (score 70) to 180 (score 0) 46.666666666667",
        "          minutes 100",
    ]


def test_veto_items_and_clamp_are_in_the_reasons():
    text = """
        metrics: [{name: base, weight: 100%, value: base / uses, otherwise: 90, cohort: best}]
        items: [{name: training, of: trainings, rate: 20, cap: 15, clause: "3"}]
        vetoes: [{name: fraud, of: frauds, grade: D}]
        grades: [{grade: D, below: 50}, {grade: A}]
        consequences: {D: {action: terminate, clause: "12"}}
    """
    score = assess(accepted(text), {"P-1": standing({"base": 5, "uses": 0, "trainings": 1, "frauds": 2})})["P-1"]
    assert _tree(score.reason) == [
        "grade D 2 by veto 'fraud' (12)",
        "  fraud 2 above 0: grade D",
        "    frauds 2",
        "  score 100 105, brought into the range from 0 to 100",
        "    base 90 100% of 90",
        "      otherwise 90 base / uses divides by zero",
        "        base 5",
        "        uses 0",
        "    training 15 20, capped at 15 (3)",
        "      trainings x rate 20 1 x 20",
        "        trainings 1",
    ]
    (metric,), (item,) = score.metrics, score.items
    assert metric[:4] == ("base", None, 90, 1)
    assert item[:3] == ("training", 1, 15)


def test_cohort_is_in_the_reasons():
    card = accepted(
        BROKEN[0]["scorecard"].replace("linear: [{at: 0, score: 100}, {at: 50, score: 0}]", "cohort: share")
    )
    known = {"complaints": 1, "uses": 1, "minutes": 30, "trainings": 0, "frauds": 0}
    scores = assess(card, {"a": standing(known), "b": standing(known | {"minutes": -10}), "c": standing(known)})
    (minutes,) = [metric for metric in scores["b"].metrics if metric.name == "minutes"]
    assert _tree(minutes.reason.parts[0]) == [
        "part of the cohort's sum 0 100 x 0, as it is below 0 / 60",
        "  minutes -10",
        "  sum of the cohort 60 3 partners",
    ]


def test_veto_without_a_score_says_why_there_is_none():
    text = """
        metrics: [{name: complaints, weight: 100%, value: complaints / uses, cohort: best}]
        vetoes: [{name: fraud, of: frauds, grade: A}]
        grades: [{grade: A}]
    """
    score = assess(accepted(text), {"a": standing({"complaints": 0, "uses": 0, "frauds": 1})})["a"]
    assert score.total is None
    assert score.metrics == ()
    assert score.reason.note == (
        "by veto 'fraud'; there is no score: metric 'complaints' divides by zero (complaints / uses)"
    )


def _tree(reason, indent=""):
    clause = f" ({reason.clause})" if reason.clause else ""
    line = f"{indent}{reason.name} {plain(reason.value)} {reason.note}".rstrip() + clause
    return [line, *(line for part in reason.parts for line in _tree(part, f"{indent}  "))]


def test_names_and_cohort_of_a_scorecard():
    card = accepted(SOUND[4]["scorecard"])
    assert names_used(card) == {"complaints", "uses", "minutes", "frauds", "failures"}
    assert not uses_cohort(card)
    assert uses_cohort(accepted(SOUND[2]["scorecard"]))
    assert names_used(accepted(SOUND[3]["scorecard"])) == {"credit points", "answered", "asked", "complaints", "stale"}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("value: value, cohort: share", "value: value * value, cohort: share", "partner b, metric 'm': 1.000000E+26"),
        ("value: value, cohort: share", "value: value * 9000000000000, cohort: share", "metric 'm': 1.080000E+26"),
        ("of: value, rate: 1,", "of: value * value, rate: 1,", "partner b, item 'i': 1.000000E+26"),
        ("of: value, rate: 1,", "of: value, rate: 10000000000000,", "partner b, item 'i': 1.000000E+26"),
        ("of: value, grade", "of: value * value, grade", "partner b, veto 'v': 1.000000E+26"),
        ("of: value, rate: 1,", "of: value, rate: 9000000000000,", "partner b, the score: 1.800000E+26"),
    ],
)
def test_number_too_large_is_refused_naming_partner_and_place(old, new, sentence):
    text = """
        metrics: [{name: m, weight: 100%, value: value, cohort: share}]
        items: [{name: i, of: value, rate: 1, cap: 99}, {name: j, of: value, rate: 9000000000000}]
        vetoes: [{name: v, of: value, grade: any}]
        grades: [{grade: any}]
    """
    assert text.count(old) == 1
    text = text.replace(old, new)
    if "the score" in sentence:
        text = text.replace("cap: 99", "cap: 99999999999999999999999999")
    with pytest.raises(AmountTooLarge) as refusal:
        assess(accepted(text), values_known({"a": "2000000000000", "b": "10000000000000"}))
    assert str(refusal.value) == f"{sentence} has more than 26 digits before the point"


def test_nobody_to_assess_is_an_empty_result():
    assert assess(accepted(SOUND[2]["scorecard"]), {}) == {}


# --- laws

numbers = st.decimals(-1000, 1000, places=3)
cohorts = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), numbers, min_size=1, max_size=12)
bounds = st.lists(st.decimals(-150, 250, places=2), min_size=1, max_size=5, unique=True).map(sorted)
ends = st.sampled_from(["upto", "below"])


def _scorecard(scoring, grades="[{grade: any}]", span="{from: 0, upto: 100}"):
    return f"range: {span}\nmetrics: [{{name: m, weight: 100%, value: value, {scoring}}}]\ngrades: {grades}"


def _along(points):
    return "linear: [" + ", ".join(f"{{at: {at}, score: {score}}}" for at, score in points) + "]"


@quick
@given(
    st.lists(st.tuples(st.sampled_from(["upto", "below"]), st.integers(-2, 12)), min_size=1, max_size=4),
    st.integers(-25, 125),
    st.booleans(),
)
def test_every_score_of_an_accepted_scorecard_has_exactly_one_grade(stated, tenths, orderly):
    if orderly:  # most of these are accepted, most others are not
        stated = [*sorted(stated, key=lambda band: (band[1], band[0])), ("upto", 10)]
    bands = [f"{{grade: G{i}, {end}: {bound}}}" for i, (end, bound) in enumerate(stated)]
    text = _scorecard(_along([(0, 0), (10, 10)]), f"[{', '.join(bands)}]", "{from: 0, upto: 10}")
    value = Decimal(tenths) / 10
    score = min(max(value, Decimal(0)), Decimal(10))
    grades = _grades_that_hold(stated, score)
    if errors_of(text):
        everywhere = [_grades_that_hold(stated, Decimal(each) / 2) for each in range(21)]
        assert any(len(each) != 1 for each in everywhere) or _says_more_than_the_range(stated)
        return
    assert len(grades) == 1
    (scored,) = assess(accepted(text), values_known({"a": value})).values()
    assert (scored.total, scored.grade) == (score, grades[0])


def _grades_that_hold(stated, score):
    """Each band read by itself: what its end includes, less what the end of the band before it includes."""

    def ends_behind(end, bound):
        return score <= bound if end == "upto" else score < bound

    befores = [None, *stated[:-1]]
    return [
        f"G{index}"
        for index, (band, before) in enumerate(zip(stated, befores, strict=True))
        if ends_behind(*band) and not (before and ends_behind(*before))
    ]


def _says_more_than_the_range(stated):
    """Whether a band lies outside the range from 0 to 10, or holds nothing."""
    edges = [(Decimal(0), False), *((Decimal(bound), end == "upto") for end, bound in stated)]
    return edges[-1] > (10, True) or any(left >= right for left, right in pairwise(edges))


@quick
@given(bounds, st.data())
def test_bands_that_restate_where_they_begin_are_those_that_do_not(limits, data):
    kinds = data.draw(st.lists(ends, min_size=len(limits), max_size=len(limits)))
    starts = [""] + [f"{'above' if kind == 'upto' else 'from'}: {at}, " for kind, at in zip(kinds, limits, strict=True)]
    stops = [f"{kind}: {at}, " for kind, at in zip(kinds, limits, strict=True)] + [""]
    short = ", ".join(f"{{{stop}score: {i}}}" for i, stop in enumerate(stops))
    long = ", ".join(f"{{{start}{stop}score: {i}}}" for i, (start, stop) in enumerate(zip(starts, stops, strict=True)))
    values = {f"p{i}": value for i, value in enumerate([*limits, *data.draw(st.lists(numbers, max_size=5))])}
    one, other = (accepted(_scorecard(f"bands: [{bands}]")) for bands in (short, long))
    assert scores_of(one, values) == scores_of(other, values)
    for name, value in values.items():
        passed = [value > at if kind == "upto" else value >= at for kind, at in zip(kinds, limits, strict=True)]
        assert scores_of(one, values)[name] == sum(passed)


@quick
@given(
    st.lists(st.tuples(st.decimals(-10, 10, places=11), st.decimals(0, 100, places=12)), min_size=2, max_size=5, unique_by=lambda point: point[0]),
    st.lists(st.decimals(-12, 12, places=12), min_size=2, max_size=12),
    st.booleans(),
)  # fmt: skip
def test_a_line_is_monotone_between_monotone_points_and_stays_among_them(points, values, falling):
    places = sorted(at for at, _ in points)
    levels = sorted((score for _, score in points), reverse=falling)
    card = accepted(_scorecard(_along([(plain(at), plain(level)) for at, level in zip(places, levels, strict=True)])))
    scores = scores_of(card, {f"{i:03}": value for i, value in enumerate(sorted([*values, *places]))})
    row = list(scores.values())
    assert row == sorted(row, reverse=falling)
    assert min(levels) <= min(row) <= max(row) <= max(levels)
    at_points = scores_of(card, {f"{i:03}": at for i, at in enumerate(places)})
    assert list(at_points.values()) == levels


def test_a_line_between_close_points_does_not_leave_them():
    # Rounding the product before the division would give 0.1 here.
    card = accepted(_scorecard(_along([(0, 0), ("0.00000000001", "0.06")])))
    assert scores_of(card, {"a": "0.000000000009"}) == {"a": Decimal("0.054")}


@quick
@given(cohorts, st.sampled_from(["cohort: share", "cohort: best", _along([(0, 0), (7, 90)])]), st.randoms())
def test_order_of_partners_is_irrelevant(values, scoring, random):
    card = accepted(_scorecard(scoring))
    shuffled = list(values.items())
    random.shuffle(shuffled)
    one, other = assess(card, values_known(values)), assess(card, values_known(dict(shuffled)))
    assert list(one.items()) == list(other.items())


@quick
@given(cohorts)
def test_shares_of_a_cohort_never_make_more_than_the_top_of_the_range(values):
    scores = list(scores_of(accepted(_scorecard("cohort: share")), values).values())
    together = Decimal(0)
    for score in scores:
        together = total(together, score)
    positive = sum(value > 0 for value in values.values())
    assert together <= 100
    # what is missing is less than one unit of the working precision for each
    assert not positive or together > 100 - positive * Decimal("1E-12")


@quick
@given(cohorts, st.decimals(1, 1000, places=3))
def test_one_partner_that_grows_takes_from_all_others_that_have_something(values, growth):
    card = accepted(_scorecard("cohort: share"))
    first, *others = sorted(values)
    before = scores_of(card, values)
    after = scores_of(card, values | {first: max(values[first], Decimal(0)) + growth})
    if any(values[other] > 0 for other in others):
        assert after[first] > before[first]
    assert all(after[other] < before[other] for other in others if values[other] > 0)


@quick
@given(cohorts)
def test_the_best_of_a_cohort_has_the_top_of_the_range(values):
    scores = scores_of(accepted(_scorecard("cohort: best")), values)
    best = max(values.values())
    assert all((scores[name] == 100) == (value == best and best > 0) for name, value in values.items())


@quick
@given(st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_weights_are_accepted_exactly_where_they_make_one(weights):
    metrics = "".join(f"  - {{name: m{i}, weight: {w}%, value: value, cohort: best}}\n" for i, w in enumerate(weights))
    errors = errors_of(f"metrics:\n{metrics}grades: [{{grade: any}}]")
    assert (errors == []) == (sum(weights) == 100)


def test_vetoed_partner_still_counts_in_the_cohort():
    text = _scorecard("cohort: share") + "\nvetoes: [{name: v, of: value - 2, grade: any}]"
    assert scores_of(accepted(text), {"a": 1, "b": 3}) == {"a": 25, "b": 75}


def test_the_first_partner_by_id_that_cannot_be_assessed_is_named():
    card = accepted(_scorecard("cohort: share").replace("value: value", "value: 1 / value"))
    with pytest.raises(Unsettleable, match=r"^partner b: metric 'm' divides by zero"):
        assess(card, values_known({"c": 0, "b": 0, "a": 1}))
