"""External agents that fall ill, come back, and outlive us."""

import asyncio
import json
import re
import sys
from pathlib import Path

import asyncpg
import grpc
import pytest

from cartrita.clock import new_id
from cartrita.storage.postgres.external import PostgresRegistry
from tests.support.api_server import short_folder
from tests.support.carried import CARRIERS, ask, patrol_of, registered
from tests.support.database import free_ports
from tests.support.elsewhere import elsewhere, registration, result, task_type
from tests.support.gateway import Stand, assert_problem, running_gateway, spoken_to
from tests.support.rpc import Reflected, rpc_gateway

PAGE = Path(__file__).parents[2] / "docs/reference/external-agents.md"


@pytest.fixture
async def api():
    async with running_gateway(agents=CARRIERS) as running:
        yield running


@pytest.fixture
async def admin(api):
    return await api.admin()


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


class TestHealth:
    async def test_it_is_quarantined_when_it_fails_too_often_and_comes_back(
        self, api, admin, alice
    ):
        async with elsewhere() as agent, patrol_of(api) as round_:
            await registered(api, admin, registration(agent, intensity=1))
            await round_()
            assert await _state(api, admin) == ("up", "its health answers 200")
            agent.health = 500
            await round_()
            assert (await _state(api, admin))[0] == "up"
            await round_()
            assert await _state(api, admin) == ("quarantined", "its health answers 500")
            refused = await ask(api, alice)
            assert_problem(refused, 503, "AGENT_UNAVAILABLE")
            assert int(refused.headers["retry-after"]) >= 1
            assert agent.asked == []
            agent.health = None
            await round_()
            assert (await _state(api, admin))[0] == "quarantined"
            agent.health = 204
            await round_()
            assert (await _state(api, admin))[0] == "up"
            assert (await ask(api, alice)).json()["status"] == "COMPLETED"

    async def test_a_call_that_finds_nobody_has_its_health_looked_at(self, api, admin, alice):
        (port,) = free_ports(1)
        told = registration(
            endpoint=f"http://127.0.0.1:{port}/", taskTypes=[task_type(maxAttempts=1)]
        )
        await registered(api, admin, told)
        ran = (await ask(api, alice)).json()
        assert (ran["errorCode"], ran["retryable"]) == ("NETWORK_ERROR", True)
        assert [one.suspected for one in await api.stand.registry.all()] == [1]


async def _state(api, who):
    row = (await api.http.get("/v3/agents/weather/status", headers=who)).json()
    return row["state"], row["external"]["detail"]


@pytest.mark.database
async def test_registrations_outlive_the_process(database_url):
    async with asyncpg.create_pool(database_url, min_size=0, max_size=4) as pool, elsewhere() as it:
        for life in range(2):
            with short_folder() as folder:
                stand = Stand(folder, agents=CARRIERS, registry=PostgresRegistry(pool))
                async with spoken_to(stand) as api:
                    if life == 0:
                        await registered(api, await api.admin(), registration(it))
                    else:
                        who = await api.user("bob@example.org")
                        assert (await ask(api, who)).json()["status"] == "COMPLETED"


async def test_the_example_of_the_page_works(api, admin, alice):
    (port,) = free_ports(1)
    page = PAGE.read_text().replace("8099", str(port))
    program = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    told = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    assert len([line for line in program.splitlines() if line.strip()]) <= 20
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with patrol_of(api) as round_:
            await registered(api, admin, told)

            async with asyncio.timeout(20):
                while (await _state(api, admin))[0] != "up":  # it takes a moment to listen
                    await round_()
            ran = (await ask(api, alice, {"city": "Ghent"}, "weather.now")).json()
        assert ran["result"] == {"city": "Ghent", "celsius": 5}
    finally:
        process.kill()
        await process.wait()


async def test_a_task_whose_supervisor_dies_is_called_for_again(api, admin, alice):
    async def work(asked):
        if len(agent.asked) == 1:
            await asyncio.Event().wait()
        return result(fine=True)

    async with elsewhere(work) as agent:
        await registered(api, admin, registration(agent))
        task_id = new_id()
        asked = asyncio.create_task(ask(api, alice, taskId=task_id))
        await asyncio.wait_for(agent.began.get(), 10)
        await api.stand.tree.supervisors["intelligence/0"].kill()
        ran = (await asked).json()
        first, second = agent.asked

    assert (ran["status"], ran["result"]) == ("COMPLETED", {"fine": True})
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == task_id


async def test_grpc_tells_of_it():
    async with rpc_gateway(agents=CARRIERS) as (api, _, channel):
        client = Reflected(channel, await api.user("alice@example.org"))
        await registered(api, await api.admin(), registration())
        told = await client.call("MCPSupervisorService", "GetCapabilities", agent_id="weather")
        health = await client.call("MCPOrchestratorService", "GetAgentHealth", agent_id="weather")
        everybody = await client.call("MCPSupervisorService", "GetCapabilities")
        with pytest.raises(grpc.aio.AioRpcError):
            await client.call("MCPAgentService", "GetStatus", agent_id="nobody")

    assert list(told.capabilities.task_types) == ["weather.forecast"]
    assert (health.status.healthy, health.status.status_message[:8]) == (False, "starting")
    assert not any("external" in name for name in everybody.capabilities.task_types)
