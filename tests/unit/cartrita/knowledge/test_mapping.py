"""Tests of cartrita/knowledge/mapping.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.knowledge.mapping import EACH, clusters, edges


def around(*degrees):
    angles = np.radians(degrees)
    return (3 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)


def test_edges_join_what_is_alike_the_strongest_first():
    found = edges(around(0, 60, 10), least=0.6)
    assert [(edge.first, edge.second) for edge in found] == [(0, 2), (1, 2)]
    assert found[0].strength == pytest.approx(np.cos(np.radians(10)), abs=1e-4)


def test_an_entry_has_few_edges_however_many_are_alike():
    found = edges(around(*[0] * 12), least=0.5)
    assert max(sum(edge.second == row for edge in found) for row in range(12)) == EACH
    assert {edge.strength for edge in found} == {1.0}


def test_clusters_are_what_lies_together_the_largest_first():
    found = clusters(around(0, 90, 2, 92, 1, 180), most=3)
    assert [set(group) for group in found] == [{0, 2, 4}, {1, 3}, {5}]
    assert found[0][0] == 4  # in the middle of its own


@given(st.lists(st.integers(0, 359), max_size=12), st.integers(0, 5))
def test_every_row_is_in_one_cluster_and_no_cluster_is_empty(degrees, most):
    rows = around(*degrees) if degrees else np.zeros((0, 2), np.float32)
    found = clusters(rows, most)
    assert sorted(row for group in found for row in group) == (
        list(range(len(degrees))) if most else []
    )
    assert all(found)
    assert len(found) <= most
    assert found == clusters(rows, most)


def test_nothing_has_neither():
    assert edges(np.zeros((0, 1), np.float32), 0.0) == []
    assert clusters(np.zeros((0, 1), np.float32), 3) == []
