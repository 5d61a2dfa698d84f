import pytest
from rule_cases import EXAMPLE, HERE, read

from engine.rules.check import check

BROKEN = [pytest.param(entry, id=entry["name"]) for entry in read(HERE / "broken" / "rulebooks.yaml")]


@pytest.mark.parametrize("entry", BROKEN)
def test_broken_rulebook_is_refused_with_sentences(entry):
    checked = check(_text(entry), "r.yaml")
    assert [str(problem) for problem in checked.problems] == entry["problems"]
    only_warnings = all(" warning: " in problem for problem in entry["problems"])
    assert (checked.rulebook is not None) == only_warnings


def _text(entry):
    if "rulebook" in entry:
        return entry["rulebook"]
    text = EXAMPLE
    for old, new in entry["change"].items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "a: \0",
        'a: "\\UFFFFFFFF"',
        f"%YAML 1.{'9' * 5000}\n---\na: 1",
        "[" * 100_000,
        "? " * 1000,
        "".join(f"{' ' * i}- \n" for i in range(100)),
        "a: &a [x]\nb: [*a, *a]",
        "a: !!python/object:os.system x",
        "a: \ud800",
        "x" * 10_000_000,
        "waterfall: [" + "x," * 100_000 + "]",
        EXAMPLE + "---\na: 1",
        EXAMPLE.replace("version: 1", f"version: {'9' * 5000}"),
        EXAMPLE.replace("10000", "9" * 5000),
    ],
    ids=range(16),
)
def test_hostile_text_is_refused_as_a_value(text):
    checked = check(text)
    assert checked.rulebook is None
    assert checked.problems


def test_warnings_never_crowd_out_an_error():
    unused = "".join(f"  m{i}: {{event: billing.charged, sum: amount}}\n" for i in range(150))
    text = EXAMPLE.replace("measures:\n", f"measures:\n{unused}").replace("{rate: 70%}", "{upto: 60000, rate: 70%}")
    checked = check(text)
    assert checked.rulebook is None
    assert "error" in {problem.severity for problem in checked.problems}


def test_too_many_values_are_refused_before_they_are_read():
    (problem,) = check("waterfall: [" + "x," * 100_000 + "]").problems
    assert problem.cause == "more than 20000 values"
