"""Agents that only benchmarks run: they wait, or speak by the clock."""

import asyncio
import time
from collections.abc import AsyncIterator

from pydantic import Field

from cartrita.context import Context
from cartrita.declare import Agent, Needs, Params, Result, task
from cartrita.stream import Token


class Wait(Params):
    """How long to wait."""

    seconds: float = Field(ge=0, le=3600)


class Speech(Params):
    """What to say, and how fast."""

    first_ms: int = Field(default=100, ge=0, le=10_000)
    pause_ms: int = Field(default=5, ge=0, le=10_000)
    tokens: int = Field(default=10, ge=1, le=1000)


class Done(Result):
    """That it was done."""


class Pace(Agent, team="system", concurrency=2000):
    """Waits and speaks."""

    @task("bench.idle", timeout=3600, idempotent=True, example={"seconds": 0})
    async def wait(self, params: Wait, ctx: Context) -> Done:
        """Wait, and say nothing."""
        await asyncio.sleep(params.seconds)
        return Done()

    @task("bench.talk", idempotent=True, example={"tokens": 1})
    async def speak(self, params: Speech, ctx: Context) -> AsyncIterator[Token | Done]:
        """Say what time it is, in nanoseconds of the machine's monotonic clock."""
        await asyncio.sleep(params.first_ms / 1000)
        for _ in range(params.tokens):
            yield Token(f"{time.monotonic_ns()} ")
            await asyncio.sleep(params.pause_ms / 1000)
        yield Done()


class Desk(Agent, team="system", concurrency=2, pool=(0, 8), needs=Needs(isolation="own")):
    """Has few places, and hosts of its own."""

    @task("bench.work", idempotent=True, example={"seconds": 0})
    async def work(self, params: Wait, ctx: Context) -> Done:
        """Wait at a place that nobody else has meanwhile."""
        await asyncio.sleep(params.seconds)
        return Done()
