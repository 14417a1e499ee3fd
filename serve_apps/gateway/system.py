"""How the system is: health, the tree, the catalogue, metrics."""

import asyncio
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.clock import iso
from cartrita.errors import CartritaError, ServiceUnavailable
from cartrita.telemetry.metrics import CONTENT_TYPE
from serve_apps.asgi.messages import reply
from serve_apps.gateway.gate import Gate, desk_of, gate_of, granted, principal_of

_PRIVATE = ("pid", "node", "actorId", "dashboard", "memoryBytes", "pace", "journal")


async def health(request: Request) -> Response:
    """GET /health: queues and services; 503 when nothing can be accepted."""
    gate = gate_of(request)
    shards, reports = await asyncio.gather(shards_of(gate), desk_of(request).probes.get())
    queues = {shard["id"]: _queue(shard) for shard in shards if shard["state"] == "up"}
    services = {report.name: {"ok": report.ok} for report in reports}
    for service in _services(gate):
        services.setdefault(service["name"], {"ok": service["state"] == "up"})
    can_accept = bool(queues) and all(report.ok for report in reports if report.required)
    healthy = can_accept and len(queues) == len(shards) and all(s["ok"] for s in services.values())
    now = gate.clock.now()
    body = {
        "status": "healthy" if healthy else "degraded" if can_accept else "unhealthy",
        "timestamp": iso(now),
        "version": gate.version,
        "uptime": round(now - gate.started_at, 3),
        "queues": queues,
        "services": services,
    }
    return reply(body, 200 if can_accept else 503)


async def shards_of(gate: Gate) -> list[dict[str, Any]]:
    """Return every shard's own account of itself; none when the tree cannot be reached."""
    try:
        return await gate.tasks.supervisors()
    except CartritaError:
        return []


def _queue(shard: dict[str, Any]) -> dict[str, Any]:
    capacity = shard["capacity"]
    return {
        "depth": shard["queueDepth"],
        "inFlight": shard["inFlight"],
        "capacity": capacity,
        "utilization": round(shard["inFlight"] / capacity, 4),
    }


def _services(gate: Gate) -> list[dict[str, Any]]:
    """Return the states of an embedded instance's services; none elsewhere."""
    try:
        rows: list[dict[str, Any]] = json.loads(gate.services_file.read_text())["services"]
    except (OSError, ValueError, KeyError):
        return []
    return rows


async def livez(_request: Request) -> Response:
    """GET /livez: this process runs."""
    return reply({"status": "alive"})


async def startupz(_request: Request) -> Response:
    """GET /startupz: the gate is open; nothing answers here before."""
    return reply({"status": "started"})


async def readyz(request: Request) -> Response:
    """GET /readyz: tasks can be accepted here."""
    shards, reports = await asyncio.gather(
        shards_of(gate_of(request)), desk_of(request).probes.get()
    )
    down = [shard["id"] for shard in shards if shard["state"] != "up"]
    down += [report.name for report in reports if report.required and not report.ok]
    if down or not shards:
        raise ServiceUnavailable(f"Not up: {', '.join(down) or 'the tree'}.", retry_after=1)
    return reply({"status": "ready"})


async def tree(request: Request) -> Response:
    """GET /v3/tree: the live actors; processes and nodes for admins only."""
    gate = gate_of(request)
    who = await granted(request, "agents:read")
    above, shards = await asyncio.gather(_above(gate), shards_of(gate))
    where = above.pop("supervisors", {})
    build = above.pop("buildId", None)
    above.pop("exports", None)
    body = {
        "buildId": build,
        "owner": _owner(gate),
        "orchestrator": above,
        "supervisors": [
            {**_name(shard["id"]), **where.get(shard["id"], {}), **shard} for shard in shards
        ],
        "services": _services(gate),
    }
    if not who.admin:
        return reply(_public(body))
    _link(above.get("dashboard"), [above, *body["supervisors"]])
    return reply(body)


def _link(dashboard: str | None, actors: list[dict[str, Any]]) -> None:
    """Say of each actor where Ray's dashboard shows it."""
    for actor in actors:
        if dashboard and actor.get("actorId"):
            actor["dashboard"] = f"{dashboard}/#/actors/{actor['actorId']}"
        _link(dashboard, actor.get("hosts") or [])


def _name(shard: str) -> dict[str, Any]:
    """Return what a shard's id says, for one that cannot speak for itself."""
    team, _, number = shard.partition("/")
    return {"team": team, "shard": int(number)}


async def _above(gate: Gate) -> dict[str, Any]:
    try:
        return await gate.above()
    except CartritaError:
        return {"state": "down"}


def _owner(gate: Gate) -> dict[str, Any] | None:
    try:
        pid: int = json.loads(gate.services_file.read_text())["owner"]
    except (OSError, ValueError, KeyError):
        return None
    return {"pid": pid}


def _public(value: Any) -> Any:
    """Leave out what only admins see."""
    if isinstance(value, dict):
        return {key: _public(item) for key, item in value.items() if key not in _PRIVATE}
    if isinstance(value, list):
        return [_public(item) for item in value]
    return value


async def catalog(request: Request) -> Response:
    """GET /v3/catalog: every task type with its schemas and price."""
    await principal_of(request)
    return (await desk_of(request).catalog.get()).answer(request)


async def metrics(request: Request) -> Response:
    """GET /metrics: Prometheus metrics over all processes of this node."""
    return Response(await desk_of(request).metrics.get(), media_type=CONTENT_TYPE)


async def targets(request: Request) -> Response:
    """GET /metrics/targets: where each node's metrics are, as Prometheus's discovery wants it."""
    rows = (await gate_of(request).above()).get("exports") or []
    return reply([_target(row["address"]) for row in rows])


def _target(address: str) -> dict[str, Any]:
    """Return one; its name does not change when another process of the node serves."""
    return {"targets": [address], "labels": {"instance": address.rpartition(":")[0]}}


ROUTES = [
    Route("/health", health, methods=["GET"]),
    Route("/livez", livez, methods=["GET"]),
    Route("/startupz", startupz, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
    Route("/metrics/targets", targets, methods=["GET"]),
    Route("/v3/tree", tree, methods=["GET"]),
    Route("/v3/catalog", catalog, methods=["GET"]),
]
