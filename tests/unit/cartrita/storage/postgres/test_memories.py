"""Tests of cartrita/storage/postgres/memories.py that need no server."""

from typing import cast
from uuid import UUID

import asyncpg
import numpy as np
import pytest

from cartrita.errors import ConfigurationInvalid
from cartrita.storage.ports import MemoryRecord
from cartrita.storage.postgres.memories import PostgresMemories


async def test_vectors_that_do_not_fit_the_column_are_refused_before_the_database_is_asked():
    memories = PostgresMemories(cast("asyncpg.Pool", None))
    records = [MemoryRecord(UUID(int=1), "text", 0.0)]
    with pytest.raises(ConfigurationInvalid, match="384"):
        await memories.store("tenant", records, np.ones((1, 3), dtype=np.float32), "model")
