"""How an attempt acts beyond its host: what it says, calls for, and is fed."""

import asyncio
from contextlib import suppress
from typing import Any

from actors.acts import Acts, Probes
from actors.inbox import Inbox
from actors.outbox import Line, Outbox
from cartrita.context import Context, Use
from cartrita.declare import TaskSpec
from cartrita.errors import (
    ChannelLost,
    InternalFailure,
    InvalidMessage,
    ResourceLimitExceeded,
    from_wire,
)
from cartrita.stream import Incoming, Said
from cartrita.threads import Threads
from cartrita.uses import CUT, told

MOST_USES = 1000
"""Uses of models and tools that the story of one attempt tells."""

MOST_CALLS = 64
"""Sub-tasks of one attempt that may be under way at once."""

HEARING = 1.0
"""Seconds an agent has to end once it was cancelled; after them it is stuck."""


class AttemptReach:
    """The reach of one attempt; makes what it needs when it needs it.

    Must be made in the attempt's own asyncio task.

    Args:
        task_id: The task.
        attempt: Its number.
        spec: What the task declares.
        threads: Where its blocking work runs.
        line: Where the supervisor listens; without one nobody does.
        probes: What its agent can tell of effects.
    """

    __slots__ = (
        "_acts",
        "_called",
        "_calls",
        "_closed",
        "_inbox",
        "_line",
        "_loop",
        "_noted",
        "_outbox",
        "_probes",
        "_spec",
        "_task",
        "_told_at",
        "attempt",
        "owner",
        "task_id",
        "threads",
    )

    def __init__(
        self,
        task_id: str,
        attempt: int,
        spec: TaskSpec,
        threads: Threads,
        line: Line | None,
        probes: Probes,
    ) -> None:
        self.task_id, self.attempt, self.threads = task_id, attempt, threads
        self.owner = ""
        self._spec, self._line, self._probes = spec, line, probes
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        self._outbox: Outbox | None = None
        self._inbox: Inbox | None = None
        self._acts: Acts | None = None
        self._calls: dict[int, asyncio.Future[dict[str, Any]]] | None = None
        self._called = self._noted = 0
        self._closed = False
        self._told_at: float | None = None

    @property
    def used(self) -> bool:
        """Whether it has said something, called for something, or had effects."""
        return self._outbox is not None or self._called > 0 or self._acts is not None

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants it to end, which its agent may have overheard."""
        return self._task is not None and self._task.cancelling() > 0

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._closed

    def deaf(self, now: float) -> bool:
        """Tell whether it was first seen cancelled `HEARING` ago and still runs."""
        if self._closed or not self.cancelled:
            self._told_at = None
            return False
        if self._told_at is None:
            self._told_at = now
        return now - self._told_at >= HEARING

    def _check(self) -> None:
        """Refuse to do anything for an attempt that is over, and remind its agent of that."""
        if self._closed or self.cancelled:
            raise asyncio.CancelledError

    async def say(self, item: Said) -> None:
        """Tell the supervisor; waits while it cannot keep up."""
        self._check()
        if self._line is None:
            return
        if self._outbox is None:
            self._outbox = Outbox(self._line)
        await self._outbox.say(item)

    def note(self, use: Use) -> None:
        """Tell the supervisor what was used; a thread may."""
        self._noted += 1
        if self._line is None or self._noted > MOST_USES:
            return
        row = told(use) if self._noted < MOST_USES else [CUT, None]
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._loop.call_soon_threadsafe(self._keep, row)
        else:
            self._keep(row)

    def _keep(self, row: list[Any]) -> None:
        if self._line is not None and not self._closed:
            with suppress(ChannelLost):  # and with it the attempt
                self._line.emit(["used", row])

    async def call(
        self,
        task_type: str,
        params: dict[str, Any],
        timeout: float | None,
        priority: int | None,
        *,
        relay: bool = False,
    ) -> dict[str, Any]:
        """Have the supervisor run a sub-task and return its response.

        Raises:
            ResourceLimitExceeded: Too many are under way.
            CartritaError: It was not accepted.
        """
        self._check()
        if self._line is None:
            raise InternalFailure("Nobody listens who could run a sub-task.")
        if self._calls is None:
            self._calls = {}
        if len(self._calls) >= MOST_CALLS:
            raise ResourceLimitExceeded(
                f"Task {self.task_id!r} waits for {MOST_CALLS} sub-tasks, which is the most."
            )
        index, self._called = self._called, self._called + 1
        options: dict[str, Any] = {"timeout": timeout, "priority": priority}
        if relay:
            options["relay"] = True
        answer = self._calls[index] = asyncio.get_running_loop().create_future()
        try:
            self._line.emit(["call", [index, task_type, params, options]])
            told = await answer
        finally:
            del self._calls[index]
        if "error" in told:
            raise from_wire(told["error"])
        response: dict[str, Any] = told["response"]
        return response

    def resume(self, index: int, answer: dict[str, Any]) -> None:
        """Hand over the answer of a sub-task, unless nobody waits for it any more."""
        waiting = (self._calls or {}).get(index)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def acting(self, context: Context) -> Acts:
        """Return the way to the effect ledger."""
        if self._acts is None:
            self._acts = Acts(self._spec, self._probes, context, self._line, self._check)
        return self._acts

    def settle(self, index: int, answer: dict[str, Any]) -> None:
        """Hand over what the ledger says of an effect."""
        if self._acts is not None:
            self._acts.answer(index, answer)

    def incoming(self) -> Incoming:
        """Return the stream that is fed in."""
        return self.inbox()

    def inbox(self) -> Inbox:
        """Return where that stream's pieces are put.

        Raises:
            InvalidMessage: The task does not take one.
        """
        if not self._spec.takes_stream:
            raise InvalidMessage(f"{self._spec.name!r} takes no stream; see `takes_stream`.")
        if self._inbox is None:
            self._inbox = Inbox(self.task_id, self._spec.idle_timeout)
        return self._inbox

    async def flush(self, within: float) -> bool:
        """Send all that was said; tells whether the supervisor took it in so many seconds."""
        return self._outbox is None or await self._outbox.flush(within)

    def close(self) -> None:
        """Say, call and take nothing more."""
        self._closed = True
        for waiting in (self._calls or {}).values():
            waiting.cancel()
        if self._acts is not None:
            self._acts.close()
        if self._outbox is not None:
            self._outbox.close()
        if self._inbox is not None:
            self._inbox.close()
