"""Where v2's clients are sent by each answer: what became of every route."""

from typing import Any

from serve_apps.bridge.calls import Call
from serve_apps.bridge.matrix import lines, successors


async def routes(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Tell of each route what became of it, and what to use in v3: MIGRATION.md's lists."""
    assert call.table is not None
    found = [
        {
            "route": line.route,
            "state": line.state,
            "in_v3": line.instead or None,
            "why": line.why or None,
        }
        for line in lines(call.table, successors())
    ]
    return {"routes": found, "count": len(found)}
