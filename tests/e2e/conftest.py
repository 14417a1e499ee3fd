"""A whole instance, started the way a user starts it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.support.instance import Instance


@pytest.fixture(scope="session")
def shared_instance() -> Iterator[Instance]:
    """The instance most tests share; it runs for the whole session."""
    home = Path(mkdtemp(prefix="cartrita-e2e-"))
    shared = Instance.planned(home)
    shared.up()
    yield shared
    shared.down()
    shared.remove()


@pytest.fixture
def instance(shared_instance: Instance) -> Iterator[Instance]:
    """The shared instance; the clients a test made of it end with the test."""
    yield shared_instance
    shared_instance.close_clients()


@pytest.fixture
def spare() -> Iterator[Instance]:
    """The plan of an instance of a test's own, not started yet."""
    own = Instance.planned(Path(mkdtemp(prefix="cartrita-spare-")))
    yield own
    own.close_clients()
    own.down()
    own.remove()
