"""The agent whose effects a chaos run counts; loaded only where `chaos.sink` is set."""

import asyncio

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import per_call
from cartrita.declare import Agent, Params, Result, task
from cartrita.providers.ports import EffectSink


def effect_of(task_id: str) -> str:
    """Return the id under which the sink counts the effect of a task."""
    return task_id


class EffectParams(Params):
    """How much there is to do around the effect."""

    work_ms: int = Field(default=40, ge=0, le=60_000)
    says: int = Field(default=0, ge=0, le=100, description="How often it tells its progress.")


class EffectResult(Result):
    """Which attempt had the effect."""

    attempt: int


class Chaos(Agent, team="system", concurrency=64):
    """Does to the outside world what a chaos run counts."""

    def __init__(self, sink: EffectSink) -> None:
        self._sink = sink

    @task("chaos.effect", cost=per_call("0.001"), idempotent=True, max_attempts=20, example={})
    async def effect(self, params: EffectParams, ctx: Context) -> EffectResult:
        """Work a little, have one effect under the task's id, and work a little more."""
        await self._sink.ran(ctx.task_id)
        await self._work(params, ctx)
        if not await self._sink.hits(effect_of(ctx.task_id)):
            await self._sink.hit(effect_of(ctx.task_id))
        await self._work(params, ctx)
        return EffectResult(attempt=ctx.attempt)

    async def _work(self, params: EffectParams, ctx: Context) -> None:
        """Take half of the time, and say half of what there is to say."""
        steps = params.says // 2
        for _ in range(steps):
            await ctx.progress()
            await asyncio.sleep(params.work_ms / 2000 / steps)
        if not steps:
            await asyncio.sleep(params.work_ms / 2000)
