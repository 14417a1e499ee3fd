"""Plans and conversations whose host dies, through the whole tree."""

import asyncio

import pytest

from actors import attempt as attempt_module
from actors.agents.langchain import LangChain
from actors.agents.planner import Planner
from cartrita.catalog import Catalog
from cartrita.providers.ports import ChatModels, Toolbox
from cartrita.providers.ports_planning import Planning
from cartrita.services import Services
from cartrita.storage.memory_threads import InMemoryCheckpoints
from cartrita.storage.threads import Checkpoints
from tests.support import stage as stage_module
from tests.support.scripted_model import ScriptedModels, called, said
from tests.support.stage import begin, host_with, stage_tree
from tests.support.tools import toolbox

PLAN = {"objective": "Look", "steps": ["One", "Two", "Three"]}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(attempt_module, "FIRST_REST", 0.001)


@pytest.fixture
def tree_with(monkeypatch, stage):
    """Return what makes a tree of both agents with a model that plays a script."""

    def make(models):
        kept = InMemoryCheckpoints()
        ports = {ChatModels: models, Toolbox: toolbox(), Checkpoints: kept}
        ports[Planning] = Planning()
        services = Services({port: (lambda _, made=made: made) for port, made in ports.items()})
        monkeypatch.setattr(stage_module, "services", lambda _: services)
        return stage_tree(stage, Catalog.of([LangChain, Planner]))

    return make


async def kill_while_it_hangs(tree, models):
    await asyncio.wait_for(models.model.hangs.wait(), 5)
    (task_id,) = {task for host in tree.hosts.started for task in host._host._attempts}
    await host_with(tree, task_id).kill()


def asked(models):
    return [call[0][-1].text for call in models.model.asked]


async def test_a_plan_goes_on_on_another_host_without_doing_again_what_is_done(tree_with):
    models = ScriptedModels(said("first"), None, said("second"), said("third"), said("All."))
    async with tree_with(models) as tree:
        running = begin(tree.door, "langchain.plan_execute", parameters=PLAN, within=30)
        await kill_while_it_hangs(tree, models)
        answer = await asyncio.wait_for(running, 20)
    assert answer["status"] == "COMPLETED", answer
    assert [step["output"] for step in answer["result"]["steps"]] == ["first", "second", "third"]
    assert asked(models)[:4] == ["One", "Two", "Two", "Three"]
    assert answer["metrics"]["tokensUsed"] == 4 * 15  # all four answers, the lost attempt's first


async def test_a_conversation_goes_on_without_running_its_tools_again(tree_with):
    models = ScriptedModels(called("calculator", expression="6*7"), None, said("42."))
    async with tree_with(models) as tree:
        running = begin(
            tree.door, "langchain.agent.execute", parameters={"input": "6*7?"}, within=30
        )
        await kill_while_it_hangs(tree, models)
        answer = await asyncio.wait_for(running, 20)
    assert answer["status"] == "COMPLETED", answer
    assert answer["result"]["output"] == "42."
    assert [step["tool"] for step in answer["result"]["intermediateSteps"]] == ["calculator"]
    assert asked(models) == ["6*7?", "42", "42"]
