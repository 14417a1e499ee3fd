"""One principal's tasks on one socket, whatever carries it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from cartrita.errors import CartritaError, InternalFailure, QueueFull
from cartrita.protocol.principal import Principal
from cartrita.telemetry.log import get_logger
from serve_apps.gateway.events import PROMPT, Told
from serve_apps.gateway.gate import Tasks
from serve_apps.gateway.sockets.bounds import POLICY, Bounds, Hangup
from serve_apps.gateway.sockets.envelopes import envelope_of

log = get_logger(__name__)

Tell = Callable[[dict[str, Any]], Awaitable[None]]
Lost = Callable[[str, CartritaError], Awaitable[None]]


class Session:
    """What one socket follows and does. Closing it stops no task.

    Args:
        tasks: The Door's verbs.
        who: Whose socket it is.
    """

    def __init__(self, tasks: Tasks, who: Principal, bounds: Bounds) -> None:
        self.tasks, self.who, self._bounds = tasks, who, bounds
        self._following: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, _Turn] = {}
        self._busy: set[asyncio.Task[None]] = set()

    @property
    def at_work(self) -> bool:
        """Whether it follows something or a command is under way."""
        return bool(self._following or self._busy)

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Carry out a command beside the others.

        Raises:
            QueueFull: As many as may be are under way.
        """
        if len(self._busy) >= self._bounds.commands:
            raise QueueFull(
                f"{self._bounds.commands} commands are under way on this socket: wait for one.",
                retry_after=1,
            )
        task = asyncio.create_task(_run(work))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def open(self, task_id: str, after: str | None) -> Told | None:
        """Look at a task's events behind a cursor; None when there is no more to come.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
            InvalidParameters: That is no cursor.
            Hangup: Too many are followed.
        """
        await self.unsubscribe(task_id)
        if len(self._following) >= self._bounds.subscriptions:
            raise Hangup(POLICY, "too many subscriptions")
        told = Told(self.tasks.events(task_id, self.who, after))
        try:
            over = await told.nothing_within(PROMPT)
        except BaseException:
            await told.close()
            raise
        if not over:
            return told
        await told.close()
        return None

    def follow(self, task_id: str, told: Told, tell: Tell, lost: Lost) -> None:
        """Tell the events that `open` found, until they end or cannot be read on."""
        pump = asyncio.create_task(self._pump(task_id, told, tell, lost))
        earlier = self._following.pop(task_id, None)
        if earlier:
            earlier.cancel()
        self._following[task_id] = pump
        pump.add_done_callback(lambda done: self._ended(task_id, done))

    async def _pump(self, task_id: str, told: Told, tell: Tell, lost: Lost) -> None:
        try:
            async for event in told.each():
                await tell(envelope_of(event))
        except CartritaError as error:
            await lost(task_id, error)
        except OSError:
            pass  # the client has left
        except Exception:
            log.exception("events_failed", task_id=task_id)
            await lost(task_id, InternalFailure("The events could not be read on."))
        finally:
            await told.close()

    def _ended(self, task_id: str, pump: asyncio.Task[None]) -> None:
        if self._following.get(task_id) is pump:
            del self._following[task_id]
        if not pump.cancelled():
            pump.exception()  # the socket is closed

    async def unsubscribe(self, task_id: str) -> bool:
        """Follow a task no more; False when it was not followed."""
        pump = self._following.pop(task_id, None)
        if pump is None:
            return False
        pump.cancel()
        await asyncio.wait((pump,))
        return True

    async def feed(
        self, task_id: str, piece: Literal["start", "data", "end"], sequence: int, data: Any
    ) -> None:
        """Send a piece of a stream into a task, behind those that were sent before."""
        turn = self._turns.setdefault(task_id, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                await self.tasks.feed(task_id, self.who, piece, sequence, data)
        finally:
            turn.users -= 1
            if not turn.users:
                self._turns.pop(task_id, None)

    async def settled(self) -> None:
        """Wait until nothing is followed any more and no command is under way."""
        while waiting := [*self._busy, *self._following.values()]:
            await asyncio.wait(waiting)
            await asyncio.sleep(0)  # for what is done when they end

    async def close(self) -> None:
        """End whatever is under way on this socket."""
        present = asyncio.current_task()  # one of them may have found that the client is away
        ending = [t for t in (*self._busy, *self._following.values()) if t is not present]
        self._following.clear()
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)


class _Turn:
    """Keeps the pieces of one stream in order; asyncio's locks are fair."""

    def __init__(self) -> None:
        self.lock, self.users = asyncio.Lock(), 0


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()
