"""Agents, teams and supervisors as they are now, for rows that show some of it."""

from typing import Any

from cartrita.declare import TEAMS
from cartrita.errors import CartritaError
from cartrita.protocol.principal import Principal
from serve_apps.bridge.answers import Refusal
from serve_apps.bridge.calls import Call
from serve_apps.gateway.agents import agents_of
from serve_apps.gateway.system import shards_of

ANYBODY = Principal("anybody", "anybody", scopes=())
"""Sees of agents what everybody may see."""

_AT_WORK = ("up", "idle", "starting")
"""States of an agent that takes tasks, if only after its host has started."""

Rows = list[dict[str, Any]]


async def tree(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Tell of all there is: agents, teams, supervisors, task types."""
    shards = await shards_of(call.gate)
    agents = await agents_of(call.gate, shards, ANYBODY)
    for agent in agents:
        agent["active"] = agent["state"] in _AT_WORK
    active = [agent for agent in agents if agent["active"]]
    supervisors = [{**shard, "team": shard["id"].partition("/")[0]} for shard in shards]
    return {
        "agents": agents,
        "names": [agent["name"] for agent in agents],
        "active": len(active),
        "inactive": len(agents) - len(active),
        "supervisors": supervisors,
        "teams": {team: _team(team, agents, supervisors) for team in TEAMS},
        "taskTypes": sorted(name for agent in agents for name in agent["taskTypes"]),
        "up": any(shard["state"] == "up" for shard in shards),
        "orchestrator": await _orchestrator(call),
        "version": call.gate.version,
    }


async def agent(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Tell of one agent: itself, and whom it works under."""
    name = str(params.get("name", ""))
    agents: Rows = (await tree(call, {}))["agents"]
    for found in agents:
        if found["name"] == name:
            return found
    raise Refusal(404, "Agent not found", f"There is no agent {name[:100]!r}.")


async def ready(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Tell what `tree` tells; 503 while no supervisor is up."""
    told = await tree(call, params)
    if not told["up"]:
        call.status = 503
    return told


def _team(team: str, agents: Rows, supervisors: Rows) -> dict[str, Any]:
    mine = [agent for agent in agents if agent["team"] == team]
    up = any(shard["team"] == team and shard["state"] == "up" for shard in supervisors)
    return {
        "status": "active" if up else "inactive",
        "agents": [agent["name"] for agent in mine],
        "active": [agent["name"] for agent in mine if agent["active"]],
        "taskTypes": sorted(name for agent in mine for name in agent["taskTypes"]),
    }


async def _orchestrator(call: Call) -> str:
    try:
        above = await call.gate.above()
    except CartritaError:
        return "inactive"
    return "active" if above.get("state", "up") == "up" else "inactive"
