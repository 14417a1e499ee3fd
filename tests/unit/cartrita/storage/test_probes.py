"""Tests of cartrita/storage/probes.py that need no server."""

import pytest

from cartrita.errors import ServiceUnavailable
from cartrita.storage.probes import PostgresProbe, RedisProbe


async def test_a_postgres_that_is_not_there_is_unavailable(tmp_path):
    probe = PostgresProbe(f"postgresql://bob:secret@/db?host={tmp_path}")
    with pytest.raises(ServiceUnavailable, match=r"^PostgreSQL does not answer \(\w+\)\.$"):
        await probe.check()


async def test_a_redis_that_is_not_there_is_unavailable(tmp_path):
    probe = RedisProbe(f"unix://{tmp_path}/none.sock?password=secret")
    with pytest.raises(ServiceUnavailable, match=r"^Redis does not answer \(\w+\)\.$"):
        await probe.check()


def test_only_postgres_is_required():
    assert PostgresProbe.required
    assert not RedisProbe.required
