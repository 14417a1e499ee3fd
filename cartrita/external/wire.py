"""What we and an external agent send each other."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import to_json

from cartrita.channel.frames import pack
from cartrita.context import Context
from cartrita.errors import AgentFailed, InvalidMessage, NetworkFailed
from cartrita.external.registry import Registered
from cartrita.protocol.wire import WireModel

JSON, NDJSON, SSE = "application/json", "application/x-ndjson", "text/event-stream"

MOST_BYTES = 4 * 1024 * 1024
"""Of an answer, streamed or not."""

LONGEST_MESSAGE = 1000
"""Characters of an agent's error that are passed on."""

_LENIENT = ConfigDict(extra="ignore")


class ProgressSaid(WireModel):
    """How far the work is."""

    model_config = _LENIENT
    type: Literal["progress"]
    fraction: float | None = Field(default=None, ge=0, le=1)
    text: str | None = None


class TokenSaid(WireModel):
    """A piece of a text."""

    model_config = _LENIENT
    type: Literal["token"]
    text: str


class ResultSaid(WireModel):
    """The end."""

    model_config = _LENIENT
    type: Literal["result"] = "result"
    result: dict[str, JsonValue]
    warnings: list[str] = Field(default_factory=list, max_length=20)


class ErrorSaid(WireModel):
    """The end, where the work failed; `retryable` when another try makes sense."""

    model_config = _LENIENT
    type: Literal["error"]
    message: str
    retryable: bool = False

    def raised(self, agent: str) -> AgentFailed | NetworkFailed:
        """Return what the task fails with."""
        text = f"{agent!r} says: {self.message[:LONGEST_MESSAGE]}"
        return NetworkFailed(text) if self.retryable else AgentFailed(text)


Message = Annotated[ProgressSaid | TokenSaid | ResultSaid | ErrorSaid, Field(discriminator="type")]
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


def read_message(data: bytes) -> Message:
    """Read one message of a stream.

    Raises:
        ValidationError: It is none.
    """
    return _MESSAGE.validate_json(data)


def read_answer(data: bytes) -> ResultSaid:
    """Read an answer that is not streamed.

    Raises:
        ValidationError: It is none.
    """
    return ResultSaid.model_validate_json(data)


def read_refusal(data: bytes) -> str:
    """Return what a refusal says, as far as it can be read."""
    try:
        said: Any = TypeAdapter(dict[str, Any]).validate_json(data)
    except ValidationError:
        return ""
    error = said.get("error")
    found = error.get("message") if isinstance(error, dict) else error or said.get("detail")
    return str(found or said.get("message") or "")[:LONGEST_MESSAGE]


def body_of(parameters: dict[str, Any], ctx: Context) -> bytes:
    """Return what is posted for one attempt of a task."""
    return to_json(
        {
            "taskId": ctx.task_id,
            "taskType": ctx.task_type,
            "attempt": ctx.attempt,
            "parameters": parameters,
            "sessionId": ctx.session_id,
            "user": ctx.principal.user,
            "tenant": ctx.principal.tenant,
            "timeoutMs": int(ctx.remaining() * 1000),
            "metadata": ctx.metadata,
        }
    )


def headers_of(ctx: Context) -> dict[str, str]:
    """Return what tells of one attempt beside its body.

    The key is the same for every attempt, and for whoever tries a quarantined task again.
    """
    told = {
        "Content-Type": JSON,
        "Accept": f"{JSON}, {NDJSON}, {SSE}",
        "Idempotency-Key": ctx.root or ctx.task_id,
        "Cartrita-Task-Id": ctx.task_id,
        "Cartrita-Attempt": str(ctx.attempt),
    }
    return told | ({"traceparent": ctx.trace} if ctx.trace else {})


def proof_of(agent: Registered, body: bytes, now: float) -> dict[str, str]:
    """Return the header that shows the agent that it is us."""
    kind = agent.registration.authentication
    if kind is None or agent.secret is None:
        return {}
    if kind.kind == "bearer":
        return {"Authorization": f"Bearer {agent.secret}"}
    stamp = str(int(now))
    signed = hmac.new(agent.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    return {"Cartrita-Signature": f"t={stamp},v1={signed.hexdigest()}"}


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield lines without their ends; the last needs none."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest.removesuffix(b"\r")


async def messages_of(lines: AsyncIterator[bytes], kind: str) -> AsyncIterator[bytes]:
    """Yield the messages of a stream: lines that are not empty, or the data of events."""
    data: list[bytes] = []
    async for line in lines:
        if kind == NDJSON:
            if line.strip():
                yield line
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)


def checked(agent: Registered, task_type: str, answer: ResultSaid) -> dict[str, Any]:
    """Return a result that is what the agent declared.

    Raises:
        AgentFailed: It is not.
    """
    task = agent.registration.task(task_type)
    problems = task.answer.problems(answer.result) if task else []
    if problems:
        said = "; ".join(f"{place or 'result'}: {text}" for place, text in problems[:5])
        raise AgentFailed(f"{agent.name!r} did not answer as it declares: {said}")
    try:
        pack(answer.result)
    except InvalidMessage as error:
        raise AgentFailed(f"{agent.name!r} answered what cannot be kept: {error}") from error
    return answer.result
