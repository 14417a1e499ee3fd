"""Tests of cartrita/cost/book.py."""

from decimal import Decimal

import pytest

from cartrita.cost.book import price_book


@pytest.mark.parametrize(
    ("model", "prompt", "completion"),
    [
        ("gpt-4o", "0.005", "0.015"),
        ("gpt-4", "0.03", "0.06"),
        ("gpt-3.5-turbo", "0.002", "0.002"),
        ("claude-3-opus", "0.015", "0.075"),
        ("claude-3-sonnet", "0.003", "0.015"),
        ("claude-3-haiku", "0.00025", "0.00125"),
        ("gpt-4o-mini", "0.00015", "0.0006"),
    ],
)
def test_the_table_says_what_the_reference_says(model, prompt, completion):
    assert price_book().price(model) == (Decimal(prompt), Decimal(completion))


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4-turbo", "gpt-4"),
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("GPT-4", "gpt-4"),
        ("gpt-4.1", "gpt-4o"),
        ("llama3.2", "gpt-4o"),
    ],
)
def test_a_model_costs_what_its_family_costs_and_an_unknown_one_what_gpt_4o_does(model, family):
    assert price_book().price(model) == price_book().price(family)


def test_the_table_tells_its_age():
    assert price_book().as_of.year >= 2026
