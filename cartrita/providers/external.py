"""Calls agents that run elsewhere over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
from pydantic import JsonValue, ValidationError

from cartrita.clock import Clock
from cartrita.context import Context
from cartrita.egress.policy import named_by_operators
from cartrita.egress.transport import GuardedTransport
from cartrita.errors import (
    AddressRefused,
    AgentFailed,
    AgentUnavailable,
    NetworkFailed,
    ServiceUnavailable,
)
from cartrita.external.registry import Registered, Registry
from cartrita.external.wire import (
    JSON,
    MOST_BYTES,
    NDJSON,
    SSE,
    ErrorSaid,
    ProgressSaid,
    ResultSaid,
    TokenSaid,
    body_of,
    checked,
    headers_of,
    lines_of,
    messages_of,
    proof_of,
    read_answer,
    read_message,
    read_refusal,
)
from cartrita.protocol.patience import seconds_to_wait

SUSPICION = 1.0
"""Seconds between two suspicions of one agent: many calls fail together."""

MOST_KNOWN = 1000
CONNECT_SECONDS = 10.0
CHECK_SECONDS = 5.0
LARGEST_REFUSAL = 64 * 1024

PASSING = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses after which another try makes sense."""

AWAY = frozenset({502, 503, 504})
"""Statuses that make us look at its health."""

_BROKEN = (httpx.HTTPError, httpx.InvalidURL)
_PLAIN = {"User-Agent": "cartrita", "Accept-Encoding": "identity"}


