"""Tests of cartrita/providers/huggingface/shelf.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.errors import ResourceLimitExceeded
from cartrita.providers.huggingface.shelf import Shelf


def test_what_was_used_longest_ago_makes_room():
    shelf = Shelf(2, 100)
    shelf.put("a", 1, 10)
    shelf.put("b", 2, 10)
    assert shelf.take("a") == 1
    shelf.put("c", 3, 10)
    assert shelf.keys == ["a", "c"]
    assert shelf.take("b") is None


def test_a_large_one_makes_several_go():
    shelf = Shelf(10, 100)
    for name in "abc":
        shelf.put(name, name, 30)
    shelf.put("d", "d", 70)
    assert shelf.keys == ["c", "d"]


def test_one_that_never_fits_is_refused_and_all_others_stay():
    shelf = Shelf(10, 100)
    shelf.put("a", 1, 100)
    with pytest.raises(ResourceLimitExceeded, match=r"`huggingface\.most_mb` allows 100"):
        shelf.clear_for(101)
    assert shelf.keys == ["a"]


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 50))), st.integers(1, 5))
def test_neither_bound_is_ever_passed_and_the_newest_is_there(puts, most):
    shelf, sizes = Shelf(most, 100), {}
    for key, mb in puts:
        if shelf.take(key) is None:
            shelf.put(key, key, mb)
            sizes[key] = mb
        assert len(shelf.keys) <= most
        assert sum(sizes[key] for key in shelf.keys) <= 100
        assert shelf.keys[-1] == key
