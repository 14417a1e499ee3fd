"""Fixtures for every kind of test."""

import pytest


@pytest.fixture(scope="session")
def services(tmp_path_factory):
    """Run the embedded PostgreSQL and Valkey for the whole session, from the first use on."""
    from tests.support.database import running_services

    with running_services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture
def database_url(services):
    """Give the test a migrated database of its own."""
    with services.fresh_database() as url:
        yield url


@pytest.fixture
async def pool(database_url):
    """Give connections to that database."""
    import asyncpg

    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as opened:
        yield opened
