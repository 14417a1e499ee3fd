"""Figures of this node, out of its counters."""

from typing import Any

from cartrita.telemetry.tally import Tally, together
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services import registry

CHAT = "langchain.chat.execute"


async def counters(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Tell what the counters say of all tasks together."""
    tallies = await call.desk.tallies.get()
    whole = together(tallies.values())
    return {
        "ended": whole.ended,
        "completed": whole.completed,
        "failed": whole.failed,
        "milliseconds": round(1000 * (whole.mean_seconds or 0.0), 3),
        "chats": tallies.get(CHAT, Tally()).ended,
        "hits": whole.given,
        "misses": whole.looked - whole.given,
        "successRate": whole.success,
        "successShare": _percent(whole.success),
        "cacheHitRate": _percent(whole.given / whole.looked if whole.looked else None),
        "uptime": round(call.now - call.gate.started_at, 3),
    }


async def agents(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Tell what the counters say, how the agents are, and what is wrong."""
    told, everything = await counters(call, params), await registry.tree(call, params)
    idle = [agent["name"] for agent in everything["agents"] if not agent["active"]]
    down = [shard for shard in everything["supervisors"] if shard["state"] != "up"]
    issues = [f"{name} is not at work" for name in idle]
    issues += [f"{shard['id']} is {shard['state']}" for shard in down]
    return {
        **told,
        "agents": len(everything["names"]),
        "active": everything["active"],
        "inactive": everything["inactive"],
        "issues": issues,
        "healthy": everything["up"] and not issues,
    }


def _percent(share: float | None) -> str:
    """Return a share as v2's front end shows it; of nothing, nothing has failed."""
    return f"{100 * (1.0 if share is None else share):.1f}%"
