"""Tests of cartrita/cost/allowance.py."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.context import Usage
from cartrita.cost.allowance import LEAST_ANSWER, Allowance
from cartrita.cost.price import Price, metered
from cartrita.errors import InsufficientBudget
from cartrita.protocol.task import Budget

IN, OUT = Decimal("0.005"), Decimal("0.015")


def test_the_smaller_of_ceiling_and_budget_holds_less_what_was_used():
    used = [Usage("m", 100, 50, Decimal("0.01"))]
    left = Allowance.left(metered("0.25", 1_000), Budget(max_usd=0.1), used)
    assert left == Allowance(Decimal("0.09"), 850)
    left = Allowance.left(metered("0.25", 1_000), Budget(max_tokens=400), used)
    assert left == Allowance(Decimal("0.24"), 250)


def test_without_a_budget_the_ceiling_holds():
    assert Allowance.left(metered("0.25", 1_000), None, []) == Allowance(Decimal("0.25"), 1_000)


def test_tokens_bound_the_answer_where_money_does_not():
    assert Allowance(Decimal(10), 1_000).answer_tokens(300, IN, OUT) == 700


def test_money_bounds_the_answer_where_tokens_do_not():
    # 0.02 less 1000 prompt tokens at 0.005 leaves 0.015: a thousand tokens.
    assert Allowance(Decimal("0.02"), 100_000).answer_tokens(1_000, IN, OUT) == 1_000


def test_a_model_that_is_free_is_bounded_by_tokens_alone():
    assert Allowance(Decimal(0), 100).answer_tokens(40, Decimal(0), Decimal(0)) == 60


def test_a_prompt_that_costs_all_is_refused_even_where_answers_are_free():
    with pytest.raises(InsufficientBudget):
        Allowance(Decimal("0.001"), 10_000).answer_tokens(1_000, IN, Decimal(0))


def test_an_answer_too_short_to_be_one_is_refused():
    assert Allowance(Decimal(10), 100 + LEAST_ANSWER).answer_tokens(100, IN, OUT) == LEAST_ANSWER
    with pytest.raises(InsufficientBudget, match="100 tokens"):
        Allowance(Decimal(10), 100 + LEAST_ANSWER - 1).answer_tokens(100, IN, OUT)


@given(
    usd=st.decimals("0", "2", places=4),
    tokens=st.integers(0, 50_000),
    prompt=st.integers(0, 20_000),
    price_in=st.decimals("0", "0.1", places=5),
    price_out=st.decimals("0", "0.1", places=5),
)
def test_the_longest_answer_allowed_never_overdraws(usd, tokens, prompt, price_in, price_out):
    try:
        longest = Allowance(usd, tokens).answer_tokens(prompt, price_in, price_out)
    except InsufficientBudget:
        return
    assert prompt + longest <= tokens
    assert (price_in * prompt + price_out * longest) / 1000 <= usd


def test_a_fixed_price_is_not_to_be_had_for_tokens():
    price = Price(usd=Decimal("0.02"), max_usd=Decimal("0.27"), max_tokens=1000)
    assert Allowance.left(price, None, []).usd == Decimal("0.25")
    assert Allowance.left(price, Budget(max_usd=0.05), []).usd == Decimal("0.03")
