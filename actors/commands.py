"""Operators' commands: whom they concern, and what they mean there. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.hosting import team_of
from cartrita.catalog import Catalog
from cartrita.declare import TEAMS, AgentSpec, Team
from cartrita.errors import InvalidParameters, NotFound

TREE = "tree"
MOST_SHARDS = 32


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator orders.

    Attributes:
        name: One of `cartrita.protocol.command.CommandName`.
        target: `tree`, a team, a shard (`intelligence/0`), `agent:NAME`, or a host as the
            tree names it.
        arguments: SCALE: `by` or `to`; CONFIG_UPDATE: settings; SHUTDOWN, RESTART and
            EMERGENCY_STOP: `grace` seconds; EMERGENCY_STOP: `cancel`.
        by: Who orders it.
    """

    name: str
    target: str
    arguments: Mapping[str, Any]
    by: str


@dataclass(frozen=True, slots=True)
class Aim:
    """Whom a command concerns.

    Attributes:
        shards: Supervisors.
        part: An agent, or a host, of each of them; None for all of it.
        team: The team that is the target itself.
    """

    shards: tuple[str, ...]
    part: str | None = None
    team: Team | None = None


def aim(target: str, shards: Sequence[str], catalog: Catalog) -> Aim:
    """Return whom a target names.

    Args:
        target: As in `Command`.
        shards: Those that there are.
        catalog: Knows the agents.

    Raises:
        NotFound: It names nothing.
    """
    if target == TREE:
        return Aim(tuple(shards))
    for team in TEAMS:
        if target == team:
            return Aim(tuple(s for s in shards if team_of(s) == team), team=team)
    if target in shards:
        return Aim((target,))
    if target.startswith("agent:"):
        agent = agent_of(target, catalog)
        return Aim(tuple(s for s in shards if team_of(s) == agent.team), agent.name)
    for shard in shards:
        if target.startswith(f"{shard}."):
            return Aim((shard,), target)
    raise NotFound(
        f"There is nothing called {target!r}: name 'tree', a team, a shard such as "
        "'intelligence/0', 'agent:NAME', or a host as `cartrita tree` shows it.",
        fields=[("target", "is not in the tree")],
    )


def agent_of(target: str, catalog: Catalog) -> AgentSpec:
    """Return the agent that a target of the form `agent:NAME` names.

    Raises:
        NotFound: There is none.
    """
    agent = catalog.agents.get(target.removeprefix("agent:"))
    if agent is None:
        names = ", ".join(sorted(catalog.agents))
        raise NotFound(f"There is no agent {target!r}; there are {names}.")
    return agent


def scaled(command: Command, now: int, *, least: int, most: int) -> int:
    """Return how many there will be after SCALE_UP or SCALE_DOWN.

    Raises:
        InvalidParameters: That is out of bounds, or not the way the command goes.
    """
    to, by = command.arguments.get("to"), command.arguments.get("by")
    if to is None:
        step = 1 if by is None else by
        to = now + step if command.name == "SCALE_UP" else now - step
    down = command.name == "SCALE_DOWN"
    if not least <= to <= most:
        text = f"must be {least} to {most}, not {to}"
    elif (to > now) if down else (to < now):
        text = f"is {now} now: {command.name} does not go to {to}"
    else:
        return int(to)
    raise InvalidParameters(f"The number {text}.", fields=[("arguments.to", text)])
