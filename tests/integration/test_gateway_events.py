"""Tasks' events over HTTP: as they come, from where the client was, to the end."""

import asyncio
import json

import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from serve_apps.gateway import events
from tests.support.gateway import assert_problem, running_gateway
from tests.support.runtime import cursor


@pytest.fixture
async def api():
    async with running_gateway() as running:
        yield running


@pytest.fixture
async def alice(api):
    return await api.user("alice@example.org")


class Reader:
    """One GET of events, spoken to as a server does, so that its parts are seen as they come."""

    def __init__(self, api, task_id, who, *, query=b"", **headers):
        told = {**who, **{name.replace("_", "-"): text for name, text in headers.items()}}
        self.scope = {
            "type": "http", "method": "GET", "path": f"/v3/tasks/{task_id}/events",
            "query_string": query, "asgi": {"version": "3.0"},
            "headers": [(name.lower().encode(), text.encode()) for name, text in told.items()],
        }  # fmt: skip
        self.inbox, self.sent = asyncio.Queue(), asyncio.Queue()
        self.inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self.answering = asyncio.create_task(self._run(api.app))

    async def _run(self, app):
        await app(self.scope, self.inbox.get, self.sent.put)
        self.sent.put_nowait(None)

    async def start(self):
        message = await self._message()
        return message["status"], {k.decode(): v.decode() for k, v in message["headers"]}

    async def part(self):
        """Return the next part of the body; None at its proper end."""
        message = await self._message()
        return message["body"].decode() if message["more_body"] else None

    async def event(self):
        part = await self.part()
        lines = dict(line.split(": ", 1) for line in part.removesuffix("\n\n").split("\n"))
        return lines["id"], lines["event"], json.loads(lines["data"])

    async def _message(self):
        return await asyncio.wait_for(self.sent.get(), 5)

    def leave(self):
        self.inbox.put_nowait({"type": "http.disconnect"})

    async def done(self):
        await asyncio.wait_for(self.answering, 5)


async def test_events_come_as_they_happen_and_end_with_the_task(api, alice):
    script = api.stand.told.script()
    script.say("accepted")
    reader = Reader(api, script.task_id, alice)

    status, headers = await reader.start()

    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-content-type-options"] == "nosniff"
    assert "content-length" not in headers
    assert await reader.part() == "retry: 1000\n\n"
    assert await reader.event() == (cursor(0), "accepted", script.events[0])
    script.say("token", {"text": "two\nlines: é\u2028"})
    assert await reader.event() == (cursor(1), "token", script.events[1])
    assert reader.sent.empty()
    script.say("completed", {"status": "COMPLETED"})
    assert (await reader.event())[1] == "completed"
    assert await reader.part() is None
    await reader.done()
    assert script.readers == 0


@pytest.mark.parametrize("how", ["header", "query", "both"])
async def test_a_client_goes_on_where_it_was(api, alice, how):
    script = api.stand.told.script()
    for kind in ("accepted", "queued", "started", "completed"):
        script.say(kind)
    header = {"Last_Event_ID": cursor(1)} if how != "query" else {}
    query = {"header": b"", "query": f"after={cursor(1)}".encode(), "both": b"after=0"}[how]

    reader = Reader(api, script.task_id, alice, query=query, **header)

    await reader.start()
    await reader.part()
    assert (await reader.event())[0] == cursor(2)
    assert (await reader.event())[0] == cursor(3)
    await reader.done()


async def test_who_knows_the_end_is_told_not_to_come_back(api, alice):
    script = api.stand.told.script()
    script.say("completed")

    answer = await api.http.get(
        f"/v3/tasks/{script.task_id}/events", headers={**alice, "Last-Event-ID": cursor(0)}
    )

    assert answer.status_code == 204
    assert answer.content == b""


