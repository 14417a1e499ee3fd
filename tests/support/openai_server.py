"""A server on a real socket that speaks OpenAI's chat protocol from a script."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Say:
    """Answers with a text."""

    text: str
    tokens: tuple[int, int] | None = (20, 10)
    finish: str = "stop"
    refusal: str | None = None

    def message(self):
        return {"role": "assistant", "content": self.text, "refusal": self.refusal}

    def deltas(self):
        return [{"content": word} for word in self.text.split(" ")]


@dataclass(frozen=True)
class Call:
    """Asks for a tool."""

    tool: str
    args: dict[str, Any]
    tokens: tuple[int, int] | None = (30, 5)
    finish: str = "tool_calls"

    def _function(self, arguments):
        return {"name": self.tool, "arguments": arguments}

    def message(self):
        function = self._function(json.dumps(self.args))
        call = {"id": "call_1", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    def deltas(self):
        text = json.dumps(self.args)
        first = {"index": 0, "id": "call_1", "type": "function", "function": self._function("")}
        pieces = [text[: len(text) // 2], text[len(text) // 2 :]]
        rest = [{"index": 0, "function": {"arguments": piece}} for piece in pieces]
        return [{"tool_calls": [piece]} for piece in (first, *rest)]


@dataclass(frozen=True)
class Fail:
    """Answers with an error."""

    status: int
    message: str = "scripted"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """Says nothing until the client leaves."""


@dataclass(frozen=True)
class Cut:
    """Begins an answer and hangs up."""


Step = Say | Call | Fail | Hang | Cut


class OpenAiServer:
    """What a test scripts and looks at.

    Attributes:
        requests: Bodies that came, in order.
        keys: `Authorization` headers that came, in order.
        asked: Set when a request has come.
        left: Set when a client hung up on a `Hang`.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.base_url = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None] | None] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*filter(None, self._handlers))
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._handlers.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._read(reader)
                await self._answer(self.steps.pop(0), reader, writer)
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append(json.loads(body))
        self.keys.append(headers.get("authorization", ""))
        self.asked.set()

    async def _answer(
        self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = self.requests[-1]
        match step:
            case Hang():
                await reader.read(1)  # nothing more is sent: this is the end of the connection
                self.left.set()
                raise ConnectionError
            case Cut():
                writer.write(_head(200, "application/json", 1000) + b'{"choices": [')
                await writer.drain()
                raise ConnectionError
            case Fail():
                error = {"message": step.message, "type": "scripted", "code": step.code}
                _write(writer, step.status, {"error": error}, step.headers)
            case _ if request.get("stream"):
                for chunk in _chunks(step, request):
                    writer.write(chunk)
                    await writer.drain()
            case _:
                _write(writer, 200, _completion(step, request))
        await writer.drain()


@asynccontextmanager
async def serving(*steps: Step) -> AsyncIterator[OpenAiServer]:
    """Run a server for the length of a block; every scripted step must have been used."""
    async with OpenAiServer(*steps) as server:
        yield server
    assert not server.steps, f"never asked for: {server.steps}"


def _head(status: int, kind: str, length: int | None, more: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"content-type: {kind}"]
    lines += [f"content-length: {length}"] if length is not None else ["transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in (more or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _write(
    writer: asyncio.StreamWriter,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> None:
    data = json.dumps(body).encode()
    writer.write(_head(status, "application/json", len(data), headers) + data)


def _usage(step: Say | Call) -> dict[str, int] | None:
    if step.tokens is None:
        return None
    sent, written = step.tokens
    return {"prompt_tokens": sent, "completion_tokens": written, "total_tokens": sent + written}


def _completion(step: Say | Call, request: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": step.message(), "finish_reason": step.finish}
    return _frame("chat.completion", request) | {"choices": [choice], "usage": _usage(step)}


def _chunks(step: Say | Call, request: dict[str, Any]) -> list[bytes]:
    frame = _frame("chat.completion.chunk", request)
    events: list[dict[str, Any]] = [
        frame | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in ({"role": "assistant", "content": ""}, *step.deltas())
    ]
    events.append(frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": step.finish}]})
    if (request.get("stream_options") or {}).get("include_usage"):
        events.append(frame | {"choices": [], "usage": _usage(step)})
    lines = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    lines.append(b"data: [DONE]\n\n")
    sized = [f"{len(line):x}\r\n".encode() + line + b"\r\n" for line in lines]
    return [_head(200, "text/event-stream", None), *sized, b"0\r\n\r\n"]


def _frame(kind: str, request: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": request["model"]}
