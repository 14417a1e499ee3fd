"""A server for the tests of the client that need one."""

import pytest

from tests.support.api_server import api_server


@pytest.fixture(scope="package")
def api():
    with api_server() as url:
        yield url
