"""A gateway that is taken away ends its streams, so that their readers go on elsewhere."""

import json
import threading

import httpx
import pytest

from tests.support.api_server import serving, short_folder
from tests.support.gateway import PASSWORD, Stand


class Leaving:
    """Answers for a replica's health as Serve does, and passes the rest on."""

    def __init__(self, app):
        self._app, self.leaves = app, threading.Event()

    async def __call__(self, scope, receive, send):
        if scope.get("path") != "/-/healthz":
            await self._app(scope, receive, send)
            return
        status = 503 if self.leaves.is_set() else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def gateway():
    with short_folder() as folder:
        app = Leaving(Stand(folder).application())
        with serving(app) as url, httpx.Client(base_url=url, timeout=20) as client:
            account = {"email": "alice@example.org", "password": PASSWORD}
            token = client.post("/auth/register", json=account).json()["token"]
            client.headers["Authorization"] = f"Bearer {token}"
            yield client, app.leaves


def begin(client, delay):
    body = {"taskType": "system.echo", "parameters": {"payload": 1, "delayMs": delay}}
    answer = client.post("/v3/tasks", json=body, headers={"Prefer": "respond-async"})
    return f"{answer.headers['Location']}/events"


def test_a_stream_ends_with_its_gateway_and_goes_on_where_it_was(gateway):
    client, leaves = gateway
    path, events = begin(client, 3000), []

    with client.stream("GET", path) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                events.append(json.loads(line[5:]))
                if events[-1]["type"] == "started":
                    leaves.set()
    assert events[-1]["type"] == "started", "it ended before the task did, and in good order"

    while events[-1]["type"] != "completed":  # there is no other gateway, so it is asked again
        rest = client.get(path, headers={"Last-Event-ID": events[-1]["cursor"]}).text
        events += [json.loads(line[5:]) for line in rest.splitlines() if line.startswith("data:")]
    kinds = [event["type"] for event in events]
    assert kinds == ["accepted", "queued", "started", "completed"]


def test_a_stream_of_a_gateway_that_stays_runs_to_its_tasks_end(gateway):
    client, _ = gateway

    told = client.get(begin(client, 1200)).text

    assert "event: completed" in told
