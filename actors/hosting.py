"""What tiers tell each other: host and supervisor specs, handles, routes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cartrita.declare import TEAMS, AgentSpec, Team
from cartrita.journal import Journal


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A process to start: which agents it runs, and what it needs.

    Attributes:
        host_id: Unique for each start, such as `intelligence/0.shared.3`.
        agents: Names of the agents it runs.
        epoch: Of the supervisor that starts it; nobody older may use it.
        token: What its channel asks for.
        log_level: From which level on it logs; empty is what the settings say.
    """

    host_id: str
    agents: tuple[str, ...]
    epoch: int
    token: str
    cpus: float = 0.0
    memory_mb: int = 0
    log_level: str = ""


ENDED = "ended of itself"
"""Why a process is gone that did not crash."""


class HostHandle(Protocol):
    """A started host, as its supervisor holds it."""

    address: str
    pid: int
    node: str
    actor: str
    """Its id in Ray; empty where it is none of Ray's."""
    died: asyncio.Future[str]
    """Done when the process is gone; says why: `ENDED`, or what it crashed of."""

    async def kill(self) -> None:
        """End the process at once; returns when it is gone or nobody can tell."""


class Hosts(Protocol):
    """Starts hosts: Ray actors in production, objects in one process for tests."""

    async def start(self, spec: HostSpec) -> HostHandle:
        """Start a host and wait until it answers."""


@dataclass(frozen=True, slots=True)
class SupervisorInfo:
    """A running supervisor, as it reports itself."""

    shard: str
    address: str
    epoch: int
    build: str
    pid: int
    node: str
    actor: str = ""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Where each shard of each team listens.

    Attributes:
        version: Grows with every change.
        teams: How many shards new tasks of a team are spread over.
        addresses: Shard to channel address.
        token: What the supervisors' channels ask for.
        log_level: What an operator ordered for all; empty is what the settings say.
    """

    version: int
    build: str
    teams: Mapping[str, int]
    addresses: Mapping[str, str]
    token: str = field(repr=False, default="")
    log_level: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "version": self.version,
            "build": self.build,
            "teams": dict(self.teams),
            "addresses": dict(self.addresses),
            "token": self.token,
            "log_level": self.log_level,
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one supervisor.

    Attributes:
        queue: The most tasks that may wait (`messageQueueSize`).
        concurrency: The most tasks that may run (`maxConcurrentTasks`).
    """

    queue: int = 1000
    concurrency: int = 50


@dataclass(frozen=True, slots=True)
class Group:
    """Agents that live in one host process together."""

    name: str
    agents: tuple[AgentSpec, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The agents' names."""
        return tuple(agent.name for agent in self.agents)


SHARED = "shared"


def groups_of(agents: list[AgentSpec]) -> list[Group]:
    """Put the light agents of a team into one group and each heavy one into its own."""
    light = tuple(agent for agent in agents if agent.needs.isolation == SHARED)
    found = [Group(SHARED, light)] if light else []
    return found + [Group(a.name, (a,)) for a in agents if a.needs.isolation == "own"]


def shard_name(team: Team, number: int) -> str:
    """Return the name of a shard, such as `intelligence/0`."""
    return f"{team}/{number}"


def shard_row(shard: str, state: str, journal: Journal) -> dict[str, Any]:
    """Return what `GET /v3/tree` shows of a shard, besides what it has in hand."""
    team, _, number = shard.partition("/")
    return {
        "id": shard,
        "team": team,
        "shard": int(number),
        "state": state,
        "epoch": journal.epoch,
        "restarts": journal.restarts,
    }


def team_of(shard: str) -> Team:
    """Return the team of a shard.

    Raises:
        ValueError: There is no such team.
    """
    for team in TEAMS:
        if shard.startswith(f"{team}/"):
            return team
    raise ValueError(f"{shard!r} is not a shard of {TEAMS}")
