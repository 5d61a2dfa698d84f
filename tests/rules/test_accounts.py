from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rule_cases import HERE, read

from engine.outcomes import EntryKind, How, Reason
from engine.period import months_after
from engine.rules.accounts import Activity, RuleUnknown, account, earned_points, earned_units
from engine.rules.program_check import check_program
from engine.rules.programs import Earn, Program
from engine.rules.source import Source
from engine.rules.worked import CASES

ENTRIES = read(CASES / "points.yaml")
CASES = [
    pytest.param(entry, expected, id=f"{entry['name']}, {expected['at']}")
    for entry in ENTRIES
    for expected in entry["expected"]
]
BROKEN = [pytest.param(entry, id=entry["name"]) for entry in read(HERE / "broken" / "points.yaml")]
KINDS = (EntryKind.earned, EntryKind.granted, EntryKind.adjusted, EntryKind.burned)


def activity_of(entry):
    kind = next(kind for kind in KINDS if kind in entry)
    earned = kind is EntryKind.earned
    return Activity(
        date.fromisoformat(entry["day"]),
        kind,
        Decimal(entry["units"] if earned else entry[kind]),
        entry["earned"] if earned else entry.get("name", ""),
        entry.get("period", ""),
        text=entry.get("reason", ""),
        **{name: entry[name] for name in ("author", "approver", "identity") if name in entry},
    )


def numbers(texts):
    return {key: Decimal(text) for key, text in texts.items()}


@pytest.mark.parametrize(("entry", "expected"), CASES)
def test_worked_example(entry, expected):
    program = Program.model_validate(entry["program"])
    found = account(program, map(activity_of, entry["activities"]), date.fromisoformat(expected["at"]))
    lots = {str(lot.earned): lot.points for lot in found.lots}
    shown = {
        "at": str(found.at),
        "balance": found.balance,
        "deficit": found.deficit,
        "lots": {day: lots.get(day, Decimal(0)) for day in {*lots, *expected.get("lots", {})}},
        "expires": {str(lot.earned): str(lot.expires) for lot in found.lots if lot.expires},
        "expires_next": {str(found.expires_next.day): found.expires_next.points} if found.expires_next else {},
        "level": found.level,
        "levels": {str(each.since): each.level for each in found.levels},
        "entries": [each.points for each in found.entries],
    }
    read_as = {
        "balance": Decimal,
        "deficit": Decimal,
        "lots": numbers,
        "expires_next": numbers,
        "entries": lambda points: [Decimal(each) for each in points],
    }
    wanted = {name: read_as[name](text) if name in read_as else text for name, text in expected.items()}
    assert {name: shown[name] for name in wanted} == wanted


def test_every_case_names_its_source():
    assert all(entry["source"] for entry in ENTRIES)
    assert sum(entry["status"] == "published" for entry in ENTRIES) == 2


@pytest.mark.parametrize("entry", BROKEN)
def test_broken_program_is_said_to_be_so(entry):
    source = Source(entry["text"], "r.yaml")
    check_program(Program.model_validate(source.data["points"]), ("points",), source)
    problems = sorted([*source.errors, *source.warnings], key=lambda problem: (problem.line, problem.column))
    assert [str(problem) for problem in problems] == entry["problems"]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"expiry": {"after": "12 months", "to": "day"}},
        {"levels": {"of": "balance", "within": "P12M", "bands": [{"name": "bronze", "from": "0"}]}},
    ],
)
def test_program_that_says_nothing_sensible_is_refused(data):
    with pytest.raises(ValidationError):
        Program.model_validate(data)


PROGRAM = Program.model_validate(
    {
        "earn": [
            {
                "name": "purchases",
                "of": "sales - refunds",
                "rate": "0.5",
                "cap": "60",
                "multiplied": "yes",
                "clause": "7",
            },
            {"name": "complaints", "of": "complaints", "rate": "-3", "cap": "20", "round": "half_up"},
        ],
        "expiry": {"after": "P3M", "to": "end_of_month"},
        "levels": {
            "of": "balance",
            "bands": [{"name": "bronze", "from": "0"}, {"name": "gold", "from": "50", "multiplier": "150%"}],
        },
    }
)
BY_EARNED = PROGRAM.model_copy(
    update={
        "expiry": PROGRAM.expiry.model_copy(update={"to": "day"}),
        "levels": PROGRAM.levels.model_copy(update={"of": "earned", "within": 2}),
    }
)
FOR_EVER = PROGRAM.model_copy(update={"expiry": None, "levels": None})
JANUARY = date(2024, 1, 10)


def measure(name, value):
    return Reason(name, How.measure, Decimal(value))


def lines(reason, depth=0):
    yield f"{'  ' * depth}{reason.name} {reason.how} {reason.value.normalize():f} {reason.note}".rstrip()
    for part in reason.parts:
        yield from lines(part, depth + 1)