class HttpAgents:
    """Registered agents, one POST for each attempt.

    Administrators name them, so they may be in networks of our own, but never where clouds keep
    what is for machines. No redirect is followed, no proxy of the environment used, nothing
    decompressed, and an answer read only as far as `MOST_BYTES`.

    Args:
        registry: Says where they are.
    """

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock
        self._known: dict[str, Registered] = {}
        self._suspected: dict[str, float] = {}
        self._http = httpx.AsyncClient(
            transport=GuardedTransport(named_by_operators(), connections=None, keep=100),
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=False,
            headers=_PLAIN,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, parameters: dict[str, JsonValue], ctx: Context) -> dict[str, JsonValue]:
        """Have the agent of the context's task type do its work."""
        agent = await self._serving(ctx.task_type)
        task = agent.registration.task(ctx.task_type)
        seconds = ((task and task.timeout_ms) or agent.registration.timeout_ms) / 1000
        # What the task itself has no longer is told as its own timeout.
        limit = seconds if seconds < ctx.remaining() else None
        try:
            async with asyncio.timeout(limit):
                answer = await self._post(agent, body_of(parameters, ctx), ctx)
        except TimeoutError:
            await self._suspect(agent)
            raise NetworkFailed(f"{agent.name!r} did not answer within {seconds:g} s.") from None
        except AddressRefused as error:
            raise AgentFailed(f"{agent.name!r} may not be called: {error.message}") from error
        except _BROKEN as error:
            await self._suspect(agent)
            raise NetworkFailed(
                f"{agent.name!r} cannot be reached: {type(error).__name__}: {error}"
            ) from error
        for text in answer.warnings:
            ctx.warn(text)
        return checked(agent, ctx.task_type, answer)

    async def _serving(self, task_type: str) -> Registered:
        """Return who has a task type now; who had it last, while the registry is away."""
        try:
            agent = await self._registry.serving(task_type)
        except ServiceUnavailable:
            if task_type not in self._known:
                raise
            agent = self._known[task_type]
        self._keep(task_type, agent)
        if agent is None:
            raise AgentUnavailable(f"No external agent has {task_type!r} any more.")
        if agent.standing == "quarantined":
            raise AgentUnavailable(
                f"The external agent {agent.name!r} does not answer: {agent.detail}",
                retry_after=10,
            )
        return agent

    def _keep(self, task_type: str, agent: Registered | None) -> None:
        self._known.pop(task_type, None)
        while len(self._known) >= MOST_KNOWN:
            self._known.pop(next(iter(self._known)))
        if agent is not None:
            self._known[task_type] = agent

    async def _suspect(self, agent: Registered) -> None:
        """Have its health looked at, at most once in a while."""
        now = self._clock.monotonic()
        if now - self._suspected.get(agent.name, -SUSPICION) < SUSPICION:
            return
        self._suspected[agent.name] = now
        with suppress(ServiceUnavailable):
            await self._registry.suspect(agent.name)

    async def _post(self, agent: Registered, body: bytes, ctx: Context) -> ResultSaid:
        headers = headers_of(ctx) | proof_of(agent, body, self._clock.now())
        url = agent.registration.endpoint
        async with self._http.stream("POST", url, content=body, headers=headers) as response:
            if not response.is_success:
                raise await self._refused(agent, response)
            try:
                return await self._read(agent, response, ctx)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                place = ".".join(map(str, first["loc"]))
                raise AgentFailed(
                    f"{agent.name!r} did not answer as agreed: {place}: {first['msg']}"
                ) from error

    async def _refused(
        self, agent: Registered, response: httpx.Response
    ) -> NetworkFailed | AgentFailed:
        status = response.status_code
        if response.has_redirect_location or not response.is_error:
            return AgentFailed(
                f"{agent.name!r} answered {status}: redirects are not followed; register the "
                "address that it leads to."
            )
        if status in AWAY:
            await self._suspect(agent)
        said = read_refusal(await _whole(agent, response, LARGEST_REFUSAL))
        text = f"{agent.name!r} answered {status}{f': {said}' if said else '.'}"
        if status in PASSING:
            return NetworkFailed(
                text, retry_after=seconds_to_wait(response.headers.get("retry-after"))
            )
        return AgentFailed(text)

    async def _read(self, agent: Registered, response: httpx.Response, ctx: Context) -> ResultSaid:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == JSON:
            return read_answer(await _whole(agent, response, MOST_BYTES))
        if kind in (NDJSON, SSE):
            return await self._listen(agent, response, kind, ctx)
        raise AgentFailed(f"{agent.name!r} answered {kind or 'nothing known'!r}, not {JSON}.")

    async def _listen(
        self, agent: Registered, response: httpx.Response, kind: str, ctx: Context
    ) -> ResultSaid:
        """Say what a stream says, to its result."""
        async for data in messages_of(lines_of(_bounded(agent, response, MOST_BYTES)), kind):
            match read_message(data):
                case ProgressSaid(fraction=fraction, text=text):
                    await ctx.progress(fraction, text)
                case TokenSaid(text=text):
                    await ctx.token(text)
                case ErrorSaid() as error:
                    raise error.raised(agent.name)
                case ResultSaid() as result:
                    return result
        raise NetworkFailed(f"{agent.name!r} ended its stream without a result.")

    async def check(self, agent: Registered) -> str:
        """Look at an agent's health and return one short line about it."""
        known = await self._registry.named(agent.name)
        headers = proof_of(known, b"", self._clock.now()) if known else {}
        url = agent.registration.health_url
        try:
            async with (
                asyncio.timeout(CHECK_SECONDS),
                self._http.stream("GET", url, headers=headers) as response,
            ):
                status = response.status_code
        except TimeoutError:
            raise NetworkFailed(f"no answer within {CHECK_SECONDS:g} s") from None
        except AddressRefused as error:
            raise NetworkFailed(error.message) from error
        except _BROKEN as error:
            raise NetworkFailed(f"{type(error).__name__}: {error}"[:200]) from error
        if not response.is_success:
            raise NetworkFailed(f"its health answers {status}")
        return f"its health answers {status}"


async def _bounded(agent: Registered, response: httpx.Response, most: int) -> AsyncIterator[bytes]:
    """Yield what comes, as it comes.

    Raises:
        AgentFailed: It is too much, or compressed.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise AgentFailed(f"{agent.name!r} compressed its answer, which nobody asked for.")
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > most:
            raise AgentFailed(f"{agent.name!r} answered more than {most} bytes.")
        yield chunk


async def _whole(agent: Registered, response: httpx.Response, most: int) -> bytes:
    return b"".join([chunk async for chunk in _bounded(agent, response, most)])
