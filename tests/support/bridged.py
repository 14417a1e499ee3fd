"""The real gateway with the bridge to v2, and an agent that talks without a model."""

from contextlib import asynccontextmanager

from actors.agents.chat import CEILING, ChatMetadata, ChatParams, ChatResult
from cartrita.context import Context
from cartrita.declare import Agent, task
from cartrita.errors import AgentFailed, ModelRequired
from serve_apps.bridge.loop import Bridge
from tests.support.api_server import short_folder
from tests.support.gateway import Stand, spoken_to

V2 = {"X-Cartrita-Door": "v2"}
"""What our edge says of a request to v2's own port."""


EXAMPLE = {"message": "What is 15% of 240?"}


class Talker(Agent, team="intelligence"):
    """Says what it was told, and what it was told it in."""

    @task("langchain.chat.execute", cost=CEILING, timeout=20, idempotent=True, example=EXAMPLE)
    async def execute(self, params: ChatParams, ctx: Context) -> ChatResult:
        """Answer."""
        if params.message == "fail":
            raise AgentFailed("The model said no.")
        if params.message == "keyless":
            raise ModelRequired("Set `models.openai_api_key`.")
        turns = len(params.history or ())
        return ChatResult(
            model=params.model or "local/test",
            provider="embedded",
            generative=False,
            message=f"You said {params.message!r} after {turns} in {ctx.session_id}.",
            metadata=ChatMetadata(
                model=params.model or "local/test",
                timestamp="2026-01-01T00:00:00Z",
                tokens=3,
                tools_used=["calculator"],
            ),
        )


@asynccontextmanager
async def bridged(bridge=None, *, agents=(), bounds=None, **options):
    """Run a gateway that v2's clients can use, and give a client of it.

    Args:
        options: Of the stand, such as `guests`.
    """
    with short_folder() as folder:
        stand = Stand(folder, agents=(Talker, *agents), **options)
        async with spoken_to(stand, older=bridge or Bridge(), bounds=bounds) as api:
            yield api