def test_points_of_a_period_come_from_units_over_known_names():
    known = {"sales": measure("sales", 120), "refunds": measure("refunds", 9), "complaints": measure("complaints", 2)}
    units = earned_units(PROGRAM, known)
    assert [(earn.name, reason.value) for earn, reason in units] == [("purchases", 111), ("complaints", 2)]
    assert [part.name for part in units[0][1].parts] == ["sales", "refunds"]
    points = earned_points(PROGRAM, known)
    assert [(earn.name, reason.value) for earn, reason in points] == [("purchases", 55), ("complaints", -6)]


def test_entry_explains_units_rate_multiplier_cap_and_rounding():
    of = Reason("sales - refunds", How.difference, Decimal(61), parts=(measure("sales", 70), measure("refunds", 9)))
    activities = [
        Activity(JANUARY, EntryKind.adjusted, Decimal(50), text="welcome", author="li", approver="wang"),
        Activity(date(2024, 1, 31), EntryKind.earned, Decimal(61), "purchases", "2024-01", of=of),
        Activity(date(2024, 2, 1), EntryKind.earned, Decimal(30), "purchases", "2024-01"),
    ]
    welcome, first, second = account(PROGRAM, activities, date(2024, 2, 1)).entries
    assert (welcome.reason.note, welcome.author, welcome.approver) == ("welcome", "li", "wang")
    assert first.reason.clause == second.reason.clause == "7"
    assert list(lines(first.reason)) == [
        "purchases rounding 45 45.75 rounded down",
        "  cap minimum 45.75 at most 60 in 2024-01",
        "    multiplier level 45.75 30.5 x 1.5, as gold",
        "      rate product 30.5 61 x 0.5",
        "        sales - refunds difference 61",
        "          sales measure 70",
        "          refunds measure 9",
    ]
    assert list(lines(second.reason)) == [
        "purchases difference 15 of 2024-01, less what was given before",
        "  rounded rounding 60 60 rounded down",
        "    cap minimum 60 at most 60 in 2024-01",
        "      in 2024-01 total 68.25",
        "        earlier in 2024-01 points 45.75",
        "        multiplier level 22.5 15 x 1.5, as gold",
        "          rate product 15 30 x 0.5",
        "            units fact 30",
        "  given before points 45",
    ]


def test_expiry_says_which_points_it_took_and_why():
    earned = Activity(JANUARY, EntryKind.earned, Decimal(20), "purchases", "2024-01")
    *_, expired = account(PROGRAM, [earned], date(2024, 5, 1)).entries
    assert (expired.day, expired.kind, expired.points) == (date(2024, 5, 1), EntryKind.expired, -10)
    assert expired.reason.note == "earned 2024-01-10, 3 months, to the end of the month"
    assert [(taken.entry, taken.points) for taken in expired.taken] == [(0, 10)]


def test_entries_of_one_day_stand_in_one_order():
    activities = [
        Activity(JANUARY, EntryKind.burned, Decimal(1), "a", identity="1"),
        Activity(JANUARY, EntryKind.granted, Decimal(2), "b", identity="1"),
        Activity(JANUARY, EntryKind.adjusted, Decimal(3), "b", identity="0"),
        Activity(JANUARY, EntryKind.earned, Decimal(4), "complaints", identity="0"),
    ]
    entries = account(PROGRAM, activities, JANUARY).entries
    assert [(entry.name, entry.identity) for entry in entries] == [
        ("b", "0"),
        ("b", "1"),
        ("complaints", "0"),
        ("a", "1"),
    ]


def test_an_earlier_rule_keeps_its_rate():
    before = PROGRAM.earn[0].model_copy(update={"rate": Decimal(2)})
    activities = [
        Activity(JANUARY, EntryKind.earned, Decimal(10), "purchases", "2024-01", rule=before),
        Activity(date(2024, 2, 10), EntryKind.earned, Decimal(10), "purchases", "2024-02"),
    ]
    assert [entry.points for entry in account(PROGRAM, activities, date(2024, 2, 29)).entries] == [20, 5]


def test_rule_that_the_program_does_not_have_is_named():
    with pytest.raises(RuleUnknown, match="'sales'"):
        account(PROGRAM, [Activity(JANUARY, EntryKind.earned, Decimal(1), "sales")], JANUARY)


def test_what_lives_past_the_end_of_the_calendar_stays():
    assert months_after(date(9999, 12, 1), 1) is None
    late = Activity(date(9999, 11, 30), EntryKind.adjusted, Decimal(5))
    (lot,) = account(PROGRAM, [late], date.max).lots
    assert lot.expires is None
    assert account(BY_EARNED, [], date.min).balance == 0


FIRST = date(2023, 11, 1)
days = st.integers(0, 400).map(lambda n: FIRST + timedelta(n))
values = st.decimals(0, 80, places=2)
signed = st.decimals(-80, 80, places=2)
texts = st.sampled_from(["a", "b", "c"])
names = st.sampled_from(["purchases", "complaints"])


@st.composite
def activities_of(draw):
    drawn = draw(st.lists(st.tuples(days, st.sampled_from(KINDS), signed, values, names, texts, texts), max_size=25))
    return [
        Activity(
            day,
            kind,
            value if kind is EntryKind.burned else either,
            name if kind is EntryKind.earned else "",
            f"{day:%Y-%m}" if kind is EntryKind.earned else "",
            text=text,
            identity=identity,
        )
        for day, kind, either, value, name, text, identity in drawn
    ]


