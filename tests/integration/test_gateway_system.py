"""What the gateway says of the system: health, the tree, the catalogue, metrics."""

import asyncio
import json

import pytest

from tests.support.gateway import assert_headers, assert_problem, report, running_gateway

SHARDS = ["intelligence/0", "multimodal/0", "system/0"]


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


async def down(api, shard):
    """Have a supervisor answer nobody, without the orchestrator's knowing."""
    await api.stand.tree.supervisors[shard]._server.stop()


async def test_health_tells_of_queues_and_services(api):
    api.stand.clock.advance(12.5)

    answer = await api.http.get("/health")

    assert answer.status_code == 200
    assert_headers(answer)
    assert answer.json() == {
        "status": "healthy",
        "timestamp": "2023-11-14T22:13:32.500+00:00",
        "version": "3.0.0-test",
        "uptime": 12.5,
        "queues": {
            shard: {"depth": 0, "inFlight": 0, "capacity": 50, "utilization": 0.0}
            for shard in SHARDS
        },
        "services": {"postgres": {"ok": True}, "redis": {"ok": True}},
    }


async def test_health_counts_what_runs(api):
    alice = await api.user("alice@example.org")
    await api.run("bench.wait", who=alice, headers={"Prefer": "respond-async"})
    await asyncio.wait_for(api.stand.latch.started.wait(), 5)

    queue = (await api.http.get("/health")).json()["queues"]["intelligence/0"]

    assert queue == {"depth": 0, "inFlight": 1, "capacity": 50, "utilization": 0.02}


async def test_health_is_degraded_without_something_that_may_be_missing(api):
    api.stand.probes.reports = (report("postgres"), report("redis", ok=False, required=False))

    answer = await api.http.get("/health")

    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["services"] == {"postgres": {"ok": True}, "redis": {"ok": False}}


async def test_health_is_degraded_when_one_of_several_shards_is_down(api):
    await down(api, "multimodal/0")

    answer = await api.http.get("/health")

    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert set(answer.json()["queues"]) == {"intelligence/0", "system/0"}


async def test_health_is_503_when_nothing_can_be_accepted(api):
    api.stand.probes.reports = (report("postgres", ok=False), report("redis", required=False))

    answer = await api.http.get("/health")

    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"


async def test_health_shows_the_embedded_services(api):
    rows = [{"name": "edge", "state": "up", "pid": 7, "restarts": 0},
            {"name": "ray", "state": "down", "pid": 8, "restarts": 3}]  # fmt: skip
    api.stand.services_file.write_text(json.dumps({"owner": 5, "services": rows}))

    body = (await api.http.get("/health")).json()

    assert body["services"]["edge"] == {"ok": True}
    assert body["services"]["ray"] == {"ok": False}
    assert body["status"] == "degraded"


async def test_a_flood_of_health_checks_looks_at_the_databases_once(api):
    await asyncio.gather(*(api.http.get("/health") for _ in range(20)))
    assert api.stand.probes.asked == 1

    api.stand.clock.advance(2)
    await api.http.get("/readyz")

    assert api.stand.probes.asked == 2


@pytest.mark.parametrize(
    ("path", "status"), [("/livez", "alive"), ("/startupz", "started"), ("/readyz", "ready")]
)
async def test_answers_the_probes_of_a_platform(api, path, status):
    answer = await api.http.get(path)

    assert answer.status_code == 200
    assert answer.json() == {"status": status}
    head = await api.http.head(path)
    assert (head.status_code, head.content) == (200, b"")


async def test_is_not_ready_while_a_shard_is_down(api):
    await down(api, "system/0")

    answer = await api.http.get("/readyz")

    document = assert_problem(answer, 503, "SERVICE_UNAVAILABLE")
    assert "system/0" in document["detail"]
    assert answer.headers["retry-after"] == "1"
    assert (await api.http.get("/livez")).status_code == 200


async def test_is_not_ready_without_what_it_needs(api):
    api.stand.probes.reports = (report("postgres", ok=False),)

    document = assert_problem(await api.http.get("/readyz"), 503, "SERVICE_UNAVAILABLE")

    assert document["detail"] == "Not up: postgres."


async def test_metrics_count_tasks(api):
    alice = await api.user("alice@example.org")
    await api.run(who=alice)

    answer = await api.http.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    text = answer.text
    done = 'cartrita_mcp_tasks_completed_total{agent_id="health",task_type="system.echo"}'
    assert float(text.partition(done)[2].split()[0]) >= 1
    assert "# TYPE cartrita_mcp_task_duration_seconds histogram" in text


SUPERVISOR = {
    "id", "team", "shard", "state", "pid", "node", "epoch", "restarts", "queueDepth",
    "inFlight", "capacity", "suspended", "hosts", "actorId", "memoryBytes", "pace", "journal",
}  # fmt: skip
HOST = {
    "id", "state", "pid", "node", "restarts", "inFlight", "agents", "actorId", "memoryBytes",
    "pool",
}  # fmt: skip
PRIVATE = {"pid", "node", "actorId", "memoryBytes", "pace", "journal"}


