import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from rule_cases import HERE

from engine.facts import PARTNER_FIELDS, PRIMARY_FIELD
from engine.money import Rounding
from engine.period import Calendar, Period
from engine.rules.carrying import ACCUMULATED, HELD, RETURNED, SHORT_WORKINGS, UNPAID, UNRECOUPED
from engine.rules.check import check
from engine.rules.evaluate import settle
from engine.rules.given import Given
from engine.rules.measures import AGGREGATIONS, Range
from engine.rules.model import Contents
from engine.rules.steps import RULE_FIELDS
from engine.rules.told import Entry
from engine.rules.worked import LIBRARY, given_of, run

PAGE = (HERE.parents[1] / "docs/rulebooks.md").read_text(encoding="utf-8")
README = (HERE.parents[1] / "README.md").read_text(encoding="utf-8")
GLOSSARY = (HERE.parents[1] / "docs/glossary.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```yaml\n(rulebook:.*?)```", README, re.DOTALL)
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
RULEBOOKS = [block for block in BLOCKS if block.startswith("rulebook:")]
CASES = [(before, block) for before, block in pairwise(BLOCKS) if not block.startswith("rulebook:")]


@pytest.mark.parametrize("text", [*RULEBOOKS, *SHOWN], ids=lambda text: text.partition("\n")[0])
def test_documented_rulebook_is_accepted_without_a_warning_and_settles(text):
    checked = check(text)
    assert checked.problems == ()
    month = Period.containing(checked.rulebook.valid_from, Calendar.monthly)
    outcome = settle(checked.rulebook, Given(month))
    assert sum(share.amount for share in outcome.shares) == outcome.payable


@pytest.mark.parametrize(("rulebook", "case"), CASES, ids=lambda text: text.partition("\n")[0])
def test_documented_case_comes_out_as_it_says(rulebook, case):
    assert rulebook.startswith("rulebook:")
    findings = run(Entry("page", "docs/rulebooks.md", "own", rulebook, (given_of(case, "rulebooks.md"),)))
    assert findings
    assert [finding for finding in findings if not finding.ok] == []


def models(of: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if of not in seen:
        seen.add(of)
        yield of
        for field in of.model_fields.values():
            for each in _within(field.annotation):
                yield from models(each, seen)


def _within(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _within(part)


def test_page_shows_every_field_of_the_language():
    fields = {
        field.alias or name for model in [*models(Contents, set()), Range] for name, field in model.model_fields.items()
    }
    assert len(fields) > 60
    assert [field for field in sorted(fields) if not re.search(rf"\b{field}:|`{field}`", PAGE)] == []


def test_page_has_every_other_word_of_the_language():
    words = [*RULE_FIELDS, *Rounding, *PRIMARY_FIELD, *PARTNER_FIELDS, *AGGREGATIONS]
    words += ["remaining", "first_day", "withhold", "gross_up", "share", "best", "previous", "this"]
    words += [ACCUMULATED, HELD, RETURNED, SHORT_WORKINGS, UNPAID, UNRECOUPED]
    for word in words:
        assert re.search(rf"`{word}`|: {word}`|\b{word}:|: {word}\b", PAGE), word
    for mode in ("graduated", "volume", "flat", "package"):
        assert f"**{mode}**" in PAGE


def test_every_step_has_its_place_in_the_table_and_a_section():
    table = PAGE.partition("## All steps")[2].partition("## Measures")[0]
    headings = [line for line in PAGE.splitlines() if line.startswith("### ")]
    for field in RULE_FIELDS:
        assert f"`{field}`" in table, field
        assert any(f"`{field}`" in heading for heading in headings), field
    anchors = {
        re.sub(r"[^\w -]", "", heading.lower().lstrip("# ")).replace(" ", "-")
        for heading in PAGE.splitlines()
        if heading.startswith("#")
    }
    assert set(re.findall(r"\(#([\w-]+)\)", PAGE)) <= anchors


def test_glossary_has_the_words_of_the_language():
    words = re.findall(r"^\| ([^|]+?) \|", GLOSSARY, re.MULTILINE)
    wanted = ["balance", "short-workings", "recoup", "advance", "pool", "hold", "mature", "clawback", "grade", "metric"]
    wanted += [
        "scorecard",
        "veto",
        "consequence",
        "lot",
        "burn",
        "level",
        "program",
        "coefficient",
        "cohort",
        "worked case",
    ]
    assert [word for word in wanted if word not in words] == []


def test_library_of_the_page_is_there():
    assert "engine/rules/library" in PAGE
    assert LIBRARY.is_dir()
