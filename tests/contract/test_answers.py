"""What everything that keeps answers promises."""

import asyncpg
import numpy as np
import pytest

from cartrita.clock import ManualClock, SystemClock, new_id
from cartrita.errors import ServiceUnavailable
from cartrita.storage.answers import Entry, Likeness, Owner
from cartrita.storage.memory_answers import InMemoryMeanings, InMemoryShelf
from cartrita.storage.postgres.answers import PostgresMeanings
from cartrita.storage.postgres.retention import PostgresRetention
from cartrita.storage.runtime import Keep
from cartrita.storage.valkey_answers import ValkeyShelf

MODEL = "local/test"
WEEK = 604_800.0


@pytest.fixture
def tenant():
    return f"tenant-{new_id()}"


def entry(tenant, key="k", body=b"answer", user="ada", seconds=60.0):
    return Entry(Owner(tenant, user), key, body, seconds)


def at(degrees, scope="s", model=MODEL, dimensions=384):
    vector = np.zeros(dimensions, dtype=np.float32)
    vector[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return Likeness(scope, model, vector)


class ShelfContract:
    """Subclass it with a fixture `shelf`."""

    async def test_what_was_put_is_given_to_its_tenant_alone(self, shelf, tenant):
        body = bytes(range(256))
        await shelf.put(entry(tenant, body=body))
        assert await shelf.get(tenant, "k") == body
        assert await shelf.get(tenant, "other") is None
        assert await shelf.get(f"{tenant}-other", "k") is None

    async def test_the_newer_takes_the_place_of_the_older(self, shelf, tenant):
        for body in (b"old", b"new"):
            await shelf.put(entry(tenant, body=body))
        assert await shelf.get(tenant, "k") == b"new"

    async def test_a_tenant_can_be_forgotten(self, shelf, tenant):
        others = f"{tenant}-other"
        await shelf.put(entry(tenant, "a"))
        await shelf.put(entry(tenant, "b", user="eve"))
        await shelf.put(entry(others, "a"))
        assert await shelf.forget(tenant=tenant) == 2
        assert [await shelf.get(tenant, key) for key in "ab"] == [None, None]
        assert await shelf.get(others, "a") == b"answer"
        assert await shelf.forget(tenant=tenant) == 0

    async def test_a_user_can_be_forgotten_in_every_tenant(self, shelf, tenant):
        others, eve = f"{tenant}-other", f"eve-{tenant}"
        await shelf.put(entry(tenant, "a", user=eve))
        await shelf.put(entry(others, "a", user=eve))
        await shelf.put(entry(tenant, "b"))
        assert await shelf.forget(user=eve) == 2
        assert await shelf.get(tenant, "a") is None
        assert await shelf.get(others, "a") is None
        assert await shelf.get(tenant, "b") == b"answer"


class TestInMemoryShelf(ShelfContract):
    @pytest.fixture
    def clock(self):
        return ManualClock()

    @pytest.fixture
    def shelf(self, clock):
        return InMemoryShelf(clock, entries=4, size=1000)

    async def test_what_is_too_old_is_given_to_nobody(self, shelf, clock):
        await shelf.put(entry("t", seconds=10))
        clock.advance(9)
        assert await shelf.get("t", "k") == b"answer"
        clock.advance(1)
        assert await shelf.get("t", "k") is None

    async def test_when_it_is_full_the_longest_unused_goes(self, shelf):
        for key in "abcd":
            await shelf.put(entry("t", key))
        await shelf.get("t", "a")
        await shelf.put(entry("t", "e"))
        assert [await shelf.get("t", key) for key in "abcde"].count(None) == 1
        assert await shelf.get("t", "b") is None

    async def test_it_takes_no_more_than_so_many_bytes(self, shelf):
        await shelf.put(entry("t", "a", body=b"x" * 600))
        await shelf.put(entry("t", "b", body=b"x" * 600))
        assert await shelf.get("t", "a") is None
        await shelf.put(entry("t", "c", body=b"x" * 1001))
        assert await shelf.get("t", "c") is None


@pytest.mark.database
class TestValkeyShelf(ShelfContract):
    @pytest.fixture
    async def shelf(self, services):
        prefix = f"test:{new_id()}:"
        opened = ValkeyShelf(services.redis_url, SystemClock(), timeout=10, prefix=prefix)
        yield opened
        await opened.close()

    async def test_everything_it_keeps_ends_by_itself(self, shelf, services, tenant):
        from redis.asyncio import Redis

        await shelf.put(entry(tenant, "a", seconds=60))
        await shelf.put(entry(tenant, "b", seconds=30))  # shorter, so the index must not end yet
        async with Redis.from_url(services.redis_url) as valkey:
            places = [key async for key in valkey.scan_iter(f"{shelf._prefix}*")]
            lives = [await valkey.pttl(place) for place in places]
            assert len(places) == 4  # two answers, and an index each of tenant and user
            assert all(0 < life <= 60_000 for life in lives)
            assert sorted(life > 30_000 for life in lives) == [False, True, True, True]

    async def test_a_server_that_is_away_is_left_alone_for_a_while(self, tmp_path):
        clock = ManualClock()
        shelf = ValkeyShelf(f"unix://{tmp_path}/nothing.sock", clock)
        with pytest.raises(ServiceUnavailable, match="Valkey is away"):
            await shelf.get("t", "k")
        with pytest.raises(ServiceUnavailable, match="a moment ago"):
            await shelf.put(entry("t"))
        clock.advance(5)
        with pytest.raises(ServiceUnavailable, match="Valkey is away"):
            await shelf.forget(tenant="t")
        await shelf.close()


class MeaningsContract:
    """Subclass it with fixtures `meanings` and `clock`."""

    async def test_the_most_alike_is_given(self, meanings, tenant):
        for degrees in (0, 20, 30):
            kept = entry(tenant, str(degrees), str(degrees).encode())
            await meanings.put(kept, at(degrees))
        found = await meanings.nearest(tenant, at(22), 0.85)
        assert found.body == b"20"
        assert found.score == pytest.approx(np.cos(np.radians(2)), abs=2e-3)

    async def test_what_is_less_alike_than_asked_is_not(self, meanings, tenant):
        await meanings.put(entry(tenant), at(0))
        assert await meanings.nearest(tenant, at(30), 0.85) is not None  # cos 30° = 0.87
        assert await meanings.nearest(tenant, at(35), 0.85) is None  # cos 35° = 0.82

    async def test_nothing_of_another_tenant_scope_or_model_is_compared(self, meanings, tenant):
        await meanings.put(entry(tenant), at(0))
        assert await meanings.nearest(f"{tenant}-other", at(0), 0.5) is None
        assert await meanings.nearest(tenant, at(0, scope="other"), 0.5) is None
        assert await meanings.nearest(tenant, at(0, model="other", dimensions=8), 0.5) is None

    async def test_it_tells_whether_there_is_anything_to_compare_with(
        self, meanings, clock, tenant
    ):
        assert not await meanings.knows(tenant, "s")
        await meanings.put(entry(tenant, seconds=10), at(0))
        known = [(tenant, "s"), (tenant, "other"), (f"{tenant}-other", "s")]
        assert [await meanings.knows(*one) for one in known] == [True, False, False]
        clock.advance(10)
        assert not await meanings.knows(tenant, "s")

    async def test_models_may_have_vectors_of_any_length(self, meanings, tenant):
        await meanings.put(entry(tenant, "a", b"long"), at(0))
        await meanings.put(entry(tenant, "b", b"short"), at(0, model="other", dimensions=8))
        found = await meanings.nearest(tenant, at(0, model="other", dimensions=8), 0.9)
        assert found.body == b"short"

    async def test_the_newer_takes_the_place_of_the_older(self, meanings, tenant):
        await meanings.put(entry(tenant, body=b"old"), at(0))
        await meanings.put(entry(tenant, body=b"new"), at(90))
        assert await meanings.nearest(tenant, at(0), 0.5) is None
        assert (await meanings.nearest(tenant, at(90), 0.5)).body == b"new"

    async def test_what_is_too_old_is_given_to_nobody(self, meanings, clock, tenant):
        await meanings.put(entry(tenant, seconds=10), at(0))
        clock.advance(10)
        assert await meanings.nearest(tenant, at(0), 0.5) is None

    async def test_a_tenant_or_a_user_can_be_forgotten(self, meanings, tenant):
        others, eve = f"{tenant}-other", f"eve-{tenant}"
        await meanings.put(entry(tenant, "a"), at(0))
        await meanings.put(entry(others, "a", user=eve), at(0))
        await meanings.put(entry(others, "b", user=eve), at(0))
        assert await meanings.forget(tenant=tenant) == 1
        assert await meanings.nearest(tenant, at(0), 0.5) is None
        assert await meanings.forget(user=eve) == 2
        assert await meanings.nearest(others, at(0), 0.5) is None


class TestInMemoryMeanings(MeaningsContract):
    @pytest.fixture
    def clock(self):
        return ManualClock()

    @pytest.fixture
    def meanings(self, clock):
        return InMemoryMeanings(clock)


@pytest.mark.database
class TestPostgresMeanings(MeaningsContract):
    @pytest.fixture
    def clock(self):
        return ManualClock()

    @pytest.fixture
    async def pool(self, database_url):
        async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
            yield pool

    @pytest.fixture
    def meanings(self, pool, clock):
        return PostgresMeanings(pool, clock, timeout=10)

    async def test_only_the_newest_of_a_scope_are_compared(self, pool, clock, tenant):
        meanings = PostgresMeanings(pool, clock, newest=2)
        for degrees in (0, 40, 80):
            clock.advance(1)
            await meanings.put(entry(tenant, str(degrees)), at(degrees))
        assert await meanings.nearest(tenant, at(0), 0.9) is None
        assert await meanings.nearest(tenant, at(40), 0.9) is not None

    async def test_what_is_too_old_is_deleted_with_what_else_is(self, pool, meanings, clock):
        await meanings.put(entry("t", "a", seconds=10), at(0))
        await meanings.put(entry("t", "b", seconds=1000), at(0))
        clock.advance(100)
        retention = PostgresRetention(pool, clock)
        assert await retention.forget(Keep(WEEK, WEEK, WEEK)) == 1
        rows = await pool.fetch("SELECT key FROM answers WHERE tenant = 't'")
        assert [row["key"] for row in rows] == ["b"]

    async def test_a_database_that_is_away_is_unavailable(self, pool, meanings, tenant):
        await pool.close()
        with pytest.raises(ServiceUnavailable):
            await meanings.nearest(tenant, at(0), 0.5)
