"""How the system is: health, the tree, the catalogue, metrics."""

import asyncio
import json
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.clock import iso
from cartrita.errors import CartritaError, ServiceUnavailable
from cartrita.schema import catalog_entry
from cartrita.telemetry.metrics import CONTENT_TYPE, exposition
from serve_apps.gateway.gate import Gate, gate_of, principal_of

JSON = "application/json"
_PRIVATE = ("pid", "node")


async def health(request: Request) -> Response:
    """GET /health: queues and services; 503 when nothing can be accepted."""
    gate = gate_of(request)
    shards, reports = await asyncio.gather(_shards(gate), gate.probes.check())
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
    return Response(to_json(body), 200 if can_accept else 503, media_type=JSON)


async def _shards(gate: Gate) -> list[dict[str, Any]]:
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
    return Response(b'{"status":"alive"}', media_type=JSON)


async def readyz(request: Request) -> Response:
    """GET /readyz: tasks can be accepted here."""
    gate = gate_of(request)
    shards = await _shards(gate)
    down = [shard["id"] for shard in shards if shard["state"] != "up"]
    if down or not shards:
        raise ServiceUnavailable(f"Not up: {', '.join(down) or 'the tree'}.", retry_after=1)
    return Response(b'{"status":"ready"}', media_type=JSON)


async def tree(request: Request) -> Response:
    """GET /v3/tree: the live actors; processes and nodes for admins only."""
    gate = gate_of(request)
    who = await principal_of(request)
    above, shards = await asyncio.gather(_above(gate), _shards(gate))
    where = above.pop("supervisors", {})
    build = above.pop("buildId", None)
    body = {
        "buildId": build,
        "owner": _owner(gate),
        "orchestrator": above,
        "supervisors": [{**where.get(shard["id"], {}), **shard} for shard in shards],
        "services": _services(gate),
    }
    return Response(to_json(body if who.admin else _public(body)), media_type=JSON)


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
    entries = [catalog_entry(spec) for spec in gate_of(request).catalog.tasks.values()]
    return Response(to_json({"tasks": entries}), media_type=JSON)


async def metrics(request: Request) -> Response:
    """GET /metrics: Prometheus metrics over all processes of this node."""
    text = await asyncio.to_thread(exposition, gate_of(request).metrics_dir)
    return Response(text, media_type=CONTENT_TYPE)


ROUTES = [
    Route("/health", health, methods=["GET"]),
    Route("/livez", livez, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
    Route("/v3/tree", tree, methods=["GET"]),
    Route("/v3/catalog", catalog, methods=["GET"]),
]
