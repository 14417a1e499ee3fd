"""Tests of cartrita/storage/memory.py beyond its ports' contracts."""

from uuid import UUID

import numpy as np
import pytest

from cartrita.errors import ResourceLimitExceeded
from cartrita.storage.memory import InMemoryMemories
from cartrita.storage.ports import MemoryRecord


async def test_refuses_more_memories_than_fit_and_keeps_none_of_them():
    memories = InMemoryMemories(capacity=2)
    records = [MemoryRecord(UUID(int=place), "text", 0.0) for place in range(3)]
    vectors = np.ones((3, 1), dtype=np.float32)
    with pytest.raises(ResourceLimitExceeded):
        await memories.store("tenant", records, vectors, "model")
    found = await memories.search("tenant", vectors[0], "model", limit=5, threshold=0)
    assert found == []
    await memories.store("tenant", records[:2], vectors[:2], "model")
    await memories.store("tenant", records[:2], vectors[:2], "model")  # replacing is no growth
