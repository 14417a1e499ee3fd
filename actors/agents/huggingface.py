"""Runs models of Hugging Face, in a host of its own."""

from cartrita.context import Context, Usage
from cartrita.declare import Agent, Needs, task
from cartrita.providers.ports_huggingface import (
    LOCAL_TASK,
    LocalText,
    TextAnswer,
    TextAsk,
    TextKind,
)

DAY = 86_400.0


class HuggingFace(
    Agent, team="intelligence", needs=Needs(isolation="own"), pool=(0, 2), concurrency=16
):
    """Holds models with torch; other agents ask it."""

    def __init__(self, models: LocalText) -> None:
        self._models = models

    @task(LOCAL_TASK, timeout=DAY, idempotent=True, hidden=True)
    async def run(self, params: TextAsk, ctx: Context) -> TextAnswer:
        """Have a model of this machine read or write a text."""
        shown = params.kind is TextKind.GENERATION and ctx.preferences.streaming
        began = ctx.clock.monotonic()
        answer = await self._models.run(params, ctx.token if shown else None)
        ctx.note(Usage(answer.model, seconds=ctx.clock.monotonic() - began))
        return answer
