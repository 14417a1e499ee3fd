"""An agent with a task for whatever the tests of the gateway need."""

import asyncio
from typing import Literal

from pydantic import Field, JsonValue

from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import AgentFailed
from cartrita.protocol.wire import WireModel


class Latch:
    """Lets a test see that a task runs, and decide when it ends."""

    def __init__(self) -> None:
        self.started, self.released = asyncio.Event(), asyncio.Event()


class Part(WireModel):
    """A part of a shape."""

    part_name: str = Field(min_length=1, max_length=20)


class ShapeParams(Params):
    """One field of every kind."""

    item_count: int = Field(ge=1, le=10)
    ratio: float = Field(default=0.5, ge=0, le=1)
    colour: Literal["red", "green"] = "red"
    parts: list[Part] = Field(default_factory=list, max_length=5)
    main_part: Part | None = None


class Done(Result):
    """That it was done."""

    done: bool = True


class Anything(Result):
    """Whatever the test wants, as it is."""

    value: JsonValue

    def to_wire(self) -> dict[str, JsonValue]:
        return {"value": self.value}


class Nothing(Params):
    """Takes nothing."""


class Bench(Agent, team="intelligence"):
    """Does what tests need."""

    def __init__(self, latch: Latch) -> None:
        self._latch = latch

    @task("bench.shape", idempotent=True, aliases=("bench.old_shape",), example={"itemCount": 1})
    async def shape(self, params: ShapeParams, ctx: Context) -> Done:
        """Take one field of every kind."""
        return Done()

    @task("bench.wait", example={})
    async def wait(self, params: Nothing, ctx: Context) -> Done:
        """Wait until the test says so."""
        self._latch.started.set()
        await self._latch.released.wait()
        return Done()

    @task("bench.fail", idempotent=True, example={})
    async def fail(self, params: Nothing, ctx: Context) -> Done:
        """Fail for a reason."""
        raise AgentFailed("It could not be done.", "QUALITY_REJECTED")

    @task("bench.infinity", idempotent=True, example={})
    async def infinity(self, params: Nothing, ctx: Context) -> Anything:
        """Answer with what JSON cannot say."""
        return Anything.model_construct(value=float("inf"))
