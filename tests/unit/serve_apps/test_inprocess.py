"""Tests of requests that are carried to an application in the same process."""

import asyncio

import httpx
import pytest

from serve_apps.inprocess import AsyncInProcess, InProcess


class App:
    """Answers with what it was sent, part by part; notes who left."""

    def __init__(self):
        self.opened = self.closed = 0
        self.left = asyncio.Event()

    async def open(self):
        self.opened += 1
        return self

    async def close(self):
        self.closed += 1

    async def __call__(self, scope, receive, send):
        if scope["path"] == "/fails":
            raise ValueError("it fails")
        if scope["path"] == "/silent":
            await receive()
            try:
                await receive()
            finally:
                self.left.set()
        headers = [(b"x-query", scope["query_string"])]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            body = message["body"].upper()
            await send({"type": "http.response.body", "body": body, "more_body": more})
        if scope["path"] == "/endless":
            await asyncio.Event().wait()


async def parts():
    yield b"one "
    yield b"two"


async def test_a_request_is_answered_part_by_part():
    app = App()
    transport = AsyncInProcess(app.open, app.close)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.post("/x", params={"a": "1"}, content=parts())
        assert (answer.status_code, answer.text) == (201, "ONE TWO")
        assert answer.headers["x-query"] == "a=1"
        await client.get("/x")
    assert (app.opened, app.closed) == (1, 1)


async def test_who_is_silent_for_too_long_is_left():
    app = App()
    transport = AsyncInProcess(app.open, app.close)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/silent", timeout=0.05)
        await asyncio.wait_for(app.left.wait(), 5)


async def test_what_goes_wrong_is_raised():
    app = App()
    transport = AsyncInProcess(app.open, app.close)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        with pytest.raises(ValueError, match="it fails"):
            await client.get("/fails")


def test_a_program_without_a_loop_is_served_by_one_in_a_thread():
    app = App()
    transport = InProcess(lambda: AsyncInProcess(app.open, app.close))
    with httpx.Client(transport=transport, base_url="http://here") as client:
        assert client.post("/x", content=iter([b"one ", b"two"])).text == "ONE TWO"
        with client.stream("POST", "/x", content=b"three") as answer:
            assert b"".join(answer.iter_bytes()) == b"THREE"
    assert (app.opened, app.closed) == (1, 1)
