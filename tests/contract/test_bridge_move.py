"""What every keeper of the move from v2 promises."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from cartrita.errors import ServiceUnavailable
from cartrita.storage.bridge import Compared, Switch
from cartrita.storage.memory_bridge import InMemoryComparisons, InMemorySwitches
from cartrita.storage.postgres.bridge import PostgresComparisons, PostgresSwitches
from tests.support.records import NOW

SAMPLE = {"at": "2026-11-26T18:00:00Z", "differences": [{"where": "$.ö"}]}


class MoveContract:
    """Subclass it with fixtures `switches` and `comparisons`."""

    async def test_at_first_nothing_is_rolled_back(self, switches):
        assert await switches.read() == Switch()

    async def test_the_switch_stands_as_it_was_turned_last(self, switches):
        for given in (Switch(True, "it's slow; --", "ada", NOW + 0.5), Switch(by="eve", at=NOW)):
            await switches.turn(given)
            assert await switches.read() == given

    async def test_counts_are_added_up_by_route(self, comparisons):
        await comparisons.add([Compared("GET /b", 1, 2, 3, 4), Compared("GET /a", same=5)])
        await comparisons.add([Compared("GET /b", 10, 20, 30, 40)])
        assert await comparisons.all() == [
            Compared("GET /a", same=5),
            Compared("GET /b", 11, 22, 33, 44),
        ]

    async def test_the_latest_sample_stays_until_there_is_another(self, comparisons):
        first = Compared("GET /a", different=1, sample=SAMPLE)
        await comparisons.add([first])
        await comparisons.add([Compared("GET /a", same=1)])
        (row,) = await comparisons.all()
        assert row.sample == SAMPLE
        await comparisons.add([replace(first, sample={"at": "later"})])
        (row,) = await comparisons.all()
        assert (row.sample, row.different, row.same) == ({"at": "later"}, 2, 1)

    async def test_gateways_that_add_at_once_lose_nothing(self, comparisons):
        rows = [Compared(f"GET /{number}", same=1) for number in range(5)]
        await asyncio.gather(*(comparisons.add(rows[::way]) for way in (1, -1) for _ in range(10)))
        assert {row.same for row in await comparisons.all()} == {20}

    async def test_one_can_begin_anew(self, comparisons):
        await comparisons.add([Compared("GET /a", same=1)])
        await comparisons.clear()
        assert await comparisons.all() == []


class TestInMemoryMove(MoveContract):
    """Keeps it in this process."""

    @pytest.fixture
    def switches(self):
        return InMemorySwitches()

    @pytest.fixture
    def comparisons(self):
        return InMemoryComparisons()


@pytest.mark.database
class TestPostgresMove(MoveContract):
    """Keeps it in tables."""

    @pytest.fixture
    async def pool(self, database_url):
        async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool:
            yield pool

    @pytest.fixture
    def switches(self, pool):
        return PostgresSwitches(pool)

    @pytest.fixture
    def comparisons(self, pool):
        return PostgresComparisons(pool)

    async def test_a_lost_server_is_said_in_our_words(self, pool, switches, comparisons):
        await pool.close()
        for ask in (switches.read, comparisons.all):
            with pytest.raises(ServiceUnavailable):
                await ask()
