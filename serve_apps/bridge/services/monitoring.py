"""Figures about keys, tasks and the tree, in v2's shapes."""

import asyncio
import math
from typing import Any

from cartrita.clock import iso
from cartrita.protocol.task import TaskStatus
from cartrita.storage.listing import ListedTask, Wanted
from cartrita.vault.desk import DAY, VaultDesk
from cartrita.vault.rotation import BY_HAND
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.permits import permitted
from serve_apps.bridge.services.vault import READ, bounded, desk_of, event_seen, mine, tallies_seen
from serve_apps.gateway.gate import EVERY_TASK
from serve_apps.gateway.system import shards_of

DAYS, LATEST = 30, 50
"""What is counted of events, and how many are listed."""

SAMPLE = 500
"""Tasks that figures are computed from: the latest ones."""

_NAMES = {"postgres": "PostgreSQL", "redis": "Redis"}


def _whose(call: Call) -> str | None:
    """Return whose figures they are: everybody's for administrators."""
    return None if call.person.admin else mine(call, READ).actor


async def dependencies(call: Call, _params: dict[str, Any]) -> Any:
    """Tell of what this instance needs whether it answers."""
    return [
        {
            "service": _NAMES.get(one.name, one.name),
            "status": "healthy" if one.ok else "unhealthy",
            "responseTimeMs": one.latency_ms,
            "required": one.required,
        }
        for one in await call.desk.probes.get()
    ]


async def agents(call: Call, _params: dict[str, Any]) -> Any:
    """Count what agents did in thirty days, by what was charged, and what they do now."""
    whose = None if call.person.admin else call.person.user
    used, shards = await asyncio.gather(
        call.gate.budgets.usage("agent", whose, None, None), shards_of(call.gate)
    )
    return {
        "agents": used["rows"],
        "since": used["since"],
        "until": used["until"],
        "inFlight": sum(shard.get("inFlight", 0) for shard in shards),
        "queued": sum(shard.get("queueDepth", 0) for shard in shards),
    }


async def tree(call: Call, _params: dict[str, Any]) -> Any:
    """Tell of the supervisors, as they tell of themselves."""
    shards = await shards_of(call.gate)
    return {
        "initialized": bool(shards),
        "supervisors": [
            {
                "id": shard["id"],
                "state": shard["state"],
                "queueDepth": shard.get("queueDepth"),
                "inFlight": shard.get("inFlight"),
                "capacity": shard.get("capacity"),
            }
            for shard in shards
        ],
    }


async def traces(call: Call, _params: dict[str, Any]) -> Any:
    """Compute times and errors of the latest tasks that have ended."""
    who = permitted(call, EVERY_TASK)
    whose = None if who.admin else who.user
    since = call.now - DAY
    found = await call.gate.listing.page(Wanted(user=whose, since=since), SAMPLE, None)
    return figures([one for one in found if one.finished_at], call.now - since)


def figures(ended: list[ListedTask], seconds: float) -> dict[str, Any]:
    """Return times and errors of tasks that ended within so many seconds."""
    times = sorted(_took(one) for one in ended)
    failed = sum(one.status is not TaskStatus.COMPLETED for one in ended)
    return {
        "traces": len(ended),
        "window_hours": round(seconds / 3600),
        "sample_limit": SAMPLE,
        "average_response_ms": round(sum(times) / len(times), 1) if times else None,
        "p95_latency_ms": times[math.ceil(0.95 * len(times)) - 1] if times else None,
        "error_rate": round(failed / len(ended), 4) if ended else None,
        "by_type": _by_type(ended),
    }


def _took(one: ListedTask) -> float:
    assert one.finished_at
    return round((one.finished_at - one.accepted_at).total_seconds() * 1000, 1)


def _by_type(ended: list[ListedTask]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in ended:
        found[one.task_type] = found.get(one.task_type, 0) + 1
    return found


async def security(call: Call, _params: dict[str, Any]) -> Any:
    """Count what happened to keys in thirty days, and list the latest of it."""
    desk, whose, now = desk_of(call), _whose(call), call.now
    tallies = await desk.book.tallies(whose, now - DAYS * DAY)
    events = await desk.book.events(whose, LATEST)
    counts: dict[str, dict[str, int]] = {"by_type": {}, "by_severity": {}}
    for one in tallies:
        for table, name in (("by_type", one.kind), ("by_severity", one.severity)):
            counts[table][name] = counts[table].get(name, 0) + one.times
    return {
        "days": DAYS,
        "total_events": sum(one.times for one in tallies),
        **counts,
        "security_events": tallies_seen(tallies),
        "events": [event_seen(event) for event in events],
        "reveal_token_stats": {
            "outstanding": await desk.book.outstanding(now) if call.person.admin else None
        },
        "total_users_with_preferences": await desk.book.preferring() if call.person.admin else None,
    }


async def api_keys(call: Call, _params: dict[str, Any]) -> Any:
    """Count keys: everybody's for administrators, one's own else."""
    desk = desk_of(call)
    census = await desk.keys.census(call.now) if call.person.admin else await _own(call, desk)
    policies = await desk.book.policies(call.person.user)
    tallies = await desk.book.tallies(_whose(call), call.now - DAYS * DAY)
    return {
        "api_key_stats": dict(census),
        "rotation_policy_stats": {
            "total": len(policies),
            "enabled": sum(policy.enabled for policy in policies),
        },
        "usage_patterns": [
            {"date": t.day, "event_type": t.kind, "count": t.times} for t in tallies
        ],
        "note": BY_HAND,
    }


async def _own(call: Call, desk: VaultDesk) -> dict[str, int]:
    keys = [held.key for held in await desk.keys.all(mine(call, READ).id)]
    expired = [k for k in keys if k.expires_at is not None and k.expires_at <= call.now]
    return {"total": len(keys), "active": sum(k.active for k in keys), "expired": len(expired)}


async def performance(call: Call, _params: dict[str, Any]) -> Any:
    """Tell how quickly what we need answers, and how full the tree is."""
    reports, shards = await asyncio.gather(call.desk.probes.get(), shards_of(call.gate))
    parts = [report.ok for report in reports] + [shard["state"] == "up" for shard in shards]
    return {
        "database_stats": {
            report.name: {"ok": report.ok, "latency_ms": report.latency_ms} for report in reports
        },
        "table_stats": None,
        "system_info": {
            "version": call.gate.version,
            "uptime": round(call.now - call.gate.started_at, 3),
            "inFlight": sum(shard.get("inFlight", 0) for shard in shards),
            "queued": sum(shard.get("queueDepth", 0) for shard in shards),
        },
        "health_score": round(100 * sum(parts) / len(parts)) if parts else None,
    }


async def activity(call: Call, params: dict[str, Any]) -> Any:
    """List the latest of what happened to keys."""
    limit = bounded(params.get("limit"), LATEST, 100)
    found = await desk_of(call).book.events(_whose(call), limit)
    return [
        {
            "type": "security",
            "action": event.kind,
            "metadata": dict(event.metadata),
            "created_at": iso(event.at),
            "user_id": event.owner,
        }
        for event in found
    ]
