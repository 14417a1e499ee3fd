"""What every implementation of the port History promises."""

import asyncpg
import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.storage.memory_threads import InMemoryConversations
from cartrita.storage.postgres.said import PostgresHistory
from cartrita.storage.postgres.threads import PostgresConversations
from cartrita.storage.threads import OPENING, Owner, Totals, Turn


class HistoryContract:
    """Subclass it with a fixture `stores`: conversations, and their history."""

    @pytest.fixture
    def tenant(self):
        return f"tenant-{new_id()}"

    async def say(self, stores, tenant, *texts, user="ann", session="s1"):
        for text in texts:
            turns = [Turn("user", text, text), Turn("assistant", f"re {text}", text)]
            await stores[0].add(Owner(tenant, user, session), turns)

    async def texts(self, stores, tenant, limit=50, offset=0):
        return [said.content for said in await stores[1].page(tenant, "ann", limit, offset)]

    async def test_a_page_has_the_last_messages_the_oldest_of_them_first(self, stores, tenant):
        await self.say(stores, tenant, "a", "b")
        await self.say(stores, tenant, "c", session="s2")
        assert await self.texts(stores, tenant) == ["a", "re a", "b", "re b", "c", "re c"]
        assert await self.texts(stores, tenant, 3) == ["re b", "c", "re c"]
        assert await self.texts(stores, tenant, 2, 3) == ["re a", "b"]
        assert await self.texts(stores, tenant, 2, 9) == []

    async def test_a_message_keeps_its_number_and_knows_its_conversation(self, stores, tenant):
        await self.say(stores, tenant, "x" * 200, "b")
        await self.say(stores, tenant, "c", session="s2")
        said = await stores[1].page(tenant, "ann", 50, 0)
        assert [one.role for one in said] == ["user", "assistant"] * 3
        assert [one.opening for one in said] == ["x" * OPENING] * 4 + ["c"] * 2
        assert [one.session for one in said] == ["s1"] * 4 + ["s2"] * 2
        numbers = [one.number for one in said]
        assert numbers == sorted(set(numbers))
        assert await stores[1].page(tenant, "ann", 2, 2) == said[2:4]

    async def test_what_became_a_summary_is_still_history_and_no_memory(self, stores, tenant):
        await self.say(stores, tenant, "a", "b")
        owner = Owner(tenant, "ann", "s1")
        turns = (await stores[0].recall(owner)).turns
        await stores[0].fold(owner, turns[1].number, "a, too", "")
        assert [turn.content for turn in (await stores[0].recall(owner)).turns] == ["b", "re b"]
        assert await self.texts(stores, tenant) == ["a", "re a", "b", "re b"]
        assert await stores[0].forget(owner) == 4
        assert await self.texts(stores, tenant) == []

    async def test_totals_count_both_sides_and_tell_the_first_and_the_last(self, stores, tenant):
        assert await stores[1].totals(tenant, "ann") == Totals()
        await self.say(stores, tenant, "a", "b")
        await stores[0].add(Owner(tenant, "ann", "s2"), [Turn("user", "c", "c")])
        totals = await stores[1].totals(tenant, "ann")
        said = await stores[1].page(tenant, "ann", 50, 0)
        assert (totals.asked, totals.answered) == (3, 2)
        assert (totals.first_at, totals.last_at) == (said[0].said_at, said[-1].said_at)

    async def test_clearing_deletes_all_conversations_and_tells_how_many(self, stores, tenant):
        await self.say(stores, tenant, "a", "b")
        await self.say(stores, tenant, "c", session="s2")
        owner = Owner(tenant, "ann", "s1")
        await stores[0].fold(owner, (await stores[0].recall(owner)).turns[0].number, "a", "")
        assert await stores[1].clear(tenant, "ann") == 2
        assert await self.texts(stores, tenant) == []
        assert (await stores[0].recall(owner)).summary == ""
        assert await stores[1].clear(tenant, "ann") == 0

    async def test_nobody_sees_counts_or_clears_what_is_anothers(self, stores, tenant):
        await self.say(stores, tenant, "mine")
        for other, user in ((tenant, "bob"), (f"{tenant}-b", "ann")):
            assert await stores[1].page(other, user, 50, 0) == []
            assert await stores[1].totals(other, user) == Totals()
            await self.say(stores, other, "theirs", user=user)
            assert await stores[1].clear(other, user) == 1
        assert await self.texts(stores, tenant) == ["mine", "re mine"]


class TestInMemory(HistoryContract):
    @pytest.fixture
    def stores(self):
        kept = InMemoryConversations()
        return kept, kept


class TestPostgres(HistoryContract):
    @pytest.fixture
    async def stores(self, services):  # owners of their own, so one database does for all
        url = services.postgres_url
        async with asyncpg.create_pool(url, min_size=0, max_size=4) as pool:
            yield PostgresConversations(pool), PostgresHistory(pool)

    async def test_a_database_that_is_away_is_said_in_our_words(self):
        pool = asyncpg.create_pool("postgresql://u@127.0.0.1:1/x", min_size=0, max_size=1)
        async with pool:
            with pytest.raises(ServiceUnavailable, match="conversations"):
                await PostgresHistory(pool).totals("t", "u")
