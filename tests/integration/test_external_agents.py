"""Agents that run elsewhere: registered, called and removed, through the real gateway."""

import asyncio
import json
import re

import jsonschema
import pytest
from openapi_spec_validator import validate

from cartrita.clock import new_id
from tests.support.carried import CARRIERS, ask, register, registered
from tests.support.elsewhere import answer, elsewhere, registration, result, task_type
from tests.support.gateway import assert_problem, running_gateway


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


class TestRegistering:
    async def test_a_registered_agent_is_called_and_known_everywhere(self, api, admin, alice):
        async with elsewhere() as agent:
            done = await registered(api, admin, registration(agent))
            assert (done.status_code, done.headers["location"]) == (201, "/v3/agents/weather")
            assert done.json() == {
                "name": "weather", "taskTypes": ["weather.forecast"], "replaced": False
            }  # fmt: skip
            ran = (await ask(api, alice, {"city": "Ghent", "days": 2})).json()

        assert ran["result"] == {"heard": {"city": "Ghent", "days": 2}}
        row = (await api.http.get("/v3/agents/weather", headers=alice)).json()
        assert (row["team"], row["state"], row["concurrency"]) == ("intelligence", "starting", 8)
        assert row["tasks"][0]["parameters"] == task_type()["parameters"]
        assert "endpoint" not in row["external"]
        catalogue = (await api.http.get("/v3/catalog", headers=alice)).json()["tasks"]
        entry = {item["taskType"]: item for item in catalogue}["weather.forecast"]
        assert (entry["agent"], entry["delivery"]) == ("weather", "AT_LEAST_ONCE")
        listed = (await api.http.get("/v3/tasks", headers=alice)).json()["tasks"]
        assert [task["taskType"] for task in listed] == ["weather.forecast"]

    async def test_openapi_tells_of_it_while_it_is_registered(self, api, admin):
        before = (await api.http.get("/openapi.json")).headers["etag"]
        await registered(api, admin, registration())
        document = (await api.http.get("/openapi.json")).json()
        validate(document)
        schema = {
            "$ref": "#/components/schemas/WeatherForecast",
            "components": document["components"],
        }
        good = {"taskType": "weather.forecast", "parameters": {"city": "Ghent"}}
        jsonschema.validate(good, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, "parameters": {"city": ""}}, schema)
        await api.http.delete("/v3/agents/weather", headers=admin)
        assert (await api.http.get("/openapi.json")).headers["etag"] == before

    async def test_what_carries_it_is_no_task_type_of_callers(self, api, admin, alice):
        agents = (await api.http.get("/v3/agents", headers=admin)).json()["agents"]
        assert not any(agent["name"].startswith("external") for agent in agents)
        refused = await ask(api, alice, {}, "external.intelligence.call")
        assert_problem(refused, 400, "INVALID_TASK_TYPE", "taskType")

    async def test_only_administrators_register_and_remove(self, api, alice):
        assert_problem(await register(api, alice, registration()), 403, "AUTHORIZATION_FAILED")
        refused = await api.http.delete("/v3/agents/weather", headers=alice)
        assert_problem(refused, 403, "AUTHORIZATION_FAILED")

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"endpoint": "ftp://example.org/"}, "endpoint"),
            ({"endpoint": "http://ada:secret@example.org/"}, "endpoint"),
            ({"endpoint": "http://:80/"}, "endpoint"),
            ({"endpoint": "http://a b/"}, "endpoint"),
            ({"endpoint": "file:///etc/passwd"}, "endpoint"),
            ({"name": "Weather"}, "name"),
            ({"name": "health"}, "name"),
            ({"team": "another"}, "team"),
            ({"taskTypes": []}, "taskTypes"),
            ({"taskTypes": [task_type("system.echo")]}, "taskTypes.0.taskType"),
            ({"taskTypes": [task_type("bench.old_shape")]}, "taskTypes.0.taskType"),
            ({"taskTypes": [task_type("external.system.call")]}, "taskTypes.0.taskType"),
            ({"taskTypes": [task_type(parameters={"type": "array"})]}, "taskTypes.0.parameters"),
            ({"taskTypes": [task_type(example={"days": 1})]}, "taskTypes.0"),
            ({"healthPath": "health"}, "healthPath"),
            ({"healthPath": "//example.org/"}, "healthPath"),
            ({"maxConcurrency": 0}, "maxConcurrency"),
            (
                {"authentication": {"kind": "bearer", "secret": "line\r\nbreak"}},
                "authentication.secret",
            ),
            ({"secret": "at the wrong place"}, "secret"),
        ],
    )
    async def test_a_field_that_is_wrong_is_named(self, api, admin, changes, field):
        refused = await register(api, admin, registration(**changes))
        assert_problem(refused, 422, "INVALID_PARAMETERS", field)
        assert "wrong place" not in refused.text

    async def test_a_task_type_of_another_agent_is_refused(self, api, admin):
        await registered(api, admin, registration())
        refused = await register(api, admin, registration(name="other"))
        assert_problem(refused, 422, "INVALID_PARAMETERS", "taskTypes")

    async def test_secrets_are_never_shown(self, api, admin):
        secret = "correct horse battery"
        for kind in ("bearer", "hmac"):
            told = registration(authentication={"kind": kind, "secret": secret})
            done = await registered(api, admin, told)
            shown = await api.http.get("/v3/agents/weather", headers=admin)
            assert shown.json()["external"]["authentication"] == kind
            assert "horse" not in done.text + shown.text
        assert "horse" not in repr([vars(one) if hasattr(one, "__dict__") else one
                                    for one in api.stand.tree.audit._entries])  # fmt: skip
        actions = [entry.action for entry in await api.stand.tree.audit.entries(9, None)]
        assert actions == ["REGISTER_AGENT"] * 2

    async def test_a_removed_agent_takes_nothing_more(self, api, admin, alice):
        await registered(api, admin, registration())
        gone = await api.http.delete("/v3/agents/weather", headers=admin)
        assert gone.json() == {"name": "weather", "removed": True}
        assert_problem(await ask(api, alice), 400, "INVALID_TASK_TYPE", "taskType")
        again = await api.http.delete("/v3/agents/weather", headers=admin)
        assert_problem(again, 404, "AUTHORIZATION_FAILED")
        built_in = await api.http.delete("/v3/agents/health", headers=admin)
        assert_problem(built_in, 422, "INVALID_PARAMETERS", "name")

    async def test_a_team_that_only_carries_shows_no_host_before_it_is_used(
        self, api, admin, alice
    ):
        async def hosts():
            rows = (await api.http.get("/v3/tree", headers=admin)).json()["supervisors"]
            (found,) = [row["hosts"] for row in rows if row["team"] == "multimodal"]
            return [host["state"] for host in found]

        assert await hosts() == []
        async with elsewhere() as agent:
            await registered(api, admin, registration(agent, team="multimodal"))
            await ask(api, alice)
        assert await hosts() == ["up"]


