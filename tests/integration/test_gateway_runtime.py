"""Quarantine, commands and events over HTTP with nothing between the gateway and the tree."""

import jsonschema
import pytest

from cartrita.clock import SystemClock
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus
from cartrita.storage.memory_journal import InMemoryJournal
from tests.support.gateway import assert_problem, running_gateway
from tests.support.records import end, record, retried, started

COMMANDS, AUDIT, QUARANTINE = "/v3/admin/commands", "/v3/admin/audit", "/v3/quarantine"


@pytest.fixture
async def api():
    async with running_gateway(genuine=True) as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


@pytest.fixture
async def poison(api, alice):
    """Put a task of Alice's into quarantine and return its id."""
    user = (await api.http.get("/auth/me", headers=alice)).json()["id"]
    clock = SystemClock()
    journal = InMemoryJournal(api.stand.tables, "system/9", clock)
    await journal.open()
    now, who = clock.now(), Principal(user, user)
    task = record(
        task_type="system.echo", params={"payload": 1}, principal=who, accepted_at=now,
        deadline=now + 30, idempotency_key=None,
    )  # fmt: skip
    await journal.admit(task)
    for said in (started(task), retried(task), started(task, 2)):
        await journal.append(said)
    outcome = {"errorCode": "AGENT_ERROR", "reason": "QUARANTINED"}
    metrics = {"processingTimeMs": 2.0, "retryCount": 1}
    await journal.append(end(task, TaskStatus.FAILED, metrics=metrics, **outcome))
    return task.task_id


async def documented(api, schema, body):
    """Check an answer against the API's own document."""
    document = (await api.http.get("/openapi.json")).json()
    where = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    jsonschema.validate(body, where)
    return body


async def test_a_quarantined_task_is_seen_and_tried_again_once(api, alice, poison):
    listed = (await api.http.get(QUARANTINE, headers=alice)).json()
    await documented(api, "QuarantineList", listed)
    assert [row["taskId"] for row in listed["tasks"]] == [poison]
    found = (await api.http.get(f"{QUARANTINE}/{poison}", headers=alice)).json()
    await documented(api, "QuarantinedStory", found)
    assert found["parameters"] == {"payload": 1}
    assert found["story"][-1]["type"] == "failed"

    retried = await api.http.post(
        f"{QUARANTINE}/{poison}/retry", json={"parameters": {"payload": 2}}, headers=alice
    )

    assert retried.status_code == 202
    await documented(api, "QuarantineRetry", retried.json())
    ended = await api.http.get(retried.headers["location"] + "?wait=5", headers=alice)
    assert ended.json()["result"] == {"payload": 2}
    again = await api.http.post(f"{QUARANTINE}/{poison}/retry", headers=alice)
    refusal = assert_problem(again, 422, "INVALID_PARAMETERS", "taskId")
    assert retried.json()["taskId"] in refusal["detail"]
    assert (await api.http.get(QUARANTINE, headers=alice)).json()["tasks"] == []


async def test_a_quarantined_task_is_discarded_once(api, alice, poison):
    bob = await api.user("bob@example.org")
    theirs = await api.http.delete(f"{QUARANTINE}/{poison}", headers=bob)
    assert_problem(theirs, 404, "AUTHORIZATION_FAILED")

    answers = [await api.http.delete(f"{QUARANTINE}/{poison}", headers=alice) for _ in range(2)]

    assert [answer.json()["discarded"] for answer in answers] == [True, False]


async def test_commands_reach_the_tree_and_its_record(api):
    admin = await api.admin()

    async def order(command, target, **arguments):
        body = {"command": command, "target": target, "arguments": arguments}
        return await api.http.post(COMMANDS, json=body, headers=admin)

    healthy = (await order("HEALTH_CHECK", "tree")).json()
    await documented(api, "CommandResponse", healthy)
    assert [part["ok"] for part in healthy["results"]] == [True] * 3
    scaled = await order("SCALE_UP", "intelligence", to=2)
    assert scaled.status_code == 200, scaled.text
    sized = await order("CONFIG_UPDATE", "system/0", maxConcurrentTasks=7)
    assert sized.status_code == 200, sized.text
    assert_problem(await order("RESTART", "agent:nobody"), 404, "AUTHORIZATION_FAILED")

    tree = (await api.http.get("/v3/tree", headers=admin)).json()
    shards = {shard["id"]: shard for shard in tree["supervisors"]}
    assert "intelligence/1" in shards
    assert shards["system/0"]["capacity"] == 7
    record = (await api.http.get(f"{AUDIT}?limit=4", headers=admin)).json()
    await documented(api, "AuditList", record)
    told = [(entry["action"], entry["target"]) for entry in record["entries"]]
    assert told == [
        ("RESTART", "agent:nobody"),
        ("CONFIG_UPDATE", "system/0"),
        ("SCALE_UP", "intelligence"),
        ("HEALTH_CHECK", "tree"),
    ]
    assert "AUTHORIZATION_FAILED" in record["entries"][0]["outcome"]


async def test_a_tasks_events_are_told_to_the_end_and_again_from_anywhere(api, alice):
    api.stand.latch.released.set()
    accepted = await api.run("bench.wait", who=alice, headers={"Prefer": "respond-async"})
    url = accepted.headers["location"] + "/events"

    whole = (await api.http.get(url, headers=alice)).text
    blocks = whole.strip().split("\n\n")
    kinds = [block.split("\n")[1].removeprefix("event: ") for block in blocks[1:]]
    assert kinds == ["accepted", "queued", "started", "completed"]
    second = blocks[2].split("\n")[0].removeprefix("id: ")
    rest = (await api.http.get(f"{url}?after={second}", headers=alice)).text
    assert rest.strip().split("\n\n")[1:] == blocks[3:]
    bob = await api.user("bob@example.org")
    assert_problem(await api.http.get(url, headers=bob), 404, "AUTHORIZATION_FAILED")
    wrong = await api.http.get(f"{url}?after=x", headers=alice)
    assert_problem(wrong, 422, "INVALID_PARAMETERS", "cursor")
