"""The client for programs with an event loop."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack, overload
from uuid import UUID

import httpx

from cartrita.client import calls, cluster, transport
from cartrita.client.blobs import AsyncBlobs
from cartrita.client.blocking import (
    DEFAULT_TIMEOUT,
    DEFAULT_URL,
    RETRIES,
    WAYS,
    login_of,
    sessions_of,
)
from cartrita.client.bulk_async import AsyncBulk
from cartrita.client.calls import Parameters, TaskOptions
from cartrita.client.conversation import Conversation
from cartrita.client.desk import AsyncDesk
from cartrita.client.dialing import dial_async
from cartrita.client.exchange import Exchange
from cartrita.client.listening import Way
from cartrita.client.models import Account, TaskEvent, TaskOutcome, TaskType
from cartrita.client.moving import AsyncMoving
from cartrita.client.progress import Bars
from cartrita.client.sessions import Sessions
from cartrita.client.shapes import task_types
from cartrita.client.steps import Alone, Broken, Call, Flow, Lost, Pause, Reply, T
from cartrita.client.typed import Declared, P, R, RemoteTask, Streaming, TypedOutcome, resolved
from cartrita.declare import Params
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus


class AsyncClient(AsyncDesk, AsyncBulk, AsyncMoving):
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
        ca: Path | str | None = None,
        ways: Sequence[Way] = WAYS,
        packed: bool = False,
    ) -> None:
        self.base_url, self._packed = base_url, packed
        self._http = httpx.AsyncClient(transport=http, **transport.options(base_url, ca))
        kept = sessions_of(token, sessions)
        exchange = Exchange(timeout, retries, login_of(email, password), kept)
        self._talk = Conversation(exchange, ways if http is None else WAYS[:1])
        self.blobs = AsyncBlobs(self._play, exchange)
        self._bars: Bars | None = None
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    def connect_ray(
        cls, who: Principal, *, address: str | None = None, instance: str | None = None
    ) -> Self:
        """Return a client for a program inside the cluster; as `Client.connect_ray`.

        Joining Ray takes about a second, in which the event loop stands still.
        """
        inside = cluster.join(who, address, instance)
        return cls(cluster.URL, cluster.TOKEN, http=inside.asynchronous())

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

    @overload
    async def run(
        self,
        task: str,
        parameters: Parameters | None = None,
        *,
        progress: bool = False,
        **options: Unpack[TaskOptions],
    ) -> TaskOutcome: ...

    @overload
    async def run(
        self,
        task: Declared[P, R] | Streaming[P, R] | RemoteTask[P, R],
        parameters: P,
        *,
        progress: bool = False,
        **options: Unpack[TaskOptions],
    ) -> TypedOutcome[R]: ...

    @overload
    async def run(
        self, task: Params, *, progress: bool = False, **options: Unpack[TaskOptions]
    ) -> TypedOutcome[Any]: ...

    async def run(
        self,
        task: Any,
        parameters: Any = None,
        *,
        progress: bool = False,
        **options: Unpack[TaskOptions],
    ) -> Any:
        """Run a task to its end and return what became of it; as `Client.run`."""
        name, parameters, kind = resolved(task, parameters)
        submission = calls.submission(name, parameters, options)
        bars = self._bars or (Bars() if progress else None)
        if bars is None:
            outcome = await self._play(self._talk.complete(submission))
        else:
            outcome = await self._watched(name, submission, bars)
        return outcome if kind is None else TypedOutcome.of(outcome, kind)

    async def _watched(self, name: str, task: calls.Submission, bars: Bars) -> TaskOutcome:
        """Run a task and show it, to its own end."""
        with bars.one(name) as bar:
            task_id = (await self._play(self._talk.submit(task))).task_id
            async with aclosing(self.events(task_id)) as events:
                async for event in events:
                    bar.show(event)
            return await self.wait(task_id)

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show a bar for each task that runs meanwhile, in a terminal or a notebook."""
        with Bars() as bars:
            self._bars = bars
            try:
                yield
            finally:
                self._bars = None

    async def submit(
        self,
        task: str | Params | Declared[P, R] | Streaming[P, R] | RemoteTask[P, R],
        parameters: Parameters | None = None,
        **options: Unpack[TaskOptions],
    ) -> "AsyncTaskHandle":
        """Have a task accepted and return at once; takes and raises what `run` does."""
        name, parameters, _ = resolved(task, parameters)
        submission = calls.submission(name, parameters, options)
        return AsyncTaskHandle(self, (await self._play(self._talk.submit(submission))).task_id)

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
    ) -> AsyncGenerator[TaskEvent, None]:
        """Yield what a task says, as it comes, to its end; as `Client.events` does."""
        listener = self._talk.listener(task_id, after)
        while not listener.ended:
            source = (await self._play(self._talk.listen(listener))).source
            lost = transport.ENDED
            try:
                parts = source.parts()
                while not listener.ended and (part := await anext(parts, None)) is not None:
                    for event in listener.feed(part):
                        yield event
            except Broken as broken:
                lost = broken.lost
            finally:
                await source.close()
            if not listener.ended:
                await self._play(self._talk.resume(listener, lost))

    async def retry(
        self, task_id: str | UUID, parameters: Parameters | None = None
    ) -> "AsyncTaskHandle":
        """Run a quarantined task as a new one; as `Client.retry` does."""
        return AsyncTaskHandle(self, await self._play(self._talk.retry(task_id, parameters)))

    async def try_again(self, task_id: str | UUID) -> "AsyncTaskHandle":
        """Run a task that did not complete as a new one; as `Client.try_again` does."""
        return AsyncTaskHandle(self, await self._play(self._talk.try_again(task_id)))

    async def catalog(self) -> list[TaskType]:
        """Return every task type."""
        return await self._play(self._talk.catalog())

    async def types(self) -> dict[str, RemoteTask[Any, Any]]:
        """Return every task type by name, with models of what it takes and gives."""
        return task_types(await self.catalog())

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

    async def logout(self) -> bool:
        """End the session, here and at the server; False when there is none."""
        return await self._play(self._talk.logout())

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
        if call.upgraded:
            return await dial_async(call, self.base_url, packed=self._packed)
        try:
            request = self._http.build_request(**transport.request(call, packed=self._packed))
            response = await self._http.send(request, stream=call.streamed)
            if transport.streams(call, response):
                return transport.stream(response, transport.AsyncBody(response, self.base_url))
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
