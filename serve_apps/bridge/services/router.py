"""v2's router: one route, and a `task` in the body that says what is wanted."""

from typing import Any

from serve_apps.bridge.calls import Call
from serve_apps.bridge.kinds import FILE, read_kinds

KINDS = read_kinds(FILE.with_name("router.toml"))
PROVIDERS = {"knowledge": "knowledge"}
"""What v2 called a group's provider; else it is the model's own."""


async def run(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Run what `task` stands for."""
    kind = KINDS.find(params.get("task"))
    body = call.body if isinstance(call.body, dict) else {}
    options = params.get("options")
    asked = {"inputs": body, "options": options if isinstance(options, dict) else {}}
    assert kind.task
    ran = await call.run(kind.task, kind.parameters(asked), timeout=kind.timeout)
    told = kind.gives(asked | {"result": ran.result, "task": ran.task})
    provider = PROVIDERS.get(kind.group) or ran.result.get("provider")
    return {"task": params.get("task"), "provider": provider, "result": told}
