"""What those who ask for a task are told, be it new, at work, or long ended."""

import asyncio
from collections.abc import Callable
from typing import Any

from actors.cell import Cell, same_task, same_user
from actors.response import remains
from cartrita.clock import Clock, iso
from cartrita.errors import (
    IdempotencyMismatch,
    InsufficientBudget,
    InternalFailure,
    StillRunning,
)
from cartrita.journal import Stories, TaskRecord, Verdict, fold
from cartrita.protocol.task import TaskStatus


class Callers:
    """Answers for one shard.

    Args:
        stories: Tells of tasks that have ended.
        live: Returns the cell of an accepted task that has not.
    """

    def __init__(self, stories: Stories, clock: Clock, live: Callable[[str], Cell | None]) -> None:
        self._stories, self._clock, self._live = stories, clock, live
        self._answering: set[asyncio.Task[None]] = set()

    async def ended(self, task_id: str) -> dict[str, Any] | None:
        """Wait for a task's end and return its response; None when it is not live here."""
        cell = self._live(task_id)
        if cell is None:
            return None
        answer: dict[str, Any] = await cell.wait(end=True)
        return answer

    def judged(self, cell: Cell, verdict: Verdict) -> None:
        """Answer those who wait for what is no new task, or was ended by somebody else."""
        waiters, cell.waiters = cell.waiters, []
        for waiter, end in waiters:
            task = asyncio.create_task(self._answer(waiter, verdict, cell.record, wait=end))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(
        self, waiter: asyncio.Future[Any], verdict: Verdict, record: TaskRecord, *, wait: bool
    ) -> None:
        try:
            answer = await self._refused(verdict, record, wait=wait)
        except Exception as error:  # noqa: BLE001 - it is the caller's to see
            if not waiter.done():
                waiter.set_exception(error)
        else:
            if not waiter.done():
                waiter.set_result(answer)

    async def _refused(self, verdict: Verdict, record: TaskRecord, *, wait: bool) -> dict[str, Any]:
        """Answer a submission that was not admitted as a new task."""
        if verdict.kind == "mismatch":
            raise IdempotencyMismatch(
                f"The key belongs to task {verdict.task_id!r}, which asked for something else."
            )
        if verdict.kind == "budget":
            resets_at = verdict.resets_at
            when = f"It begins anew at {iso(resets_at)}." if resets_at else "It never begins anew."
            raise InsufficientBudget(
                f"The budget {verdict.budget!r} has no room for this task. {when}",
                retry_after=resets_at - self._clock.now() if resets_at else None,
            )
        return await self._known(verdict.task_id, record, wait=wait)

    async def _known(self, task_id: str, record: TaskRecord, *, wait: bool) -> dict[str, Any]:
        """Answer for the task that an earlier submission of `record` became."""
        other = task_id != record.task_id
        live = self._live(task_id)  # looked at first: a cell goes when its end is in the story
        if live is not None:
            same_task(live.record, record, known=other)
        if live is None or (wait and not other):
            ended = await (self.ended(task_id) if live else self._told(task_id, record))
            if ended is not None:
                return ended
        if other:
            raise StillRunning(f"The first request with this key is task {task_id!r}.")
        return {"taskId": task_id, "status": TaskStatus.PENDING.value}

    async def _told(self, task_id: str, record: TaskRecord) -> dict[str, Any] | None:
        """Return the response that a task's story ends with; None when it has no end yet."""
        state = fold(await self._stories.story(task_id))
        if state is None:
            return await self._left(task_id, record)
        same_task(state.record, record, known=task_id != record.task_id)
        return state.response

    async def _left(self, task_id: str, record: TaskRecord) -> dict[str, Any]:
        """Answer for a task that is so long over that its events were forgotten."""
        left = await self._stories.remnant(task_id)
        if left is None:
            raise InternalFailure(f"Task {task_id!r} is known and has no story.")
        same_user(left.user, record)
        return remains(left)
