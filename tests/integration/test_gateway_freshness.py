"""What a client says about answers that were given before, by every door."""

import pytest

from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from tests.support.gateway import running_gateway


class Nothing(Params):
    """Takes nothing."""


class Heard(Result):
    """What the worker was told."""

    cache: str
    quality: str


class Ear(Agent, team="system"):
    """Says what it was told."""

    @task("ear.cache", idempotent=True, example={})
    async def cache(self, params: Nothing, ctx: Context) -> Heard:
        """Say it."""
        return Heard(cache=ctx.preferences.cache, quality=ctx.preferences.quality_level)


@pytest.fixture
async def api():
    async with running_gateway(agents=(Ear,)) as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


@pytest.mark.parametrize(
    ("header", "heard"),
    [("max-age=3600", "use"), ("no-cache", "refresh"), ("no-store", "off")],
)
async def test_cache_control_reaches_the_worker(api, alice, header, heard):
    hints = {"qualityLevel": "best"}
    told = {"Cache-Control": header}
    answer = await api.run("ear.cache", who=alice, headers=told, preferences=hints)
    assert answer.json()["result"] == {"cache": heard, "quality": "best"}


async def test_the_task_s_own_field_says_the_same(api, alice):
    answer = await api.run("ear.cache", who=alice, preferences={"cache": "refresh"})
    assert answer.json()["result"]["cache"] == "refresh"
    refused = await api.run("ear.cache", who=alice, preferences={"cache": "sometimes"})
    assert refused.status_code == 422


async def test_a_batch_s_header_holds_for_all_its_tasks(api, alice):
    body = {"tasks": [{"taskType": "ear.cache", "parameters": {}}] * 2}
    told = {**alice, "Cache-Control": "no-cache"}
    answer = await api.http.post("/v3/tasks/batch", json=body, headers=told)
    for verdict in answer.json()["results"]:
        shown = await api.http.get(f"/v3/tasks/{verdict['taskId']}?wait=5", headers=alice)
        assert shown.json()["result"]["cache"] == "refresh"
