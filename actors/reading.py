"""Readers of live tasks' logs: each at its own pace, from memory or from the journal."""

import asyncio
from collections.abc import Callable

from actors.cell import Cell
from actors.tasklog import TaskLog
from cartrita.channel.server import Call
from cartrita.journal import END_STEP, Stories
from cartrita.story import narrate


class Reading:
    """Serves the log of live tasks.

    Args:
        stories: The journal's side.
        log_of: Returns the log of a live task.
    """

    def __init__(self, stories: Stories, log_of: Callable[[Cell], TaskLog]) -> None:
        self._stories, self._log_of = stories, log_of

    async def serve(self, cell: Cell | None, after: int, call: Call) -> bool:
        """Send the entries behind a step as they come, at the reader's pace.

        Returns:
            Whether the end was sent; if not, the task is not live here (any more), and the
            journal tells the rest.
        """
        if cell is None or (cell.ending and cell.log is None):  # soon the journal tells it all
            return False
        tasklog, step = self._log_of(cell), after
        while step < END_STEP:
            if tasklog.behind(step):
                step = await self._catch_up(cell, tasklog, step, call)
                continue
            entries = tasklog.after(step)
            for entry in entries:
                await call.send(list(entry))
                step = entry.step
            if not entries:
                if tasklog.ended:
                    return False
                await tasklog.more(step)
        return True

    async def _catch_up(self, cell: Cell, tasklog: TaskLog, step: int, call: Call) -> int:
        """Send what only the journal has; returns the step reached."""
        if cell.written:
            await asyncio.shield(cell.written)
        base = tasklog.base
        for entry in narrate(await self._stories.story(cell.record.task_id, step), step):
            if entry.step > base:
                break
            await call.send(list(entry))
            step = entry.step
        return max(step, base)
