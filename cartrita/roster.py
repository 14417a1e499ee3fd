"""The catalogue of now: what is declared, and the external agents that are registered."""

import asyncio
from collections.abc import Mapping

from cartrita.catalog import Catalog
from cartrita.clock import Clock
from cartrita.declare import AgentSpec, TaskSpec
from cartrita.errors import AgentUnavailable, ServiceUnavailable
from cartrita.external.registry import Registered, Registry
from cartrita.external.specs import agent_spec

FRESH = 1.0
"""Seconds for which a look at the registry is good."""

AGAIN = 0.1
"""Seconds after which somebody who asks for what is not there has it looked at anew."""

RETRY_AFTER = 10.0


class Roster:
    """Reads the registry, at most once in a while; each process has its own.

    While the registry is away, what was read last goes on to hold.

    Args:
        declared: What does not change.
        registry: What does.
    """

    def __init__(self, declared: Catalog, registry: Registry, clock: Clock) -> None:
        self._declared, self._registry, self._clock = declared, registry, clock
        self._catalog = declared
        self._agents: dict[str, Registered] = {}
        self._specs: dict[str, tuple[str, AgentSpec]] = {}
        self._read_at: float | None = None
        self._known = False
        self._lock = asyncio.Lock()

    async def catalog(self) -> Catalog:
        """Return all agents and tasks: the same object for as long as nothing changes."""
        await self._refresh(FRESH)
        return self._catalog

    async def agents(self) -> Mapping[str, Registered]:
        """Return the registered agents by their names."""
        await self._refresh(FRESH)
        return self._agents

    async def task(self, name: str) -> TaskSpec:
        """Return a task type whose tasks can be taken now.

        Raises:
            InvalidTaskType: There is none.
            AgentUnavailable: Its agent is quarantined.
            ServiceUnavailable: Nobody can tell.
        """
        await self._refresh(FRESH)
        if name not in self._catalog.tasks:
            await self._refresh(AGAIN)
        if name not in self._catalog.names and not self._known:
            raise ServiceUnavailable(
                f"Whether there is a task type {name!r} cannot be told now.", retry_after=2
            )
        spec = self._catalog.task(name)
        agent = self._agents.get(spec.agent) if spec.carrier else None
        if agent and agent.standing == "quarantined":
            raise AgentUnavailable(
                f"The external agent {agent.name!r} does not answer: {agent.detail}",
                retry_after=RETRY_AFTER,
            )
        return spec

    def forget(self) -> None:
        """Look anew the next time: something has changed."""
        self._read_at = None

    async def _refresh(self, age: float) -> None:
        if self._fresh(age):
            return
        async with self._lock:
            if self._fresh(age):  # somebody else's look
                return
            self._read_at = self._clock.monotonic()
            try:
                self._take(await self._registry.all())
            except ServiceUnavailable:
                return
            self._known = True

    def _fresh(self, age: float) -> bool:
        return self._read_at is not None and self._clock.monotonic() - self._read_at < age

    def _take(self, agents: list[Registered]) -> None:
        former = self._specs
        self._agents = {one.name: one for one in agents if one.name not in self._declared.agents}
        self._specs = {}
        for name, one in self._agents.items():
            kept = former.get(name)
            same = kept if kept and kept[0] == one.revision else None
            self._specs[name] = same or (one.revision, agent_spec(one.registration))
        revisions = [(name, revision) for name, (revision, _) in self._specs.items()]
        if revisions != [(name, revision) for name, (revision, _) in former.items()]:
            self._catalog = self._declared.joined(spec for _, spec in self._specs.values())
