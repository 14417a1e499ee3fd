"""Carries tasks to agents that run elsewhere: one for each team, so that none fills another's."""

from typing import Any

from pydantic import model_validator

from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.providers.ports import ExternalAgents

POOL = (0, 4)
DAY = 86_400.0


class Carried(Params):
    """Whatever the external agent takes, which the door has checked."""

    given: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _as_it_is(cls, values: Any) -> dict[str, Any]:
        return {"given": values}


class Brought(Result):
    """Whatever it answered, which has been checked, too."""

    answer: dict[str, Any]

    def to_wire(self) -> dict[str, Any]:
        """Return it as it came."""
        return self.answer


async def _carry(agents: ExternalAgents, params: Carried, ctx: Context) -> Brought:
    return Brought(answer=await agents.call(params.given, ctx))


class ExternalIntelligence(Agent, team="intelligence", pool=POOL):
    """Calls the external agents of the team intelligence."""

    def __init__(self, agents: ExternalAgents) -> None:
        self._agents = agents

    @task("external.intelligence.call", timeout=DAY, hidden=True)
    async def call(self, params: Carried, ctx: Context) -> Brought:
        """Have an external agent do its work."""
        return await _carry(self._agents, params, ctx)


class ExternalMultimodal(Agent, team="multimodal", pool=POOL):
    """Calls the external agents of the team multimodal."""

    def __init__(self, agents: ExternalAgents) -> None:
        self._agents = agents

    @task("external.multimodal.call", timeout=DAY, hidden=True)
    async def call(self, params: Carried, ctx: Context) -> Brought:
        """Have an external agent do its work."""
        return await _carry(self._agents, params, ctx)


class ExternalSystem(Agent, team="system", pool=POOL):
    """Calls the external agents of the team system."""

    def __init__(self, agents: ExternalAgents) -> None:
        self._agents = agents

    @task("external.system.call", timeout=DAY, hidden=True)
    async def call(self, params: Carried, ctx: Context) -> Brought:
        """Have an external agent do its work."""
        return await _carry(self._agents, params, ctx)
