import pytest

from engine.rules.check import check
from engine.rules.worked import LIBRARY, Entry, every, ready

FILES = sorted(LIBRARY.glob("*.yaml"))
WORKED = {entry.rulebook for entry in every() if isinstance(entry, Entry)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_ready_rulebook_is_accepted_without_a_warning_and_has_a_case(file):
    text = ready(file.stem)
    checked = check(text, file.name)
    assert checked.problems == ()
    assert checked.rulebook.rulebook == file.stem
    assert text in WORKED


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_ready_rulebook_says_what_it_is_and_cites_a_clause_in_every_step(file):
    text = ready(file.stem)
    assert text.startswith("# ")
    assert all(step.clause for step in check(text).rulebook.waterfall)


def test_the_library_is_whole():
    assert {file.stem for file in FILES} == {
        "agency-commission",
        "app-store",
        "china-unicom-shaanxi-additive",
        "china-unicom-shaanxi-compound",
        "grocery-supplier",
        "interconnect",
        "marketplace",
        "music-label",
        "sms-imbalance-guangdong",
        "streaming-pool",
        "streaming-user-centric",
    }