async def test_admins_see_the_whole_tree(api):
    rows = [{"name": "edge", "state": "up", "pid": 7, "restarts": 0}]
    api.stand.services_file.write_text(json.dumps({"owner": 5, "services": rows}))

    tree = (await api.http.get("/v3/tree", headers=await api.admin())).json()

    assert tree.keys() == {"buildId", "owner", "orchestrator", "supervisors", "services"}
    assert tree["owner"] == {"pid": 5}
    orchestrator = {"state": "up", "pid": 11, "node": "local", "epoch": 1, "restarts": 0}
    assert tree["orchestrator"] == {**orchestrator, "troubles": []}
    assert tree["services"] == rows
    assert [shard["id"] for shard in tree["supervisors"]] == SHARDS
    for shard in tree["supervisors"]:
        assert shard.keys() == SUPERVISOR
        assert shard["state"] == "up"
        for host in shard["hosts"]:
            assert host.keys() == HOST
    hosts = {shard["id"]: shard["hosts"] for shard in tree["supervisors"]}
    assert hosts["system/0"][0]["agents"] == ["health", "busy"]


async def test_admins_are_led_to_each_actor_in_rays_dashboard(api):
    api.stand.ray = {"actorId": "abc", "dashboard": "http://127.0.0.1:8265"}

    tree = (await api.http.get("/v3/tree", headers=await api.admin())).json()

    assert tree["orchestrator"]["dashboard"] == "http://127.0.0.1:8265/#/actors/abc"
    assert "dashboard" not in tree["supervisors"][0], "it is none of Ray's here"
    told = await api.http.get("/v3/tree", headers=await api.user("alice@example.org"))
    assert "8265" not in told.text


async def test_prometheus_is_told_where_each_nodes_metrics_are(api):
    assert (await api.http.get("/metrics/targets")).json() == []
    api.stand.exports = [
        {"node": "a", "address": "10.0.0.1:9101"},
        {"node": "b", "address": "[fd00::1]:9101"},
    ]

    answer = await api.http.get("/metrics/targets")

    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == [
        {"targets": ["10.0.0.1:9101"], "labels": {"instance": "10.0.0.1"}},
        {"targets": ["[fd00::1]:9101"], "labels": {"instance": "[fd00::1]"}},
    ]
    api.stand.orphaned = True  # Prometheus keeps the last list when it is refused
    assert_problem(await api.http.get("/metrics/targets"), 503, "SERVICE_UNAVAILABLE")


async def test_users_see_the_tree_without_processes_and_nodes(api):
    rows = [{"name": "edge", "state": "up", "pid": 7, "restarts": 0}]
    api.stand.services_file.write_text(json.dumps({"owner": 5, "services": rows}))

    answer = await api.http.get("/v3/tree", headers=await api.user("alice@example.org"))

    assert answer.status_code == 200
    assert '"pid"' not in answer.text
    assert '"node"' not in answer.text
    tree = answer.json()
    assert tree["services"] == [{"name": "edge", "state": "up", "restarts": 0}]
    assert tree["supervisors"][0].keys() == SUPERVISOR - PRIVATE
    assert tree["supervisors"][2]["hosts"][0].keys() == HOST - PRIVATE


async def test_the_tree_shows_a_shard_that_does_not_answer(api):
    await down(api, "system/0")

    tree = (await api.http.get("/v3/tree", headers=await api.admin())).json()

    shard = tree["supervisors"][2]
    assert shard["id"] == "system/0"
    assert (shard["team"], shard["shard"], shard["state"]) == ("system", 0, "down")


async def test_the_catalogue_lists_every_task_with_a_body_that_works(api):
    alice = await api.user("alice@example.org")

    answer = await api.http.get("/v3/catalog", headers=alice)

    tasks = {entry["taskType"]: entry for entry in answer.json()["tasks"]}
    assert list(tasks) == [
        "bench.fail",
        "bench.infinity",
        "bench.shape",
        "bench.wait",
        "busy.work",
        "system.echo",
        "system.health_check",
    ]
    entry = tasks["bench.shape"]
    assert entry["agent"] == "bench"
    assert entry["team"] == "intelligence"
    assert entry["summary"] == "Take one field of every kind."
    assert entry["timeoutMs"] == 30_000
    assert entry["idempotent"] is True
    assert entry["aliases"] == ["bench.old_shape"]
    assert entry["costUsd"] == 0
    assert "itemCount" in entry["parameters"]["properties"]
    assert "done" in entry["result"]["properties"]
    ran = await api.http.post("/v3/tasks", json=entry["example"], headers=alice)
    assert ran.json()["status"] == "COMPLETED"


async def test_nothing_but_its_words_is_told_of_a_defect(api):
    api.stand.probes.defect = ZeroDivisionError("a secret")

    answer = await api.http.get("/health")

    document = assert_problem(answer, 500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    assert document["retryable"] is True
