"""An agent that remembers how often it was run for what."""

import asyncio
from collections import Counter

from pydantic import Field

from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task


class Runs:
    """How often each name was run."""

    def __init__(self) -> None:
        self.of = Counter[str]()


class Named(Params):
    """What to run, and how long that takes."""

    name: str
    delay_ms: int = Field(default=0, ge=0, le=10_000)


class Ran(Result):
    """What was run."""

    name: str


class Counted(Agent, team="system"):
    """Counts its runs."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    @task("test.counted", idempotent=True, example={"name": "a"})
    async def run(self, params: Named, ctx: Context) -> Ran:
        """Count one run."""
        self._runs.of[params.name] += 1
        await asyncio.sleep(params.delay_ms / 1000)
        return Ran(name=params.name)
