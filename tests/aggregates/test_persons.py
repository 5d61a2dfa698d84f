"""Which names may be one person's, and which are two."""

from __future__ import annotations

import ast
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aggregates.persons import same_person

NAME = "Zoë Wu"
# Composed and decomposed, in wide letters, with other spaces, and with what nobody sees: a zero-width space, a word joiner and a byte
# order mark, a tag, a soft hyphen, a joiner between a letter and its accent, a turn of direction, a Hangul filler.
SPELLINGS = [
    "Zoë Wu",
    "Zoë Wu ",
    " zoë  wu",
    "ZOË WU",
    "Zoe\u0308 Wu",
    "\uff3aoë\u3000Wu",
    "Zoë\u00a0Wu",
    "Z\u200boë Wu",
    "Zoë\u2060 Wu\ufeff",
    "Zoë Wu\U000e0041",
    "Zo\u00adë Wu",
    "Zoe\u034f\u0308 Wu",
    "\u202eZoë Wu\u202c",
    "Zoë Wu\u3164",
    "Zoë\u0085Wu",
]
# Nothing of them is seen, so they may be anybody's.
NOBODY = [" ", "\u200b", "\u00ad\u2800"]


@pytest.mark.parametrize("spelling", [*SPELLINGS, *NOBODY], ids=ascii)
def test_a_name_spelled_otherwise_is_the_same_person(spelling: str) -> None:
    assert same_person(NAME, spelling)
    assert same_person(spelling, NAME)


@pytest.mark.parametrize(
    "other",
    [
        "Zoë Wa",
        "ZoëWu",
        "Z. Wu",
        "Zoe Wu",
        # Letters that look alike in another alphabet are other letters: that is out of scope (docs/operations.md).
        "Zоë Wu",  # noqa: RUF001 - a Cyrillic o
    ],
)
def test_another_name_is_another_person(other: str) -> None:
    assert not same_person(NAME, other)


@pytest.mark.parametrize("pair", [(None, None), (None, NAME), (NAME, None)])
def test_whoever_is_not_named_is_not_compared(pair: tuple[str | None, str | None]) -> None:
    assert not same_person(*pair)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(names, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]), st.sampled_from([str, str.casefold, str.lower]))
def test_no_form_of_unicode_makes_two_of_one(name: str, form: str, case: type[str]) -> None:
    assert same_person(name, case(unicodedata.normalize(form, name)))


@given(names, names, names)
def test_it_is_an_equivalence_but_for_names_of_which_nothing_is_seen(one: str, other: str, third: str) -> None:
    assert same_person(one, one)
    assert same_person(one, other) == same_person(other, one)
    if same_person(one, other) and same_person(other, third) and not same_person(other, "x"):
        assert same_person(one, third) or same_person(one, "x") or same_person(other, "y")


PERSONS = frozenset({"author", "approver", "publisher", "invoiced_by", "appealed_by", "opened_by", "approved_by", "by"})
# What was recorded before names were folded is proved as it was recorded.
EXACT = {"replay/audit/sums.py"}


def test_persons_are_compared_in_one_place() -> None:
    root = Path(__file__).parents[2]
    files = [path for room in ("engine", "consumers", "replay", "console") for path in (root / room).rglob("*.py")]
    found = {str(path.relative_to(root)) for path in files if any(map(compares_persons, ast.walk(parsed(path))))}
    assert found == EXACT


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def compares_persons(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
        return False
    return all(map(names_person, (node.left, node.comparators[0])))


def names_person(node: ast.expr) -> bool:
    return any(
        (isinstance(each, ast.Attribute) and each.attr in PERSONS)
        or (isinstance(each, ast.Name) and each.id in PERSONS)
        for each in ast.walk(node)
    )
