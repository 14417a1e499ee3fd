"""Callers: those who wait, ask how it stands, leave, cancel, and ask again."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from actors.door import Door
from cartrita.errors import CartritaError, ErrorCode, Reason, ServiceUnavailable
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from tests.simulator.scenario import Ask
from tests.simulator.world import World

PATIENCE = 60.0
"""Seconds for which a client asks again."""

PAUSE = 0.3

CERTAIN = (ErrorCode.QUEUE_FULL, ErrorCode.AGENT_UNAVAILABLE, ErrorCode.INVALID_PARAMETERS)
"""Whoever hears one of these knows that its task was not accepted."""


ENDS = ("completed", "failed", "cancelled", "timeout")


@dataclass(slots=True)
class Caller:
    """One client and what it heard.

    Attributes:
        answer: The response it was given in the end.
        refusal: The error it gave up with.
        unsure: It was told, or had to think, that the task may have been accepted.
        cancelled: What its cancellation was answered.
        left: It hung up.
        heard: The events of its task, as they came.
    """

    world: World
    ask: Ask
    answer: dict[str, Any] | None = None
    refusal: CartritaError | None = None
    unsure: bool = False
    cancelled: bool | None = None
    left: bool = False
    done: bool = False
    heard: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def who(self) -> Principal:
        """Who asks."""
        return Principal(self.ask.user, self.ask.user)

    async def run(self) -> None:
        """Ask at the right time, until there is an answer or no point in waiting."""
        ask = self.ask
        await asyncio.sleep(max(ask.at - self.world.loop.elapsed, 0.0))
        others = [asyncio.create_task(self._cancel())] if ask.cancels is not None else []
        if ask.follows is not None:
            others.append(asyncio.create_task(self._follow()))
        try:
            async with asyncio.timeout(ask.leaves):
                await self._ask()
        except TimeoutError:
            self.left = True
            self.world.loop.trace.note("left", ask.task_id)
        for other in others:
            await other
        self.done = True

    async def _ask(self) -> None:
        loop = self.world.loop
        until = loop.elapsed + PATIENCE
        while self.answer is None:
            try:
                answer = await self.world.gateway.ask(self._submit, 90.0)
            except CartritaError as error:
                loop.trace.note("refused", self.ask.task_id, error.code, error.reason or "")
                if not self._again(error, until):
                    self.refusal = error
                    return
                await asyncio.sleep(PAUSE)
            else:
                loop.trace.note("answered", self.ask.task_id, answer["status"])
                await self._heard(answer, until)

    def _again(self, error: CartritaError, until: float) -> bool:
        """Tell whether to ask again: only when nobody could tell what became of the task."""
        self.errors.append(f"{error.code} {error.reason} {error.message}")
        known = error.code in CERTAIN or error.reason == Reason.DEADLINE_IMPOSSIBLE
        if not known and error.reason != Reason.STILL_RUNNING:
            self.unsure = True
        away = isinstance(error, ServiceUnavailable)
        return away and self.world.loop.elapsed < until

    def _submit(self, door: Door) -> Any:
        ask = self.ask
        request = TaskRequest(
            task_type=ask.task_type,
            parameters={"deed": ask.deed, "seconds": ask.seconds, "until": ask.until},
            task_id=ask.task_id,
            priority=ask.priority,
            timeout=int(ask.timeout * 1000) if ask.timeout else None,
            delivery=ask.delivery,
        )
        return door.submit(request, self.who, wait=ask.wait, idempotency_key=ask.key)

    async def _heard(self, answer: dict[str, Any], until: float) -> None:
        """Take the end, or ask how it stands until there is one."""
        task_id = answer["taskId"]
        while answer["status"] in ("PENDING", "RUNNING") and self.world.loop.elapsed < until:
            self.unsure = True
            await asyncio.sleep(PAUSE)
            try:
                answer = await self.world.gateway.ask(
                    lambda door: door.get(task_id, self.who, 2.0), 30.0
                )
            except CartritaError as error:
                self.errors.append(f"get: {error.code} {error.reason} {error.message}")
        self.answer = answer

    async def _cancel(self) -> None:
        ask = self.ask
        assert ask.cancels is not None
        await asyncio.sleep(ask.cancels)
        try:
            self.cancelled = await self.world.gateway.ask(
                lambda door: door.cancel(ask.task_id, self.who), 30.0
            )
        except CartritaError as error:
            self.errors.append(f"cancel: {error.code} {error.reason} {error.message}")
        else:
            self.world.loop.trace.note("cancels", ask.task_id, self.cancelled)

    async def _follow(self) -> None:
        """Read the task's events to the end, going on where a gateway that died left off."""
        ask = self.ask
        assert ask.follows is not None
        await asyncio.sleep(ask.follows)
        until = self.world.loop.elapsed + PATIENCE
        while not self.followed and self.world.loop.elapsed < until:
            try:
                await self.world.gateway.ask(self._read, 90.0)
            except CartritaError as error:
                self.errors.append(f"events: {error.code} {error.reason} {error.message}")
            await asyncio.sleep(PAUSE)

    async def _read(self, door: Door) -> None:
        after = self.heard[-1]["cursor"] if self.heard else None
        async for event in door.events(self.ask.task_id, self.who, after):
            self.heard.append(event)
            self.world.loop.trace.note("hears", self.ask.task_id, event["type"], event["cursor"])

    @property
    def followed(self) -> bool:
        """Whether the end was among the events."""
        return bool(self.heard) and self.heard[-1]["type"] in ENDS
