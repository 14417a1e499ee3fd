"""When keys are due for other values, in v2's shapes."""

from typing import Any

from cartrita.vault.rotation import (
    SOON,
    NewPolicy,
    RotationDesk,
    due_seen,
    policy_seen,
    rotation_seen,
    state_of,
)
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.inputs import storable
from serve_apps.bridge.services.vault import READ, bounded, desk_of, mine, read


def _desk(call: Call) -> RotationDesk:
    return RotationDesk(desk_of(call))


async def policies(call: Call, _params: dict[str, Any]) -> Any:
    """List one's policies."""
    return [policy_seen(one) for one in await _desk(call).policies(mine(call, READ))]


async def put(call: Call, params: dict[str, Any]) -> Any:
    """Keep a policy."""
    return policy_seen(await _desk(call).put(mine(call), read(NewPolicy, params)))


async def drop(call: Call, params: dict[str, Any]) -> Any:
    """Forget a policy."""
    await _desk(call).drop(mine(call), params["id"])


async def trial(call: Call, params: dict[str, Any]) -> Any:
    """Tell what a policy would be for, without keeping it."""
    desk, owner, policy = _desk(call), mine(call, READ), read(NewPolicy, params)
    keys = await desk.affected(owner, policy)
    return {
        "valid": True,
        "affected_keys": len(keys),
        "keys": [{"id": key.id, "key_name": key.name} for key in keys],
    }


async def due(call: Call, _params: dict[str, Any]) -> Any:
    """List one's keys that are due."""
    return [due_seen(one, call.now) for one in await _desk(call).due(mine(call, READ))]


async def schedule(call: Call, params: dict[str, Any]) -> Any:
    """Plan a change."""
    storable(params)
    key, reason = str(params.get("key", "")), str(params.get("reason", ""))
    return rotation_seen(await _desk(call).schedule(mine(call), key, reason))


async def complete(call: Call, params: dict[str, Any]) -> Any:
    """Give a key that was planned for its new value."""
    event, value = str(params.get("event", "")), str(params.get("value", ""))
    return rotation_seen(await _desk(call).complete(mine(call), event, value))


async def history(call: Call, params: dict[str, Any]) -> Any:
    """List planned and done changes."""
    limit = bounded(params.get("limit"), 50, 200)
    found = await _desk(call).history(mine(call, READ), limit)
    return [rotation_seen(one) for one in found]


async def status(call: Call, _params: dict[str, Any]) -> Any:
    """Tell how urgent it is, and count."""
    desk, owner = _desk(call), mine(call, READ)
    now, soon = await desk.due(owner), await desk.due(owner, SOON)
    kept, plans = await desk.policies(owner), await desk.history(owner, 200)
    done = [plan for plan in plans if plan.completed_at]
    return {
        "status": state_of(now, soon),
        "summary": {
            "overdue": len(now),
            "past_grace": sum(one.late for one in now),
            "due_within_7_days": len(soon) - len(now),
            "policies": len(kept),
            "enabled_policies": sum(policy.enabled for policy in kept),
            "scheduled": len(plans) - len(done),
            "completed": len(done),
        },
    }
