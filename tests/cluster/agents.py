"""An agent for test clusters: its hosts need a CPU, so Ray places them on worker nodes."""

import asyncio

from cartrita.context import Context
from cartrita.declare import Agent, Needs, Params, Result, task


class Turn(Params):
    """How long to work."""

    seconds: float = 0.1


class Turned(Result):
    """Which attempt it was that ended."""

    attempt: int


class Mill(Agent, team="system", needs=Needs(cpus=1, isolation="own"), concurrency=4, pool=(1, 2)):
    """Grinds for a while."""

    @task("mill.turn", idempotent=True, timeout=180, max_attempts=10)
    async def turn(self, params: Turn, ctx: Context) -> Turned:
        """May run again."""
        await asyncio.sleep(params.seconds)
        return Turned(attempt=ctx.attempt)
