"""How often Python looks for garbage."""

import gc

import pytest

from cartrita.garbage import NEW_OBJECTS, look_rarely


@pytest.fixture(autouse=True)
def _restored():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_it_looks_less_often_and_still_looks():
    _, *older = gc.get_threshold()

    look_rarely()

    assert gc.get_threshold() == (NEW_OBJECTS, *older)
    assert gc.isenabled()
