"""Tests of cartrita/providers/embedded/textrank.py."""

import numpy as np

from cartrita.providers.embedded.textrank import pick, rank


def unit(*rows):
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_sentence_that_resembles_many_ranks_above_an_outsider():
    vectors = unit([1, 1, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1])
    scores = rank(vectors, np.ones(5))
    assert scores.argmax() == 0
    assert scores.argmin() == 4
    assert scores.max() == 1


def test_the_prior_decides_between_equals():
    scores = rank(unit([1, 0], [1, 0]), np.array([1.0, 2.0]))
    assert scores[1] > scores[0]


def test_a_single_sentence_and_opposites_rank_without_dividing_by_zero():
    assert rank(unit([1, 0]), np.ones(1)).tolist() == [1]
    assert np.isfinite(rank(unit([1, 0], [-1, 0]), np.ones(2))).all()


def test_picks_within_the_budget_in_text_order():
    vectors = unit([1, 0, 0], [0, 1, 0], [0, 0, 1])
    assert pick(vectors, np.array([0.5, 0.9, 1.0]), [5, 5, 6], budget=11, most=3) == [1, 2]
    assert pick(vectors, np.array([0.5, 0.9, 1.0]), [5, 5, 6], budget=4, most=3) == []
    assert pick(vectors, np.array([0.5, 0.9, 1.0]), [1, 1, 1], budget=9, most=1) == [2]


def test_never_picks_two_that_say_the_same():
    vectors = unit([1, 0], [1, 0.01], [0, 1])
    assert pick(vectors, np.array([1.0, 0.99, 0.1]), [1, 1, 1], budget=9, most=3) == [0, 2]
