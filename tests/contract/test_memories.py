"""What every implementation of the port Memories promises."""

import asyncio
from uuid import UUID

import asyncpg
import numpy as np
import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.storage.memory import InMemoryMemories
from cartrita.storage.ports import Memories, MemoryRecord
from cartrita.storage.postgres.memories import PostgresMemories, by_index
from cartrita.storage.postgres.vectors import literal

DIMENSIONS = 384
MODEL = "local/test"


def at(degrees, length=DIMENSIONS):
    """Return a unit vector in a plane: the cosine of the angle between two is their likeness."""
    vector = np.zeros(length, dtype=np.float32)
    vector[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


def record(number, text="text", **more):
    return MemoryRecord(id=UUID(int=number), text=text, stored_at=1_700_000_000.25, **more)


class MemoriesContract:
    """Subclass it with a fixture `memories`."""

    @pytest.fixture
    def tenant(self):
        return f"tenant-{new_id()}"

    async def put(self, memories: Memories, tenant, records, angles, model=MODEL):
        await memories.store(tenant, records, np.stack([at(angle) for angle in angles]), model)

    async def find(self, memories: Memories, tenant, angle=0, **more):
        question = {"limit": 10, "threshold": 0.0} | more
        model = question.pop("model", MODEL)
        return await memories.search(tenant, at(angle), model, **question)

    async def test_finds_what_was_stored_best_first(self, memories, tenant):
        await self.put(memories, tenant, [record(1), record(2), record(3)], [60, 0, 30])
        found = await self.find(memories, tenant)
        assert [item.record.id.int for item in found] == [2, 3, 1]
        scores = [item.score for item in found]
        assert scores == pytest.approx([1, np.cos(np.pi / 6), 0.5], abs=2e-3)

    async def test_gives_back_every_field(self, memories, tenant):
        metadata = {"page": 3, "ratio": 0.5, "ok": True, "who": "Zoë 🎉", "big": 2**62}
        kept = record(7, "Zoë said: “5 > 3” 🎉\n\t\\ '", session="s1", metadata=metadata)
        await self.put(memories, tenant, [kept], [0])
        (found,) = await self.find(memories, tenant)
        assert found.record == kept

    async def test_no_tenant_sees_or_replaces_what_is_anothers(self, memories, tenant):
        other = f"{tenant}-other"
        await self.put(memories, tenant, [record(1, "mine")], [0])
        await self.put(memories, other, [record(1, "theirs")], [0])
        assert [item.record.text for item in await self.find(memories, tenant)] == ["mine"]
        assert [item.record.text for item in await self.find(memories, other)] == ["theirs"]
        assert await self.find(memories, f"{tenant}-nobody") == []

    async def test_storing_an_id_again_replaces_it(self, memories, tenant):
        await self.put(memories, tenant, [record(1, "old", session="a")], [0])
        new = record(1, "new", metadata={"v": 2})
        await self.put(memories, tenant, [new], [90])
        assert [item.record for item in await self.find(memories, tenant, angle=90)] == [new]

    async def test_vectors_of_different_models_are_not_compared(self, memories, tenant):
        await self.put(memories, tenant, [record(1)], [0], model="other/model")
        assert await self.find(memories, tenant) == []
        assert len(await self.find(memories, tenant, model="other/model")) == 1

    async def test_what_another_model_made_is_known_to_be_there(self, memories, tenant):
        assert await memories.foreign(tenant, MODEL) is None
        await self.put(memories, tenant, [record(1)], [0])
        assert await memories.foreign(tenant, MODEL) is None
        await self.put(memories, tenant, [record(2)], [0], model="other/model")
        assert await memories.foreign(tenant, MODEL) == "other/model"
        assert await memories.foreign(f"{tenant}-other", "a") is None

    @pytest.mark.parametrize("length", [8, 768, 3072])
    async def test_models_of_any_length_stand_side_by_side(self, memories, tenant, length):
        await self.put(memories, tenant, [record(1, "short")], [0])
        vectors = np.stack([at(60, length), at(0, length)])
        await memories.store(tenant, [record(2, "far"), record(3, "near")], vectors, "long")
        found = await memories.search(tenant, at(0, length), "long", limit=10, threshold=0.0)
        assert [item.record.text for item in found] == ["near", "far"]
        assert [item.record.text for item in await self.find(memories, tenant)] == ["short"]

    async def test_one_name_for_models_of_two_lengths_compares_nothing_wrong(
        self, memories, tenant
    ):
        await self.put(memories, tenant, [record(1)], [0])
        assert await memories.search(tenant, at(0, 768), MODEL, limit=10, threshold=-1.0) == []

    async def test_a_session_narrows_the_search(self, memories, tenant):
        records = [record(1, session="a"), record(2, session="b"), record(3)]
        await self.put(memories, tenant, records, [0, 0, 0])
        found = await self.find(memories, tenant, session="b")
        assert [item.record.id.int for item in found] == [2]
        assert len(await self.find(memories, tenant)) == 3

    async def test_limit_and_threshold_hold(self, memories, tenant):
        angles = [0, 10, 20, 70, 120]
        await self.put(memories, tenant, [record(n) for n in range(5)], angles)
        assert len(await self.find(memories, tenant, limit=2)) == 2
        found = await self.find(memories, tenant, threshold=0.9)
        assert [item.record.id.int for item in found] == [0, 1, 2]
        assert len(await self.find(memories, tenant, threshold=-1.0)) == 5

    async def test_storing_nothing_is_nothing(self, memories, tenant):
        await memories.store(tenant, [], np.zeros((0, DIMENSIONS), dtype=np.float32), MODEL)
        assert await self.find(memories, tenant) == []

    async def test_a_small_tenant_finds_its_own_among_many_of_others(self, memories, tenant):
        crowd = [record(n) for n in range(600)]
        await self.put(memories, f"{tenant}-crowd", crowd, [n / 600 for n in range(600)])
        await self.put(memories, tenant, [record(1, "mine")], [50])
        assert [item.record.text for item in await self.find(memories, tenant)] == ["mine"]

    async def test_writers_of_the_same_ids_do_not_lock_each_other_up(self, memories, tenant):
        records = [record(n) for n in range(40)]
        writers = (
            self.put(memories, tenant, records[::step], list(range(40))) for step in (1, -1) * 4
        )
        await asyncio.gather(*writers)
        assert len(await self.find(memories, tenant, limit=100)) == 40


class TestInMemory(MemoriesContract):
    @pytest.fixture
    def memories(self):
        return InMemoryMemories()


@pytest.mark.database
class TestPostgres(MemoriesContract):
    @pytest.fixture
    def memories(self, pool):
        return PostgresMemories(pool)

    @pytest.fixture
    async def indexed(self, database_url):
        """Connections whose planner uses the index, as it would with a hundred thousand rows."""
        settings = {"enable_sort": "off", "enable_seqscan": "off", "enable_bitmapscan": "off"}
        async with asyncpg.create_pool(
            database_url, min_size=1, max_size=1, server_settings=settings
        ) as pool:
            yield pool

    async def test_near_duplicates_of_others_do_not_hide_a_small_tenants_memories(
        self, indexed, tenant
    ):
        memories = PostgresMemories(indexed)
        crowd = [record(n) for n in range(1_000)]
        await self.put(memories, f"{tenant}-crowd", crowd, [n / 1_000 for n in range(1_000)])
        await self.put(memories, tenant, [record(1, "far"), record(2, "near")], [60, 50])
        found = await self.find(memories, tenant)
        assert [item.record.text for item in found] == ["near", "far"]

    async def test_a_large_tenant_is_searched_through_the_index(self, indexed, tenant):
        memories = PostgresMemories(indexed, exact_up_to=0)
        vectors = np.random.default_rng(1).normal(size=(1_500, DIMENSIONS)).astype(np.float32)
        vectors[:1_000] += 20 * at(0)  # others' memories, nearer to the question
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        records = [record(n) for n in range(1_500)]
        await memories.store(f"{tenant}-crowd", records[:1_000], vectors[:1_000], MODEL)
        await memories.store(tenant, records[1_000:], vectors[1_000:], MODEL)
        found = await self.find(memories, tenant, threshold=-1.0, limit=5)
        best = 1_000 + np.argsort(-(vectors[1_000:] @ at(0)))[:5]
        assert len({item.record.id.int for item in found} & set(best.tolist())) >= 4
        question = (tenant, literal(at(0)), MODEL, None, 5, -1.0)
        plan = await indexed.fetch(f"EXPLAIN {by_index(DIMENSIONS)}", *question)
        assert "memories_embedding_384" in "\n".join(row[0] for row in plan)

    async def test_a_database_that_is_away_is_unavailable(self, pool, memories, tenant):
        await pool.close()
        with pytest.raises(ServiceUnavailable) as failed:
            await self.find(memories, tenant)
        assert failed.value.retryable
