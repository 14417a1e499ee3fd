"""Whole stories over HTTP, with nothing between the gateway and the tree."""

import asyncio

import jsonschema
import pytest

from cartrita.clock import new_id
from tests.support.gateway import assert_headers, assert_problem, running_gateway


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


@pytest.fixture
async def done(api, alice):
    """Give a task of Alice's that said, used and called everything there is."""
    budget = {"maxUsd": 2.0}
    answer = await api.run("busy.work", who=alice, budget=budget, sessionId="s", timeout=9000)
    assert answer.json()["status"] == "COMPLETED", answer.text
    return answer.json()


async def told(api, task_id, who, **query):
    """Return a story, which must be what the API's document says of it."""
    answer = await api.http.get(f"/v3/tasks/{task_id}/story", params=query, headers=who)
    assert answer.status_code == 200, answer.text
    assert_headers(answer)
    document = (await api.http.get("/openapi.json")).json()
    where = {"$ref": "#/components/schemas/TaskStory", "components": document["components"]}
    jsonschema.validate(answer.json(), where)
    return answer.json()


async def test_a_story_tells_everything_of_a_task(api, alice, done):
    story = await told(api, done["taskId"], alice)

    assert (story["taskType"], story["status"]) == ("busy.work", "COMPLETED")
    assert story["response"] == done
    asked = story["accepted"]
    assert (asked["sessionId"], asked["budget"]["maxUsd"]) == ("s", 2.0)
    assert asked["traceId"] == done["traceId"]
    assert [(one["model"], one["costUsd"]) for one in story["modelCalls"]] == [("model/a", 0.125)]
    tools = [(one["name"], one["shown"]) for one in story["toolCalls"]]
    assert sorted(tools) == [("calculator", False), ("lookup", True)]
    (child,) = story["children"]
    assert (child["taskType"], child["status"]) == ("system.echo", "COMPLETED")
    assert (story["costs"]["totalUsd"], story["costs"]["tokens"]) == (0.125, 15)
    assert [one["outcome"] for one in story["attempts"]] == ["completed"]
    assert story["events"][-1]["afterMs"] > 0


async def test_its_events_are_those_that_readers_were_shown(api, alice, done):
    story = await told(api, done["taskId"], alice)

    stream = await api.http.get(f"/v3/tasks/{done['taskId']}/events", headers=alice)
    shown = [line[4:] for line in stream.text.splitlines() if line.startswith("id: ")]
    assert [event["cursor"] for event in story["events"]] == shown


async def test_it_is_told_as_it_stood_after_any_event(api, alice, done):
    whole = await told(api, done["taskId"], alice)

    for number, event in enumerate(whole["events"]):
        story = await told(api, done["taskId"], alice, until=event["cursor"])
        assert story["events"] == whole["events"][: number + 1]
        assert story["until"] == event["cursor"]
    begun = await told(api, done["taskId"], alice, until=whole["events"][1]["cursor"])
    assert (begun["status"], begun["children"], begun["modelCalls"]) == ("PENDING", [], [])


async def test_it_is_told_of_a_task_that_runs(api, alice):
    task_id = new_id()
    running = asyncio.create_task(api.run("bench.wait", who=alice, taskId=task_id))
    await asyncio.wait_for(api.stand.latch.started.wait(), 5)

    story = await told(api, task_id, alice)

    assert (story["status"], story["response"]) == ("RUNNING", None)
    assert story["attempts"][0]["outcome"] == "running"
    api.stand.latch.released.set()
    await running


async def test_it_is_told_to_the_owner_and_to_administrators_only(api, alice, done):
    task_id, bob = done["taskId"], await api.user("bob@example.org")

    assert (await told(api, task_id, await api.admin()))["taskId"] == task_id
    for one, who in ((task_id, bob), (new_id(), alice), (new_id(), await api.admin())):
        answer = await api.http.get(f"/v3/tasks/{one}/story", headers=who)
        assert_problem(answer, 404, "AUTHORIZATION_FAILED")
    answer = await api.http.get(f"/v3/tasks/{task_id}/story")
    assert_problem(answer, 401, "AUTHENTICATION_FAILED")


@pytest.mark.parametrize("until", ["", "later", "0", "%20", "f" * 16, "x" * 100])
async def test_refuses_what_is_no_cursor(api, alice, done, until):
    where = f"/v3/tasks/{done['taskId']}/story?until={until}"
    assert_problem(await api.http.get(where, headers=alice), 422, "INVALID_PARAMETERS", "until")


async def test_refuses_what_is_no_task_id(api, alice):
    answer = await api.http.get("/v3/tasks/first/story", headers=alice)
    assert_problem(answer, 422, "INVALID_PARAMETERS", "taskId")


async def test_the_costs_of_a_task_s_steps_add_up(api, alice, done):
    answer = await api.http.get(f"/v3/tasks/{done['taskId']}/cost", headers=alice)
    assert answer.status_code == 200, answer.text
    document = (await api.http.get("/openapi.json")).json()
    where = {"$ref": "#/components/schemas/TaskCost", "components": document["components"]}
    told = answer.json()
    jsonschema.validate(told, where)
    assert told["totalUsd"] == sum(step["costUsd"] for step in told["steps"]) == 0.125
    assert {step["kind"] for step in told["steps"]} == {"model", "task"}
    assert (told["tokens"], told["complete"]) == (15, True)


async def test_nobody_else_is_told_what_a_task_cost(api, done):
    bob = await api.user("bob@example.org")
    answer = await api.http.get(f"/v3/tasks/{done['taskId']}/cost", headers=bob)
    assert answer.status_code == 404
