"""Figures of this node, out of its counters."""

from typing import Any

from cartrita.telemetry.tally import together
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services import registry

CHAT = "langchain.chat.execute"


async def counters(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Tell what the counters say, all of a kind added up."""
    tallies = await call.desk.tallies.get()
    found = together(tallies.values())
    return {
        "started": found.started,
        "completed": found.completed,
        "failed": found.failed,
        "milliseconds": round(1000 * (found.mean_seconds or 0.0), 3),
        "chats": tallies[CHAT].started if CHAT in tallies else 0,
        "hits": found.given,
        "misses": found.missed,
        "tokens": found.tokens,
        "costUsd": round(found.usd, 9),
        "successRate": _share(found.completed, found.ended),
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


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
