"""Tests of cartrita/providers/embedded/arithmetic.py."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.providers.embedded.arithmetic import LONGEST, evaluate, is_arithmetic


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("15/100*240", "36"),
        ("2^10", "1024"),
        ("2**-1", "0.5"),
        ("0.1 + 0.2", "0.3"),
        ("10/4", "2.5"),
        ("7//2", "3"),
        ("7 % 4", "3"),
        ("-2**2", "-4"),
        ("(1+2)*3", "9"),
        ("sqrt(16)", "4"),
        ("log(1000)", "3"),
        ("ln(e)", "1"),
        ("round(2.567, 2)", "2.57"),
        ("max(1, 2, 3) - min(4, 5)", "-1"),
        ("ceil(1.2) + floor(1.8)", "3"),
        ("2*pi", "6.28318530717959"),
        ("10**30 + 1", "1000000000000000000000000000001"),
    ],
)
def test_computes(expression, value):
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("1/0", "division by zero"),
        ("0**-1", "division by zero"),
        ("9**9**9", "too large"),
        ("2**5000", "too large"),
        ("10**300*10**300*10**300*10**300*10**300", "too large"),
        ("exp(1000)", "too large"),
        ("1e308*10", "not a number"),
        ("sqrt(-1)", "domain"),
        ("(-8)**(1/3)", "not a real number"),
        ("round(5, -1000000000)", "at most"),
        ("sqrt(1, 2)", "argument"),
        ("1+", "not an arithmetic expression"),
        ("", "1 to 200"),
        ("1" * (LONGEST + 1), "1 to 200"),
    ],
)
def test_says_why_there_is_no_value(expression, why):
    with pytest.raises(ValueError, match=why):
        evaluate(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')",
        "().__class__",
        "open(1)",
        "[1]*9",
        "'a'*9",
        "lambda: 1",
        "x",
        "True",
        "1 if 2 else 3",
        "1 < 2",
        "1 or 2",
        "1or 2",
        "max(*[1])",
        "round(1, ndigits=2)",
        "1; 2",
        "1\n2",
        "0777",
        "1j",
        "\u0661+1",
    ],
)
def test_nothing_but_arithmetic_is_read(expression):
    with pytest.raises(ValueError, match="arithmetic"):
        evaluate(expression)


@given(st.text(alphabet="0123456789.+-*/%^() sqrtmaxround,e", max_size=40))
def test_any_text_is_a_value_or_a_plain_refusal(text):
    with suppress(ValueError):  # anything else is a defect
        assert evaluate(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1+1", True), ("sqrt(2)", True), ("5", False), ("pi", False), ("2024-01-01", False)],
)
def test_a_bare_number_is_nothing_to_compute(text, expected):
    assert is_arithmetic(text) is expected
