"""The agents over HTTP: what they are declared to be, and how they are."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.clock import iso
from cartrita.declare import AgentSpec
from cartrita.errors import NotFound
from cartrita.external.registration import Registration
from cartrita.external.registry import Registered
from cartrita.protocol.principal import Principal
from cartrita.schema import catalog_entry
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.reserved import Reserved
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import Gate, admin_of, gate_of, granted
from serve_apps.gateway.system import shards_of

Rows = list[dict[str, Any]]

_BEST = ("up", "starting", "draining", "idle", "quarantined")
"""An agent is as well as the best of its hosts; else it is down."""


async def listing(request: Request) -> Response:
    """GET /v3/agents: every agent and how it is."""
    who = await granted(request, "agents:read")
    gate = gate_of(request)
    return reply({"agents": await agents_of(gate, await shards_of(gate), who)})


async def agents_of(gate: Gate, shards: Rows, who: Principal) -> Rows:
    """Return every agent and how it is, by its shards' accounts of themselves."""
    agents, outside = (await gate.external.catalog()).offered, await gate.external.agents()
    return [_told(agent, shards, outside, who) for agent in agents]


async def one(request: Request) -> Response:
    """GET /v3/agents/{name}: one agent, its hosts and its task types; DELETE removes it."""
    if request.method == "DELETE":
        return await remove(request)
    who = await granted(request, "agents:read")
    gate, name = gate_of(request), request.path_params["name"]
    agent = (await gate.external.catalog()).agents.get(name)
    if agent is None:
        raise NotFound(f"There is no agent {name[:255]!r}. GET /v3/agents lists all.")
    row = _told(agent, await shards_of(gate), await gate.external.agents(), who)
    tasks = [catalog_entry(spec) for spec in agent.tasks if not spec.hidden]
    return reply({**row, "tasks": tasks})


async def register(request: Request) -> Response:
    """POST /v3/agents/register: have tasks carried to an agent that runs elsewhere."""
    who = await admin_of(request)
    body = await read_json(request)
    told = await asyncio.to_thread(parse, Registration, body)  # its schemas are checked, too
    new = await gate_of(request).external.register(told, who)
    row = {"name": told.name, "taskTypes": [item.task_type for item in told.task_types]}
    answer = {**row, "replaced": not new}
    return reply(answer, 201 if new else 200, {"Location": f"/v3/agents/{told.name}"})


async def remove(request: Request) -> Response:
    """DELETE /v3/agents/{name}: remove an external agent."""
    who = await admin_of(request)
    name = request.path_params["name"]
    await gate_of(request).external.remove(name, who)
    return reply({"name": name, "removed": True})


def _told(
    agent: AgentSpec, shards: Rows, outside: Mapping[str, Registered], who: Principal
) -> dict[str, Any]:
    found = outside.get(agent.name)
    return _external_row(agent, found, who) if found else _row(agent, shards)


def _external_row(agent: AgentSpec, found: Registered, who: Principal) -> dict[str, Any]:
    """Return an agent that runs elsewhere; where that is, is for administrators."""
    told = found.registration
    external: dict[str, Any] = {
        "registeredAt": iso(found.at),
        "checkedAt": None if found.checked_at is None else iso(found.checked_at),
    }
    if who.admin:
        external |= {
            "endpoint": told.endpoint,
            "healthPath": told.health_path,
            "authentication": told.authentication.kind if told.authentication else None,
            "detail": found.detail,
            "registeredBy": found.by,
        }
    return {**_facts(agent), "state": found.standing, "isolation": "external", "hosts": [],
            "external": external}  # fmt: skip


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
    return {**_facts(agent), "state": _state(states), "hosts": hosts}


def _facts(agent: AgentSpec) -> dict[str, Any]:
    return {
        "name": agent.name,
        "team": agent.team,
        "summary": agent.summary,
        "restart": agent.restart,
        "pool": dict(zip(("least", "most"), agent.pool, strict=True)),
        "concurrency": agent.concurrency,
        "isolation": agent.needs.isolation,
        "taskTypes": [spec.name for spec in agent.tasks if not spec.hidden],
    }


def _state_of(agent: AgentSpec, host: dict[str, Any]) -> str:
    """Return how a host is; one that was never needed yet is idle."""
    unused = agent.pool[0] == 0 and host["restarts"] == 0
    return "idle" if unused and host["state"] == "down" else str(host["state"])


def _state(states: Iterable[str]) -> str:
    return next((state for state in _BEST if state in states), "down")


ROUTES = [
    Route("/v3/agents", listing, methods=["GET"]),
    Reserved("/v3/agents/register", register, methods=["POST"]),
    Route("/v3/agents/{name}", one, methods=["GET", "DELETE"]),
    Route("/v3/agents/{name}/status", one, methods=["GET"]),  # where the old system had it
]
