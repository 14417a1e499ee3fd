"""What surrounds every request."""

import asyncio
import json
import re

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from cartrita.errors import NotFound, QueueFull
from serve_apps.asgi import departure
from serve_apps.asgi.guard import Guard, exchange_of

LIMIT = 10
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def call(app, *parts, headers=(), then=None, more=False, **options):
    """Send one request through the guard; return status, headers and body of the answer."""
    messages = [
        {"type": "http.request", "body": part, "more_body": more or place + 1 < len(parts)}
        for place, part in enumerate(parts)
    ]
    messages += [then] if then else []
    sent = []

    async def receive():
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/a b", "headers": list(headers)}
    await Guard(app, LIMIT, **options)(scope, receive, send)
    if not sent:
        return None
    said = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], said, b"".join(item.get("body", b"") for item in sent[1:])


async def plain(scope, receive, send):
    await Response("fine")(scope, receive, send)


async def greedy(scope, receive, send):
    body = await exchange_of(Request(scope)).body()
    await Response(str(len(body)))(scope, receive, send)


async def starlettes(scope, receive, send):
    body = await Request(scope, receive).body()
    await Response(str(len(body)))(scope, receive, send)


def raising(error):
    async def app(scope, receive, send):
        raise error

    return app


async def test_every_answer_has_the_headers_of_caution():
    status, headers, body = await call(plain, b"")

    assert (status, body) == (200, b"fine")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


async def test_an_answer_may_say_otherwise():
    async def cached(scope, receive, send):
        await Response("x", headers={"Cache-Control": "public"})(scope, receive, send)

    _, headers, _ = await call(cached, b"")

    assert headers["cache-control"] == "public"


async def test_the_request_id_is_the_callers_if_it_is_one():
    _, kept, _ = await call(plain, b"", headers=[(b"x-request-id", b"a.B-9_")])
    assert kept["x-request-id"] == "a.B-9_"

    for bad in (b"", b"a b", b"x" * 65, b"\xff", b"a\n"):
        lines = [(b"x-request-id", bad), (b"traceparent", TRACE)]
        _, minted, _ = await call(plain, b"", headers=lines)
        assert minted["x-request-id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_trace_begins_where_there_is_none():
    found = []

    async def app(scope, receive, send):
        found.append(exchange_of(Request(scope)).traceparent)
        await plain(scope, receive, send)

    for header in ([], [(b"traceparent", b"junk")], [(b"traceparent", b"\xff" * 100)]):
        await call(app, b"", headers=header)

    assert len(set(found)) == 3
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace) for trace in found)


@pytest.mark.parametrize("app", [greedy, starlettes])
async def test_a_body_of_the_limit_passes_whole(app):
    _, _, body = await call(app, b"12345", b"", b"67890")

    assert body == b"10"


@pytest.mark.parametrize("app", [greedy, starlettes])
async def test_a_body_over_the_limit_is_stopped_at_the_limit(app):
    # There is no third part: who asked for it would wait until the time is over.
    status, headers, body = await call(app, b"12345", b"678901", more=True, body_timeout=5)

    assert status == 413
    assert headers["connection"] == "close"
    assert json.loads(body)["code"] == "RESOURCE_LIMIT_EXCEEDED"


async def test_an_announced_body_over_the_limit_is_not_read():
    status, headers, _ = await call(greedy, headers=[(b"content-length", b"11")])

    assert status == 413
    assert headers["connection"] == "close"


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"1" * 19, "²".encode("latin-1")])
async def test_a_length_that_is_no_number_is_refused(length):
    status, _, body = await call(greedy, b"", headers=[(b"content-length", length)])

    assert status == 400
    assert "Content-Length" in json.loads(body)["detail"]


@pytest.mark.parametrize("app", [greedy, starlettes])
async def test_a_body_that_does_not_come_is_not_waited_for(app):
    status, headers, body = await call(app, body_timeout=0.01)

    assert status == 408
    assert headers["connection"] == "close"
    assert json.loads(body)["detail"] == "The body took too long to arrive."


async def test_after_the_body_the_client_may_stay_for_as_long_as_it_likes():
    async def app(scope, receive, send):
        await receive()
        with pytest.raises(TimeoutError):  # ours: the guard's would be an HTTPException
            async with asyncio.timeout(0.05):
                await receive()
        await plain(scope, receive, send)

    status, _, _ = await call(app, b"", body_timeout=0.01)

    assert status == 200


