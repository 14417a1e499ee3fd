"""The probes against real servers."""

import pytest

from actors.agents.health import Health
from cartrita.errors import ServiceUnavailable
from cartrita.providers.ports import Probes
from cartrita.providers.probes import ProbeSet
from cartrita.storage.probes import PostgresProbe, RedisProbe
from cartrita.testing import run_task

pytestmark = pytest.mark.database


async def test_each_names_the_version_it_talks_to(services):
    assert (await PostgresProbe(services.postgres_url).check()).startswith("PostgreSQL 16.")
    assert (await RedisProbe(services.redis_url).check()).startswith("valkey ")


async def test_a_wrong_password_is_unavailable_and_not_told(services):
    url = services.postgres_url.replace("://cartrita:", "://cartrita:wrong")
    with pytest.raises(ServiceUnavailable) as failed:
        await PostgresProbe(url).check()
    assert "InvalidPasswordError" in failed.value.message
    assert "wrong" not in failed.value.message


async def test_the_health_check_uses_them(services, tmp_path):
    probes = ProbeSet(
        [PostgresProbe(services.postgres_url), RedisProbe(f"unix://{tmp_path}/none.sock")]
    )
    result = await run_task(Health, "system.health_check", {}, {Probes: probes})
    wire = result.to_wire()
    assert wire["status"] == "degraded"
    assert [(probe["name"], probe["ok"]) for probe in wire["probes"]] == [
        ("postgres", True),
        ("redis", False),
    ]
    assert wire["probes"][0]["latencyMs"] > 0
