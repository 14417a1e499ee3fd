"""Figures of this node, out of its counters."""

from typing import Any

from cartrita.telemetry.metrics import PREFIX
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services import registry

CHAT = 'task_type="langchain.chat.execute"'
_HITS = ("memory", "valkey", "meaning", "running")


async def counters(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Tell what the counters say, all of a kind added up."""
    lines = (await call.desk.metrics.get()).decode().splitlines()
    rows = [line.rsplit(" ", 1) for line in lines if line.startswith(PREFIX)]
    seconds = _sum(rows, "task_duration_seconds_sum")
    ended = _sum(rows, "task_duration_seconds_count")
    completed, failed = _sum(rows, "tasks_completed_total"), _sum(rows, "tasks_failed_total")
    hits = sum(_sum(rows, "cache_lookups_total", f'outcome="{name}"') for name in _HITS)
    return {
        "started": int(_sum(rows, "tasks_started_total")),
        "completed": int(completed),
        "failed": int(failed),
        "milliseconds": round(1000 * seconds / ended, 3) if ended else 0.0,
        "chats": int(_sum(rows, "tasks_started_total", CHAT)),
        "hits": int(hits),
        "misses": int(_sum(rows, "cache_lookups_total", 'outcome="missed"')),
        "tokens": int(_sum(rows, "tokens_used_total")),
        "costUsd": round(_sum(rows, "cost_incurred_usd_total"), 9),
        "successRate": _share(completed, completed + failed),
        "uptime": round(call.now - call.gate.started_at, 3),
    }


async def agents(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Tell what the counters say, how the agents are, and what is wrong."""
    told, all_agents = await counters(call, params), await registry.tree(call, params)
    lookups = told["hits"] + told["misses"]
    down = [agent["name"] for agent in all_agents["agents"] if not agent["active"]]
    issues = [f"{name} is not at work" for name in down]
    issues += [
        f"{s['id']} is {s['state']}" for s in all_agents["supervisors"] if s["state"] != "up"
    ]
    return {
        **told,
        "agents": len(all_agents["names"]),
        "active": all_agents["active"],
        "inactive": all_agents["inactive"],
        "supervisors": all_agents["supervisors"],
        "issues": issues,
        "healthy": all_agents["up"] and not issues,
        "successShare": f"{100 * told['successRate']:.1f}%",
        "cacheHitRate": f"{100 * _share(told['hits'], lookups):.1f}%",
    }


def _sum(rows: list[list[str]], name: str, label: str = "") -> float:
    """Add up the series of a metric, those with a label only where one is given."""
    full = f"{PREFIX}_{name}"
    return sum(
        float(value)
        for series, value in rows
        if series.partition("{")[0] == full and label in series
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
