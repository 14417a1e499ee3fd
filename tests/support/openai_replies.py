"""What the server of `openai_server` answers, as a script says it and as bytes."""

import asyncio
import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from typing import Any

DIMENSIONS = 16


@dataclass(frozen=True)
class Say:
    """Answers with a text, word by word where the client streams.

    Attributes:
        tokens: Prompt and completion, as the usage tells; None tells none.
        pause: Seconds between two words.
    """

    text: str
    tokens: tuple[int, int] | None = (20, 10)
    finish: str = "stop"
    refusal: str | None = None
    pause: float = 0.0

    def message(self):
        return {"role": "assistant", "content": self.text, "refusal": self.refusal}

    def deltas(self):
        said = [{"content": word} for word in words(self.text)]
        return said + ([{"refusal": word} for word in words(self.refusal)] if self.refusal else [])


@dataclass(frozen=True)
class Call:
    """Asks for a tool, and at once for those of `also`; ids of calls begin with `id`."""

    tool: str
    args: dict[str, Any]
    tokens: tuple[int, int] | None = (30, 5)
    finish: str = "tool_calls"
    also: tuple["Call", ...] = ()
    pause: float = 0.0
    id: str = "call"

    def _function(self, arguments):
        return {"name": self.tool, "arguments": arguments}

    def message(self):
        calls = [
            {
                "id": f"{self.id}_{n}",
                "type": "function",
                "function": call._function(_json(call.args)),
            }
            for n, call in enumerate((self, *self.also), 1)
        ]
        return {"role": "assistant", "content": None, "tool_calls": calls}

    def deltas(self):
        found = []
        for index, call in enumerate((self, *self.also)):
            text, name = _json(call.args), call._function("")
            first = {"index": index, "id": f"{self.id}_{index + 1}", "type": "function"}
            pieces = [text[: len(text) // 2], text[len(text) // 2 :]]
            rest = [{"index": index, "function": {"arguments": piece}} for piece in pieces]
            found += [{"tool_calls": [p]} for p in (first | {"function": name}, *rest)]
        return found


@dataclass(frozen=True)
class Fail:
    """Answers with an error; `headers` may hold `retry-after`."""

    status: int
    message: str = "scripted"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """Says nothing until the client leaves; where it streams, nothing after this text."""

    text: str = ""


@dataclass(frozen=True)
class Cut:
    """Begins an answer and hangs up; where the client streams, after this text."""

    text: str = ""


@dataclass(frozen=True)
class Wait:
    """Waits, for seconds or until a test sets an event, before it does something else."""

    until: "float | asyncio.Event"
    then: "Step"


Step = Say | Call | Fail | Hang | Cut | Wait


def head(status: int, kind: str, length: int | None, more: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"content-type: {kind}"]
    lines += [f"content-length: {length}"] if length is not None else ["transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in (more or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def reply(
    writer: asyncio.StreamWriter,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> None:
    data = json.dumps(body).encode()
    writer.write(head(status, "application/json", len(data), headers) + data)


def error(message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "scripted", "code": code}}


def usage(step: Say | Call) -> dict[str, int] | None:
    if step.tokens is None:
        return None
    sent, written = step.tokens
    return {"prompt_tokens": sent, "completion_tokens": written, "total_tokens": sent + written}


def completion(step: Say | Call, body: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": step.message(), "finish_reason": step.finish}
    return frame("chat.completion", body) | {"choices": [choice], "usage": usage(step)}


def choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def event(data: dict[str, Any]) -> bytes:
    return sized(f"data: {json.dumps(data)}\n\n".encode())


def sized(line: bytes) -> bytes:
    return f"{len(line):x}\r\n".encode() + line + b"\r\n"


def frame(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": body["model"]}


def words(text: str) -> list[str]:
    """Return pieces that joined give the text: words with the space before them."""
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def _json(value: Any) -> str:
    return json.dumps(value)


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    rows = [vector(text, body.get("dimensions") or DIMENSIONS) for text in texts]
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(row) if packed else row}
        for index, row in enumerate(rows)
    ]
    count = sum(len(str(text).split()) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def _packed(row: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()


def vector(text: Any, dimensions: int = DIMENSIONS) -> list[float]:
    """Return what a text is embedded as: words in common make two alike; of length 1."""
    row = [0.0] * dimensions
    for word in str(text).lower().split():
        row[hashlib.blake2b(word.encode(), digest_size=2).digest()[0] % dimensions] += 1.0
    length = sum(value * value for value in row) ** 0.5 or 1.0
    return [value / length for value in row]
