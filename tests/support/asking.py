"""An agent that answers what it is told to, and counts how often it was asked."""

import asyncio
from decimal import Decimal

from pydantic import Field

from cartrita.catalog import Catalog
from cartrita.context import Context, Usage
from cartrita.cost.price import metered, per_call
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.protocol.answer import Cacheable, Gate


class Ask(Params):
    """A question."""

    text: str
    style: str = "plain"
    history: list[str] = Field(default_factory=list)


class Answer(ModelResult):
    """An answer."""

    text: str
    score: float = 1.0


class Oracle:
    """Plays what the agent below says: texts, results or errors, the last one for ever.

    While `gate` is not set, whoever asks waits.
    """

    def __init__(self, *script) -> None:
        self.script = list(script) or ["An answer."]
        self.asked: list[str] = []
        self.complaints: list[str | None] = []
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.generative = True

    async def answer(self, params: Ask, ctx: Context) -> Answer:
        """Return what is next."""
        self.asked.append(params.text)
        self.complaints.append(ctx.complaint)
        self.began.set()
        await self.gate.wait()
        ctx.spent(Usage("gpt-test", 10, 5, Decimal("0.25")))
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if callable(said):
            said = said(ctx)
        if isinstance(said, Exception):
            raise said
        if not isinstance(said, str):
            return said
        return Answer(text=said, **self.named())

    def named(self):
        return {"model": "gpt-test", "provider": "fake", "generative": self.generative}


def new(params: Ask, ctx: Context) -> bool:
    """Tell whether nothing was said before."""
    return not params.history


class Asking(Agent, team="system"):
    """Answers."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    @task("ask.exact", cost=per_call("0.5"), idempotent=True, cacheable=60.0)
    async def exact(self, params: Ask, ctx: Context) -> Answer:
        """Answer the same to the same."""
        return await self._oracle.answer(params, ctx)

    @task(
        "ask.alike",
        cost=metered("1", 1000),
        idempotent=True,
        cacheable=Cacheable(text="text", when=new),
        gate=Gate(text="text", confidence="score", least=0.2),
    )
    async def alike(self, params: Ask, ctx: Context) -> Answer:
        """Answer the same to what means the same."""
        return await self._oracle.answer(params, ctx)

    @task("ask.talk", gate=Gate(text="text", refusals=True))
    async def talk(self, params: Ask, ctx: Context) -> Answer:
        """Talk, and say no where one likes."""
        return await self._oracle.answer(params, ctx)

    @task("ask.quote", gate=Gate(text="text", quotes=True))
    async def quote(self, params: Ask, ctx: Context) -> Answer:
        """Say what somebody else says."""
        return await self._oracle.answer(params, ctx)


CATALOG = Catalog.of([Asking])