@pytest.mark.parametrize("app", [greedy, starlettes, raising(ClientDisconnect())])
async def test_nobody_is_told_who_has_left(app):
    assert await call(app, then={"type": "http.disconnect"}) is None


async def test_a_refusal_becomes_a_document_about_this_request():
    error = QueueFull("Full.", retry_after=7)

    status, headers, body = await call(raising(error), b"", headers=[(b"traceparent", TRACE)])

    assert status == 503
    assert headers["content-type"] == "application/problem+json"
    assert headers["retry-after"] == "7"
    document = json.loads(body)
    assert document["instance"] == "/a%20b"
    assert document["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_defect_is_not_described_to_strangers():
    status, _, body = await call(raising(ZeroDivisionError("secret")), b"")

    assert status == 500
    document = json.loads(body)
    assert document["code"] == "INTERNAL_ERROR"
    assert document["retryable"] is True
    assert b"secret" not in body


async def test_what_the_router_refuses_keeps_its_status_and_headers():
    status, headers, body = await call(raising(HTTPException(405, headers={"Allow": "GET"})), b"")

    assert status == 405
    assert headers["allow"] == "GET"
    assert json.loads(body)["status"] == 405
    missing, _, body = await call(raising(HTTPException(404)), b"")
    assert missing == 404
    assert json.loads(body)["reason"] == "NOT_FOUND"
    other, _, body = await call(raising(HTTPException(418, "I am a teapot")), b"")
    assert other == 418
    assert "teapot" in json.loads(body)["detail"]


async def test_an_answer_on_its_way_is_not_answered_again():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise NotFound

    status, _, body = await call(app, b"")

    assert (status, body) == (200, b"")


async def test_what_is_not_http_passes_by():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    await Guard(app, LIMIT)({"type": "websocket"}, None, None)

    assert seen == [{"type": "websocket"}]


class Patient:
    """An application that answers when it is told to, and notes how it ended."""

    def __init__(self, *, reads=True):
        self.reads, self.answer = reads, asyncio.Event()
        self.how = None

    async def __call__(self, scope, receive, send):
        try:
            if self.reads:
                await exchange_of(Request(scope)).body()
            await self.answer.wait()
            self.how = "answered"
        except asyncio.CancelledError:
            self.how = "cancelled"
            raise
        await plain(scope, receive, send)


@pytest.mark.parametrize("reads", [True, False])
async def test_work_for_a_client_that_left_is_ended(reads, monkeypatch):
    monkeypatch.setattr(departure, "LOOK", 0.0)
    app = Patient(reads=reads)

    assert await call(app, b"", then={"type": "http.disconnect"}) is None

    assert app.how == "cancelled"
    assert asyncio.current_task().cancelling() == 0


async def test_a_body_that_still_comes_is_left_to_its_reader(monkeypatch):
    monkeypatch.setattr(departure, "LOOK", 0.0)
    parts, sent = asyncio.Queue(), []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"2")]
    }  # fmt: skip
    serving = asyncio.create_task(Guard(greedy, LIMIT)(scope, parts.get, send))
    for _ in range(9):
        await asyncio.sleep(0)
    for part in (b"a", b"b"):
        parts.put_nowait({"type": "http.request", "body": part, "more_body": part == b"a"})
    await serving

    assert sent[1]["body"] == b"2"


async def test_who_asks_late_for_a_body_that_there_is_not_need_not_wait(monkeypatch):
    monkeypatch.setattr(departure, "LOOK", 0.0)

    async def app(scope, receive, send):
        for _ in range(9):
            await asyncio.sleep(0)
        await greedy(scope, receive, send)

    _, _, body = await call(app, b"", body_timeout=60)

    assert body == b"0"


async def test_what_is_done_after_an_answer_goes_on(monkeypatch):
    monkeypatch.setattr(departure, "LOOK", 0.0)
    done = []

    async def app(scope, receive, send):
        await greedy(scope, receive, send)
        for _ in range(9):
            await asyncio.sleep(0)
        done.append(True)

    status, _, _ = await call(app, b"", then={"type": "http.disconnect"})

    assert (status, done) == (200, [True])


async def test_somebody_elses_cancelling_is_not_taken_for_a_departure(monkeypatch):
    monkeypatch.setattr(departure, "LOOK", 0.0)
    app = Patient()
    serving = asyncio.create_task(call(app, b""))
    for _ in range(9):
        await asyncio.sleep(0)
    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving

    assert app.how == "cancelled"