async def test_a_quiet_stream_begins_and_is_kept_alive(api, alice, monkeypatch):
    monkeypatch.setattr(events, "PROMPT", 0.01)
    monkeypatch.setattr(events, "KEEP_ALIVE", 0.01)
    script = api.stand.told.script()
    reader = Reader(api, script.task_id, alice)

    assert (await reader.start())[0] == 200
    assert await reader.part() == "retry: 1000\n\n"
    assert await reader.part() == ":\n\n"
    assert await reader.part() == ":\n\n"
    script.say("failed")
    while (part := await reader.part()) == ":\n\n":
        pass
    assert part.startswith(f"id: {cursor(0)}\nevent: failed\n")
    await reader.done()


async def test_a_client_that_leaves_is_noticed(api, alice):
    script = api.stand.told.script()
    script.say("accepted")
    reader = Reader(api, script.task_id, alice)
    await reader.start()
    await script.until(readers=1)

    reader.leave()

    await reader.done()
    assert script.readers == 0


async def test_a_client_that_leaves_before_the_first_event_is_noticed(api, alice, monkeypatch):
    monkeypatch.setattr(events, "PROMPT", 0.01)
    script = api.stand.told.script()
    reader = Reader(api, script.task_id, alice)
    reader.leave()

    await reader.done()

    assert script.readers == 0


async def test_a_server_that_ends_closes_its_streams(api, alice):
    script = api.stand.told.script()
    script.say("accepted")
    reader = Reader(api, script.task_id, alice)
    await reader.start()
    await script.until(readers=1)

    reader.answering.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reader.answering
    assert script.readers == 0


async def test_a_stream_that_breaks_is_left_incomplete_so_that_clients_come_back(api, alice):
    script = api.stand.told.script()
    script.say("accepted")
    reader = Reader(api, script.task_id, alice)
    await reader.start()
    await reader.part()
    await reader.event()

    script.fail(ServiceUnavailable("The journal is away."))

    await reader.done()
    assert reader.sent.get_nowait() is None  # no last part was sent
    assert script.readers == 0


async def test_a_connection_that_cannot_be_written_to_ends_the_stream(api, alice):
    script = api.stand.told.script()
    script.say("accepted")
    reader = Reader(api, script.task_id, alice)

    async def broken(message):
        raise OSError

    reader.sent.put = broken
    await reader.done()
    assert script.readers == 0


async def test_refusals_come_before_the_stream(api, alice):
    bob = await api.user("bob@example.org")
    theirs = api.stand.told.script(user="alice")
    theirs.say("accepted")
    away = api.stand.told.script()
    away.fail(ServiceUnavailable("The journal is away."))

    async def ask(task_id, who=bob, query="", **headers):
        path = f"/v3/tasks/{task_id}/events{query}"
        return await api.http.get(path, headers={**who, **headers})

    assert_problem(await ask(theirs.task_id, {}), 401, "AUTHENTICATION_FAILED")
    assert_problem(await ask(new_id()), 404, "AUTHORIZATION_FAILED")
    assert_problem(await ask(theirs.task_id), 404, "AUTHORIZATION_FAILED")
    assert_problem(await ask("x"), 422, "INVALID_PARAMETERS", "taskId")
    assert_problem(await ask(away.task_id), 503, "SERVICE_UNAVAILABLE")
    script = api.stand.told.script()
    script.say("accepted")
    bad = {"Last-Event-ID": "no cursor!"}
    assert_problem(await ask(script.task_id, **bad), 400, "INVALID_MESSAGE_FORMAT", "Last-Event-ID")
    assert_problem(
        await ask(script.task_id, query="?after=a%20b"), 422, "INVALID_PARAMETERS", "after"
    )
    assert_problem(await ask(script.task_id, query="?after=7"), 422, "INVALID_PARAMETERS", "cursor")
    assert script.readers == theirs.readers == away.readers == 0


async def test_a_look_at_the_headers_reads_no_events(api, alice):
    script = api.stand.told.script()
    script.say("accepted")

    answer = await api.http.head(f"/v3/tasks/{script.task_id}/events", headers=alice)

    assert answer.status_code == 200
    assert script.readers == 0
    assert_problem(
        await api.http.post(f"/v3/tasks/{script.task_id}/events", headers=alice),
        405, "INVALID_MESSAGE_FORMAT",
    )  # fmt: skip
