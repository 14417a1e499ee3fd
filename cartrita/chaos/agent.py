"""The agent whose effects a chaos run counts; loaded only where `chaos.sink` is set."""

import asyncio

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import per_call
from cartrita.declare import Agent, Params, Result, probe, task
from cartrita.effects import Doubt, Finding, effect_id
from cartrita.providers.ports import EffectSink

EFFECT, KEY = "hit", "sink"


def effect_of(task_id: str) -> str:
    """Return the id under which the sink counts the effect of a task."""
    return effect_id(task_id, EFFECT, KEY)


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

    @task("chaos.effect", cost=per_call("0.001"), max_attempts=20, effects=(EFFECT,), example={})
    async def effect(self, params: EffectParams, ctx: Context) -> EffectResult:
        """Work a little, have one effect on the sink, and work a little more."""
        await self._sink.ran(ctx.task_id)
        await self._work(params, ctx)
        async with ctx.effect(EFFECT, key=KEY) as effect:
            await effect.once(self._sink.hit, effect.id)
        await self._work(params, ctx)
        return EffectResult(attempt=ctx.attempt)

    @probe(EFFECT)
    async def was_hit(self, doubt: Doubt, ctx: Context) -> Finding:
        """Ask the sink: whoever began before is dead, so what did not come will not come."""
        return Finding.done() if await self._sink.hits(doubt.id) else Finding.not_done()

    async def _work(self, params: EffectParams, ctx: Context) -> None:
        """Take half of the time, and say half of what there is to say."""
        steps = params.says // 2
        for _ in range(steps):
            await ctx.progress()
            await asyncio.sleep(params.work_ms / 2000 / steps)
        if not steps:
            await asyncio.sleep(params.work_ms / 2000)
