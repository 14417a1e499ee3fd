"""What carries tasks to agents that run elsewhere."""

from typing import get_args

import pytest

from actors.agents.external import ExternalIntelligence, ExternalMultimodal, ExternalSystem
from cartrita.catalog import Catalog
from cartrita.declare import TEAMS, Team
from cartrita.errors import InvalidTaskType, NetworkFailed
from cartrita.external.registration import Registration
from cartrita.external.specs import agent_spec, carrier_task
from cartrita.providers.ports import ExternalAgents
from cartrita.testing import run_task
from tests.support.elsewhere import registration

CARRIERS = (ExternalIntelligence, ExternalMultimodal, ExternalSystem)


class Elsewhere:
    """Answers what it was asked."""

    async def call(self, parameters, ctx):
        if not parameters:
            raise NetworkFailed("away")
        return {"asked": parameters, "of": ctx.task_type}

    async def check(self, agent):
        raise NotImplementedError


@pytest.mark.parametrize("agent", CARRIERS)
async def test_it_hands_on_what_it_is_given_and_what_comes_back(agent):
    given = {"city": "Ghent", "given": None, "self": [1]}
    name = agent.spec.tasks[0].name
    catalog = Catalog.of(CARRIERS)
    with pytest.raises(InvalidTaskType):
        catalog.task(name)  # it is not for callers
    carrier = agent(Elsewhere())
    context = type("Context", (), {"task_type": "weather.forecast"})()
    spec = agent.spec.tasks[0]
    brought = await carrier.call(spec.params.model_validate(given), context)
    assert brought.to_wire() == {"asked": given, "of": "weather.forecast"}
    with pytest.raises(NetworkFailed):
        await carrier.call(spec.params.model_validate({}), context)


async def test_it_cannot_be_run_by_its_own_name():
    with pytest.raises(InvalidTaskType):
        await run_task(ExternalSystem, "external.system.call", {}, {ExternalAgents: Elsewhere()})


@pytest.mark.parametrize("team", get_args(Team))
def test_every_team_has_one(team):
    assert set(TEAMS) == {agent.spec.team for agent in CARRIERS}
    spec = agent_spec(Registration.model_validate(registration(team=team, maxConcurrency=3)))
    carrier = spec.tasks[0].carrier
    declared = Catalog.of(CARRIERS).task_named(carrier.task)
    assert (carrier.task, declared.team, declared.hidden) == (carrier_task(team), team, True)
    assert (carrier.agent, carrier.most, carrier.safe) == ("weather", 3, True)
