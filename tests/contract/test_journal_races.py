"""The admission transaction under races on a real PostgreSQL; `make races` runs more seeds."""

import asyncpg
import pytest

from cartrita.storage.postgres.lane import Lane
from tests.races.scenarios import SCENARIOS, race

pytestmark = [pytest.mark.database, pytest.mark.chaos]

SEEDS = range(1, 11)

LOCKS_NOTHING = (
    "CREATE OR REPLACE FUNCTION lock_budgets(p_ids text[]) RETURNS void LANGUAGE sql AS ''"
)
FORGETS_KEYS = """
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER forget BEFORE INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION forget()
"""


@pytest.fixture
def tcp_url(services, database_url):
    """Give the test's database by TCP, where a proxy can stand in between."""
    return (
        services.postgres.tcp_url.rpartition("/")[0]
        + "/"
        + database_url.rpartition("/")[2].split("?")[0]
    )


@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_is_promised_holds_whoever_is_first(tcp_url, name):
    for seed in SEEDS:
        try:
            await race(SCENARIOS[name], tcp_url, seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


async def wrong(url, name):
    """Return whether any seed finds that something is wrong."""
    for seed in SEEDS:
        try:
            await race(SCENARIOS[name], url, seed)
        except (AssertionError, ValueError):
            return True
    return False


@pytest.mark.parametrize(("name", "planted"), [("ceiling", LOCKS_NOTHING), ("twins", FORGETS_KEYS)])
async def test_the_races_find_a_bug_that_was_planted_in_the_database(tcp_url, name, planted):
    sql = await asyncpg.connect(tcp_url)
    await sql.execute(planted)
    await sql.close()
    assert await wrong(tcp_url, name)


async def test_the_races_find_a_writer_that_takes_its_own_first_try_for_another_s(
    tcp_url, monkeypatch
):
    async def believe(self, batch, rows):
        return rows

    monkeypatch.setattr(Lane, "_foreign", believe)
    assert await wrong(tcp_url, "cuts")
