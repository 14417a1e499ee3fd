"""The agents over HTTP: what they are declared to be, and how they are."""

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.declare import AgentSpec
from cartrita.errors import NotFound
from cartrita.schema import catalog_entry
from serve_apps.asgi.messages import reply
from serve_apps.gateway.gate import gate_of, granted
from serve_apps.gateway.system import shards_of

Rows = list[dict[str, Any]]

_BEST = ("up", "starting", "draining", "idle", "quarantined")
"""An agent is as well as the best of its hosts; else it is down."""


async def listing(request: Request) -> Response:
    """GET /v3/agents: every agent and how it is."""
    await granted(request, "agents:read")
    gate = gate_of(request)
    shards = await shards_of(gate)
    return reply({"agents": [_row(agent, shards) for agent in gate.catalog.agents.values()]})


async def one(request: Request) -> Response:
    """GET /v3/agents/{name}: one agent, its hosts and its task types."""
    await granted(request, "agents:read")
    gate, name = gate_of(request), request.path_params["name"]
    agent = gate.catalog.agents.get(name)
    if agent is None:
        raise NotFound(f"There is no agent {name[:255]!r}. GET /v3/agents lists all.")
    tasks = [catalog_entry(spec) for spec in agent.tasks]
    return reply({**_row(agent, await shards_of(gate)), "tasks": tasks})


def _row(agent: AgentSpec, shards: Rows) -> dict[str, Any]:
    mine = [shard for shard in shards if shard["id"].partition("/")[0] == agent.team]
    hosts = [
        {
            "shard": shard["id"],
            **{key: host[key] for key in ("id", "state", "restarts", "inFlight")},
        }
        for shard in mine
        for host in shard["hosts"]
        if agent.name in host["agents"]
    ]
    states = {_state_of(agent, host) for host in hosts}
    return {
        "name": agent.name,
        "team": agent.team,
        "summary": agent.summary,
        "state": _state(states),
        "restart": agent.restart,
        "pool": dict(zip(("least", "most"), agent.pool, strict=True)),
        "concurrency": agent.concurrency,
        "isolation": agent.needs.isolation,
        "taskTypes": [spec.name for spec in agent.tasks],
        "hosts": hosts,
    }


def _state_of(agent: AgentSpec, host: dict[str, Any]) -> str:
    """Return how a host is; one that was never needed yet is idle."""
    unused = agent.pool[0] == 0 and host["restarts"] == 0
    return "idle" if unused and host["state"] == "down" else str(host["state"])


def _state(states: Iterable[str]) -> str:
    return next((state for state in _BEST if state in states), "down")


ROUTES = [
    Route("/v3/agents", listing, methods=["GET"]),
    Route("/v3/agents/{name}", one, methods=["GET"]),
    Route("/v3/agents/{name}/status", one, methods=["GET"]),  # where the old system had it
]
