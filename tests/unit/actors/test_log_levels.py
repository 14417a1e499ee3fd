"""Log levels that operators order while everything runs."""

import pytest

from actors.commands import Command
from actors.fleet import Rules
from actors.operations import CONFIG, Operations
from actors.routes import Routes
from actors.slot import Pulse
from cartrita.telemetry import log
from tests.support.stage import CATALOG, crew_of, stage_tree
from tests.support.yard import OWN, agent, open_yard

LIGHT = agent("Light")
HEAVY = agent("Heavy", needs=OWN)
QUICK = Rules(pulse=Pulse(every=0.005, wedged_after=5.0))


@pytest.fixture(autouse=True)
def _level():
    before = log.level()
    log.set_level("error")
    yield
    log.set_level(before or "info")


@pytest.fixture
async def tree(stage):
    async with stage_tree(stage) as running:
        yield running


async def order(tree, target, **arguments):
    done = await tree.operations.carry_out(Command("CONFIG_UPDATE", target, arguments, "ada"))
    assert all(result["ok"] for result in done["results"])


async def kept(tree):
    orders = await tree.orders.all()
    told = {key: value for key, value in orders.items() if key.startswith(CONFIG)}
    return {key.removeprefix(CONFIG): value.get("logLevel") for key, value in told.items()}


async def test_hosts_are_told_as_they_start_and_with_each_heartbeat():
    async with open_yard() as yard:
        await yard.start(LIGHT, HEAVY, rules=QUICK)
        await yard.ready("light", "heavy")
        assert {host.spec.log_level for host in yard.hosts.started} == {"error"}

        log.set_level("debug")
        yard.fleet.crew("heavy").log_level = "warning"

        light, heavy = (yard.host(name).handle for name in ("shared", "heavy"))
        await yard.until(lambda: (light.level, heavy.level) == ("debug", "warning"))


async def test_an_order_for_the_tree_is_for_every_process_and_is_audited(tree):
    await order(tree, "tree", logLevel="debug")

    assert log.level() == "debug"
    heard = []
    routes = Routes(tree, "gateway")
    routes.log_level = heard.append
    await routes.refresh()
    assert heard == ["debug"]
    (last,) = await tree.audit.entries(1, None)
    assert (last.actor, last.action, last.detail) == ("ada", "CONFIG_UPDATE", {"logLevel": "debug"})
    health = Command("HEALTH_CHECK", "tree", {}, "ada")
    for shard in (await tree.operations.carry_out(health))["results"]:
        assert shard["logLevel"] == "debug"
        assert {host["logLevel"] for host in shard["hosts"] if "logLevel" in host} <= {"debug"}


async def test_an_order_for_an_agent_is_for_its_hosts_until_one_for_more_outdoes_it(tree):
    name = next(iter(CATALOG.agents))
    crew, team = crew_of(tree, name), CATALOG.agents[name].team
    await order(tree, f"agent:{name}", logLevel="warning")
    assert crew.log_level == "warning"
    await order(tree, team, logLevel="info", maxConcurrentTasks=9)
    assert crew.log_level == ""
    assert await kept(tree) == {f"agent:{name}": None, team: "info"}

    await order(tree, "tree", maxConcurrentTasks=8)
    assert (await kept(tree))[team] == "info", "an order about something else"
    await order(tree, "tree", logLevel="debug")
    assert {level for level in (await kept(tree)).values() if level} == {"debug"}


async def test_what_was_ordered_for_the_tree_holds_for_the_next_orchestrator(tree):
    await order(tree, "tree", logLevel="debug")
    log.set_level("error")
    tree.orchestrator.log_level = ""
    again = Operations(tree.orchestrator, tree.orders, tree.audit, CATALOG, tree.clock)

    await again.start({})

    assert log.level() == "debug"
    assert (await tree.routes()).log_level == "debug"
