"""A whole instance, started the way a user starts it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.support.instance import Instance


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """The instance most tests share; it runs for the whole session."""
    home = Path(mkdtemp(prefix="cartrita-e2e-"))
    shared = Instance.planned(home)
    shared.up()
    yield shared
    shared.down()
    shared.remove()


@pytest.fixture
def spare() -> Iterator[Instance]:
    """The plan of an instance of a test's own, not started yet."""
    own = Instance.planned(Path(mkdtemp(prefix="cartrita-spare-")))
    yield own
    own.down()
    own.remove()