programs = st.sampled_from([PROGRAM, BY_EARNED, FOR_EVER])
many = settings(max_examples=100)


@given(programs, activities_of(), days)
@many
def test_balance_is_the_sum_of_the_entries_and_of_the_lots_less_what_is_owed(program, activities, at):
    found = account(program, activities, at)
    running = list(accumulate(entry.points for entry in found.entries))
    assert [entry.balance for entry in found.entries] == running
    assert found.balance == (running[-1] if running else 0)
    assert found.balance == sum(lot.points for lot in found.lots) - found.deficit
    assert found.deficit == sum(entry.deficit for entry in found.entries) >= 0
    assert all(lot.points > 0 and (lot.expires is None or lot.expires > at) for lot in found.lots)
    assert not (found.lots and found.deficit)


@given(programs, activities_of(), days, st.randoms(use_true_random=False))
@many
def test_order_in_which_activities_are_given_does_not_matter(program, activities, at, random):
    shuffled = random.sample(activities, len(activities))
    assert repr(account(program, shuffled, at)) == repr(account(program, activities, at))


@given(programs, activities_of(), days, days)
@many
def test_an_earlier_account_is_the_beginning_of_a_later_one(program, activities, one, other):
    early, late = (account(program, activities, at) for at in sorted([one, other]))
    assert late.entries[: len(early.entries)] == early.entries
    assert late.levels[: len(early.levels)] == early.levels
    assert all(entry.day > early.at for entry in late.entries[len(early.entries) :])
    assert all(each.since > early.at for each in late.levels[len(early.levels) :])
    known_then = [each for each in activities if each.day <= early.at]
    assert account(program, known_then, early.at) == early


@given(programs, activities_of(), days)
@many
def test_points_are_taken_oldest_first_and_never_more_than_a_lot_has(program, activities, at):
    found = account(program, activities, at)
    left = {}
    for index, entry in enumerate(found.entries):
        for taken in entry.taken:
            assert taken.entry == min(left), "an older lot has points"
            left[taken.entry] -= taken.points
            assert left[taken.entry] >= 0 < taken.points
            if not left[taken.entry]:
                del left[taken.entry]
        if entry.points > 0:
            assert entry.deficit <= 0
            if entry.points + entry.deficit > 0:
                left[index] = entry.points + entry.deficit
        else:
            assert sum(taken.points for taken in entry.taken) + entry.deficit == -entry.points
            assert not (entry.deficit and left), "points are owed while a lot has some"
    assert {lot.entry: lot.points for lot in found.lots} == left


@given(programs, activities_of(), days)
@many
def test_lots_and_levels_change_on_their_days(program, activities, at):
    found = account(program, activities, at)
    for entry in found.entries:
        if entry.kind is EntryKind.expired:
            (taken,) = entry.taken
            assert program.expiry.of(found.entries[taken.entry].day) == entry.day
    assert all(one.since < other.since and one.level != other.level for one, other in pairwise(found.levels))
    for day in {at, *(each.since for each in found.levels)} if program.levels else ():
        then = account(program, activities, day)
        earned = (entry for entry in then.entries if entry.kind is EntryKind.earned and entry.points > 0)
        counting = sum(entry.points for entry in earned if months_after(entry.day, 2) > day)
        standing = then.balance if program.levels.of == "balance" else counting
        assert then.level == ("gold" if standing >= 50 else "bronze")
        assert [each.level for each in then.levels][-1:] in ([], [then.level])


@given(programs, activities_of())
@many
def test_cap_holds_for_each_rule_and_period(program, activities):
    points = defaultdict(Decimal)
    for entry in account(program, activities, date(2025, 12, 31)).entries:
        if entry.kind is EntryKind.earned:
            assert entry.points == entry.points.to_integral_value()
            points[entry.name, entry.period] += entry.points
    caps = {earn.name: earn.cap for earn in program.earn}
    assert all(abs(together) <= caps[name] for (name, _), together in points.items())


@given(st.lists(values, min_size=1, max_size=6), st.sampled_from(FOR_EVER.earn))
@many
def test_points_do_not_depend_on_how_units_are_cut(parts, earn: Earn):
    activities = [
        Activity(JANUARY, EntryKind.earned, part, earn.name, "2024-01", identity=str(index))
        for index, part in enumerate(parts)
    ]
    whole = Activity(JANUARY, EntryKind.earned, sum(parts), earn.name, "2024-01")
    at = date(2024, 1, 31)
    assert account(FOR_EVER, activities, at).balance == account(FOR_EVER, [whole], at).balance


@given(programs, activities_of(), days, st.integers(1, 25))
@many
def test_what_is_learned_late_changes_nothing_before_its_day(program, activities, at, points):
    late = Activity(at, EntryKind.adjusted, Decimal(points), identity="late")
    before = at - timedelta(1)
    assert account(program, [*activities, late], before) == account(program, activities, before)
    end = date(2025, 12, 31)
    assert account(program, [*activities, late], end) == account(program, [late, *activities], end)
