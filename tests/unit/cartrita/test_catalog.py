"""The catalogue of agents and tasks."""

import sys
from textwrap import dedent

import pytest

from cartrita.catalog import Catalog, discover
from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import InvalidTaskType


class Nothing(Params):
    """Takes nothing."""


class Done(Result):
    """Says nothing."""


def agent(name, *tasks, team="system", **options):
    """Declare an agent with tasks of these names."""
    methods = {f"do{place}": task(name, **options)(method()) for place, name in enumerate(tasks)}
    return type(name, (Agent,), {"__doc__": f"Is {name}.", **methods}, team=team)


def method():
    """Return a function of its own: a declaration is attached to it."""

    async def work(self, params: Nothing, ctx: Context) -> Done:
        """Work."""
        return Done()

    return work


def test_tasks_are_found_by_name_and_by_alias():
    catalog = Catalog.of([agent("Health", "system.health", aliases=("health", "ping"))])
    spec = catalog.task("system.health")
    assert spec.name == "system.health"
    assert catalog.task("ping") is catalog.task("health") is spec


def test_aliases_are_no_tasks_of_their_own():
    catalog = Catalog.of([agent("Health", "system.health", aliases=("health",))])
    assert list(catalog.tasks) == ["system.health"]
    assert set(catalog.names) == {"system.health", "health"}


def test_tasks_are_listed_by_name_and_teams_in_the_order_of_declaration():
    catalog = Catalog.of(
        [
            agent("Zebra", "z.two", "z.one"),
            agent("Poet", "p", team="intelligence"),
            agent("Ape", "a"),
        ]
    )
    assert list(catalog.tasks) == ["a", "p", "z.one", "z.two"]
    assert [one.name for one in catalog.team("system")] == ["zebra", "ape"]
    assert [one.name for one in catalog.team("intelligence")] == ["poet"]
    assert catalog.team("multimodal") == []


def test_a_catalogue_does_not_change():
    catalog = Catalog.of([agent("Health", "system.health")])
    for table in (catalog.agents, catalog.tasks, catalog.names):
        with pytest.raises(TypeError):
            table["other"] = None


def test_two_agents_of_one_name_are_refused():
    with pytest.raises(TypeError, match="Two agents are called 'health'"):
        Catalog.of([agent("Health", "a"), agent("Health", "b")])


def test_one_agent_named_twice_is_one_agent():
    health = agent("Health", "a")
    assert list(Catalog.of([health, health]).agents) == ["health"]


@pytest.mark.parametrize(
    "agents",
    [
        lambda: [agent("One", "same"), agent("Two", "same")],
        lambda: [agent("One", "same", "same")],
        lambda: [agent("One", "one", aliases=("same",)), agent("Two", "same")],
        lambda: [agent("One", "one", aliases=("same",)), agent("Two", "two", aliases=("same",))],
    ],
    ids=["two agents", "one agent", "an alias and a name", "two aliases"],
)
def test_a_task_declared_twice_is_refused_by_name(agents):
    with pytest.raises(TypeError, match="Two agents declare the task 'same'"):
        Catalog.of(agents())


def test_an_unknown_task_is_refused_with_the_nearest_names():
    catalog = Catalog.of([agent("Research", "research.web.search", "research.web.scrape", "echo")])
    with pytest.raises(InvalidTaskType) as refused:
        catalog.task("research.web.serch")
    assert "'research.web.serch'" in refused.value.message
    assert "Did you mean 'research.web.search'" in refused.value.message
    assert "echo" not in refused.value.message
    assert refused.value.fields == (("taskType", "unknown task type"),)


def test_a_name_like_no_other_gets_no_guess():
    with pytest.raises(InvalidTaskType) as refused:
        Catalog.of([agent("Health", "system.health")]).task("x")
    assert "Did you mean" not in refused.value.message


DECLARATION = """
from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task

class Nothing(Params):
    "Takes nothing."

class Done(Result):
    "Says nothing."

class {name}(Agent, team="system"):
    "Is found."

    @task("{task}")
    async def work(self, params: Nothing, ctx: Context) -> Done:
        "Work."
        return Done()
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Give a folder on the path, and forget what was imported from it."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))


def test_discovery_finds_the_agents_of_every_module_once(package):
    write(package, "herd/__init__.py", "")
    write(package, "herd/ape.py", DECLARATION.format(name="Ape", task="ape.climb"))
    write(package, "herd/cow.py", DECLARATION.format(name="Cow", task="cow.graze"))
    write(package, "herd/farm.py", "from herd.cow import Cow\nfrom cartrita.declare import Agent\n")
    catalog = discover("herd")
    assert {"ape", "cow"} <= set(catalog.agents)
    assert {"ape.climb", "cow.graze"} <= set(catalog.tasks)


def test_discovery_finds_what_another_distribution_offers(package):
    write(package, "herd/__init__.py", "")
    write(package, "stranger.py", DECLARATION.format(name="Bison", task="bison.roam"))
    info = "bison-1.0.dist-info"
    write(package, f"{info}/METADATA", "Metadata-Version: 2.1\nName: bison\nVersion: 1.0\n")
    write(package, f"{info}/entry_points.txt", "[cartrita.agents]\nbison = stranger\n")
    assert "bison.roam" in discover("herd").tasks


def test_discovery_refuses_modules_that_claim_one_name(package):
    write(package, "herd/__init__.py", "")
    for module in ("one", "two"):
        write(package, f"herd/{module}.py", DECLARATION.format(name="Ape", task=module))
    with pytest.raises(TypeError, match="Two agents are called 'ape'"):
        discover("herd")


def test_a_module_that_does_not_import_is_not_passed_over(package):
    write(package, "herd/__init__.py", "")
    write(package, "herd/broken.py", "import nothing_of_that_name\n")
    with pytest.raises(ModuleNotFoundError):
        discover("herd")
