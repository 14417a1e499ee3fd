"""Tasks of many kinds, that only benchmarks run: of these, traces are to be whole."""

import asyncio

from pydantic import Field

from cartrita.context import Context, ToolRun
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import AgentFailed

CHAT = "langchain.chat.execute"
CHILDREN = ("system.echo", CHAT)
"""What `bench.family` calls for."""

TOOL = "lookup"


class Work(Params):
    """How long to work."""

    ms: int = Field(default=20, ge=0, le=10_000)


class Done(Result):
    """That it was done."""


class Mixed(Agent, team="system", concurrency=200):
    """Works, fails, and has others work."""

    @task("bench.work", idempotent=True, timeout=600, example={"ms": 0})
    async def work(self, params: Work, ctx: Context) -> Done:
        """Take a while."""
        await asyncio.sleep(params.ms / 1000)
        return Done()

    @task("bench.fails", idempotent=True, timeout=600)
    async def fail(self, params: Work, ctx: Context) -> Done:
        """Take a while, and fail."""
        await asyncio.sleep(params.ms / 1000)
        raise AgentFailed("This is what it is for.")

    @task("bench.family", idempotent=True, timeout=600)
    async def ask(self, params: Work, ctx: Context) -> Done:
        """Have others work, one of them with a model, and use a tool."""
        await ctx.call("system.echo", {"payload": params.ms})
        began = ctx.clock.monotonic()
        await asyncio.sleep(params.ms / 1000)
        ctx.note(ToolRun(TOOL, {"ms": params.ms}, "found", ctx.clock.monotonic() - began))
        await ctx.call(CHAT, {"message": "Say twenty words.", "system": "You say words."})
        return Done()
