"""Tests of cartrita/providers/embedded/bert.py."""

import math

import numpy as np

from cartrita.providers.embedded.bert import Bert, erf
from tests.support.bert import HEADS, by_the_book, random_weights


def test_erf_is_right_in_single_precision():
    x = np.linspace(-8, 8, 20_001, dtype=np.float32)
    exact = np.array([math.erf(value) for value in x])
    assert np.abs(erf(x) - exact).max() < 5e-7


def test_a_padded_batch_gives_what_the_formulas_give_for_each_text_alone():
    weights = random_weights()
    batch = [[1, 2, 3, 4, 5, 6, 7], [8], [9, 10, 11]]
    vectors = Bert(weights, HEADS).encode(batch)
    assert vectors.dtype == np.float32
    for vector, tokens in zip(vectors, batch, strict=True):
        np.testing.assert_allclose(vector, by_the_book(weights, tokens), atol=2e-5)
