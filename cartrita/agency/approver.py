"""Asks people before a tool changes the outside world, and waits for their answer."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cartrita.approvals import Approval, Approvals, Verdict, approval_id
from cartrita.context import Context
from cartrita.errors import ServiceUnavailable, TaskTimeout

EVERY = 0.5
"""Seconds between two looks at the answers, one for all who wait in this process."""

LONGEST = 86_400.0
"""Seconds for which a task without a deadline is waited for."""


class Approver:
    """The waiting room of a process.

    What waits holds no place at its supervisor. The question is kept, so that another attempt,
    on another host or under another supervisor, waits for the same answer.
    """

    def __init__(self, approvals: Approvals, every: float = EVERY) -> None:
        self._approvals, self._every = approvals, every
        self._waiting: dict[str, set[asyncio.Future[Approval]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def ask(self, tool: str, given: Any, call: str, ctx: Context) -> Approval:
        """Ask whether a tool may be used, and wait until somebody says so.

        Args:
            tool: Its name.
            given: What it would be given; plain JSON values.
            call: Tells this use from others in the same task.
            ctx: The task.

        Raises:
            TaskTimeout: Nobody decided before the deadline.
        """
        now, left = ctx.clock.now(), min(ctx.remaining(), LONGEST)
        question = Approval(
            approval_id(ctx.root or ctx.task_id, tool, call),
            ctx.task_id,
            ctx.task_type,
            ctx.principal.user,
            ctx.principal.tenant,
            tool,
            given,
            now,
            now + left,
        )
        found = await self._approvals.ask(question)
        if found.verdict is Verdict.PENDING:
            await ctx.progress(text=f"Waits for approval {found.id} of {tool}.")
            with ctx.idle():
                found = await self._answer(found.id)
        if found.verdict is Verdict.EXPIRED:
            raise TaskTimeout(f"Nobody decided about {tool!r} in time (approval {found.id}).")
        await ctx.progress(text=f"{tool} was {found.verdict} by {found.decided_by}.")
        return found

    async def _answer(self, approval: str) -> Approval:
        future: asyncio.Future[Approval] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(approval, set()).add(future)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="approvals")
        try:
            return await future
        finally:
            waiting = self._waiting.get(approval, set())
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(approval, None)

    async def _look(self) -> None:
        """Look for answers as long as anybody waits."""
        while self._waiting:
            await asyncio.sleep(self._every)
            with suppress(ServiceUnavailable):  # it is asked again
                self._tell(await self._approvals.standing(list(self._waiting)))

    def _tell(self, found: Sequence[Approval]) -> None:
        for item in found:
            if item.verdict is Verdict.PENDING:
                continue
            for future in self._waiting.pop(item.id, ()):
                if not future.done():
                    future.set_result(item)

    async def close(self) -> None:
        """Look no longer."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
