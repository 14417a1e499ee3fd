"""Tasks whose agents call other agents, and what they called for."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from actors.cell import Cell
from actors.slot import Host
from cartrita.errors import CartritaError, InternalFailure, ResourceLimitExceeded
from cartrita.journal import TaskRecord
from cartrita.protocol.task import TaskStatus
from cartrita.trail import within_attempt

MOST_CALLS = 1000
"""Sub-tasks one attempt may call for in all."""

RESUME_TIMEOUT = 30.0

Heard = Callable[[dict[str, Any]], None]
"""Takes the data of each token that a sub-task says."""


@dataclass(frozen=True, slots=True)
class SubTask:
    """What an agent calls for.

    Attributes:
        index: Its number within the attempt. A later attempt that calls for the same thing
            under the same number gets the same task, with what it has done already.
        timeout: Seconds; None for the type's own. The parent's deadline holds in any case.
        priority: None for one more than the parent's.
        relay: Whether its tokens are shown as the parent's.
        trace: The `traceparent` it belongs to; None for the parent's.
    """

    index: int
    task_type: str
    params: dict[str, Any]
    timeout: float | None = None
    priority: int | None = None
    relay: bool = False
    trace: str | None = None


class Calls(Protocol):
    """How a supervisor reaches other agents: through a Door, as everybody does."""

    async def call(
        self, parent: TaskRecord, ask: SubTask, heard: Heard | None = None
    ) -> dict[str, Any]:
        """Run a sub-task as its parent's principal and return its response."""

    async def cancel_child(self, parent: TaskRecord, ask: SubTask) -> None:
        """Cancel a sub-task that may not even be accepted yet."""


class Family:
    """The sub-tasks of the tasks that run in one shard.

    Args:
        calls: The Door; without one there are no sub-tasks.
        waits: Called when a task begins to wait for sub-tasks.
        goes_on: Called when it waits no longer.
        tell: Shows the data of a token as a task's own.
    """

    def __init__(
        self,
        calls: Calls | None,
        waits: Callable[[Cell], None],
        goes_on: Callable[[Cell], None],
        tell: Callable[[Cell, dict[str, Any]], None],
    ) -> None:
        self._calls, self._waits, self._goes_on, self._tell = calls, waits, goes_on, tell
        self._cancelling: set[asyncio.Task[None]] = set()

    def ask(self, cell: Cell, host: Host, payload: list[Any]) -> None:
        """Carry out what an agent calls for."""
        index, task_type, params, options = payload
        trace = within_attempt(cell.record, cell.attempts) if cell.trail else None
        child = SubTask(index, task_type, params, **options, trace=trace)
        cell.called += 1
        cell.calls += 1
        if cell.calls == 1:
            self._waits(cell)
        if cell.children is None:
            cell.children = set()
        task = asyncio.create_task(self._carry(cell, host, cell.attempts, child))
        cell.children.add(task)
        task.add_done_callback(cell.children.discard)

    def idle(self, cell: Cell, *, waits: bool) -> None:
        """Give a place back while an agent waits for a person, as if that were a sub-task."""
        if waits:
            cell.called += 1
            cell.calls += 1
            if cell.calls == 1:
                self._waits(cell)
        elif cell.calls:
            cell.calls -= 1
            if cell.calls == 0:
                self._goes_on(cell)

    async def _carry(self, cell: Cell, host: Host, attempt: int, ask: SubTask) -> None:
        answer = await self._answer(cell, ask)
        cell.calls -= 1
        if cell.calls == 0:
            self._goes_on(cell)
        told = [cell.record.task_id, attempt, ask.index, answer]
        with suppress(CartritaError):  # a host that is gone needs no answer
            await host.channel.request("resume", told, RESUME_TIMEOUT)

    async def _answer(self, cell: Cell, ask: SubTask) -> dict[str, Any]:
        try:
            if self._calls is None:
                raise InternalFailure("This supervisor has no Door for sub-tasks.")
            if cell.called > MOST_CALLS:
                raise ResourceLimitExceeded(f"A task may call for {MOST_CALLS} sub-tasks.")
            return {"response": await self._called(self._calls, cell, ask)}
        except CartritaError as error:
            return {"error": error.to_wire()}
        except asyncio.CancelledError:
            if cell.ending and self._calls:
                self._later(self._calls.cancel_child(cell.record, ask))
            raise

    async def _called(self, calls: Calls, cell: Cell, ask: SubTask) -> dict[str, Any]:
        heard = partial(self._tell, cell) if ask.relay else None
        response = await calls.call(cell.record, ask, heard)
        if cell.trail and response["status"] != TaskStatus.COMPLETED:
            cell.trail.special = True  # it is told of, and belongs to us
        return response

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_quietly(work))
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    def part(self, cell: Cell) -> None:
        """Wait no longer for an attempt's sub-tasks; they end with a task that is ending.

        Those of an attempt that was lost go on: the next attempt finds them.
        """
        for child in list(cell.children or ()):
            child.cancel()
        cell.children, cell.calls, cell.called = None, 0, 0


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    with suppress(CartritaError):  # it ends by its deadline then
        await work
