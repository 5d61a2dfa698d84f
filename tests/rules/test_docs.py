import re

import pytest
from rule_cases import HERE

from engine.facts import PRIMARY_FIELD
from engine.money import Rounding
from engine.rules.check import check
from engine.rules.evaluate import settle
from engine.rules.model import RULE_FIELDS

PAGE = (HERE.parents[1] / "docs/rulebooks.md").read_text(encoding="utf-8")
README = (HERE.parents[1] / "README.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```yaml\n(rulebook:.*?)```", README, re.DOTALL)
RULEBOOKS = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if block.startswith("rulebook:")]


@pytest.mark.parametrize("text", [*RULEBOOKS, *SHOWN], ids=lambda text: text.partition("\n")[0])
def test_documented_rulebook_is_accepted_and_settles(text):
    checked = check(text)
    assert checked.problems == ()
    outcome = settle(checked.rulebook, [])
    assert sum(share.amount for share in outcome.shares) == outcome.payable


def test_page_has_examples_and_every_word_of_the_language():
    assert (len(RULEBOOKS), len(SHOWN)) == (6, 1)
    for word in [*RULE_FIELDS, *Rounding, *PRIMARY_FIELD, "graduated", "volume", "package", "remaining", "where"]:
        assert f"{word}`" in PAGE or f"**{word}**" in PAGE or f"{word}:" in PAGE, word
