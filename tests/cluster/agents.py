"""An agent for test clusters: its hosts need a CPU, so Ray places them on worker nodes."""

import asyncio
import os
from pathlib import Path

from cartrita.context import Context
from cartrita.declare import Agent, Needs, Params, Result, task


class Turn(Params):
    """How long to work, and the file in which to note that work begins."""

    seconds: float
    book: str


class Turned(Result):
    """Which process did it."""

    pid: int


class Mill(Agent, team="system", needs=Needs(cpus=1, isolation="own"), concurrency=4, pool=(0, 2)):
    """Grinds for a while."""

    @task("mill.turn", idempotent=True, timeout=180, max_attempts=10)
    async def turn(self, params: Turn, ctx: Context) -> Turned:
        """May run again."""
        note(Path(params.book), ctx.task_id)
        await asyncio.sleep(params.seconds)
        return Turned(pid=os.getpid())


def note(book: Path, task_id: str) -> None:
    """Add a line in one write, beside those of other processes."""
    with book.open("a") as file:
        file.write(f"{task_id}\n")
