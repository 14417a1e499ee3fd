"""Tests of cartrita/cost/traits.py."""

import pytest

from cartrita.cost.book import price_book
from cartrita.cost.traits import trait_book

BOOK = trait_book()


@pytest.mark.parametrize(
    ("model", "rungs"),
    [
        ("gpt-4", ("gpt-4o-mini",)),
        ("gpt-4o-2024-08-06", ("gpt-4o-mini",)),
        (
            "anthropic:claude-3-opus-latest",
            ("anthropic:claude-3-sonnet", "anthropic:claude-3-haiku"),
        ),
        ("openai/gpt-4o", ("openai/gpt-4o-mini",)),
        ("gpt-4o-mini", ()),
        ("llama3:8b", ()),
    ],
)
def test_the_rungs_below_a_model_are_named_as_it_is(model, rungs):
    assert BOOK.rungs(model) == rungs


def test_every_rung_is_known_and_cheaper():
    prices = price_book()
    for name, traits in BOOK.models.items():
        if traits.cheaper:
            assert traits.cheaper in BOOK.models
            assert prices.price(traits.cheaper).completion < prices.price(name).completion


def test_a_model_nobody_knows_is_taken_for_unknown():
    assert BOOK.traits("my-own-model") is BOOK.unknown
    assert BOOK.traits("groq:gpt-4o-mini").quality == BOOK.models["gpt-4o-mini"].quality


def test_every_model_with_traits_has_a_price_of_its_own():
    assert set(BOOK.models) <= set(price_book().models)
