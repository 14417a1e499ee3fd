"""How the system is, in v2's shapes."""

import asyncio
from typing import Any

from serve_apps.bridge.calls import Call
from serve_apps.gateway.system import shards_of

_ENVIRONMENT = "production"


async def root(call: Call, _params: dict[str, Any]) -> Any:
    """Tell that this process runs, and since when."""
    gate = call.gate
    return {
        "version": gate.version,
        "environment": _ENVIRONMENT,
        "uptime": round(call.now - gate.started_at, 3),
    }


async def probe(call: Call, params: dict[str, Any]) -> Any:
    """Tell of the database, Valkey and the tree; 503 when no task can be accepted."""
    shards, reports = await asyncio.gather(shards_of(call.gate), call.desk.probes.get())
    ok = {report.name: report.ok for report in reports}
    agent = any(shard["state"] == "up" for shard in shards)
    ready = agent and all(report.ok for report in reports if report.required)
    if not ready:
        call.status = 503
    return {
        **await root(call, params),
        "status": "healthy" if ready else "initializing",
        "services": {
            "db": {"ok": ok.get("postgres", False)},
            "redis": {"ok": ok.get("redis", False)},
            "agent": {"ok": agent},
        },
    }
