"""A server for the tests of the client that need one."""

import pytest

from tests.support.api_server import api_and_inside


@pytest.fixture(scope="package")
def served():
    with api_and_inside() as opened:
        yield opened


@pytest.fixture
def api(served):
    return served[0]


@pytest.fixture
def inside(served):
    """Give what stands behind the API."""
    return served[1]
