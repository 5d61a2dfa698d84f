from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.language.expression import (
    Binary,
    Constant,
    ExpressionError,
    Extreme,
    Name,
    Negation,
    Operator,
    names,
    parse,
)

leaves = st.one_of(
    st.sampled_from(["sales", "net sales", "tier 2", "_x"]).map(Name),
    st.decimals(0, 10**6, places=3).map(Constant),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Negation),
        st.builds(Binary, st.sampled_from(Operator), inner, inner),
        st.builds(Extreme, st.sampled_from(["min", "max"]), st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@given(trees)
@settings(max_examples=150)
def test_canonical_text_reads_back_as_the_same_tree(tree):
    assert parse(tree.text) == tree


@given(st.text(alphabet="ab1.%+-*/(), minx$\n", max_size=40))
@settings(max_examples=300)
def test_any_text_is_a_tree_or_refused(text):
    try:
        tree = parse(text)
    except ExpressionError as error:
        assert 0 <= error.column <= len(text)  # noqa: PT017 - both ways out are lawful
    else:
        assert parse(tree.text) == tree


def test_percentage_is_exact():
    assert parse("2%") == Constant(Decimal("0.02"))


def test_runs_of_spaces_in_names_collapse():
    assert list(names(parse("net   sales - marketing\n fund"))) == [Name("net sales"), Name("marketing fund")]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a - (b - c)", "a - (b - c)"),
        ("(a - b) - c", "a - b - c"),
        ("a * (b + c) / d", "a * (b + c) / d"),
        ("-2.50% * a", "-0.025 * a"),
        ("-(a + b)", "-(a + b)"),
        ("max((a), 25.0)", "max(a, 25)"),
    ],
)
def test_canonical_text(text, canonical):
    assert parse(text).text == canonical


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "expected a name, a number, '-' or '(', but the text ends at character 1"),
        ("a +", "expected a name, a number, '-' or '(', but the text ends at character 4"),
        ("(a", "expected an operator or ')', but the text ends at character 3"),
        ("max(a b", "expected an operator, ',' or ')', but the text ends at character 8"),
        ("a)", "expected an operator (+ - * /) or the end, but there is ')' at character 2"),
        ("max", "expected '(' behind max at character 4"),
        ("1 2", "expected an operator (+ - * /) or the end, but there is '2' at character 3"),
        ("10_000", "'10_000' is not a number at character 1"),
        ("a ** b", "expected a name, a number, '-' or '(', but there is '*' at character 4"),
        ("(" * 40 + "a", "more than 32 operations deep at character 33"),
        ("+".join("a" * 40), "more than 32 operations deep at character 66"),
        ("a" * 1001, "the expression is longer than 1000 characters at character 1001"),
    ],
)
def test_syntax_error_names_column_and_expectation(text, cause):
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert error.value.cause == cause
