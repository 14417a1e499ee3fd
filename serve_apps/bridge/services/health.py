"""How the system is, in v2's shapes."""

import asyncio
from typing import Any

from cartrita.clock import iso
from serve_apps.bridge.answers import Refusal
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services import metrics, registry
from serve_apps.bridge.table import SOCKET
from serve_apps.gateway.system import shards_of

ENVIRONMENT = "production"
HEALTHY, UNHEALTHY = "healthy", "unhealthy"


async def root(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Tell that this process runs, and since when."""
    gate = call.gate
    return {
        "version": gate.version,
        "environment": ENVIRONMENT,
        "uptime": round(call.now - gate.started_at, 3),
    }


async def probe(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Tell of the database, Valkey and the tree; 503 when no task can be accepted."""
    shards, reports = await asyncio.gather(shards_of(call.gate), call.desk.probes.get())
    ok = {report.name: report.ok for report in reports}
    agent = any(shard["state"] == "up" for shard in shards)
    ready = agent and all(report.ok for report in reports if report.required)
    if not ready:
        call.status = 503
    return {
        **await root(call, params),
        "status": HEALTHY if ready else "initializing",
        "services": {
            "db": {"ok": ok.get("postgres", False)},
            "redis": {"ok": ok.get("redis", False)},
            "agent": {"ok": agent},
        },
    }


async def report(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Look at everything that can be looked at, by v2's names where it had one."""
    told, reports = await asyncio.gather(registry.tree(call, params), call.desk.probes.get())
    checks = {
        _NAMES.get(one.name, one.name): _check(
            call, ok=one.ok, message=one.detail or "answers", milliseconds=one.latency_ms
        )
        for one in reports
    }
    checks["hierarchical_agents"] = _check(
        call,
        ok=told["up"] and not told["inactive"],
        message=f"{told['active']} of {len(told['names'])} agents are at work",
    )
    checks["tool_registry"] = _check(
        call, ok=bool(told["taskTypes"]), message=f"{len(told['taskTypes'])} task types"
    )
    for shard in told["supervisors"]:
        checks[f"supervisor {shard['id']}"] = _check(
            call, ok=shard["state"] == "up", message=f"is {shard['state']}"
        )
    bad = sum(check["status"] == UNHEALTHY for check in checks.values())
    half = len(checks) / 2
    return {
        "timestamp": iso(call.now),
        "overall_status": "critical" if bad > half else "degraded" if bad else HEALTHY,
        "checks": checks,
        "summary": {
            "total": len(checks),
            "healthy": len(checks) - bad,
            "unhealthy": bad,
            "checking": 0,
        },
    }


async def component(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Tell of one check of the report."""
    name = str(params["name"])
    check = (await report(call, {}))["checks"].get(name)
    if check is None:
        raise Refusal(404, "Component not found", f"There is no check {name[:100]!r}.")
    return {"component": name, **check}


async def dashboard(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Tell of the report in short, and of the counters."""
    told, figures = await report(call, params), await metrics.agents(call, params)
    return {
        "overall_status": told["overall_status"],
        "summary": told["summary"],
        "agents": {key: figures[key] for key in ("active", "inactive")},
        "tasks": {key: figures[key] for key in ("started", "completed", "failed")},
        "issues": figures["issues"],
        "uptime": figures["uptime"],
    }


async def endpoints(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Tell of every route of this table."""
    assert call.table is not None
    rows = [row for row in call.table.rows if row.method != SOCKET]
    found = [
        {
            "path": row.path,
            "method": row.method,
            "auth": row.auth,
            "status": "planned" if row.later else "active",
        }
        for row in rows
    ]
    planned = sum(row.later is not None for row in rows)
    summary = {"total": len(rows), "active": len(rows) - planned, "planned": planned}
    return {"endpoints": found, "summary": summary}


_NAMES = {"postgres": "database"}


def _check(
    call: Call, *, ok: bool, message: str, milliseconds: float | None = None
) -> dict[str, Any]:
    return {
        "status": HEALTHY if ok else UNHEALTHY,
        "message": message,
        "details": {},
        "response_time": milliseconds,
        "last_checked": iso(call.now),
    }
