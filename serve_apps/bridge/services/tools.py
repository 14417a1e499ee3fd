"""v2's registry of tools: the catalogue of task types."""

from typing import Any

from cartrita.clock import iso
from serve_apps.bridge.calls import Call

MOST = 100


async def status(call: Call, _params: dict[str, Any]) -> Any:
    """Tell how much there is."""
    catalog = await call.gate.external.catalog()
    return {
        "success": True,
        "status": "active",
        "total_tools": len(catalog.tasks),
        "agents": len(catalog.agents),
        "timestamp": iso(call.now),
    }


async def search(call: Call, params: dict[str, Any]) -> Any:
    """Find task types in whose name or summary all words stand."""
    words = str(params["q"]).lower().split()[:20]
    catalog = await call.gate.external.catalog()
    found = []
    for name, spec in sorted(catalog.tasks.items()):
        text = f"{name} {spec.summary}".lower()
        if not spec.hidden and all(word in text for word in words):
            found.append({"name": name, "description": spec.summary, "agent": spec.agent})
    return {
        "success": True,
        "query": params["q"],
        "results": found[:MOST],
        "count": len(found[:MOST]),
    }
