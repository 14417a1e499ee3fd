"""Agents, and what the old compact orchestrator offered."""

import json

import pytest

from cartrita.clock import new_id
from cartrita.protocol.envelope import Envelope
from tests.support.gateway import assert_problem, running_gateway


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


async def bridged(api, who, **body):
    return await api.http.post("/v3/mcp/bridge", json=body, headers=who)


class TestAgents:
    async def test_every_agent_says_what_it_does_and_how_it_is(self, api, alice):
        answer = await api.http.get("/v3/agents", headers=alice)

        agents = {agent["name"]: agent for agent in answer.json()["agents"]}
        assert {"health", "bench"} <= set(agents)
        bench = agents["bench"]
        assert (bench["team"], bench["state"]) == ("intelligence", "up")
        assert "bench.shape" in bench["taskTypes"]
        assert bench["summary"] == "Does what tests need."
        assert [host["shard"] for host in bench["hosts"]] == ["intelligence/0"]
        assert "pid" not in bench["hosts"][0]

    async def test_one_agent_brings_its_task_types(self, api, alice):
        for path in ("/v3/agents/bench", "/v3/agents/bench/status"):
            body = (await api.http.get(path, headers=alice)).json()
            shapes = {task["taskType"]: task["parameters"] for task in body["tasks"]}
            assert "itemCount" in shapes["bench.shape"]["properties"]

    async def test_an_agent_that_is_given_up_on_is_down(self, api, alice):
        supervisor = api.stand.tree.supervisors["intelligence/0"]
        await supervisor.command("SHUTDOWN", "shared", {"grace": 0})

        body = (await api.http.get("/v3/agents/bench", headers=alice)).json()

        assert body["state"] == "down"

    async def test_nobody_is_told_of_agents_that_do_not_exist(self, api, alice):
        answer = await api.http.get("/v3/agents/nobody", headers=alice)

        assert_problem(answer, 404, "AUTHORIZATION_FAILED")


class TestCompact:
    async def test_a_bridged_task_is_a_task(self, api, alice):
        task_id = new_id()
        answer = await bridged(
            api,
            alice,
            task_type="system.echo",
            task_id=task_id,
            parameters={"payload": 3},
            metadata={"source": "old", "depth": 2},
            priority=9,
        )

        assert answer.status_code == 202
        body = answer.json()
        assert (body["success"], body["task_id"]) == (True, task_id)
        assert body["id"] != task_id
        done = await api.http.get(answer.headers["location"], params={"wait": 10}, headers=alice)
        assert done.json()["result"] == {"payload": 3}
        record = (await api.stand.tables.story(task_id))[0].data
        assert record[13] == {"source": "old", "depth": "2"}

    @pytest.mark.parametrize(
        ("body", "issue"),
        [
            ({}, "taskType"),
            ({"task_type": "system.echo", "priority": 11}, "priority"),
            ({"task_type": "system.echo", "task_id": "one"}, "task_id"),
            ({"task_type": "nobody.knows"}, "taskType"),
            ({"task_type": "system.echo", "metadata": {"a": "x" * 5000}}, "metadata"),
            ({"task_type": "bench.shape", "parameters": {"itemCount": 0}}, "parameters"),
        ],
    )
    async def test_a_malformed_one_is_refused_as_its_clients_expect(self, api, alice, body, issue):
        answer = await bridged(api, alice, **body)

        assert answer.status_code == 400
        refused = answer.json()
        assert refused["success"] is False
        assert json.loads(refused["error"])[0]["path"][0] == issue
        assert refused["status"] == 400
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_the_last_responses_come_as_envelopes(self, api, alice):
        bob = await api.user("bob@example.org")
        await api.run(who=bob)
        done = (await api.run(who=alice)).json()
        failed = (await api.run("bench.fail", who=alice)).json()

        answer = await api.http.get("/v3/mcp/last-responses", headers=alice)

        body = answer.json()
        assert body["success"] is True
        envelopes = [Envelope.model_validate_json(json.dumps(item)) for item in body["data"]]
        assert [item.correlation_id for item in envelopes] == [failed["taskId"], done["taskId"]]
        assert [item.message_type for item in envelopes] == ["TASK_RESPONSE"] * 2
        assert [item.payload["status"] for item in envelopes] == ["FAILED", "COMPLETED"]

    async def test_the_process_says_that_it_runs(self, api):
        answer = await api.http.get("/healthz")

        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
