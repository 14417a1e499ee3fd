"""Health, agents, MCP and hierarchy, in the shapes that v2's clients read."""

import pytest

from tests.support.bridged import V2, bridged
from tests.support.gateway import report


@pytest.fixture
async def api():
    async with bridged(guests=True) as api:
        api.who = await api.user("a@b.example")
        yield api


async def got(api, path, **headers):
    answer = await api.http.get(path, headers={**api.who, **headers})
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


SHAPES = {
    "/api/health": {"status", "timestamp", "service", "version", "uptime"},
    "/api/health/system": {"timestamp", "overall_status", "checks", "summary"},
    "/api/health/status": {"timestamp", "overall_status", "checks", "summary"},
    "/api/health/component/database": {"component", "status", "message", "timestamp"},
    "/api/health/endpoints": {"endpoints", "summary"},
    "/api/health/agents": {"success", "data"},
    "/api/health/dashboard": {"success", "data"},
    "/api/agents/role-call": {"success", "agents", "readiness", "count"},
    "/api/agents/capabilities": {"success", "data"},
    "/api/agent/status": {"status", "version", "capabilities", "agents_active"},
    "/api/agent/metrics": {"timestamp", "metrics", "health", "agents", "performance"},
    "/api/metrics/custom": {"success", "data"},
    "/api/mcp/status": {"initialized", "orchestrator", "supervisors", "supportedTaskTypes"},
    "/api/mcp/health": {"status", "supervisors"},
    "/api/mcp/agent-hierarchy": {"mcp_system", "hierarchy", "supported_task_types"},
    "/api/mcp/tool-registry": {"total_tools", "agents_and_tools", "message"},
    "/api/hierarchy/structure": {"success", "hierarchy"},
    "/api/hierarchy/supervisors": {"success", "supervisors"},
    "/api/hierarchy/permissions": {"success", "agent_permissions"},
    "/api/hierarchy/agent/talker/hierarchy": {"success", "agent", "hierarchy_path"},
    "/api/cartrita/ping": {"message", "timestamp"},
    "/api/chat/test": {"message", "timestamp"},
}
"""Names that an answer has, by its path."""


async def test_each_route_answers_in_v2s_shape(api):
    missing = {path: names - set(await got(api, path)) for path, names in SHAPES.items()}
    assert {path: names for path, names in missing.items() if names} == {}


async def test_agents_are_those_that_are_declared(api):
    told = await got(api, "/api/agents/role-call")
    assert {"talker", "health"} <= set(told["agents"])
    assert told["count"] == len(told["agents"])
    assert told["readiness"]["supervisor_initialized"] is True
    known = (await got(api, "/api/agents/capabilities"))["data"]["supervisor"]
    assert known["talker"]["allowedTools"] == ["langchain.chat.execute"]
    path = (await got(api, "/api/hierarchy/agent/talker/hierarchy"))["hierarchy_path"]
    assert [step["agent"] for step in path] == ["talker", "intelligence", "orchestrator"]
    assert (await api.http.get("/api/hierarchy/agent/nobody/hierarchy")).status_code == 404


async def test_the_figures_are_counted(api):
    before = (await got(api, "/api/agent/metrics"))["metrics"]
    await api.http.post("/api/chat", json={"message": "hi"})
    api.stand.clock.advance(5)  # figures serve all who ask within a second
    after = (await got(api, "/api/agent/metrics"))["metrics"]
    assert after["requests_processed"] == before["requests_processed"] + 1
    names = {
        "requests_processed", "successful_responses", "failed_responses", "tools_used_total",
        "average_response_time", "user_interactions", "personality_adaptations",
        "streaming_sessions", "cache_hits", "cache_misses", "intent_accuracy",
        "tool_selection_accuracy", "uptime",
    }  # fmt: skip
    assert set(after) == names
    health = (await got(api, "/api/agent/metrics"))["health"]
    assert set(health) == {"healthy", "issues", "uptime", "success_rate", "cache_hit_rate"}


async def test_any_task_runs_by_its_type_and_failing_is_200(api):
    asked = {"taskType": "system.echo", "parameters": {"payload": [1]}}
    answer = await api.http.post("/api/mcp/task", json=asked, headers=api.who)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "completed")
    assert body["result"] == {"payload": [1]}
    assert body["metadata"]["taskId"] == answer.headers["x-task-id"]
    for asked in ({"taskType": "nothing.here"}, {"taskType": "system.echo", "parameters": {}}):
        answer = await api.http.post("/api/mcp/task", json=asked, headers=api.who)
        assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    answer = await api.http.post("/api/mcp/task", json={}, headers=api.who)
    assert (answer.status_code, answer.json()["error"]) == (400, "taskType is required")


async def test_an_order_is_accepted_and_can_be_followed(api):
    asked = {"task_description": "say hello"}
    answer = await api.http.post("/api/mcp/supervisor/override", json=asked, headers=api.who)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (202, "ACCEPTED")
    seen = await api.http.get(f"/v3/tasks/{body['task_id']}?wait=5", headers=api.who)
    assert seen.json()["result"]["message"].startswith("You said 'say hello'")


async def test_a_session_is_shown_to_whom_it_belongs(api):
    said = {"message": "hi", "conversationId": "mine"}
    await api.http.post("/api/chat", json=said, headers=api.who)
    told = await got(api, "/api/agent/sessions/mine")
    assert told["messageCount"] == 1
    other = await api.user("c@d.example")
    answer = await api.http.get("/api/agent/sessions/mine", headers=other)
    assert answer.status_code == 404


async def test_monitoring_cannot_be_stopped(api):
    answer = await api.http.post("/api/health/monitoring/start", json={}, headers=api.who)
    assert answer.json()["status"] == "started"
    answer = await api.http.post("/api/health/monitoring/stop", json={}, headers=api.who)
    assert answer.status_code == 403


async def test_health_says_503_when_no_task_can_be_accepted(api):
    api.stand.probes.reports = (report("postgres", ok=False), report("redis"))
    answer = await api.http.get("/health", headers=V2)
    assert answer.status_code == 503
    assert answer.json()["services"]["db"] == {"ok": False}
