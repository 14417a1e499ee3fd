"""What every implementation of the port Knowledge promises."""

import asyncio
from dataclasses import replace
from uuid import UUID

import asyncpg
import numpy as np
import pytest

from cartrita.clock import new_id
from cartrita.errors import ResourceLimitExceeded, ServiceUnavailable
from cartrita.storage.knowledge import SHOWN, Chunk, Entry, File, Holder, Scope, Sums
from cartrita.storage.memory_knowledge import InMemoryKnowledge
from cartrita.storage.postgres.knowledge import PostgresKnowledge

MODEL, EVERY = "local/test", Scope()


def at(degrees, length=384):
    """Return a unit vector in a plane: the cosine of the angle between two is their likeness."""
    vector = np.zeros(length, dtype=np.float32)
    vector[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


def entry(number, content="text", **more):
    fields = {
        "title": f"Entry {number}",
        "content_type": "text",
        "category": "general",
        "subcategory": None,
        "tags": (),
        "importance": 0.5,
        "source_type": "user_created",
        "source_url": None,
        "file": None,
        "digest": f"digest of {content}",
        "chunks": 1,
        "model": MODEL,
        "created_at": 1_700_000_000.0 + number,
        "updated_at": 1_700_000_000.0 + number,
    } | more
    return Entry(id=UUID(int=number), content=content, **fields)


class KnowledgeContract:
    """Subclass it with a fixture `store`."""

    @pytest.fixture
    def holder(self):
        return Holder(f"tenant-{new_id()}", "ann")

    async def put(self, store, holder, one, *angles, most=100, length=384):
        """Keep an entry; its lines are its pieces."""
        lines = one.content.splitlines()
        chunks = [Chunk(place, place, line) for place, line in enumerate(lines)]
        vectors = np.stack([at(angle, length) for angle in (angles or [0] * len(lines))])
        await store.put(holder, replace(one, chunks=len(lines)), chunks, vectors, most)

    async def meant(self, store, holder, angle=0, scope=EVERY, least=0.0, **more):
        model, limit = more.get("model", MODEL), more.get("limit", 10)
        asked = at(angle, more.get("length", 384))
        return await store.by_meaning(holder, asked, model, scope, limit, least)

    async def said(self, store, holder, query, scope=EVERY):
        found = await store.by_words(holder, query, scope, 10)
        return [(piece.entry.id.int, piece.chunk.place) for piece in found]

    async def test_an_entry_comes_back_with_every_field(self, store, holder):
        kept = entry(
            7,
            "Zoë 🎉 \\ ' %",
            subcategory="sub",
            tags=("a", "b c"),
            importance=0.9,
            source_type="imported",
            source_url="https://x.example/",
            file=File("näme.md", "text/markdown", 12),
        )
        await self.put(store, holder, kept)
        assert await store.find(holder, kept.id) == kept
        assert await store.find(holder, UUID(int=8)) is None

    async def test_finds_pieces_by_meaning_best_first(self, store, holder):
        await self.put(store, holder, entry(1, "far\nnear"), 60, 10)
        await self.put(store, holder, entry(2, "between"), 30)
        found = await self.meant(store, holder)
        assert [piece.chunk.text for piece in found] == ["near", "between", "far"]
        scores = [piece.score for piece in found]
        assert scores == pytest.approx([np.cos(np.radians(d)) for d in (10, 30, 60)], abs=2e-3)
        assert found[0].chunk == Chunk(1, 1, "near")
        assert found[0].entry.title == "Entry 1"
        assert len(await self.meant(store, holder, least=0.8)) == 2
        assert len(await self.meant(store, holder, limit=1)) == 1

    async def test_vectors_of_other_models_or_lengths_are_not_compared(self, store, holder):
        await self.put(store, holder, entry(1, model="other"))
        await self.put(store, holder, entry(2), length=3)
        assert await self.meant(store, holder) == []
        assert len(await self.meant(store, holder, model="other")) == 1
        assert len(await self.meant(store, holder, length=3)) == 1
        assert await store.foreign(holder, MODEL) == "other"
        assert await store.foreign(Holder("nobody", "ann"), MODEL) is None

    async def test_finds_pieces_that_have_all_words(self, store, holder):
        text = "Refunds take ten days\nTen days, ten days!\nnothing"
        await self.put(store, holder, entry(1, text, title="Shop"))
        assert await self.said(store, holder, "TEN days") == [(1, 1), (1, 0)]
        assert await self.said(store, holder, "refunds nothing") == []
        assert await self.said(store, holder, '"take ten"') == [(1, 0)]
        assert await self.said(store, holder, "ten -refunds") == [(1, 1)]
        assert await self.said(store, holder, "shop nothing") == [(1, 2)]
        for strange in ("", "'", "& | !", '"', "-"):
            assert await self.said(store, holder, strange) == []

    async def test_a_search_keeps_to_its_scope(self, store, holder):
        await self.put(store, holder, entry(1, "word", category="a", tags=("x", "y")))
        await self.put(store, holder, entry(2, "word", tags=("x",), content_type="code"))
        await self.put(store, holder, entry(3, "word", file=File("f.txt", "text/plain", 4)))
        scopes = {
            Scope(category="a"): {1},
            Scope(tags=("x",)): {1, 2},
            Scope(tags=("x", "y")): {1},
            Scope(content_type="code"): {2},
            Scope(ids=(UUID(int=2), UUID(int=3))): {2, 3},
            Scope(ids=()): set(),
            Scope(files=True): {3},
            Scope(words="NTRY 2"): {2},
            Scope(words="%"): set(),
        }
        for scope, ids in scopes.items():
            assert {
                piece.entry.id.int for piece in await self.meant(store, holder, 0, scope)
            } == ids
            assert {id_ for id_, _ in await self.said(store, holder, "word", scope)} == ids
            entries, total = await store.page(holder, scope, ("title", False), 10, 0)
            assert ({one.id.int for one in entries}, total) == (ids, len(ids))

    async def test_lists_show_beginnings_in_the_order_asked_for(self, store, holder):
        for number, importance in ((1, 0.2), (2, 0.9), (3, 0.5)):
            title = "bac"[number - 1]
            one = entry(number, "x" * 2_000, title=title, importance=importance)
            await self.put(store, holder, one)
        orders = {"created_at": [1, 2, 3], "title": [2, 1, 3], "importance_score": [1, 3, 2]}
        for order, ids in orders.items():
            entries, _ = await store.page(holder, EVERY, (order, False), 10, 0)
            assert [one.id.int for one in entries] == ids
            entries, _ = await store.page(holder, EVERY, (order, True), 10, 0)
            assert [one.id.int for one in entries] == ids[::-1]
        page, total = await store.page(holder, EVERY, ("created_at", False), 1, 1)
        assert ([one.id.int for one in page], total) == ([2], 3)
        assert len(page[0].content) == SHOWN
        assert len((await store.find(holder, UUID(int=2))).content) == 2_000

    async def test_putting_again_replaces_all_but_when_it_was_made(self, store, holder):
        await self.put(store, holder, entry(1, "old\nolder"))
        new = entry(1, "new", updated_at=1_800_000_000.0, created_at=1_800_000_000.0)
        await self.put(store, holder, new)
        assert await store.find(holder, new.id) == replace(new, created_at=1_700_000_001.0)
        assert [piece.chunk.text for piece in await self.meant(store, holder)] == ["new"]

    async def test_amending_leaves_the_content_and_its_pieces(self, store, holder):
        await self.put(store, holder, entry(1, "a\nb"))
        told = entry(1, "ignored", category="new", tags=("t",), updated_at=1_800_000_000.0)
        assert await store.amend(holder, told)
        found = await store.find(holder, told.id)
        assert (found.category, found.tags, found.content) == ("new", ("t",), "a\nb")
        assert (found.chunks, found.updated_at) == (2, 1_800_000_000.0)
        assert len(await self.meant(store, holder)) == 2
        assert not await store.amend(holder, entry(2))

    async def test_what_is_removed_is_gone_with_its_pieces(self, store, holder):
        await self.put(store, holder, entry(1, "word"))
        assert await store.remove(holder, UUID(int=1))
        assert not await store.remove(holder, UUID(int=1))
        assert await self.meant(store, holder) == await self.said(store, holder, "word") == []
        assert await store.sums(holder) == Sums()

    async def test_clearing_deletes_all_of_ones_own_and_tells_how_much(self, store, holder):
        other = Holder(holder.tenant, "bob")
        for whose, count in ((holder, 2), (other, 1)):
            for number in range(count):
                await self.put(store, whose, entry(number, "word"))
        assert await store.clear(holder) == 2
        assert await store.clear(holder) == 0
        assert await self.meant(store, holder) == await self.said(store, holder, "word") == []
        assert (await store.sums(other)).entries == 1

    async def test_knows_the_oldest_of_the_same_content(self, store, holder):
        for number in (2, 1):
            await self.put(store, holder, entry(number, "same"))
        assert await store.same(holder, "digest of same") == UUID(int=1)
        assert await store.same(holder, "digest of other") is None

    async def test_sums_and_categories_count(self, store, holder):
        file = File("f.txt", "text/plain", 4)
        await self.put(store, holder, entry(1, "ab\nc", category="b"))
        await self.put(store, holder, entry(2, "ef", category="a", file=file))
        await self.put(store, holder, entry(3, "gh", category="a"))
        assert await store.sums(holder) == Sums(3, 1, 4, 8, 1_700_000_003.0)
        assert await store.categories(holder) == [("a", 2), ("b", 1)]

    async def test_middles_are_of_the_pieces_those_that_changed_last_first(self, store, holder):
        await self.put(store, holder, entry(1, "a\nb"), 0, 90)
        await self.put(store, holder, entry(2, "c"), 90)
        await self.put(store, holder, entry(3, "d", model="other"))
        kept = await store.middles(holder, MODEL, 10)
        assert [one.id.int for one, _ in kept] == [2, 1]
        assert kept[1][1][:2] == pytest.approx([0.5, 0.5], abs=1e-3)
        assert len(await store.middles(holder, MODEL, 1)) == 1

    async def test_nobody_sees_changes_or_removes_what_is_anothers(self, store, holder):
        await self.put(store, holder, entry(1, "mine word"))
        for other in (Holder(holder.tenant, "bob"), Holder(f"{holder.tenant}-b", "ann")):
            assert await store.find(other, UUID(int=1)) is None
            assert await self.meant(store, other) == await self.said(store, other, "word") == []
            assert await store.page(other, EVERY, ("title", False), 10, 0) == ([], 0)
            assert await store.same(other, "digest of mine word") is None
            assert await store.middles(other, MODEL, 10) == await store.categories(other) == []
            assert await store.sums(other) == Sums()
            assert not await store.amend(other, entry(1, title="stolen"))
            assert not await store.remove(other, UUID(int=1))
            await self.put(store, other, entry(1, "theirs"))
            await store.remove(other, UUID(int=1))
        assert (await store.find(holder, UUID(int=1))).content == "mine word"
        assert len(await self.meant(store, holder)) == 1

    async def test_there_is_room_for_so_many_pieces_and_no_more(self, store, holder):
        await self.put(store, holder, entry(1, "a\nb"), most=3)
        with pytest.raises(ResourceLimitExceeded):
            await self.put(store, holder, entry(2, "c\nd"), most=3)
        assert await store.find(holder, UUID(int=2)) is None
        await self.put(store, holder, entry(1, "a\nb\nc"), most=3)  # its own do not count twice

    async def test_writers_at_once_do_not_share_the_last_room(self, store, holder):
        writers = (self.put(store, holder, entry(n, "a"), most=3) for n in range(1, 7))
        ends = await asyncio.gather(*writers, return_exceptions=True)
        assert sum(isinstance(end, ResourceLimitExceeded) for end in ends) == 3
        assert (await store.sums(holder)).entries == 3


class TestInMemory(KnowledgeContract):
    @pytest.fixture
    def store(self):
        return InMemoryKnowledge()


class TestPostgres(KnowledgeContract):
    @pytest.fixture
    async def store(self, services):  # owners of their own, so one database does for all
        url = services.postgres_url
        async with asyncpg.create_pool(url, min_size=0, max_size=4) as pool:
            yield PostgresKnowledge(pool)

    async def test_a_database_that_is_away_is_said_in_our_words(self):
        pool = asyncpg.create_pool("postgresql://u@127.0.0.1:1/x", min_size=0, max_size=1)
        async with pool:
            with pytest.raises(ServiceUnavailable, match="knowledge"):
                await PostgresKnowledge(pool).sums(Holder("t", "u"))