class TestCalling:
    async def test_parameters_are_checked_before_the_task_is_accepted(self, api, admin, alice):
        async with elsewhere() as agent:
            await registered(api, admin, registration(agent))
            refused = await ask(api, alice, {"days": "two", "where": 1})
            assert agent.asked == []
        fields = [item["field"] for item in refused.json()["errors"]]
        assert_problem(refused, 422, "INVALID_PARAMETERS", *fields)
        assert sorted(fields) == ["parameters.city", "parameters.days", "parameters.where"]

    async def test_each_attempt_says_whose_it_is(self, api, admin, alice):
        async def work(asked):
            return answer(503, retry_after="0") if len(agent.asked) == 1 else result(fine=True)

        async with elsewhere(work) as agent:
            told = registration(
                agent, authentication={"kind": "bearer", "secret": "correct horse battery"}
            )
            await registered(api, admin, told)
            trace = f"00-{'a' * 32}-{'b' * 16}-01"
            task_id = new_id()
            ran = (await ask(api, alice, taskId=task_id, headers={"traceparent": trace})).json()
            first, second = agent.asked

        assert (ran["result"], ran["metrics"]["retryCount"]) == ({"fine": True}, 1)
        assert [one.headers["cartrita-attempt"] for one in (first, second)] == ["1", "2"]
        for one in (first, second):
            assert one.path == "/tasks"
            assert one.headers["idempotency-key"] == task_id
            assert one.headers["cartrita-task-id"] == task_id == one.task["taskId"]
            assert one.headers["traceparent"].split("-")[1] == "a" * 32
            assert one.headers["authorization"] == "Bearer correct horse battery"
            assert one.task["parameters"] == {"city": "Ghent"}
            assert 0 < one.task["timeoutMs"] <= 30_000

    async def test_what_may_not_run_twice_is_called_once(self, api, admin, alice):
        async def work(asked):
            return answer(503)

        async with elsewhere(work) as agent:
            await registered(api, admin, registration(
                agent, taskTypes=[task_type(idempotent=False)]
            ))  # fmt: skip
            ran = (await ask(api, alice)).json()
            assert len(agent.asked) == 1
        assert (ran["status"], ran["errorCode"]) == ("FAILED", "NETWORK_ERROR")
        assert ran["retryable"] is True

    async def test_cancelling_the_task_hangs_up(self, api, admin, alice):
        async def work(asked):
            await asyncio.Event().wait()

        async with elsewhere(work) as agent:
            await registered(api, admin, registration(agent))
            task_id = new_id()
            asked = asyncio.create_task(ask(api, alice, taskId=task_id))
            await asyncio.wait_for(agent.began.get(), 10)
            await api.http.delete(f"/v3/tasks/{task_id}", headers=alice)
            await asyncio.wait_for(agent.left.get(), 10)
            assert (await asked).json()["status"] == "CANCELLED"

    async def test_no_more_calls_are_under_way_than_it_wants(self, api, admin, alice):
        release = asyncio.Event()

        async def work(asked):
            await release.wait()
            return result()

        async with elsewhere(work) as agent:
            await registered(api, admin, registration(agent, maxConcurrency=2))
            waiting = [asyncio.create_task(ask(api, alice)) for _ in range(5)]
            for _ in range(2):
                await asyncio.wait_for(agent.began.get(), 10)
            # Others of the team are not kept waiting by its line.
            other = await api.run("bench.shape", {"itemCount": 1}, who=alice)
            assert other.json()["status"] == "COMPLETED"
            supervisor = api.stand.tree.supervisors["intelligence/0"].supervisor
            assert supervisor.snapshot()["queueDepth"] == 3
            assert agent.began.empty()
            release.set()
            done = await asyncio.gather(*waiting)
        assert [one.json()["status"] for one in done] == ["COMPLETED"] * 5

    @pytest.mark.parametrize("team", ["multimodal", "system"])
    async def test_any_team_carries_it(self, api, admin, alice, team):
        async with elsewhere() as agent:
            await registered(api, admin, registration(agent, team=team))
            assert (await ask(api, alice)).json()["status"] == "COMPLETED"
        story = await api.stand.tables.story((await _last(api, alice))["taskId"])
        assert story[0].shard == f"{team}/0"

    async def test_what_a_stream_says_are_events_of_the_task(self, api, admin, alice):
        said = [
            {"type": "progress", "fraction": 0.5, "text": "half"},
            {"type": "token", "text": "It rains"},
            {"type": "result", "result": {"rain": None}, "warnings": ["a guess"]},
        ]
        forms = {
            "application/x-ndjson": "{}\n",
            "text/event-stream": ": hello\r\nevent: x\r\ndata: {}\r\n\r\n",
        }
        for kind, form in forms.items():

            async def work(asked, kind=kind, form=form):
                async def pieces():
                    for one in said:
                        text = form.replace("{}", json.dumps(one)).encode()
                        yield text[:7]
                        yield text[7:]

                return kind, pieces()

            async with elsewhere(work) as agent:
                await registered(api, admin, registration(agent))
                ran = (await ask(api, alice)).json()
                assert (ran["result"], ran["warnings"]) == ({"rain": None}, ["a guess"])
                url = f"/v3/tasks/{ran['taskId']}/events"
                events = (await api.http.get(url, headers=alice)).text
                found = re.findall(r"event: (\w+)", events)
                assert found == ["accepted", "queued", "started", "progress", "token", "completed"]


async def _last(api, who):
    return (await api.http.get("/v3/tasks", headers=who)).json()["tasks"][0]
