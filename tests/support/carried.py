"""External agents behind the real gateway."""

import asyncio
from contextlib import asynccontextmanager

from actors.agents.external import ExternalIntelligence, ExternalMultimodal, ExternalSystem
from actors.patrol import Patrol
from cartrita.clock import SystemClock, new_random
from cartrita.providers.external import HttpAgents

CARRIERS = (ExternalIntelligence, ExternalMultimodal, ExternalSystem)


async def register(api, who, told):
    return await api.http.post("/v3/agents/register", json=told, headers=who)


async def registered(api, who, told):
    """Register it and have every part of this process know at once."""
    done = await register(api, who, told)
    assert done.status_code in (200, 201), done.text
    return done


async def ask(api, who, parameters=None, task="weather.forecast", **more):
    return await api.run(task, {"city": "Ghent"} if parameters is None else parameters,
                         who=who, **more)  # fmt: skip


@asynccontextmanager
async def patrol_of(api):
    """Give a round of health checks, which ends when all are done."""
    registry, agents = api.stand.registry, HttpAgents(api.stand.registry, SystemClock())
    patrol = Patrol(registry, agents, SystemClock(), new_random())

    async def round_():
        for beat in patrol._beats.values():
            beat.due = 0.0
        await asyncio.gather(*await patrol.round())
        api.stand.tree.external._roster.forget()

    yield round_
    await agents.close()
