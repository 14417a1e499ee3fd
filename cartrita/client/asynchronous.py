"""The client for programs with an event loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self, Unpack
from uuid import UUID

import httpx

from cartrita.client import calls, transport
from cartrita.client.blocking import (
    DEFAULT_TIMEOUT,
    DEFAULT_URL,
    PAGE,
    RETRIES,
    login_of,
    sessions_of,
)
from cartrita.client.calls import EffectOutcome, EffectState, Parameters, TaskOptions
from cartrita.client.conversation import Conversation
from cartrita.client.exchange import Exchange
from cartrita.client.models import Account, TaskEvent, TaskOutcome, TaskType
from cartrita.client.sessions import Sessions
from cartrita.client.steps import Alone, Call, Flow, Lost, Pause, Reply, T
from cartrita.protocol.task import TaskStatus


class AsyncClient:
    """Talks to Cartrita as `Client` does, for one event loop.

        async with AsyncClient(token="…") as cartrita:
            answers = await asyncio.gather(*(cartrita.run("system.echo", p) for p in payloads))

    Cancelling a call does not cancel its task.
    """

    def __init__(  # noqa: PLR0913 - as `Client`
        self,
        base_url: str = DEFAULT_URL,
        token: str | None = None,
        email: str | None = None,
        password: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = RETRIES,
        sessions: Sessions | None = None,
        http: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url
        self._http = httpx.AsyncClient(transport=http, **transport.options(base_url))
        self._talk = Conversation(
            Exchange(timeout, retries, login_of(email, password), sessions_of(token, sessions))
        )
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def run(
        self,
        task_type: str,
        parameters: Parameters | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskOutcome:
        """Run a task to its end and return what became of it; raises as `Client.run` does."""
        task = calls.submission(task_type, parameters, options)
        return await self._play(self._talk.complete(task))

    async def submit(
        self,
        task_type: str,
        parameters: Parameters | None = None,
        **options: Unpack[TaskOptions],
    ) -> "AsyncTaskHandle":
        """Have a task accepted and return at once; raises as `Client.run` does."""
        task = calls.submission(task_type, parameters, options)
        return AsyncTaskHandle(self, (await self._play(self._talk.submit(task))).task_id)

    async def get(self, task_id: str | UUID) -> TaskOutcome:
        """Look at a task; raises as `Client.get` does."""
        return await self._play(self._talk.get(task_id))

    async def wait(self, task_id: str | UUID, timeout: float | None = None) -> TaskOutcome:
        """Wait for a task's end; raises as `Client.wait` does."""
        return await self._play(self._talk.wait(task_id, timeout))

    async def cancel(self, task_id: str | UUID) -> bool:
        """Cancel a task; False when it had ended already."""
        return await self._play(self._talk.cancel(task_id))

    async def story(self, task_id: str | UUID, until: str | None = None) -> dict[str, Any]:
        """Return all that is known of a task; as `Client.story` does."""
        return await self._play(self._talk.story(task_id, until))

    async def events(
        self, task_id: str | UUID, after: str | None = None
    ) -> AsyncIterator[TaskEvent]:
        """Yield what a task says, as it comes, to its end; as `Client.events` does."""
        listener = self._talk.listener(task_id, after)
        while not listener.ended:
            source: httpx.Response = (await self._play(self._talk.listen(listener))).source
            lost = transport.ENDED
            try:
                async for chunk in source.aiter_bytes():
                    for event in listener.feed(chunk):
                        yield event
            except httpx.RequestError as error:
                lost = transport.lost(error, self.base_url)
            finally:
                await source.aclose()
            if not listener.ended:
                await self._play(self._talk.resume(listener, lost))

    async def quarantined(
        self, limit: int = PAGE, before: str | UUID | None = None
    ) -> list[dict[str, Any]]:
        """Return quarantined tasks, newest first, older than `before`."""
        return await self._play(self._talk.quarantined(limit, before))

    async def inspect(self, task_id: str | UUID) -> dict[str, Any]:
        """Return all that is known of a quarantined task; raises as `Client.inspect` does."""
        return await self._play(self._talk.inspect(task_id))

    async def retry(
        self, task_id: str | UUID, parameters: Parameters | None = None
    ) -> "AsyncTaskHandle":
        """Run a quarantined task as a new one; as `Client.retry` does."""
        return AsyncTaskHandle(self, await self._play(self._talk.retry(task_id, parameters)))

    async def discard(self, task_id: str | UUID) -> bool:
        """Give a quarantined task up for good; False when that was decided already."""
        return await self._play(self._talk.discard(task_id))

    async def effects(
        self, state: EffectState = "unknown", limit: int = PAGE, before: str | UUID | None = None
    ) -> list[dict[str, Any]]:
        """Return what tasks did to the outside world; as `Client.effects` does."""
        return await self._play(self._talk.effects(state, limit, before))

    async def resolve(
        self, effect_id: str | UUID, outcome: EffectOutcome, result: Any = None
    ) -> dict[str, Any]:
        """Say what became of an effect that nobody knows of; raises as `Client.resolve` does."""
        return await self._play(self._talk.resolve(effect_id, outcome, result))

    async def command(self, command: str, target: str, /, **arguments: Any) -> dict[str, Any]:
        """Have the tree carry out a command; as `Client.command` does."""
        return await self._play(self._talk.command(command, target, arguments))

    async def audit(self, limit: int = PAGE, before: int | None = None) -> list[dict[str, Any]]:
        """Return what was commanded, newest first, older than the entry `before`."""
        return await self._play(self._talk.audit(limit, before))

    async def catalog(self) -> list[TaskType]:
        """Return every task type."""
        return await self._play(self._talk.catalog())

    async def agents(self) -> list[dict[str, Any]]:
        """Return every agent and how it is."""
        return await self._play(self._talk.agents())

    async def register_agent(self, registration: Mapping[str, Any]) -> dict[str, Any]:
        """Have tasks carried to an agent that runs elsewhere; as `Client.register_agent` does."""
        return await self._play(self._talk.register_agent(registration))

    async def remove_agent(self, name: str) -> None:
        """Remove an external agent; raises as `Client.remove_agent` does."""
        await self._play(self._talk.remove_agent(name))

    async def tree(self) -> dict[str, Any]:
        """Return the live tree of actors; processes and nodes for administrators only."""
        return await self._play(self._talk.tree())

    async def health(self) -> dict[str, Any]:
        """Return the health of queues and services, be it good or bad."""
        return await self._play(self._talk.health())

    async def me(self) -> Account:
        """Return the account that is signed in."""
        return await self._play(self._talk.me())

    async def login(self, email: str, password: str) -> Account:
        """Sign in, and again whenever the session ends; raises as `Client.login` does."""
        return await self._play(self._talk.login(email, password))

    async def register(self, email: str, password: str, name: str = "") -> Account:
        """Make an account and sign in; raises as `Client.register` does."""
        return await self._play(self._talk.register(email, password, name))

    async def _play(self, flow: Flow[T]) -> T:
        answer: Reply | Lost | None = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = await self._take(step)

    async def _take(self, step: Call | Pause | Alone) -> Reply | Lost | None:
        match step:
            case Call():
                return await self._send(step)
            case Pause():
                await asyncio.sleep(step.seconds)
            case Alone():
                async with self._one_at_a_time:
                    await self._play(step.flow)
        return None

    async def _send(self, call: Call) -> Reply | Lost:
        try:
            request = self._http.build_request(**transport.request(call))
            response = await self._http.send(request, stream=call.streamed)
            if transport.streams(call, response):
                return transport.stream(response)
            await response.aread()
            return transport.reply(response)
        except httpx.RequestError as error:
            return transport.lost(error, self.base_url)


class AsyncTaskHandle:
    """A task that was accepted."""

    def __init__(self, client: AsyncClient, task_id: str) -> None:
        self._client, self.task_id = client, task_id

    async def wait(self, timeout: float | None = None) -> TaskOutcome:
        """Wait for its end; raises `StillRunning` when that is not within `timeout` seconds."""
        return await self._client.wait(self.task_id, timeout)

    def events(self, after: str | None = None) -> AsyncIterator[TaskEvent]:
        """Yield what it says, as it comes, to its end; raises as `Client.events` does."""
        return self._client.events(self.task_id, after)

    async def status(self) -> TaskStatus:
        """Return where it stands."""
        return (await self._client.get(self.task_id)).status

    async def cancel(self) -> bool:
        """Cancel it; False when it had ended already."""
        return await self._client.cancel(self.task_id)
