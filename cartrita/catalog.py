"""Every agent and task type there is, frozen at start."""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from types import MappingProxyType

from cartrita.declare import Agent, AgentSpec, TaskSpec, Team
from cartrita.errors import InvalidTaskType

ENTRY_POINTS = "cartrita.agents"
"""The group under which a third party's package names modules with agents."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The agents and tasks, by name.

    Attributes:
        tasks: Those that callers may ask for.
        names: All, by their aliases, too.
    """

    agents: Mapping[str, AgentSpec]
    tasks: Mapping[str, TaskSpec]
    names: Mapping[str, TaskSpec]

    @classmethod
    def of(cls, agents: Iterable[type[Agent]]) -> "Catalog":
        """Freeze agents into a catalogue.

        Raises:
            TypeError: Two of them claim one name.
        """
        by_agent: dict[str, AgentSpec] = {}
        tasks: dict[str, TaskSpec] = {}
        names: dict[str, TaskSpec] = {}
        for agent in agents:
            spec = agent.spec
            if by_agent.setdefault(spec.name, spec) is not spec:
                raise TypeError(f"Two agents are called {spec.name!r}")
            for item in spec.tasks:
                if not item.hidden:
                    tasks[item.name] = item
                for name in (item.name, *item.aliases):
                    if names.setdefault(name, item) is not item:
                        raise TypeError(f"Two agents declare the task {name!r}")
        return cls._frozen(by_agent, tasks, names)

    @classmethod
    def _frozen(
        cls, agents: dict[str, AgentSpec], tasks: dict[str, TaskSpec], names: dict[str, TaskSpec]
    ) -> "Catalog":
        ordered = dict(sorted(tasks.items()))
        return cls(MappingProxyType(agents), MappingProxyType(ordered), MappingProxyType(names))

    def joined(self, others: Iterable[AgentSpec]) -> "Catalog":
        """Return a catalogue that has other agents, too; what is here already goes before."""
        agents, tasks, names = dict(self.agents), dict(self.tasks), dict(self.names)
        for spec in others:
            if spec.name in agents:
                continue
            agents[spec.name] = spec
            new = [item for item in spec.tasks if item.name not in names]
            tasks.update((item.name, item) for item in new)
            names.update((item.name, item) for item in new)
        return self._frozen(agents, tasks, names)

    def task(self, name: str, *, inner: bool = False) -> TaskSpec:
        """Return a task type by its name or alias.

        Args:
            name: As the caller writes it.
            inner: An agent calls for it, who may call for hidden ones, too.

        Raises:
            InvalidTaskType: Nobody declares it; the message offers the nearest names.
        """
        spec = self.names.get(name)
        if spec is None or (spec.hidden and not inner):
            known = [known for known, item in self.names.items() if not item.hidden]
            near = get_close_matches(name, known, n=3)
            hint = f" Did you mean {', '.join(map(repr, near))}?" if near else ""
            raise InvalidTaskType(
                f"There is no task type {name!r}.{hint} GET /v3/catalog lists all.",
                fields=[("taskType", "unknown task type")],
            )
        return spec

    def task_named(self, name: str) -> TaskSpec:
        """Return a task type that a door has let in, hidden or not.

        Raises:
            InvalidTaskType: Nobody declares it any more.
        """
        spec = self.names.get(name)
        if spec is None:
            raise InvalidTaskType(f"There is no task type {name!r} any more.")
        return spec

    @property
    def offered(self) -> list[AgentSpec]:
        """The agents with tasks that callers may ask for."""
        return [agent for agent in self.agents.values() if any(not t.hidden for t in agent.tasks)]

    def team(self, team: Team) -> list[AgentSpec]:
        """Return the agents of one team, in declaration order."""
        return [agent for agent in self.agents.values() if agent.team == team]


def discover(package: str, *more: str) -> Catalog:
    """Import every module of `package`, `more` modules and every entry point; freeze them."""
    root = importlib.import_module(package)
    modules = [f"{package}.{item.name}" for item in pkgutil.iter_modules(root.__path__)]
    modules += more
    modules += [point.value for point in entry_points(group=ENTRY_POINTS)]
    found: dict[type[Agent], None] = {}
    for name in modules:
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, Agent) and value is not Agent:
                found[value] = None
    return Catalog.of(found)
