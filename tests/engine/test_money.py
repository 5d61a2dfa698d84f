from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.money import (
    AmountTooLarge,
    Rounding,
    UnknownCurrency,
    decimal_of_micros,
    difference,
    micros_of,
    minor_digits,
    plain,
    product,
    quotient,
    round_to,
    split,
    tax_on,
    total,
)

portions = st.lists(st.integers(1, 10**6), min_size=1, max_size=8).map(
    lambda weights: [Fraction(weight, sum(weights)) for weight in weights]
)
units = st.integers(-(10**15), 10**15)


@given(units, portions)
def test_shares_sum_to_what_was_split(amount: int, parts: list[Fraction]) -> None:
    assert sum(split(amount, parts)) == amount


@given(units, portions)
def test_no_share_is_a_unit_or_more_from_its_portion(amount: int, parts: list[Fraction]) -> None:
    assert all(abs(share - amount * part) < 1 for share, part in zip(split(amount, parts), parts, strict=True))


@given(units, portions)
def test_the_shares_of_a_debt_are_those_of_the_credit_negated(amount: int, parts: list[Fraction]) -> None:
    assert split(-amount, parts) == [-share for share in split(amount, parts)]


@pytest.mark.parametrize(
    ("amount", "parts", "shares"),
    [
        (15, ["80/100", "8/100", "12/100"], [13, 1, 1]),
        (15, ["80/100", "15/100", "5/100"], [13, 2, 0]),
        (99, ["1/2", "1/2"], [50, 49]),
        (99, ["1/5"] * 5, [20, 20, 20, 20, 19]),
        (0, ["1/3", "2/3"], [0, 0]),
        (-99, ["1/2", "1/2"], [-50, -49]),
    ],
)
def test_floors_then_one_unit_from_the_top(amount: int, parts: list[str], shares: list[int]) -> None:
    """Source of the first four: Numscript's interpreter tests."""
    assert split(amount, [Fraction(part) for part in parts]) == shares


@pytest.mark.parametrize(
    ("text", "micros"),
    [("2.5", 2_500_000), ("0", 0), ("-0.000001", -1), ("999999999999.999999", 999_999_999_999_999_999)],
)
def test_wire_amounts_are_exact_micros(text: str, micros: int) -> None:
    assert micros_of(text) == micros
    assert decimal_of_micros(micros) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["", "1e3", "NaN", "Infinity", "1.0000001", "01", ".5", "5.", "1 000", "1,5", "1234567890123", "٣", "+1"]
)
def test_what_is_no_plain_decimal_within_the_limits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a decimal"):
        micros_of(text)


@pytest.mark.parametrize(
    ("rounding", "rounded"),
    [
        (Rounding.half_up, ["2.35", "-2.35", "2.34"]),
        (Rounding.half_even, ["2.34", "-2.34", "2.34"]),
        (Rounding.down, ["2.34", "-2.34", "2.34"]),
        (Rounding.up, ["2.35", "-2.35", "2.35"]),
    ],
)
def test_each_rounding_does_what_its_name_says(rounding: Rounding, rounded: list[str]) -> None:
    amounts = [Decimal("2.345"), Decimal("-2.345"), Decimal("2.3401")]
    assert [str(round_to(amount, 2, rounding)) for amount in amounts] == rounded


def test_a_quotient_is_rounded_once_and_half_even() -> None:
    assert quotient(Decimal(10), Decimal(3)) == Decimal("3.333333333333")
    assert quotient(Decimal("0.000000000001"), Decimal(2)) == 0
    assert quotient(Decimal("0.000000000003"), Decimal(2)) == Decimal("0.000000000002")


@given(st.decimals(-(10**12), 10**12, places=6), st.decimals(-(10**12), 10**12, places=6))
def test_sums_of_amounts_are_exact(left: Decimal, right: Decimal) -> None:
    assert difference(total(left, right), right) == left


def test_an_amount_past_26_digits_is_refused_and_never_cut() -> None:
    with pytest.raises(AmountTooLarge):
        product(Decimal(10) ** 14, Decimal(10) ** 12)


def test_minor_digits_are_those_of_iso_4217() -> None:
    assert [minor_digits(code) for code in ("USD", "JPY", "KWD", "CLF")] == [2, 0, 3, 4]
    with pytest.raises(UnknownCurrency):
        minor_digits("XXX")


def test_plain_text_has_no_exponent_and_no_idle_zeros() -> None:
    assert [plain(Decimal(text)) for text in ("1E+3", "2.500000000000", "-0.0", "0E-12")] == ["1000", "2.5", "0", "0"]


@pytest.mark.parametrize(
    ("base", "rate", "currency", "tax"),
    [
        ("1000.00", "19", "EUR", "190.00"),
        ("595.50", "19", "EUR", "113.15"),  # 113.145
        ("-595.50", "19", "EUR", "-113.15"),
        ("0.02", "19", "EUR", "0.00"),
        ("1000.00", "0", "EUR", "0.00"),
        ("333", "7.5", "JPY", "25"),  # 24.975
        ("1.115", "8.25", "KWD", "0.092"),  # 0.0919875
        ("99999999999999999999999999.99", "99.99", "EUR", "99989999999999999999999999.99"),
    ],
)
def test_tax_is_so_many_percent_in_the_currencys_minor_unit(base: str, rate: str, currency: str, tax: str) -> None:
    assert f"{tax_on(Decimal(base), Decimal(rate), currency):f}" == tax
